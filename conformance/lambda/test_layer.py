"""Layers: versions, what functions may name, policies, and that functions see them."""

import hashlib
import base64
import json
import uuid
import urllib.request

import pytest
from botocore.exceptions import ClientError

from package import package

ARCHITECTURES = ["x86_64"]


class Layers:
    """Publishes layer versions and deletes them at the end of the test."""

    def __init__(self, client):
        self.client = client
        self.made = []

    def name(self):
        return f"conformance-layer-{uuid.uuid4().hex[:12]}"

    def publish(self, name, files=None, **members):
        zip_file = package(files or {"file.txt": "hello"})
        answer = self.client.publish_layer_version(LayerName=name, Content={"ZipFile": zip_file}, **members)
        self.made.append((name, answer["Version"]))
        return answer

    def clean(self):
        for name, version in self.made:
            self.client.delete_layer_version(LayerName=name, VersionNumber=version)


@pytest.fixture
def layers(client):
    made = Layers(client)
    yield made
    made.clean()


@pytest.mark.recording("TestLambdaLayer::test_layer_function_exceptions")
def test_what_a_function_may_name(case, client, functions, layers):
    name = layers.name()
    publish = lambda: layers.publish(name, CompatibleRuntimes=[], CompatibleArchitectures=ARCHITECTURES)
    arns = []
    for key in ("publish_result", "publish_result_2", "publish_result_3"):
        answer = publish()
        case.match(key, answer)
        arns.append(answer["LayerVersionArn"])
    function = functions.name()
    functions.helper(function)
    case.match("get_fn_result", client.get_function(FunctionName=function))
    update = client.update_function_configuration

    def refused(key, layers):
        case.refused(key, update, FunctionName=function, Layers=layers)

    refused("two_layer_versions_single_function_exc", arns[:2])
    refused("three_layer_versions_single_function_exc", arns)
    refused("two_identical_layer_versions_single_function_exc", [arns[0], arns[0]])
    refused("add_nonexistent_layer_exc", [arns[0].replace(name, "doesnotexist")])
    refused("add_nonexistent_layer_version_exc", [arns[0][:-1] + "9"])
    refused("add_layer_arn_without_version_exc", [arns[0][:-2]])
    elsewhere = arns[0].replace("us-east-1", "eu-central-1")
    # The recording's text names the function's region, which the replay knows under the same placeholder.
    case.refused("create_function_with_layer_in_different_region", functions.create, Layers=[elsewhere])


@pytest.mark.recording("TestLambdaLayer::test_layer_policy_exceptions")
def test_policies(case, client, layers):
    name = layers.name()
    answer = layers.publish(name, CompatibleRuntimes=["python3.12"], CompatibleArchitectures=ARCHITECTURES)
    case.match("publish_result", answer)
    at = {"LayerName": name, "VersionNumber": 1}
    say = {"StatementId": "s1", "Action": "lambda:GetLayerVersion", "Principal": "*"}
    add, remove = client.add_layer_version_permission, client.remove_layer_version_permission
    get = client.get_layer_version_policy
    case.refused("layer_permission_nopolicy_get", get, **at)
    added = add(**at, **say)
    added["Statement"] = json.loads(added["Statement"])
    case.match("add_layer_permission_result", added)
    case.refused("layer_permission_action_invalid", add, **at, **(say | {"StatementId": "s2", "Action": "*"}))
    case.refused("layer_permission_duplicate_statement", add, **at, **say)
    case.refused("layer_permission_wrong_revision", add, **at, **(say | {"StatementId": "s2"}), RevisionId="wrong")
    nothing = {"LayerName": f"{name}-doesnotexist", "VersionNumber": 1}
    later = {"LayerName": name, "VersionNumber": 2}
    for what, target in (("layername", nothing), ("layerversion", later)):
        case.refused(f"layer_permission_{what}_doesnotexist_add", add, **target, **say)
        case.refused(f"layer_permission_{what}_doesnotexist_get", get, **target)
        case.refused(f"layer_permission_{what}_doesnotexist_remove", remove, **target, StatementId="s1")
    case.refused("layer_permission_statementid_doesnotexist_remove", remove, **at, StatementId="doesnotexist")
    case.refused("layer_permission_wrong_revision_remove", remove, **at, StatementId="s1", RevisionId="wrong")
    policy = json.loads(get(**at)["Policy"])
    assert policy["Version"] == "2012-10-17" and policy["Statement"] == [added["Statement"]]
    remove(**at, StatementId="s1")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        get(**at)


def test_versions_are_listed_found_and_deleted(client, layers):
    name = layers.name()
    members = {"CompatibleRuntimes": ["python3.12"], "LicenseInfo": "MIT", "Description": "one"}
    first = layers.publish(name, {"python/one.py": "x = 1"}, **members)
    second = layers.publish(name, {"python/one.py": "x = 2"}, CompatibleRuntimes=["nodejs22.x"])
    assert (first["Version"], second["Version"]) == (1, 2)
    assert first["LicenseInfo"] == "MIT" and "LicenseInfo" not in second
    listed = client.list_layer_versions(LayerName=name)["LayerVersions"]
    assert [item["Version"] for item in listed] == [2, 1]
    assert "Content" not in listed[0] and listed[1]["Description"] == "one"
    page = client.list_layer_versions(LayerName=name, MaxItems=1)
    rest = client.list_layer_versions(LayerName=name, Marker=page["NextMarker"])
    assert [item["Version"] for item in page["LayerVersions"] + rest["LayerVersions"]] == [2, 1]
    pages = client.get_paginator("list_layers").paginate(CompatibleRuntime="python3.12")
    found = [item for page in pages for item in page["Layers"] if item["LayerName"] == name]
    assert [item["LatestMatchingVersion"]["Version"] for item in found] == [1]
    by_arn = client.get_layer_version_by_arn(Arn=second["LayerVersionArn"])
    by_name = client.get_layer_version(LayerName=second["LayerArn"], VersionNumber=2)
    for answer in (by_arn, by_name):
        content = urllib.request.urlopen(answer["Content"]["Location"]).read()
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert digest == answer["Content"]["CodeSha256"] and len(content) == answer["Content"]["CodeSize"]
    client.delete_layer_version(LayerName=name, VersionNumber=2)
    client.delete_layer_version(LayerName=name, VersionNumber=2)
    for call, arguments in (
        (client.get_layer_version, {"LayerName": name, "VersionNumber": 2}),
        (client.get_layer_version_by_arn, {"Arn": second["LayerVersionArn"]}),
    ):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call(**arguments)
    third = layers.publish(name)
    assert third["Version"] == 3, "a number is never given twice"


def test_limits_and_hostile_requests(client, functions, layers):
    name = layers.name()
    hostile = [
        (client.publish_layer_version, {"LayerName": "a b", "Content": {"ZipFile": b"x"}}, "layerName"),
        (client.publish_layer_version, {"LayerName": name, "Content": {"ZipFile": b"no zip"}}, "unzip"),
        (client.publish_layer_version, {"LayerName": name, "Content": {}}, "source"),
        (client.publish_layer_version, {"LayerName": name, "Content": {"S3Bucket": "buc", "S3Key": "k"}}, "NoSuchBucket"),
        (client.get_layer_version, {"LayerName": name, "VersionNumber": 0}, "Layer Version Cannot be less than 1."),
        (client.get_layer_version, {"LayerName": "../x", "VersionNumber": 1}, "layerName"),
        (client.list_layers, {"MaxItems": 51}, "maxItems"),
        (client.list_layers, {"CompatibleRuntime": "cobol"}, "compatibleRuntime"),
        (client.get_layer_version_by_arn, {"Arn": "arn:aws:lambda:x"}, "regular expression"),
    ]
    for call, arguments, text in hostile:
        with pytest.raises(ClientError) as refused:
            call(**arguments)
        assert 400 <= refused.value.response["ResponseMetadata"]["HTTPStatusCode"] < 500
        assert text in str(refused.value), (arguments, refused.value)
    wrong = {"CompatibleRuntimes": ["cobol"], "CompatibleArchitectures": ["mips"]}
    with pytest.raises(ClientError, match="2 validation errors detected"):
        layers.publish(name, **wrong)
    arns = [layers.publish(f"{name}-{n}")["LayerVersionArn"] for n in range(6)]
    with pytest.raises(ClientError, match="Cannot reference more than 5 layers."):
        functions.create(Layers=arns)


@pytest.mark.invokes
def test_layers_are_seen_in_order_and_outlive_their_deletion(client, functions, layers):
    name = layers.name()
    first = layers.publish(f"{name}-a", {"python/shared.py": "who = 'a'", "python/only_a.py": "x = 1", "data/a": "1"})
    second = layers.publish(f"{name}-b", {"python/shared.py": "who = 'b'", "data/b": "2"})
    arns = [layer["LayerVersionArn"] for layer in (first, second)]
    code = package(
        {
            "handler.py": "import os, shared, only_a\n"
            "def handler(event, context):\n"
            "    try: open('/opt/x', 'w')\n"
            "    except OSError as error: refused = error.errno\n"
            "    return [shared.who, shared.__file__, sorted(os.listdir('/opt/data')), refused]\n"
        }
    )
    function = functions.name()
    functions.create(function, code=code, Layers=arns)
    shown = client.get_function_configuration(FunctionName=function)["Layers"]
    assert shown == [{"Arn": layer["LayerVersionArn"], "CodeSize": layer["Content"]["CodeSize"]} for layer in (first, second)]
    read = lambda: json.load(client.invoke(FunctionName=function)["Payload"])
    assert read() == ["b", "/opt/python/shared.py", ["a", "b"], 30]
    client.update_function_configuration(FunctionName=function, Layers=arns[::-1])
    functions.wait(function)
    assert read()[0] == "a"
    for layer, arn in zip("ab", arns):
        client.delete_layer_version(LayerName=f"{name}-{layer}", VersionNumber=1)
    client.update_function_configuration(FunctionName=function, Timeout=4)
    functions.wait(function)
    assert read()[0] == "a", "a deleted layer stays usable by who has it"
    with pytest.raises(ClientError, match="does not exist"):
        functions.create(Layers=arns[:1])
    client.update_function_configuration(FunctionName=function, Layers=[])
    functions.wait(function)
    assert "Layers" not in client.get_function_configuration(FunctionName=function)
