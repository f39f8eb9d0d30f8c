"""Fixtures: the server, the client, functions that are deleted afterwards, the recorded case."""

import pathlib
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

import server as server_module
from package import package, read
from recorded import Case, manifest

ROLE = f"arn:aws:iam::{server_module.ACCOUNT}:role/lambda-role"


@pytest.fixture(scope="session")
def server():
    found = server_module.find()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def client(server):
    key, secret = server.credentials()
    config = Config(retries={"max_attempts": 0}, read_timeout=120, parameter_validation=False)
    return boto3.client(
        "lambda",
        endpoint_url=server.endpoint,
        region_name=server_module.REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=config,
    )


@pytest.fixture(autouse=True)
def _needs(request):
    if request.node.get_closest_marker("invokes") and not request.getfixturevalue("server").invokes:
        pytest.skip("this server executes no functions")


@pytest.fixture
def case(request):
    """The case that the test's marker names."""
    return Case(request.node.get_closest_marker("recording").args[0])


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Judges the case when the test's calls are made, as part of the test."""
    case = pyfuncitem.funcargs.get("case")
    reason = case and manifest()[case.name].get("fails")
    try:
        result = yield
        if case:
            case.finish()
    except Exception:
        if reason:
            pytest.xfail(reason)
        raise
    if reason:
        pytest.fail(f"{case.name} is as recorded now: remove `fails` from the manifest")
    return result


@pytest.fixture(scope="session")
def interfaces(server):
    """A jar with AWS's interfaces for Java: the bootstrap that the server has written out."""
    found = pathlib.Path(server.data_dir or "/nonexistent") / "runtime/java/bootstrap.jar"
    if not found.exists() or not found.stat().st_size:
        pytest.skip("this server has no Java bootstrap within reach")
    return found


class Functions:
    """Creates functions and deletes them at the end of the test."""

    def __init__(self, client):
        self.client = client
        self.names = []

    def name(self):
        name = f"conformance-{uuid.uuid4().hex[:12]}"
        self.names.append(name)
        return name

    def create(self, name=None, *, wait=True, code=None, **members):
        """CreateFunction with defaults; `code` is the name of a file in `functions`, or a zip."""
        name = name or self.name()
        if name not in self.names:
            self.names.append(name)
        arguments = {"Runtime": "python3.12", "Role": ROLE, "Handler": "handler.handler"} | members
        if not isinstance(code, bytes):
            code = package({"handler.py": read(code or "echo.py")})
        answer = self.client.create_function(FunctionName=name, Code={"ZipFile": code}, **arguments)
        if wait:
            self.wait(name)
        return answer

    def helper(self, name=None, **members):
        """As the recorded helper creates: an empty environment and 30 seconds; the answer under its name."""
        defaults = {"Environment": {"Variables": {}}, "Timeout": 30}
        answer = self.create(name, **(defaults | members))
        return {"CreateEventSourceMappingResponse": None, "CreateFunctionResponse": answer}

    def wait(self, name):
        config = {"Delay": 0.05, "MaxAttempts": 400}
        for waiter in ("function_active_v2", "function_updated_v2"):
            # The waiter's delay is a whole number of seconds in the model, not in its code.
            self.client.get_waiter(waiter).wait(FunctionName=name, WaiterConfig=config)

    def clean(self):
        for name in self.names:
            try:
                self.client.delete_function(FunctionName=name)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":
                    raise


@pytest.fixture
def functions(client):
    made = Functions(client)
    yield made
    made.clean()


def pytest_collection_modifyitems(session, config, items):
    """Remembers which cases have a test, for the check of the manifest."""
    markers = (item.get_closest_marker("recording") for item in items)
    config.replayed = {marker.args[0] for marker in markers if marker}
    files = {pathlib.Path(item.path).name for item in items}
    config.whole = files >= {path.name for path in pathlib.Path(__file__).parent.glob("test_*.py")}
