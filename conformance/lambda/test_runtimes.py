"""What every version of a runtime must do: echo, tell its environment, start through a wrapper."""

import json

import pytest

from package import package, read

pytestmark = pytest.mark.invokes

PYTHON = [f"python3.{n}" for n in range(8, 15)]
NODEJS = [f"nodejs{n}.x" for n in (16, 18, 20, 22, 24)]
PROVIDED = ["provided.al2", "provided.al2023"]


def cases(test, runtimes):
    return [
        pytest.param(one, marks=pytest.mark.recording(f"TestLambdaRuntimesCommon::{test}[{one}]")) for one in runtimes
    ]


def parts(runtime, stem):
    """The files and the handler of a function in a runtime."""
    if runtime.startswith("provided"):
        return {"bootstrap": read("bootstrap_introspect.py")}, "function.handler"
    if runtime.startswith("nodejs"):
        return {"index.js": read(f"{stem}.js")}, "index.handler"
    return {"handler.py": read(f"{stem}.py")}, "handler.handler"


def create(functions, runtime, stem, extra=None, **members):
    files, handler = parts(runtime, stem)
    name = functions.name()
    code = package(files | (extra or {}))
    arguments = {"Runtime": runtime, "Handler": handler, "MemorySize": 1024} | members
    return name, functions.create(name, code=code, **arguments)


def call(client, name, event, **arguments):
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event), **arguments)
    body = json.load(answer["Payload"])
    assert "FunctionError" not in answer, body
    return body


@pytest.mark.parametrize("runtime", cases("test_echo_invoke", PYTHON + NODEJS + PROVIDED))
def test_echo(case, client, functions, runtime):
    name, _ = create(functions, runtime, "introspect")
    events = [{"simple": "value"}, {"nested": {"list": [1, 2.5, None, True]}}, [], [1, "two"], "text", 1, 0.5, None]
    events += [True, {}, {"umlaut": "äöü漢字"}, ""]
    for event in events:
        assert call(client, name, event) == event


@pytest.mark.parametrize("runtime", cases("test_introspection_invoke", PYTHON + NODEJS + PROVIDED))
def test_introspection(case, client, functions, runtime):
    environment = {"Variables": {"TEST_KEY": "TEST_VAL"}}
    name, created = create(functions, runtime, "introspect", Environment=environment)
    case.match("create_function_result", created)
    event = {"operation": "introspect"}
    case.match("invocation_result_payload", call(client, name, event))
    qualified = call(client, name, event, Qualifier="$LATEST")
    case.match("invocation_result_payload_qualified", qualified)


@pytest.mark.parametrize("runtime", cases("test_runtime_wrapper_invoke", PYTHON + NODEJS))
def test_wrapper(case, client, functions, runtime):
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/environment_wrapper"}
    wrapper = {"environment_wrapper": read("environment_wrapper")}
    name, created = create(functions, runtime, "environment", wrapper, Environment={"Variables": variables})
    case.match("create_function_result", created)
    environment = call(client, name, {})
    assert environment["WRAPPER_VAR"] == "test_wrapper_value"
    assert environment["AWS_LAMBDA_EXEC_WRAPPER"] == "/var/task/environment_wrapper"


@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param(one, marks=pytest.mark.recording(f"TestGoProvidedRuntimes::test_uncaught_exception_invoke[{one}]"))
        for one in PROVIDED
    ],
)
def test_uncaught(case, client, functions, runtime):
    name, created = create(functions, runtime, "introspect")
    case.match("create_function_result", created)
    answer = client.invoke(FunctionName=name, Payload=json.dumps({"error_msg": "some_error_msg"}))
    case.match("error_result", answer)


@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param(one, marks=pytest.mark.recording(f"TestPythonRuntimes::test_handler_in_submodule[{one}]"))
        for one in PYTHON
    ],
)
def test_submodule(case, client, functions, runtime):
    name = functions.name()
    code = package({"localmodule/__init__.py": "", "localmodule/handler.py": read("echo.py")})
    functions.create(name, code=code, Runtime=runtime, Handler="localmodule.handler.handler")
    assert call(client, name, {"a": 1}) == {"a": 1}
