"""Function URLs: their configuration, and what goes over them."""

import base64
import http.client
import json
import uuid
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from package import package

RETURNS = "import json\ndef handler(event, context):\n    return {value}\n"
FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)


def code(text):
    return package({"handler.py": text})


def call(url, path="", method="GET", body=None, headers=None, host=None):
    """One request; the answer with its body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    headers = dict(headers or {})
    if host:
        headers["Host"] = host
    connection.request(method, (parts.path if not host else "/") + path.lstrip("/"), body=body, headers=headers)
    answer = connection.getresponse()
    answer.text = answer.read().decode(errors="replace")
    connection.close()
    return answer


def host_of(url, region="us-east-1"):
    """The host name of the URL at this address."""
    return f"{urlsplit(url).path.split('/')[2]}.lambda-url.{region}.localhost"


def allow(client, name, **members):
    return client.add_permission(
        FunctionName=name,
        StatementId="urlPermission",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
        **members,
    )


def statement(answer):
    return answer | {"Statement": json.loads(answer["Statement"])}


def recorded(answer, *names):
    """An HTTP answer in the form of the recordings."""
    try:
        content = json.loads(answer.text)
        content = content if isinstance(content, dict) else answer.text
    except ValueError:
        content = answer.text
    return {"content": content, "headers": {name: answer.headers[name] for name in names}}


VALUES = {
    "boolean": "True",
    "dict": '{"hello": "world"}',
    "float": "3.1",
    "http-response-json": '{"statusCode": 200, "body": json.dumps({"hello": "world"})}',
    "http-response": '{"statusCode": 200, "body": "body123"}',
    "integer": "3",
    "list-mixed": '["hello", 3, True]',
    "string": '"hello"',
}


@pytest.mark.invokes
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(value, marks=pytest.mark.recording(f"TestLambdaURL::test_lambda_url_invocation[{name}]"), id=name)
        for name, value in VALUES.items()
    ],
)
def test_what_a_function_returns(case, client, functions, value):
    name = functions.name()
    functions.create(name, code=code(RETURNS.format(value=value)))
    created = client.create_function_url_config(FunctionName=name, AuthType="NONE")
    case.match("create_lambda_url_config", created)
    case.match("add_permission", statement(allow(client, name)))
    answer = call(created["FunctionUrl"], "custom_path/extend?test_param=test_value", "POST", body=b"{}")
    shown = recorded(answer, "Content-Length", "Content-Type") | {"statuscode": answer.status}
    case.match("lambda_url_invocation", shown)


@pytest.mark.recording("TestLambdaURL::test_lambda_url_invalid_invoke_mode")
def test_unknown_mode(case, client, functions):
    name = functions.name()
    functions.create(name)
    create = client.create_function_url_config
    key = "invoke_function_invalid_invoke_type"
    case.refused(key, create, FunctionName=name, AuthType="NONE", InvokeMode="UNKNOWN")


@pytest.mark.recording("TestLambdaURL::test_lambda_url_non_existing_url")
def test_an_address_that_nothing_has(case, server):
    for path, host in [("/", f"{'0123456789abcdef' * 2}.lambda-url.us-east-1.localhost"), ("url/none/x", None)]:
        answer = call(server.endpoint + "/", path, host=host)
        assert (answer.status, answer.text) == (403, '{"Message":null}')
        assert answer.headers["x-amzn-ErrorType"] == "AccessDeniedException"


@pytest.mark.invokes
@pytest.mark.recording("TestLambdaURL::test_lambda_url_persists_after_alias_delete")
def test_the_url_outlives_its_alias(case, client, functions):
    name = functions.name()
    functions.create(name)
    client.publish_version(FunctionName=name)
    client.create_alias(FunctionName=name, FunctionVersion="1", Name="live")
    create = client.create_function_url_config
    created = create(FunctionName=name, Qualifier="live", AuthType="NONE", InvokeMode="BUFFERED")
    # The recording hides the name and the alias in one word.
    case.match("create_lambda_url_config", created)
    allow(client, name, Qualifier="live")
    case.match("invoke_aliased_url_response", {"status_code": call(created["FunctionUrl"]).status})
    case.match("delete_alias_resp", client.delete_alias(FunctionName=name, Name="live"))
    answer = call(created["FunctionUrl"])
    shown = recorded(answer, "x-amzn-ErrorType") | {"status_code": answer.status}
    case.match("invoke_deleted_alias_url_response_delayed", shown)
    kept = client.get_function_url_config(FunctionName=name, Qualifier="live")
    assert kept["FunctionUrl"] == created["FunctionUrl"]


@pytest.mark.recording("TestLambdaUrl::test_url_config_list_paging")
def test_lists(case, client, functions):
    name = functions.name()
    wanted = {"Runtime": "nodejs20.x", "Handler": "lambda_handler.handler"}
    functions.create(name, code=package({"lambda_handler.js": "exports.handler = async () => 1;"}), **wanted, **ENV)
    case.match("fn_version_result", client.publish_version(FunctionName=name))
    alias = client.create_alias(FunctionName=name, FunctionVersion="1", Name="urlalias")
    case.match("create_alias_result", alias)
    listing = client.list_function_url_configs
    case.refused("list_function_notfound", listing, FunctionName="doesnotexist")
    case.match("list_all_empty", listing(FunctionName=name))
    create = client.create_function_url_config
    first = create(FunctionName=name, AuthType="NONE")
    case.match("url_config_fn", first)
    second = create(FunctionName=name, AuthType="NONE", Qualifier="urlalias")
    case.match("url_config_alias", second)
    case.match("list_all", listing(FunctionName=name))
    page = listing(FunctionName=name, MaxItems=1)
    assert [one["FunctionUrl"] for one in page["FunctionUrlConfigs"]] == [first["FunctionUrl"]]
    page = listing(FunctionName=name, MaxItems=1, Marker=page["NextMarker"])
    assert [one["FunctionUrl"] for one in page["FunctionUrlConfigs"]] == [second["FunctionUrl"]]
    assert "NextMarker" not in page


ENV = {"Environment": {"Variables": {}}, "Timeout": 30}


def refused(function, **arguments):
    with pytest.raises(ClientError) as told:
        function(**arguments)
    answer = told.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def test_life_of_a_configuration(client, functions):
    name = functions.name()
    functions.create(name)
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 60, "AllowCredentials": True}
    created = client.create_function_url_config(FunctionName=name, AuthType="NONE", Cors=cors)
    assert created["Cors"] == cors and "LastModifiedTime" not in created and "InvokeMode" not in created
    again = refused(client.create_function_url_config, FunctionName=name, AuthType="NONE")
    assert again[:2] == (409, "ResourceConflictException") and "FunctionUrlConfig exists" in again[2]
    got = client.get_function_url_config(FunctionName=name)
    assert got["InvokeMode"] == "BUFFERED" and got["LastModifiedTime"] == got["CreationTime"]
    changed = client.update_function_url_config(FunctionName=name, AuthType="AWS_IAM", InvokeMode="RESPONSE_STREAM")
    assert (changed["AuthType"], changed["InvokeMode"], changed["Cors"]) == ("AWS_IAM", "RESPONSE_STREAM", cors)
    assert changed["FunctionUrl"] == created["FunctionUrl"] and changed["LastModifiedTime"] > got["CreationTime"]
    # Cors is replaced as a whole, and taken away by an empty one.
    assert client.update_function_url_config(FunctionName=name, Cors={"MaxAge": 5})["Cors"] == {"MaxAge": 5}
    assert "Cors" not in client.update_function_url_config(FunctionName=name, Cors={})
    client.delete_function_url_config(FunctionName=name)
    assert refused(client.get_function_url_config, FunctionName=name)[:2] == (404, "ResourceNotFoundException")
    assert call(created["FunctionUrl"]).status == 403
    # The address belongs to this function for ever, and not to its name.
    assert client.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"] == created["FunctionUrl"]
    client.delete_function(FunctionName=name)
    assert call(created["FunctionUrl"]).text == '{"Message":null}'
    functions.create(name)
    fresh = client.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert fresh["FunctionUrl"] != created["FunctionUrl"]


def test_refusals(client, functions):
    name = functions.name()
    functions.create(name)
    client.publish_version(FunctionName=name)
    create, update = client.create_function_url_config, client.update_function_url_config
    missing = (404, "ResourceNotFoundException", "Function does not exist")
    nothing = (404, "ResourceNotFoundException", "The resource you requested does not exist.")
    assert refused(create, FunctionName="doesnotexist", AuthType="NONE") == missing
    assert refused(create, FunctionName=name, AuthType="NONE", Qualifier="noalias") == missing
    assert refused(update, FunctionName="doesnotexist", AuthType="NONE") == missing
    assert refused(update, FunctionName=name, AuthType="NONE") == nothing
    for function in (client.get_function_url_config, client.delete_function_url_config):
        assert refused(function, FunctionName=name) == nothing
        assert refused(function, FunctionName="doesnotexist") == nothing
    for qualifier in ("1", "$LATEST"):
        status, kind, text = refused(create, FunctionName=name, AuthType="NONE", Qualifier=qualifier)
        assert (status, kind) == (400, "ValidationException") and f"Value '{qualifier}' at 'qualifier'" in text
    status, kind, text = refused(create, FunctionName=name + ":1", AuthType="NONE")
    assert (status, kind) == (400, "ValidationException") and "at 'functionName'" in text
    assert "at 'authType'" in refused(create, FunctionName=name)[2]
    assert "[AWS_IAM, NONE]" in refused(create, FunctionName=name, AuthType="ANY")[2]
    assert "at 'cors.maxAge'" in refused(create, FunctionName=name, AuthType="NONE", Cors={"MaxAge": 86401})[2]


ECHO = """
import base64, json

def handler(event, context):
    asked = event.get("queryStringParameters", {})
    if "fail" in asked:
        raise ValueError("secret")
    if "binary" in asked:
        body = base64.b64encode(bytes(range(256))).decode()
        return {"statusCode": 201, "headers": {"Content-Type": "image/x"}, "body": body, "isBase64Encoded": True,
                "cookies": ["a=1", "b=2"]}
    if "bad" in asked:
        return {"statusCode": "many"}
    if "null" in asked:
        return None
    return event
"""


@pytest.mark.invokes
def test_the_event_and_the_answer(client, functions):
    name = functions.name()
    functions.create(name, code=code(ECHO))
    url = client.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    headers = {"Content-Type": "text/plain", "X-One": "1", "Cookie": "c=1; d=2", "X-Amzn-Trace-Id": "Root=1-a-b"}
    answer = call(url, "a%20b/c?x=1&x=2&y=%2C", "PUT", body="hé".encode(), headers=headers)
    event = json.loads(answer.text)
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    uuid.UUID(answer.headers["x-amzn-RequestId"])
    assert answer.headers["X-Amzn-Trace-Id"] == "Root=1-a-b"
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/a%20b/c")
    assert event["rawQueryString"] == "x=1&x=2&y=%2C" and event["queryStringParameters"] == {"x": "1,2", "y": ","}
    assert event["cookies"] == ["c=1", "d=2"] and "cookie" not in event["headers"]
    assert (event["body"], event["isBase64Encoded"]) == ("hé", False)
    context = event["requestContext"]
    assert (context["accountId"], context["stage"]) == ("anonymous", "$default") and "authorizer" not in context
    assert context["http"] | {"userAgent": ""} == {
        "method": "PUT",
        "path": "/a%20b/c",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "",
    }
    assert context["requestId"] == answer.headers["x-amzn-RequestId"]
    assert context["domainPrefix"] == context["apiId"] == url.split("/")[4]
    # The same by host name, where the whole path is the function's, also one that the API would refuse.
    event = json.loads(call(url, "//a/../b", host=host_of(url)).text)
    assert event["rawPath"] == "/" + "a/../b" or event["rawPath"] == "//a/../b"
    assert event["requestContext"]["domainName"] == host_of(url)
    answer = call(url, "?binary=1")
    assert answer.status == 201 and answer.headers["Content-Type"] == "image/x"
    assert answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    posted = json.loads(call(url, method="POST", body=bytes(range(256))).text)
    assert posted["isBase64Encoded"] and base64.b64decode(posted["body"]) == bytes(range(256))
    assert call(url, "?null=1").text == "null"


@pytest.mark.invokes
def test_what_goes_wrong(client, functions):
    name = functions.name()
    functions.create(name, code=code(ECHO))
    url = client.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    for query in ("?fail=1", "?bad=1"):
        answer = call(url, query)
        assert (answer.status, answer.text) == (502, "Internal Server Error"), query
        assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["x-flint-code"] == "FLT-4302"
    assert call(url, method="POST", body=b"x" * 7_000_000).status == 413
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    answer = call(url)
    assert answer.status == 429 and answer.headers["x-amzn-ErrorType"] == "TooManyRequestsException"


@pytest.mark.invokes
def test_pages_of_other_origins(client, functions):
    name = functions.name()
    functions.create(name, code=code(RETURNS.format(value='{"statusCode": 200, "headers": {"X-A": "1"}}')))
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["PUT"], "AllowHeaders": ["x-b"], "MaxAge": 9}
    url = client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM", Cors=cors)["FunctionUrl"]
    asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
    # A browser signs no preflight.
    answer = call(url, method="OPTIONS", headers=asks)
    assert answer.status == 200 and answer.text == ""
    told = {name.lower(): value for name, value in answer.headers.items() if name.lower().startswith("access")}
    assert told == {
        "access-control-allow-origin": "https://a.example",
        "access-control-allow-methods": "PUT",
        "access-control-allow-headers": "x-b",
        "access-control-max-age": "9",
    }
    assert "Access-Control-Allow-Origin" not in call(url, method="OPTIONS", headers=asks | {"Origin": "https://b"}).headers
    client.update_function_url_config(FunctionName=name, AuthType="NONE")
    answer = call(url, headers={"Origin": "https://a.example"})
    assert answer.headers["X-A"] == "1" and answer.headers["Access-Control-Allow-Origin"] == "https://a.example"


def sign(server, url, method="GET", body=b"", headers=None, key=None):
    known = server.credentials()
    request = AWSRequest(method=method, url=url, data=body, headers=headers)
    SigV4Auth(Credentials(*(key or known)), "lambda", "us-east-1").add_auth(request)
    return dict(request.headers)


@pytest.mark.invokes
def test_signed_calls_only(client, functions, server):
    name = functions.name()
    functions.create(name, code=code(ECHO))
    url = client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")["FunctionUrl"]
    answer = call(url)
    assert answer.status == 403 and json.loads(answer.text) == {"Message": FORBIDDEN}
    headers = sign(server, url + "a?b=1", "POST", b"{}", {"Content-Type": "application/json"})
    answer = call(url, "a?b=1", "POST", body=b"{}", headers=headers)
    event = json.loads(answer.text)
    assert answer.status == 200 and event["body"] == "{}" and "authorization" not in event["headers"]
    iam = event["requestContext"]["authorizer"]["iam"]
    assert iam["accessKey"] == server.credentials()[0] and iam["accountId"] == "111111111111"
    assert event["requestContext"]["accountId"] == "111111111111"
    # Another body than the one that was signed, and a key that nobody has.
    assert call(url, "a?b=1", "POST", body=b"[]", headers=headers).status == 403
    stranger = sign(server, url, key=("AKIAIOSFODNN7EXAMPLE", "x" * 40))
    assert call(url, headers=stranger).status == 403
    token = {"Authorization": "Bearer nothing"}
    assert call(url, headers=token).status == 403
