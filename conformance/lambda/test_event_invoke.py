"""Asynchronous invocation: the recorded cases, what is refused, and events that wait for new code."""

import json
import pathlib
import re
import time
import urllib.request

import pytest
from botocore.exceptions import ClientError

from package import package, read
from test_invoke import invoke, of_runtime

LIFECYCLE = "TestLambdaEventInvokeConfig::test_lambda_eventinvokeconfig_lifecycle"


@pytest.mark.recording(LIFECYCLE)
def test_lifecycle(case, client, functions):
    name = functions.name()
    functions.create(name)
    put, update = client.put_function_event_invoke_config, client.update_function_event_invoke_config
    get = client.get_function_event_invoke_config
    case.match("put_invokeconfig_retries_0", put(FunctionName=name, MaximumRetryAttempts=0))
    case.match("put_invokeconfig_eventage_60", put(FunctionName=name, MaximumEventAgeInSeconds=60))
    case.match("update_invokeconfig_eventage_nochange", update(FunctionName=name, MaximumEventAgeInSeconds=60))
    case.match("update_invokeconfig_retries", update(FunctionName=name, MaximumRetryAttempts=1))
    case.match("get_invokeconfig", get(FunctionName=name))
    case.match("get_invokeconfig_latest", get(FunctionName=name, Qualifier="$LATEST"))
    case.match("list_single_invokeconfig", client.list_function_event_invoke_configs(FunctionName=name))
    published = client.publish_version(FunctionName=name)
    case.seen.add("publish_version_result")
    version = published["Version"]
    case.refused("get_invokeconfig_postpublish", get, FunctionName=name, Qualifier=version)
    answer = put(FunctionName=name, Qualifier=version, MaximumEventAgeInSeconds=120)
    case.match("put_published_invokeconfig", answer)
    case.match("get_published_invokeconfig", get(FunctionName=name, Qualifier=version))
    client.delete_function_event_invoke_config(FunctionName=name)
    listed = client.list_function_event_invoke_configs(FunctionName=name)
    case.match("list_paging_nolimit_postdelete", listed)


NOTHING = "TestLambdaFeatures::test_invocation_type_no_return_payload"


@pytest.mark.invokes
@pytest.mark.parametrize(
    ("family", "runtime"),
    [
        pytest.param(family, runtime, marks=pytest.mark.recording(f"{NOTHING}[{family}-Event]"))
        for family, runtime in (("nodejs", "nodejs20.x"), ("python", "python3.12"))
    ],
)
def test_no_payload(case, client, functions, family, runtime):
    name = functions.name()
    of_runtime(functions, name, runtime, "none")
    case.match("invoke-result", invoke(client, name, {}, InvocationType="Event"))


def refused(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_what_is_refused(client, functions):
    name, arn = functions.name(), None
    arn = functions.create(name)["FunctionArn"]
    put = client.put_function_event_invoke_config
    code, text = refused(put, FunctionName=name)
    assert (code, "at least one" in text) == ("InvalidParameterValueException", True)
    assert refused(put, FunctionName=name, MaximumRetryAttempts=1, Qualifier="12")[0] == "ResourceNotFoundException"

    def destination(target):
        return refused(put, FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": target}})

    assert destination(arn) == (
        "InvalidParameterValueException",
        "You can't specify the function as a destination for itself.",
    )
    assert destination(arn + "-missing") == (
        "InvalidParameterValueException",
        f"The destination ARN {arn}-missing is invalid.",
    )
    assert destination("arn:aws:iam:::user/nobody")[1] == (
        "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=arn:aws:iam:::user/nobody), "
        "onFailure=null) is invalid."
    )
    assert destination("nowhere")[0] == "ValidationException"
    queue = "arn:aws:sqs:us-east-1:111111111111:q"
    kept = put(FunctionName=name, DestinationConfig={"OnFailure": {"Destination": queue}})
    assert kept["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {"Destination": queue}}


@pytest.fixture
def own_api(server):
    """Reads a path below `/api/v1` as text."""
    token = (pathlib.Path(server.data_dir) / "token").read_text().strip()

    def get(path):
        request = urllib.request.Request(server.endpoint + path, headers={"Authorization": f"Bearer {token}"})
        return urllib.request.urlopen(request, timeout=30).read().decode()

    return get


SLOW = """
import time
def handler(event, context):
    print(f"ran {event['n']:02}-VARIANT")
    time.sleep(event.get("sleep", 0))
"""
UPDATE = "TestLambdaVersions::test_async_invoke_queue_upon_function_update"


@pytest.mark.invokes
@pytest.mark.recording(UPDATE)
def test_events_that_wait_run_the_code_of_their_time(case, client, functions, own_api):
    def code(variant):
        return package({"handler.py": SLOW.replace("VARIANT", variant)})

    name = functions.name()
    functions.create(name, code=code("variant-1"), Timeout=30)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)

    def send(number, **more):
        invoke(client, name, {"n": number, **more}, InvocationType="Event")

    def ran():
        return sorted(re.findall(r"ran (\d\d-variant-\d)", own_api(f"/api/v1/functions/{name}/logs")))

    def wait(count):
        deadline = time.monotonic() + 60
        while len(ran()) < count:
            assert time.monotonic() < deadline, ran()
            time.sleep(0.05)

    send(1, sleep=3)
    wait_started = time.monotonic() + 20
    while not json.loads(own_api("/api/v1/invocations"))["Invocations"]:
        assert time.monotonic() < wait_started
        time.sleep(0.02)
    for number in range(2, 11):
        send(number)
    client.update_function_code(FunctionName=name, ZipFile=code("variant-2"))
    functions.wait(name)
    for number in range(11, 16):
        send(number)
    wait(15)
    words = {1: "sleep"} | {n: "before" for n in range(2, 11)} | {n: "after" for n in range(11, 16)}
    history = [f"{line[:2]}-{words[int(line[:2])]}--{line[3:]}" for line in ran()]
    case.match("async_invoke_history_sorted", history)
