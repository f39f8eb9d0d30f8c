"""The life of a function, once with boto3 and once with the aws command line."""

import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import uuid

import pytest
from botocore.exceptions import ClientError

import server as server_module
from conftest import ROLE
from package import package, read

pytestmark = pytest.mark.invokes

CALLS = 2_000
# 99.99 % of fair draws of a tenth of 2,000 lie within.
LESSER = range(146, 255)


def code(version):
    return package({"handler.py": read("version.py").replace("version1", version)})


def test_with_boto3(client, functions):
    name = functions.name()
    created = functions.create(name, code=code("one"), Tags={"team": "conformance"})
    assert created["State"] == "Pending"
    invoke = lambda **more: json.load(client.invoke(FunctionName=name, **more)["Payload"])
    assert invoke()["version_id"] == "one"
    first = client.publish_version(FunctionName=name, CodeSha256=created["CodeSha256"])
    client.update_function_code(FunctionName=name, ZipFile=code("two"))
    functions.wait(name)
    assert invoke()["version_id"] == "two"
    second = client.publish_version(FunctionName=name)
    assert (first["Version"], second["Version"]) == ("1", "2")
    shares = {"AdditionalVersionWeights": {"2": 0.1}}
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig=shares)

    def draw(_):
        answer = client.invoke(FunctionName=name, Qualifier="live")
        body = json.load(answer["Payload"])
        assert body["version_from_ctx"] == answer["ExecutedVersion"]
        assert body["version_id"] == {"1": "one", "2": "two"}[answer["ExecutedVersion"]]
        return answer["ExecutedVersion"]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        counts = collections.Counter(pool.map(draw, range(CALLS)))
    assert counts["1"] + counts["2"] == CALLS
    assert counts["2"] in LESSER, counts
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="2", RoutingConfig={"AdditionalVersionWeights": {}})
    assert {draw(None) for _ in range(20)} == {"2"}
    client.delete_function(FunctionName=name)
    with pytest.raises(ClientError, match="Function not found"):
        client.invoke(FunctionName=name)


class Cli:
    """The aws command line, beside this Python or on the path."""

    def __init__(self, server, folder):
        beside = pathlib.Path(sys.executable).with_name("aws")
        self.command = [str(beside) if beside.exists() else "aws", "--endpoint-url", server.endpoint]
        key, secret = server.credentials()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": server_module.REGION,
            "AWS_PAGER": "",
        }

    def __call__(self, *words, ok=True):
        ran = subprocess.run(
            [*self.command, "lambda", *words], env=self.environment, capture_output=True, text=True, timeout=120
        )
        assert (ran.returncode == 0) == ok, ran.stderr
        if not ok:
            return ran.stderr
        return json.loads(ran.stdout) if ran.stdout.strip() else {}


def test_with_the_command_line(server, functions, tmp_path):
    aws = Cli(server, tmp_path)
    name = functions.name()
    zips = {}
    for version in ("one", "two"):
        path = tmp_path / f"{version}.zip"
        path.write_bytes(code(version))
        zips[version] = f"fileb://{path}"

    def invoke(*words):
        out = tmp_path / f"{uuid.uuid4()}.json"
        answer = aws("invoke", "--function-name", name, *words, str(out))
        return answer, json.loads(out.read_text())

    of = ("--function-name", name)
    create = ("--runtime", "python3.12", "--role", ROLE, "--handler", "handler.handler")
    aws("create-function", *of, *create, "--zip-file", zips["one"], "--tags", "team=conformance")
    aws("wait", "function-active-v2", *of)
    assert invoke()[1]["version_id"] == "one"
    assert aws("publish-version", *of)["Version"] == "1"
    aws("update-function-code", *of, "--zip-file", zips["two"])
    aws("wait", "function-updated-v2", *of)
    assert aws("publish-version", *of)["Version"] == "2"
    weights = "AdditionalVersionWeights={2=0.1}"
    aws("create-alias", *of, "--name", "live", "--function-version", "1", "--routing-config", weights)
    answer, body = invoke("--qualifier", "live", "--log-type", "Tail")
    assert answer["ExecutedVersion"] == body["version_from_ctx"]
    assert [alias["Name"] for alias in aws("list-aliases", *of)["Aliases"]] == ["live"]
    assert "live" in aws("delete-function", *of, "--qualifier", "1", ok=False)
    aws("delete-alias", *of, "--name", "live")
    aws("delete-function", *of)
    assert "ResourceNotFoundException" in aws("get-function", *of, ok=False)
