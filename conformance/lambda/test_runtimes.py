"""What every version of a runtime must do: echo, tell its environment, start through a wrapper."""

import json

import pytest

from package import classes, package, read

pytestmark = pytest.mark.invokes

PYTHON = [f"python3.{n}" for n in range(8, 15)]
NODEJS = [f"nodejs{n}.x" for n in (16, 18, 20, 22, 24)]
JAVA = ["java8.al2", "java11", "java17", "java21", "java25"]
PROVIDED = ["provided.al2", "provided.al2023"]


def cases(test, runtimes):
    return [
        pytest.param(one, marks=pytest.mark.recording(f"TestLambdaRuntimesCommon::{test}[{one}]")) for one in runtimes
    ]


def parts(runtime, stem, request):
    """The files and the handler of a function in a runtime."""
    if runtime.startswith("java"):
        source = {"echo/Handler.java": read(f"{stem}.java")}
        return classes(source, request.getfixturevalue("interfaces")), "echo.Handler"
    if runtime.startswith("provided"):
        return {"bootstrap": read("bootstrap_introspect.py")}, "function.handler"
    if runtime.startswith("nodejs"):
        return {"index.js": read(f"{stem}.js")}, "index.handler"
    return {"handler.py": read(f"{stem}.py")}, "handler.handler"


def create(functions, runtime, stem, request, extra=None, **members):
    files, handler = parts(runtime, stem, request)
    name = functions.name()
    code = package(files | (extra or {}))
    arguments = {"Runtime": runtime, "Handler": handler, "MemorySize": 1024} | members
    return name, functions.create(name, code=code, **arguments)


def call(client, name, event, **arguments):
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event), **arguments)
    body = json.load(answer["Payload"])
    assert "FunctionError" not in answer, body
    return body


@pytest.mark.parametrize("runtime", cases("test_echo_invoke", PYTHON + NODEJS + JAVA + PROVIDED))
def test_echo(case, client, functions, request, runtime):
    name, _ = create(functions, runtime, "introspect", request)
    events = [{"simple": "value"}, {"nested": {"list": [1, 2.5, None, True]}}, [], [1, "two"], "text", 1, 0.5, None]
    events += [True, {}, {"umlaut": "äöü漢字"}, ""]
    for event in events:
        assert call(client, name, event) == event


@pytest.mark.parametrize("runtime", cases("test_introspection_invoke", PYTHON + NODEJS + JAVA + PROVIDED))
def test_introspection(case, client, functions, request, runtime):
    environment = {"Variables": {"TEST_KEY": "TEST_VAL"}}
    name, created = create(functions, runtime, "introspect", request, Environment=environment)
    case.match("create_function_result", created)
    event = {"operation": "introspect"}
    case.match("invocation_result_payload", call(client, name, event))
    qualified = call(client, name, event, Qualifier="$LATEST")
    case.match("invocation_result_payload_qualified", qualified)


@pytest.mark.parametrize("runtime", cases("test_runtime_wrapper_invoke", PYTHON + NODEJS + JAVA))
def test_wrapper(case, client, functions, request, runtime):
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/environment_wrapper"}
    wrapper = {"environment_wrapper": read("environment_wrapper")}
    name, created = create(functions, runtime, "environment", request, wrapper, Environment={"Variables": variables})
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
def test_uncaught(case, client, functions, request, runtime):
    name, created = create(functions, runtime, "introspect", request)
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


STREAM = """package cloud.localstack.sample;
import com.amazonaws.services.lambda.runtime.*;
import java.io.*;
public class LambdaStreamHandler implements RequestStreamHandler {
    public void handleRequest(InputStream in, OutputStream out, Context context) throws IOException {
        out.write("{}".getBytes());
    }
}
"""


@pytest.mark.parametrize("runtime", [pytest.param(one, marks=pytest.mark.recording(
    f"TestJavaRuntimes::test_stream_handler[{one}]")) for one in JAVA])
def test_java_stream(case, client, functions, interfaces, runtime):
    name = functions.name()
    code = package(classes({"cloud/localstack/sample/LambdaStreamHandler.java": STREAM}, interfaces))
    functions.create(name, code=code, Runtime=runtime, Handler="cloud.localstack.sample.LambdaStreamHandler", Timeout=30)
    case.match("invoke_result", client.invoke(FunctionName=name, Payload=b'{"echo":"echo"}'))


SERIALIZED = """package cloud.localstack.awssdkv1.sample;
import com.amazonaws.services.lambda.runtime.*;
public class SerializedInputLambdaHandler implements
        RequestHandler<SerializedInputLambdaHandler.Input, SerializedInputLambdaHandler.Output> {
    public static class Input {
        private String bucket;
        private String key;
        public String getBucket() { return bucket; }
        public void setBucket(String bucket) { this.bucket = bucket; }
        public String getKey() { return key; }
        public void setKey(String key) { this.key = key; }
    }
    public static class Output extends Input {
        public boolean isValidated() { return getBucket() != null && getKey() != null; }
    }
    public Output handleRequest(Input input, Context context) {
        Output output = new Output();
        output.setBucket(input.getBucket());
        output.setKey(input.getKey());
        return output;
    }
}
"""


@pytest.mark.parametrize("runtime", [pytest.param(one, marks=pytest.mark.recording(
    f"TestJavaRuntimes::test_serializable_input_object[{one}]")) for one in JAVA])
def test_java_bean(case, client, functions, interfaces, runtime):
    name = functions.name()
    path = "cloud/localstack/awssdkv1/sample/SerializedInputLambdaHandler"
    code = package(classes({f"{path}.java": SERIALIZED}, interfaces))
    case.match("create-result", functions.helper(name, code=code, Runtime=runtime, Handler=path.replace("/", ".")))
    event = json.dumps({"bucket": "test_bucket", "key": "test_key"})
    case.match("invoke-result", client.invoke(FunctionName=name, Payload=event))


WITH_LIBRARY = """package cloud.localstack.sample;
import com.amazonaws.services.lambda.runtime.*;
import java.util.Map;
public class LambdaHandlerWithLib implements RequestHandler<Map<String, String>, String> {
    public String handleRequest(Map<String, String> event, Context context) { return library.Text.of(event); }
}
"""
LIBRARY = """package library;
import java.util.Map;
public class Text {
    public static String of(Map<String, String> map) {
        StringBuilder text = new StringBuilder();
        map.forEach((key, value) -> text.append("{\\"" + key + "\\":\\"" + value + "\\"}"));
        return text.toString();
    }
}
"""


@pytest.mark.recording("TestJavaRuntimes::test_java_runtime_with_lib")
def test_java_library(case, client, functions, interfaces):
    library = classes({"library/Text.java": LIBRARY}, interfaces)
    jar = package(library)
    own = classes({"cloud/localstack/sample/LambdaHandlerWithLib.java": WITH_LIBRARY}, interfaces, {"text.jar": jar})
    layouts = {"jar-with-lib": own | library, "zip-with-lib": own | {"lib/text.jar": jar}}
    layouts["zip-with-lib-gradle"] = own | {"lib/text-1.0.jar": jar}
    for layout, files in layouts.items():
        name = functions.name()
        handler = "cloud.localstack.sample.LambdaHandlerWithLib"
        made = functions.helper(name, code=package(files), Runtime="java11", Handler=handler)
        case.match(f"create-result-{layout}", made)
        answer = client.invoke(FunctionName=name, Payload=b'{"echo":"echo"}')
        case.match(f"invoke-result-{layout}", answer)
