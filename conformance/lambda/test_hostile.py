"""Malformed and hostile requests: each gets a 4xx with a JSON error and its code, soon, and the server lives on."""

import http.client
import itertools
import json
import random
import string
import time
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

import server as server_module

FUNCTIONS = "/2015-03-31/functions"
ROLE = "arn:aws:iam::111111111111:role/r"
PER_NAME = [
    ("GET", FUNCTIONS + "/{}"),
    ("DELETE", FUNCTIONS + "/{}"),
    ("GET", FUNCTIONS + "/{}/configuration"),
    ("PUT", FUNCTIONS + "/{}/configuration"),
    ("PUT", FUNCTIONS + "/{}/code"),
    ("POST", FUNCTIONS + "/{}/versions"),
    ("GET", FUNCTIONS + "/{}/versions"),
    ("POST", FUNCTIONS + "/{}/aliases"),
    ("GET", FUNCTIONS + "/{}/aliases"),
    ("GET", FUNCTIONS + "/{}/aliases/live"),
    ("PUT", FUNCTIONS + "/{}/aliases/live"),
    ("DELETE", FUNCTIONS + "/{}/aliases/live"),
    ("PUT", "/2017-10-31/functions/{}/concurrency"),
    ("GET", "/2019-09-30/functions/{}/concurrency"),
    ("DELETE", "/2017-10-31/functions/{}/concurrency"),
    ("PUT", "/2019-09-30/functions/{}/provisioned-concurrency?Qualifier=1"),
    ("GET", "/2019-09-30/functions/{}/provisioned-concurrency?Qualifier=1"),
    ("GET", "/2019-09-30/functions/{}/provisioned-concurrency?List=ALL"),
    ("DELETE", "/2019-09-30/functions/{}/provisioned-concurrency?Qualifier=1"),
    ("PUT", "/2019-09-30/functions/f/provisioned-concurrency?Qualifier={}"),
    ("POST", "/2017-03-31/tags/{}"),
    ("DELETE", "/2017-03-31/tags/{}?tagKeys=a"),
    ("GET", "/2017-03-31/tags/{}"),
    ("PUT", "/2024-08-31/functions/{}/recursion-config"),
    ("GET", "/2024-08-31/functions/{}/recursion-config"),
    ("GET", "/2020-06-30/functions/{}/code-signing-config"),
    ("GET", "/2019-09-25/functions/{}/event-invoke-config"),
    ("GET", FUNCTIONS + "/f/aliases/{}"),
    ("GET", FUNCTIONS + "/f?Qualifier={}"),
    ("GET", FUNCTIONS + "/f/versions?Marker={}"),
    ("GET", FUNCTIONS + "?MaxItems={}"),
    ("GET", "/api/v1/code/{}"),
    ("GET", "/{}"),
]


class Raw:
    """Signed requests as they are given, without a client that would correct them."""

    def __init__(self, server):
        self.host = server.endpoint.removeprefix("http://")
        self.keys = botocore.credentials.Credentials(*server.credentials())

    def __call__(self, method, path, body=b"", headers=None):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"http://{self.host}{path}"
        request = botocore.awsrequest.AWSRequest(method, url, headers=headers or {}, data=body)
        botocore.auth.SigV4Auth(self.keys, "lambda", server_module.REGION).add_auth(request)
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            begun = time.monotonic()
            connection.request(method, path, body=body, headers=dict(request.headers.items()))
            answer = connection.getresponse()
            text = answer.read()
            assert time.monotonic() - begun < 20, f"{method} {path[:80]} took long"
            return answer.status, dict(answer.getheaders()), text
        finally:
            connection.close()


@pytest.fixture(scope="module")
def raw(server):
    call = Raw(server)
    yield call
    status, _, body = call("GET", "/2016-08-19/account-settings")
    assert status == 200, body


def code_of(answer):
    """The error code of an answer that must be a refusal in JSON."""
    status, headers, body = answer
    assert 400 <= status < 500, (status, body[:300])
    document = json.loads(body)
    text = document.get("message") or document.get("Message")
    assert text, document
    found = {key.lower(): value for key, value in headers.items()}.get("x-amzn-errortype")
    assert found, headers
    return found


def names():
    """500 names that no function can have, percent-encoded as a client would send them."""
    fixed = ["../x", "..", "../../etc/passwd", "\0", "f\0", "\u202ef", "\u200ff\u202e", "a/b", "a\\b", "f\r\nX: y", "é"]
    fixed += ["{}", "$(id)", "';--", "f:a:b:c:d", "arn:aws:s3:::x", ":", "::", "x" * 10_000, "\u0130", "\ud7ff", " ", "%"]
    fixed += ["arn:aws:lambda:us-east-1:111111111111:layer:x:1", "a" * 2_000 + ":$LATEST:", "٣", "ｆ", "f\u0301"]
    random.seed(7)
    alphabet = string.punctuation.replace("-", "").replace("_", "").replace(":", "") + "\t\x01\x7f\u202e漢é\U0001f4a5"
    made = ("".join(random.choices(alphabet, k=random.randint(1, 40))) for _ in itertools.count())
    encoded = [urllib.parse.quote(name, safe="") for name in fixed]
    encoded += ["..%2f..%2fx", "%00", "%ff%fe", "%c0%ae%c0%ae%2f", "%E2%80%AE", "%2e%2e%2f", "%25%32%66", "%"]
    return encoded + [urllib.parse.quote(name, safe="") for name in itertools.islice(made, 500 - len(encoded))]


@pytest.mark.parametrize(("method", "path"), PER_NAME, ids=lambda part: str(part))
def test_hostile_names(raw, method, path):
    allowed = {
        "ValidationException",
        "InvalidParameterValueException",
        "InvalidRequestContentException",
        "SerializationException",
        "ResourceNotFoundException",
        "AccessDeniedException",
        "UnknownOperationException",
        # Bytes that no client signs as the server reads them.
        "InvalidSignatureException",
        "IncompleteSignatureException",
    }
    for name in names():
        assert code_of(raw(method, path.format(name), b"{}")) in allowed, name


def create(**members):
    base = {"FunctionName": "hostile", "Role": ROLE, "Runtime": "python3.12", "Handler": "a.b", "Code": {"ZipFile": "AA=="}}
    return base | members


SERIALIZATION, VALIDATION, PARAMETER = "SerializationException", "ValidationException", "InvalidParameterValueException"
CONTENT = "InvalidRequestContentException"
BODIES = [
    (b"{", CONTENT),
    (b"\xff\xfe", CONTENT),
    (b"{'a': 1}", CONTENT),
    (b'{"FunctionName": NaN}', CONTENT),
    (b'{"a":' * 5_000, CONTENT),
    (b"[" * 100_000, CONTENT),
    (b"[]", SERIALIZATION),
    (b"null", SERIALIZATION),
    (b'"text"', SERIALIZATION),
    (b"1", SERIALIZATION),
    (b"", VALIDATION),
    (b"{}", VALIDATION),
    (create(FunctionName=1), SERIALIZATION),
    (create(FunctionName=["a"]), SERIALIZATION),
    (create(Timeout="3"), SERIALIZATION),
    (create(Timeout=1e300), SERIALIZATION),
    (create(Timeout=10**40), SERIALIZATION),
    (create(Timeout=-1), VALIDATION),
    (create(Timeout=2**62), VALIDATION),
    (create(MemorySize=0), VALIDATION),
    (create(MemorySize=10**9), VALIDATION),
    (create(Publish="yes"), SERIALIZATION),
    (create(Code="AA=="), SERIALIZATION),
    (create(Code=[]), SERIALIZATION),
    (create(Code={}), PARAMETER),
    (create(Code={"ZipFile": ""}), PARAMETER),
    (create(Code={"ZipFile": "%%%"}), SERIALIZATION),
    (create(Code={"ZipFile": "AAAA"}), PARAMETER),
    (create(Code={"S3Bucket": "b", "S3Key": "k"}), PARAMETER),
    (create(Code={"ImageUri": "x/y:z"}), PARAMETER),
    (create(PackageType="Image"), PARAMETER),
    (create(PackageType="Rar"), VALIDATION),
    (create(Role="root"), VALIDATION),
    (create(Role=None), VALIDATION),
    (create(Handler="a b"), VALIDATION),
    (create(Handler="x" * 129), VALIDATION),
    (create(Description="x" * 257), VALIDATION),
    (create(Runtime="cobol"), PARAMETER),
    (create(Runtime="../python"), PARAMETER),
    (create(FunctionName="x" * 65), PARAMETER),
    (create(FunctionName="x" * 10_000), VALIDATION),
    (create(FunctionName="../../etc"), VALIDATION),
    (create(FunctionName="f\u202eg"), VALIDATION),
    (create(Environment=[]), SERIALIZATION),
    (create(Environment={"Variables": {"A": 1}}), SERIALIZATION),
    (create(Environment={"Variables": {"A=B": "x"}}), VALIDATION),
    (create(Environment={"Variables": {"AB": "x\0y"}}), PARAMETER),
    (create(Environment={"Variables": {"AWS_REGION": "x"}}), PARAMETER),
    (create(Environment={"Variables": {"AB": "x" * 5_000}}), PARAMETER),
    (create(EphemeralStorage={"Size": 1}), VALIDATION),
    (create(EphemeralStorage={}), VALIDATION),
    (create(Architectures=["sparc"]), VALIDATION),
    (create(Architectures=[]), VALIDATION),
    (create(Architectures="x86_64"), SERIALIZATION),
    (create(TracingConfig={"Mode": "Loud"}), VALIDATION),
    (create(SnapStart={"ApplyOn": "PublishedVersions"}), PARAMETER),
    (create(Layers=["x"]), VALIDATION),
    (create(LoggingConfig={"LogGroup": "a b"}), VALIDATION),
    (create(LoggingConfig={"LogFormat": "XML"}), VALIDATION),
    (create(Tags={"": "x"}), VALIDATION),
    (create(Tags={"a": "x" * 300}), VALIDATION),
    (create(Tags={f"k{n}": "v" for n in range(51)}), PARAMETER),
    (create(ImageConfig={}), PARAMETER),
]


@pytest.mark.parametrize(("body", "code"), BODIES, ids=range(len(BODIES)))
def test_bodies_of_create(raw, body, code):
    assert code_of(raw("POST", FUNCTIONS, body)) == code


REQUESTS = [
    ("GET", FUNCTIONS + "?MaxItems=0", VALIDATION),
    ("GET", FUNCTIONS + "?MaxItems=-1", VALIDATION),
    ("GET", FUNCTIONS + "?MaxItems=10001", VALIDATION),
    ("GET", FUNCTIONS + "?MaxItems=99999999999999999999", SERIALIZATION),
    ("GET", FUNCTIONS + "?MaxItems=1.5", SERIALIZATION),
    ("GET", FUNCTIONS + "?Marker=!!!", PARAMETER),
    ("GET", FUNCTIONS + "?Marker=" + "A" * 9_000, PARAMETER),
    ("GET", FUNCTIONS + "?FunctionVersion=ALL&Marker=Zm9v", PARAMETER),
    ("GET", FUNCTIONS + "?FunctionVersion=SOME", VALIDATION),
    ("GET", FUNCTIONS + "/f?Qualifier=a%20b", VALIDATION),
    ("GET", FUNCTIONS + "/f:1?Qualifier=2", PARAMETER),
    ("GET", FUNCTIONS + "/f?Qualifier=99999999999999999999999", "ResourceNotFoundException"),
    ("GET", FUNCTIONS + "/f?Qualifier=00", "ResourceNotFoundException"),
    ("GET", FUNCTIONS + "/arn%3Aaws%3Alambda%3Aeu-west-1%3A111111111111%3Afunction%3Af", "ResourceNotFoundException"),
    ("GET", FUNCTIONS + "/222222222222%3Afunction%3Af", "AccessDeniedException"),
    ("GET", FUNCTIONS + "/f/aliases/123", VALIDATION),
    ("DELETE", FUNCTIONS + "/f?Qualifier=$LATEST", PARAMETER),
    ("PUT", FUNCTIONS + "/f", "UnknownOperationException"),
    ("PATCH", FUNCTIONS, "UnknownOperationException"),
    ("GET", "/", "UnknownOperationException"),
    ("GET", "//", "UnknownOperationException"),
    ("GET", "/2015-03-31", "UnknownOperationException"),
    ("GET", "/2025-11-30/capacity-providers", "UnknownOperationException"),
    ("POST", "/2025-11-30/capacity-providers", "UnknownOperationException"),
    ("GET", "/2020-04-22/code-signing-configs", "UnknownOperationException"),
    ("DELETE", "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A111111111111%3Afunction%3Af", VALIDATION),
    ("GET", "/api/v1/code/" + "0" * 64 + ".zip", "AccessDeniedException"),
    ("GET", "/api/v1/code/" + "0" * 64 + ".zip?expires=99999999999&signature=" + "0" * 64, "AccessDeniedException"),
    ("GET", "/api/v1/code/..%2f..%2fflint.db?expires=99999999999&signature=" + "0" * 64, "AccessDeniedException"),
]


@pytest.mark.parametrize(("method", "path", "code"), REQUESTS, ids=range(len(REQUESTS)))
def test_requests(raw, method, path, code):
    assert code_of(raw(method, path)) == code


def test_header_junk(raw, server):
    # The server may refuse these before they are a request; what counts is that it answers and lives on.
    junk = [
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /2015-03-31/functions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        b"GET " + b"/a" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    host, port = raw.host.split(":")
    for line in junk:
        connection = http.client.socket.create_connection((host, int(port)), timeout=20)
        try:
            connection.sendall(line)
            first = connection.recv(64)
        except ConnectionError:
            first = b""
        finally:
            connection.close()
        assert first == b"" or first.startswith(b"HTTP/1.1 4"), (line[:60], first)
