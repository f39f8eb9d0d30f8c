"""Provisioned concurrency: the recorded cases, its whole life, what is refused."""

import concurrent.futures
import json
import time

import pytest
from botocore.exceptions import ClientError

from package import package, read



def provision(client, name, qualifier, number):
    return client.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=number
    )


def get(client, name, qualifier):
    return client.get_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)


def wait(client, name, qualifier, status="READY"):
    deadline = time.monotonic() + 30
    while (answer := get(client, name, qualifier))["Status"] != status:
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)
    return answer


def invoke(client, name, qualifier, event=None):
    answer = client.invoke(FunctionName=name, Qualifier=qualifier, Payload=json.dumps(event or {}))
    told = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, told
    return told, answer["ResponseMetadata"]["HTTPHeaders"]["x-flint-timing"]


def at_once(client, name, qualifier, number, event):
    with concurrent.futures.ThreadPoolExecutor(number) as pool:
        made = [pool.submit(invoke, client, name, qualifier, event) for _ in range(number)]
        return [call.result()[0] for call in made]


def alias(client, name, version="1", alias_name="live"):
    return client.create_alias(FunctionName=name, Name=alias_name, FunctionVersion=version)


def refused(call, *arguments, **named):
    with pytest.raises(ClientError) as error:
        call(*arguments, **named)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


@pytest.mark.invokes
@pytest.mark.recording("TestLambdaConcurrency::test_lambda_provisioned_concurrency_moves_with_alias")
def test_moves_with_alias(case, client, functions):
    name = functions.name()
    made = functions.helper(name, code="provisioned.py", Runtime="python3.8", Timeout=2)
    case.match("create-result", made)
    case.match("get-function-configuration", client.get_function_configuration(FunctionName=name, Qualifier="$LATEST"))
    answer = client.publish_version(FunctionName=name, Description="my-first-version")
    one = case.match("publish_version_1", answer)["Version"]
    answer = client.get_function_configuration(FunctionName=name, Qualifier=one)
    case.match("get_function_configuration_version_1", answer)
    case.match("create_alias", alias(client, name, one))
    case.match("get_function_before_provisioned", client.get_function(FunctionName=name, Qualifier=one))
    provision(client, name, "live", 1)
    wait(client, name, "live")
    case.match("get_function_after_provisioned", client.get_function(FunctionName=name, Qualifier="live"))
    client.update_function_configuration(FunctionName=name, Timeout=10)
    functions.wait(name)
    case.match("get_function_after_update", client.get_function_configuration(FunctionName=name))
    two = client.publish_version(FunctionName=name)
    case.match("publish_version_2", two)
    moved = client.update_alias(FunctionName=name, Name="live", FunctionVersion=two["Version"])
    case.match("update_alias", moved)
    # What the version before has counts until the new one is ready.
    case.match("get_provisioned_config_after_alias_move", get(client, name, "live"))
    wait(client, name, "live")
    assert invoke(client, name, "live")[0]["kind"] == "provisioned-concurrency"
    client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
    case.refused("provisioned_concurrency_notfound", get, client=client, name=name, qualifier="live")


@pytest.mark.invokes
@pytest.mark.recording("TestLambdaConcurrency::test_provisioned_concurrency_on_alias")
def test_on_alias(case, client, functions):
    name = functions.name()
    functions.create(name, code="provisioned.py")
    client.publish_version(FunctionName=name)
    alias(client, name)
    case.match("put_provisioned_5", provision(client, name, "live", 5))
    case.match("get_provisioned_prewait", get(client, name, "live"))
    case.match("get_provisioned_postwait", wait(client, name, "live"))
    assert invoke(client, name, "live")[0]["kind"] == "provisioned-concurrency"
    assert invoke(client, name, "$LATEST")[0]["kind"] == "on-demand"


@pytest.mark.invokes
@pytest.mark.recording("TestLambdaConcurrency::test_reserved_provisioned_overlap")
def test_overlap_with_reserved(case, client, functions):
    name = functions.name()
    functions.helper(name, code="provisioned.py", Timeout=3)
    client.publish_version(FunctionName=name)
    case.match("put_provisioned_5", provision(client, name, "1", 2))
    case.match("get_provisioned_prewait", get(client, name, "1"))
    case.match("get_provisioned_postwait", wait(client, name, "1"))
    reserve = client.put_function_concurrency
    case.refused(
        "reserved_lower_than_provisioned_exc", reserve, FunctionName=name, ReservedConcurrentExecutions=1
    )
    reserve(FunctionName=name, ReservedConcurrentExecutions=2)
    case.match("get_concurrency", client.get_function_concurrency(FunctionName=name))
    told, timing = invoke(client, name, "1")
    assert told["kind"] == "provisioned-concurrency" and "init=0.000" in timing
    # Nothing is left of the reservation for anything else.
    answer = case.refused(
        "reserved_equals_provisioned_latest_invoke_exc", client.invoke, FunctionName=name, Qualifier="$LATEST"
    )
    assert answer
    case.match("update_func_config", client.update_function_configuration(FunctionName=name, Timeout=15))
    functions.wait(name)
    two = client.publish_version(FunctionName=name)["Version"]
    another = "reserved_equals_provisioned_another_provisioned_exc"
    case.refused(another, provision, client=client, name=name, qualifier=two, number=1)
    more = "reserved_equals_provisioned_increase_provisioned_exc"
    case.refused(more, provision, client=client, name=name, qualifier="1", number=3)


@pytest.mark.recording("TestLambdaProvisionedConcurrency::test_lambda_provisioned_lifecycle")
def test_lifecycle(case, client, functions):
    name = functions.name()
    functions.create(name, code="provisioned.py", Environment={"Variables": {}}, Timeout=30)
    case.match("publish_version_result", client.publish_version(FunctionName=name))
    case.match("create_alias_result", alias(client, name))
    case.match("put_provisioned_on_version", provision(client, name, "1", 1))
    conflict = "put_provisioned_on_alias_versionconflict"
    case.refused(conflict, provision, client=client, name=name, qualifier="live", number=1)
    delete = client.delete_provisioned_concurrency_config
    case.match("delete_provisioned_version", delete(FunctionName=name, Qualifier="1"))
    case.refused("get_provisioned_version_postdelete", get, client=client, name=name, qualifier="1")
    case.match("put_provisioned_on_alias", provision(client, name, "live", 1))
    conflict = "put_provisioned_on_version_conflict"
    case.refused(conflict, provision, client=client, name=name, qualifier="1", number=1)
    case.match("delete_alias_result", client.delete_alias(FunctionName=name, Name="live"))
    case.refused("get_provisioned_alias_postaliasdelete", get, client=client, name=name, qualifier="live")
    listed = client.list_provisioned_concurrency_configs(FunctionName=name)
    case.match("list_response_postdeletes", listed)


@pytest.mark.invokes
def test_whole_life(client, functions):
    name = functions.name()
    functions.create(name, code="provisioned.py", Timeout=10, Environment={"Variables": {"LOAD_SECONDS": "0.3"}})
    client.publish_version(FunctionName=name)
    alias(client, name)
    put = provision(client, name, "live", 2)
    assert (put["Status"], put["ResponseMetadata"]["HTTPStatusCode"]) == ("IN_PROGRESS", 202)
    ready = wait(client, name, "live")
    assert ready["AvailableProvisionedConcurrentExecutions"] == 2
    # The first call is warm.
    told, timing = invoke(client, name, "live")
    assert told["kind"] == "provisioned-concurrency" and "init=0.000" in timing
    # Two of four at once have what was provisioned, the others spill over.
    kinds = sorted(told["kind"] for told in at_once(client, name, "live", 4, {"sleep": 1}))
    assert kinds == ["on-demand"] * 2 + ["provisioned-concurrency"] * 2
    # What was started on demand is idle too, and yet the provisioned ones are taken first.
    assert {told["kind"] for told in at_once(client, name, "live", 2, {"sleep": 0.2})} == {"provisioned-concurrency"}
    # The alias takes it along.
    code = package({"handler.py": read("provisioned.py"), "new.txt": "2"})
    client.update_function_code(FunctionName=name, ZipFile=code)
    functions.wait(name)
    client.publish_version(FunctionName=name)
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    moving = get(client, name, "live")
    assert moving["Status"] == "IN_PROGRESS"
    assert wait(client, name, "live")["AllocatedProvisionedConcurrentExecutions"] == 2
    told, timing = invoke(client, name, "live")
    assert (told["kind"], told["version"]) == ("provisioned-concurrency", "2") and "init=0.000" in timing
    # The version that it left has none any more: its instances go as soon as the others are there.
    assert_becomes(lambda: invoke(client, name, "1")[0]["kind"], "on-demand")
    # More, fewer, none.
    assert provision(client, name, "live", 3)["AllocatedProvisionedConcurrentExecutions"] == 2
    wait(client, name, "live")
    assert provision(client, name, "live", 1)["RequestedProvisionedConcurrentExecutions"] == 1
    assert wait(client, name, "live")["AllocatedProvisionedConcurrentExecutions"] == 1
    client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
    assert refused(get, client, name, "live")[0] == "ProvisionedConcurrencyConfigNotFoundException"
    assert_becomes(lambda: invoke(client, name, "live")[0]["kind"], "on-demand")
    # Once more is fine.
    client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="live")


def assert_becomes(what, value):
    deadline = time.monotonic() + 10
    while (found := what()) != value:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@pytest.mark.invokes
def test_failing_init_is_told_and_heals_with_the_code(client, functions):
    name = functions.name()
    functions.create(name, code=package({"handler.py": "import no_such_module\n"}))
    client.publish_version(FunctionName=name)
    alias(client, name)
    assert provision(client, name, "live", 2)["Status"] == "IN_PROGRESS"
    failed = wait(client, name, "live", "FAILED")
    assert failed["StatusReason"].startswith("FUNCTION_ERROR_INIT_FAILURE: Runtime.ImportModuleError: ")
    assert "no_such_module" in failed["StatusReason"]
    assert failed["AllocatedProvisionedConcurrentExecutions"] == 0
    client.update_function_code(FunctionName=name, ZipFile=package({"handler.py": read("provisioned.py")}))
    functions.wait(name)
    client.publish_version(FunctionName=name)
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    ready = wait(client, name, "live")
    assert "StatusReason" not in ready
    assert invoke(client, name, "live")[0]["kind"] == "provisioned-concurrency"


def test_refusals(client, functions):
    name = functions.name()
    functions.create(name)
    version = client.publish_version(FunctionName=name)["Version"]
    unpublished = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
    assert refused(provision, client, name, "$LATEST", 1) == ("InvalidParameterValueException", unpublished)
    alias(client, name, "$LATEST", "newest")
    assert refused(provision, client, name, "newest", 1) == ("InvalidParameterValueException", unpublished)
    assert refused(get, client, name, "$LATEST")[0] == "InvalidParameterValueException"
    assert refused(provision, client, name, "7", 1)[0] == "ResourceNotFoundException"
    assert refused(provision, client, name, "nobody", 1)[0] == "ResourceNotFoundException"
    assert refused(provision, client, name + "-not", "1", 1)[0] == "ResourceNotFoundException"
    code, text = refused(provision, client, name, version, 0)
    assert code == "ValidationException" and "'provisionedConcurrentExecutions'" in text
    code, text = refused(client.get_provisioned_concurrency_config, FunctionName=name)
    assert code == "ValidationException" and "'qualifier'" in text
    code, text = refused(provision, client, name, version, 901)
    assert code == "InvalidParameterValueException"
    assert text == (
        "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
        "minimum value of [100]."
    )


def test_weights_and_second_alias(client, functions):
    name = functions.name()
    functions.create(name)
    for timeout in (4, 5):
        client.update_function_configuration(FunctionName=name, Timeout=timeout)
        functions.wait(name)
        client.publish_version(FunctionName=name)
    alias(client, name)
    alias(client, name, "1", "other")
    share = {"AdditionalVersionWeights": {"2": 0.5}}
    client.update_alias(FunctionName=name, Name="live", RoutingConfig=share)
    weights = "Alias with weights can not be used with Provisioned Concurrency"
    assert refused(provision, client, name, "live", 2) == ("InvalidParameterValueException", weights)
    client.update_alias(FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {}})
    provision(client, name, "live", 2)
    assert refused(provision, client, name, "other", 1)[0] == "ResourceConflictException"
    provision(client, name, "2", 1)
    # An alias cannot be led to a version that is provisioned already.
    moved = refused(client.update_alias, FunctionName=name, Name="live", FunctionVersion="2")
    assert moved[0] == "ResourceConflictException"
    client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="2")
    # While it has weights, each version has its share.
    client.update_alias(FunctionName=name, Name="live", RoutingConfig=share)
    assert wait(client, name, "live")["AllocatedProvisionedConcurrentExecutions"] == 2


def test_list_by_pages_and_what_goes_with_its_version(client, functions):
    name = functions.name()
    functions.create(name)
    for timeout in (4, 5, 6):
        client.update_function_configuration(FunctionName=name, Timeout=timeout)
        functions.wait(name)
        version = client.publish_version(FunctionName=name)["Version"]
        provision(client, name, version, int(version))
    first = client.list_provisioned_concurrency_configs(FunctionName=name, MaxItems=2)
    rest = client.list_provisioned_concurrency_configs(FunctionName=name, Marker=first["NextMarker"])
    assert "NextMarker" not in rest
    listed = first["ProvisionedConcurrencyConfigs"] + rest["ProvisionedConcurrencyConfigs"]
    assert [one["FunctionArn"].rsplit(":", 2)[1:] for one in listed] == [[name, "1"], [name, "2"], [name, "3"]]
    assert [one["RequestedProvisionedConcurrentExecutions"] for one in listed] == [1, 2, 3]
    client.delete_function(FunctionName=name, Qualifier="2")
    listed = client.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"]
    assert [one["FunctionArn"].rsplit(":", 1)[1] for one in listed] == ["1", "3"]
    functions.clean()
    functions.create(name)
    assert client.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"] == []
    code = refused(client.list_provisioned_concurrency_configs, FunctionName=name, MaxItems=51)[0]
    assert code == "ValidationException"
