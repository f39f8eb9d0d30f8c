"""Functions of container images, with boto3."""

import io
import json
import pathlib
import re
import subprocess
import sys
import uuid

import pytest
from botocore.exceptions import ClientError

import images
from conftest import ROLE
from package import package
from test_official_clients import official_client


@pytest.fixture
def repository():
    return f"111111111111.dkr.ecr.us-east-1.amazonaws.com/conformance-{uuid.uuid4().hex[:8]}"


def create(client, functions, uri, **more):
    name = functions.name()
    arguments = {"PackageType": "Image", "Role": ROLE, "Environment": {"Variables": {"CUSTOM_ENV": "test"}}} | more
    return name, client.create_function(FunctionName=name, Code={"ImageUri": uri}, **arguments)


@pytest.mark.invokes
@pytest.mark.recording("TestLambdaImages::test_lambda_image_crud")
def test_crud(case, client, server, functions, repository):
    other = repository + "-2"
    for name, version in ((repository, "one"), (other, "two")):
        images.put(server, f"{name}:latest", images.shell(version)[0])
    name, created = create(client, functions, f"{repository}:latest")
    case.match("create-image-response", created)
    functions.wait(name)
    get = lambda: client.get_function(FunctionName=name)
    config = lambda: client.get_function_configuration(FunctionName=name)
    case.match("get-function-code-response", get())
    case.match("get-function-config-response", config())
    zipped = package({"app.py": "x"})
    case.refused("image-to-zipfile-error", client.update_function_code, FunctionName=name, ZipFile=zipped)
    case.match(
        "update-function-code-response",
        client.update_function_code(FunctionName=name, ImageUri=f"{other}:latest"),
    )
    functions.wait(name)
    case.match("get-function-code-response-after-update", get())
    case.match("get-function-config-response-after-update", config())


@pytest.mark.invokes
@pytest.mark.recording("TestLambdaImages::test_lambda_image_versions")
def test_versions(case, client, server, functions, repository):
    images.put(server, f"{repository}:latest", images.shell("one")[0])
    name, created = create(client, functions, f"{repository}:latest", Publish=True)
    case.match("create_image_response", created)
    functions.wait(name)
    get = lambda: client.get_function(FunctionName=name)
    update = lambda text: client.update_function_configuration(FunctionName=name, Description=text)
    publish = lambda **more: client.publish_version(FunctionName=name, **more)
    case.match("get_function_result", get())
    case.match("list_versions_result", client.list_versions_by_function(FunctionName=name))
    case.match("first_update_response", update("Second version :)"))
    functions.wait(name)
    latest = case.match("first_update_get_function", get())["Configuration"]
    case.refused("invalid_sha_publish", publish, CodeSha256="a" * 64)
    published = publish(Description="Second version description :)", CodeSha256=latest["CodeSha256"])
    case.match("first_publish_response", published)
    case.match("second_update_response", update("Third version :)"))
    functions.wait(name)
    case.match("second_update_get_function", get())
    case.match("second_publish_response", publish(Description="Third version description :)"))


@pytest.mark.invokes
def test_versions_serve_what_their_tag_stood_for(client, server, functions, repository):
    uri = f"{repository}:latest"
    first, digest = images.shell("one", WorkingDir="/bin")
    images.put(server, uri, first)
    name, _ = create(client, functions, uri, Publish=True)
    functions.wait(name)
    answer = lambda **more: json.load(client.invoke(FunctionName=name, **more)["Payload"])
    assert answer() == {"version": "one", "args": "", "pwd": "/bin"}
    images.put(server, uri, images.shell("two")[0])
    assert answer()["version"] == "one", "an import changes no function"
    client.update_function_code(FunctionName=name, ImageUri=uri, Publish=True)
    functions.wait(name)
    assert (answer()["version"], answer(Qualifier="1")["version"], answer(Qualifier="2")["version"]) == ("two", "one", "two")
    pinned = f"{repository}@sha256:{digest}"
    client.update_function_code(FunctionName=name, ImageUri=pinned)
    functions.wait(name)
    assert answer()["version"] == "one"
    code = client.get_function(FunctionName=name)["Code"]
    assert (code["ImageUri"], code["ResolvedImageUri"]) == (pinned, pinned)
    settings = {"EntryPoint": ["/start", "a"], "Command": ["b c"], "WorkingDirectory": "/"}
    changed = client.update_function_configuration(FunctionName=name, ImageConfig=settings)
    assert changed["ImageConfigResponse"] == {"ImageConfig": settings}
    functions.wait(name)
    assert answer() == {"version": "one", "args": "a b c", "pwd": "/"}
    client.update_function_configuration(FunctionName=name, ImageConfig={})
    functions.wait(name)
    assert "ImageConfigResponse" not in client.get_function_configuration(FunctionName=name)
    assert answer()["pwd"] == "/bin"


def refused(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    error = raised.value.response
    assert error["Error"]["Code"] == "InvalidParameterValueException", error
    return error["Error"]["Message"]


@pytest.mark.invokes
def test_what_does_not_go_together_is_refused(client, server, functions, repository):
    make = lambda **members: refused(client.create_function, FunctionName="refused", Role=ROLE, **members)
    image = {"ImageUri": f"{repository}:latest"}
    said = make(PackageType="Image", Code=image)
    assert said.startswith(f"Source image {repository}:latest does not exist") and said.endswith("Provide a valid source image.")
    assert "is not valid" in make(PackageType="Image", Code={"ImageUri": "Not A Name"})
    assert "Handler or Runtime" in make(PackageType="Image", Code=image, Runtime="python3.12")
    assert "Handler or Runtime" in make(PackageType="Image", Code=image, Handler="a.b")
    assert "ImageUri" in make(PackageType="Image", Code={"ZipFile": b"x"})
    assert "ImageUri" in make(Code=image, Runtime="python3.12", Handler="a.b")
    name = functions.name()
    functions.create(name)
    assert "packageType Zip" in refused(client.update_function_code, FunctionName=name, ImageUri="x:1")
    assert "ImageConfig" in refused(client.update_function_configuration, FunctionName=name, ImageConfig={"Command": ["x"]})


@pytest.mark.invokes
def test_python_with_the_official_client(client, server, functions, repository):
    """The host's Python and awslambdaric in a root of their own: an image as people build them."""
    python = pathlib.Path("/usr/bin/python3").resolve()
    files = {"usr/bin/python3": python.read_bytes(), "lib": "-> usr/lib", "lib64": "-> usr/lib64"}
    libraries = set()
    for binary in (python, *pathlib.Path(f"/usr/lib/{python.name}/lib-dynload").glob("*.so")):
        libraries |= set(re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", binary], capture_output=True, text=True).stdout))
    extensions = [path for path in official_client() if path.endswith(".so")]
    for path in extensions:
        located = [p for p in map(pathlib.Path, sys.path) if (p / path.removeprefix("clients/")).exists()]
        listed = subprocess.run(["ldd", located[0] / path.removeprefix("clients/")], capture_output=True, text=True).stdout
        libraries |= set(re.findall(r"(/\S+) \(0x", listed))
    for library in libraries:
        below = library.removeprefix("/usr").lstrip("/")
        files[f"usr/{below}"] = pathlib.Path(library).read_bytes()
    files[f"usr/lib/{python.name}"] = pathlib.Path(f"/usr/lib/{python.name}")
    app = "def handler(event, context):\n    return {'got': event, 'id': context.aws_request_id}\n"
    code = {f"var/task/{path}": data for path, data in official_client().items()} | {"var/task/app.py": app}
    config = {"Entrypoint": ["python3", "-m", "awslambdaric"], "Cmd": ["app.handler"], "WorkingDir": "/var/task",
              "Env": ["PATH=/usr/bin", "PYTHONPATH=/var/task/clients"]}
    images.put(server, f"{repository}:py", images.archive([images.layer(files), images.layer(code)], config)[0])
    name, _ = create(client, functions, f"{repository}:py", MemorySize=256, Timeout=20)
    functions.wait(name)
    answer = client.invoke(FunctionName=name, Payload=io.BytesIO(b'{"a": 1}'))
    body = json.load(answer["Payload"])
    assert "FunctionError" not in answer, body
    assert body["got"] == {"a": 1} and body["id"] == answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
