"""Artefacts below `/api/v1`, named by boto3 in Lambda's own member for file systems."""

import hashlib
import io
import json
import pathlib
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import uuid

import boto3
import pytest
from botocore.exceptions import ClientError

import server as server_module
from package import package

READ = """
def handler(event, context):
    with open(event) as file:
        return file.read()
"""


@pytest.fixture
def api(server):
    """Calls of `/api/v1` with the token: method, path, body → status and parsed answer."""
    token = pathlib.Path(server.data_dir or "/nonexistent") / "token"
    if not token.exists():
        pytest.skip("this server has no token file")

    def call(method, path, body=None):
        request = urllib.request.Request(f"{server.endpoint}/api/v1{path}", data=body, method=method)
        request.add_header("Authorization", f"Bearer {token.read_text().strip()}")
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    return call


def publish(api, name, body, form, **more):
    query = {"size": len(body), "sha256": hashlib.sha256(body).hexdigest(), "form": form} | more
    return api("POST", f"/artefacts/{name}?{urllib.parse.urlencode(query)}", body)


@pytest.fixture
def strict(server):
    """A client that checks parameters against the service model, as boto3 does unless told otherwise."""
    key, secret = server.credentials()
    return boto3.client(
        "lambda",
        endpoint_url=server.endpoint,
        region_name=server_module.REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


@pytest.mark.invokes
def test_boto3_names_artefacts_by_lambdas_own_member(api, strict, functions):
    name = f"model-{uuid.uuid4().hex[:8]}"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        entry = tarfile.TarInfo("m/weights.txt")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"1 2 3"))
    status, first = publish(api, name, archive.getvalue(), "tar.gz", description="first")
    assert (status, first["version"], first["files"], first["unpacked_bytes"]) == (201, 1, 1, 5)
    status, second = publish(api, name, b"4 5 6", "file", file_name="weights.txt")
    assert (status, second["version"]) == (201, 2)
    listed = api("GET", f"/artefacts?name={name}&max_items=1")[1]
    rest = api("GET", f"/artefacts?name={name}&marker={listed['next_marker']}")[1]
    assert [one["version"] for one in listed["artefacts"] + rest["artefacts"]] == [1, 2]

    show = lambda artefact: [{"Arn": artefact["arn"], "LocalMountPath": "/mnt/model"}]
    function = functions.name()
    functions.create(function, code=package({"handler.py": READ}), FileSystemConfigs=show(first))
    assert strict.get_function_configuration(FunctionName=function)["FileSystemConfigs"] == show(first)
    read = lambda path, **more: json.load(
        strict.invoke(FunctionName=function, Payload=json.dumps(path), **more)["Payload"]
    )
    assert read("/mnt/model/m/weights.txt") == "1 2 3"
    number = strict.publish_version(FunctionName=function)["Version"]
    strict.update_function_configuration(FunctionName=function, FileSystemConfigs=show(second))
    functions.wait(function)
    assert read("/mnt/model/weights.txt") == "4 5 6"
    assert read("/mnt/model/m/weights.txt", Qualifier=number) == "1 2 3", "a version keeps what it was published with"
    status, refused = api("DELETE", f"/artefacts/{name}/1")
    assert status == 409 and f"{function}:{number}" in refused["message"]
    assert api("GET", f"/artefacts/{name}/2")[1]["used_by"] == [f"{function}:$LATEST"]
    strict.update_function_configuration(FunctionName=function, FileSystemConfigs=[])
    functions.wait(function)
    assert "FileSystemConfigs" not in strict.get_function_configuration(FunctionName=function)
    assert api("DELETE", f"/artefacts/{name}/2")[0] == 204
    assert api("GET", f"/artefacts/{name}/2")[0] == 404


def test_what_cannot_be_shown_is_refused(strict, functions):
    own = f"{server_module.REGION}:{server_module.ACCOUNT}"
    cases = [
        (f"arn:flint:artefact:{own}:nothing:1", "/mnt/x", "has no version 1"),
        (f"arn:flint:artefact:eu-1:{server_module.ACCOUNT}:x:1", "/mnt/x", "another region"),
        (f"arn:flint:artefact:{server_module.REGION}:222222222222:x:1", "/mnt/x", "another region or account"),
        (f"arn:flint:mount:{own}:etc", "/mnt/x", "no folder of the name etc is approved"),
        (f"arn:flint:mount:{own}:../etc", "/mnt/x", "nothing that this server can show"),
        ("arn:aws:elasticfilesystem:us-east-1:111111111111:access-point/fsap-0123456789abcdef0", "/mnt/x", "nothing that"),
        (f"arn:flint:mount:{own}:x", "/opt/x", "/mnt/[a-zA-Z0-9-_.]+"),
    ]
    for arn, path, text in cases:
        with pytest.raises(ClientError) as refused:
            functions.create(FileSystemConfigs=[{"Arn": arn, "LocalMountPath": path}])
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert text in str(refused.value), (arn, refused.value)
