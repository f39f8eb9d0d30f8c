"""The official Runtime API client for Python, unmodified, as a custom runtime (`provided.al2023`).

The one for Rust (`lambda_runtime`) is `examples/hello-rust`, which the command line's tests build, deploy and call. The one for
Node.js (`aws-lambda-ric`) builds a native part with cmake and autotools, which the test machines do not have.
"""

import importlib.metadata
import json
import pathlib

import pytest

from package import package

pytestmark = pytest.mark.invokes

BOOTSTRAP = '#!/bin/sh\nexport PYTHONPATH=/var/task/clients\nexec /usr/bin/python3 -m awslambdaric "$_HANDLER"\n'
APP = """
def handler(event, context):
    if event.get("boom"):
        raise ValueError("no")
    if event.get("exit"):
        import os
        os._exit(3)
    print("seen by the official client")
    return {"event": event, "id": context.aws_request_id, "left": context.get_remaining_time_in_millis() > 0}
"""


def official_client():
    """Files of awslambdaric and what it needs, as installed."""
    files = {}
    for distribution in ("awslambdaric", "simplejson", "snapshot_restore_py"):
        for file in importlib.metadata.files(distribution):
            path = pathlib.Path(file.locate())
            if path.suffix in (".py", ".so") and ".." not in file.parts:
                files[f"clients/{file}"] = path.read_bytes()
    return files


def test_awslambdaric(client, functions):
    code = package({"bootstrap": BOOTSTRAP, "app.py": APP, **official_client()})
    name = functions.create(code=code, Runtime="provided.al2023", Handler="app.handler", Timeout=10)["FunctionName"]

    answer = client.invoke(FunctionName=name, Payload=json.dumps({"a": "ä中"}), LogType="Tail")
    assert "FunctionError" not in answer, answer["Payload"].read()
    body = json.load(answer["Payload"])
    assert body["event"] == {"a": "ä中"} and body["left"]
    assert body["id"] == answer["ResponseMetadata"]["RequestId"]

    for _ in range(20):
        again = client.invoke(FunctionName=name, Payload=b"{}")
        assert "FunctionError" not in again

    thrown = client.invoke(FunctionName=name, Payload=b'{"boom": 1}')
    assert thrown["FunctionError"] == "Unhandled"
    assert json.load(thrown["Payload"])["errorType"] == "ValueError"

    gone = client.invoke(FunctionName=name, Payload=b'{"exit": 1}')
    assert json.load(gone["Payload"])["errorType"] == "Runtime.ExitError"
    assert "FunctionError" not in client.invoke(FunctionName=name, Payload=b"{}")
