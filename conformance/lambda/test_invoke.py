"""Invocations: payloads, errors, logs, context, qualifiers, versions."""

import base64
import json
import re
import threading
import time

import pytest
from botocore.exceptions import ClientError

from package import package, read

pytestmark = pytest.mark.invokes


def invoke(client, name, event=None, **arguments):
    if event is not None:
        arguments["Payload"] = json.dumps(event)
    return client.invoke(FunctionName=name, **arguments)


def tail(answer):
    return base64.b64decode(answer["LogResult"]).decode()


@pytest.mark.recording("TestLambdaAliases::test_lambda_alias_moving")
def test_alias_moving(case, client, functions):
    name = functions.name()
    code = lambda n: package({"handler.py": read("version.py").replace("version1", f"version{n}")})
    answer = functions.create(name, code=code(1), Description="No version :(")
    case.match("create_response", answer)
    client.publish_version(FunctionName=name, Description="First version description :)")
    case.match("create_alias_response", client.create_alias(FunctionName=name, Name="alias1", FunctionVersion="1"))
    called = lambda: invoke(client, name, {}, Qualifier="alias1")
    case.match("invocation_result_qualifier_v1", called())
    by_arn = invoke(client, f"{answer['FunctionArn']}:alias1", {})
    case.match("invocation_result_qualifier_v1_arn", by_arn)
    case.match("update_lambda_response", client.update_function_code(FunctionName=name, ZipFile=code(2)))
    functions.wait(name)
    case.match("invocation_result_qualifier_v1_after_update", called())
    second = client.publish_version(FunctionName=name, Description="Second version description :)")
    case.match("second_publish_response", second)
    case.match("invocation_result_qualifier_v1_after_publish", called())
    case.match("update_alias_response", client.update_alias(FunctionName=name, Name="alias1", FunctionVersion="2"))
    case.match("invocation_result_qualifier_v2", called())
    missing = "non-existent-alias"
    case.refused("invocation_exc_not_existent", client.invoke, FunctionName=name, Qualifier=missing)


@pytest.mark.recording("TestLambdaBaseFeatures::test_lambda_large_response")
def test_large_response(case, client, functions):
    name = functions.name()
    functions.create(name, code=package({"handler.py": read("large.py")}), Timeout=30)
    size = 6 * 1024 * 1024 - 2
    answer = invoke(client, name, {"bytes_num": size})
    assert "FunctionError" not in answer
    assert len(json.load(answer["Payload"])) == size


@pytest.mark.recording("TestLambdaBaseFeatures::test_lambda_too_large_response")
def test_too_large_response(case, client, functions):
    name = functions.name()
    functions.create(name, code="large.py", Timeout=30)
    for key in ("invoke_result", "invoke_result_2"):
        case.match(key, invoke(client, name, {"bytes_num": 6 * 1024 * 1024 + 200}))


@pytest.mark.recording("TestLambdaBehavior::test_lambda_init_environment")
def test_init_environment(case, client, functions):
    name = functions.name()
    case.match("create-result", functions.helper(name, code="init_environment.py", Runtime="python3.14"))
    case.match("lambda-init-inspection", invoke(client, name, {}))


@pytest.mark.recording("TestLambdaBehavior::test_lambda_invoke_no_timeout")
def test_no_timeout(case, client, functions):
    name = functions.name()
    case.match("create-result", functions.helper(name, code="sleep.py", Timeout=2))
    case.match("invoke-result", invoke(client, name, {"sleep": 1}))


@pytest.mark.recording("TestLambdaBehavior::test_lambda_invoke_timed_out_environment_reuse")
def test_environment_reuse_after_timeout(case, client, functions):
    name = functions.name()
    case.match("create-result", functions.helper(name, code="reuse.py", Timeout=1))
    steps = {
        "file-write": {"write": "some-content"},
        "file-read": {"read": True},
        "set-number": {"set": 42},
        "read-number": {"number": True},
        "timed-out": {"sleep": 2},
        "file-read-after-timeout": {"read": True},
        "read-number-after-timeout": {"number": True},
    }
    for step, event in steps.items():
        case.match(f"invoke-result-{step}", invoke(client, name, event))


@pytest.mark.recording("TestLambdaBehavior::test_runtime_introspection_x86")
def test_machine(case, client, functions):
    name = functions.name()
    functions.create(name, code="machine.py", Architectures=["x86_64"])
    case.match("invoke_runtime_x86_introspection", invoke(client, name, {}))


@pytest.mark.recording("TestLambdaConcurrency::test_reserved_concurrency_async_queue")
def test_reserved_concurrency(case, client, functions):
    name = functions.name()
    functions.helper(name, code="sleep.py")
    answer = client.get_function_configuration(FunctionName=name, Qualifier="$LATEST")
    case.match("fn", answer)
    reserved = client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    case.match("put_fn_concurrency", reserved)
    busy = threading.Thread(target=invoke, args=(client, name, {"sleep": 5}))
    busy.start()
    refused, deadline = None, time.monotonic() + 5
    while refused is None and time.monotonic() < deadline:
        try:
            invoke(client, name, {})
        except ClientError as error:
            refused = error.response
    case.match("too_many_requests_exc", refused or {})
    busy.join()


ERRORS = [
    ("test_lambda_handler_error", "lambda_handler_error"),
    ("test_lambda_runtime_error", "lambda_runtime_error"),
    ("test_lambda_runtime_exit", "lambda_runtime_exit"),
]


@pytest.mark.parametrize(
    "module",
    [pytest.param(module, marks=pytest.mark.recording(f"TestLambdaErrors::{name}")) for name, module in ERRORS],
)
def test_errors(case, client, functions, module):
    name = functions.name()
    code = package({f"{module}.py": read(f"{module}.py")})
    # The runtime that AWS recorded the import error with.
    functions.create(name, code=code, Handler=f"{module}.handler", Runtime="python3.13")
    case.match("invocation_error", invoke(client, name, {}))


@pytest.mark.recording("TestLambdaErrors::test_lambda_runtime_wrapper_not_found")
def test_wrapper_not_found(case, client, functions):
    name = functions.name()
    functions.create(name, Environment={"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/idontexist.sh"}})
    case.match("invocation_error", invoke(client, name, {}))


BROKEN = "TestLambdaErrors::test_lambda_invoke_payload_encoding_error"


@pytest.mark.parametrize(
    ("key", "payload"),
    [
        pytest.param(key, payload, marks=pytest.mark.recording(f"{BROKEN}[{key}-{shown}]"))
        for key, payload, shown in [
            ("body", b"n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt", r"n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt"),
            ("message", b"\x99\xeb,j\x07\xa1zYh", r"\x99\xeb,j\x07\xa1zYh"),
        ]
    ],
)
def test_broken_payload(case, client, functions, key, payload):
    name = functions.name()
    functions.create(name)
    case.refused(f"invoke_function_invalid_payload_{key}", client.invoke, FunctionName=name, Payload=payload)


def of_runtime(functions, name, runtime, stem, **members):
    """A function in python or nodejs."""
    nodejs = runtime.startswith("nodejs")
    file, handler = ("index.js", "index.handler") if nodejs else ("handler.py", "handler.handler")
    code = package({file: read(f"{stem}.js" if nodejs else f"{stem}.py")})
    return functions.helper(name, code=code, Handler=handler, Runtime=runtime, **members)


@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param(r, marks=pytest.mark.recording(f"TestLambdaFeatures::test_invocation_type_dry_run[{r}]"))
        for r in ("nodejs16.x", "python3.10")
    ],
)
def test_dry_run(case, client, functions, runtime):
    name = functions.name()
    of_runtime(functions, name, runtime, "log")
    case.match("invoke-result", invoke(client, name, {}, InvocationType="DryRun"))


NOTHING = "TestLambdaFeatures::test_invocation_type_no_return_payload"


@pytest.mark.parametrize(
    ("family", "runtime"),
    [
        pytest.param(family, runtime, marks=pytest.mark.recording(f"{NOTHING}[{family}-RequestResponse]"))
        for family, runtime in (("nodejs", "nodejs20.x"), ("python", "python3.12"))
    ],
)
def test_no_payload(case, client, functions, family, runtime):
    name = functions.name()
    of_runtime(functions, name, runtime, "none")
    case.match("invoke-result", invoke(client, name, {}))


@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param(r, marks=pytest.mark.recording(f"TestLambdaFeatures::test_invocation_with_logs[{r}]"))
        for r in ("nodejs16.x", "python3.10")
    ],
)
def test_logs(case, client, functions, runtime):
    name = functions.name()
    of_runtime(functions, name, runtime, "log")
    answer = invoke(client, name, {}, LogType="Tail")
    lines = tail(answer).splitlines(keepends=True)
    case.match("invoke", answer)
    # AWS's tail of a call that started its environment begins before START.
    started = [n for n, line in enumerate(lines) if line.startswith("START ")]
    case.match("logs", {"logs": lines[started[0] :] if started else lines})


@pytest.mark.recording("TestLambdaFeatures::test_invocation_with_qualifier")
def test_qualifier(case, client, functions):
    name = functions.name()
    answer = functions.create(name, code="context.py", Timeout=10, Publish=True)
    case.match("creation-response", answer)
    functions.wait(name)
    event = {"foo": "bar with 'quotes\""}
    answer = invoke(client, name, event, Qualifier="1", LogType="Tail")
    wanted = re.compile(r"START|END|Lambda log message|\[INFO\]")
    lines = [line for line in tail(answer).splitlines() if wanted.match(line)]
    case.match("log_result", {"log_result": lines})
    case.match("invocation-response", answer)


@pytest.mark.recording("TestLambdaFeatures::test_lambda_with_context")
def test_context(case, client, functions):
    name = functions.name()
    code = package({"lambda_integration.js": read("context.js")})
    answer = functions.helper(name, code=code, Handler="lambda_integration.handler", Runtime="nodejs16.x")
    case.match("creation", answer)
    context = {"custom": {"foo": "bar"}, "client": {"snap": ["crackle", "pop"]}, "env": {"fizz": "buzz"}}
    encoded = base64.b64encode(json.dumps(context).encode()).decode()
    case.match("invocation", invoke(client, name, {}, ClientContext=encoded))


@pytest.mark.recording("TestLambdaVersions::test_lambda_handler_update")
def test_handler_update(case, client, functions):
    name = functions.name()
    functions.helper(name, code="two_handlers.py")
    case.match("invoke_result_handler_one", invoke(client, name, {}))
    answer = client.update_function_configuration(FunctionName=name, Handler="handler.handler_two")
    case.match("update_function_configuration_result", answer)
    functions.wait(name)
    case.match("get_function_result", client.get_function(FunctionName=name))
    case.match("invoke_result_handler_two", invoke(client, name, {}))
    client.publish_version(FunctionName=name)
    case.match("invoke_result_handler_two_postpublish", invoke(client, name, {}))


@pytest.mark.recording("TestRequestIdHandling::test_request_id_invoke")
def test_request_id(case, client, functions):
    name = functions.name()
    functions.create(name, code="request_id.py")
    answer = invoke(client, name, {}, LogType="Tail")
    lines = [line.strip() for line in tail(answer).splitlines()]
    # The tail is another answer's member, not part of this recording.
    answer.pop("LogResult")
    case.match("invoke_result", answer)
    wanted = re.compile(r"START|END|REPORT|\[INFO\]")
    case.match("log_entries", {"logs": [line for line in lines if wanted.match(line)]})
