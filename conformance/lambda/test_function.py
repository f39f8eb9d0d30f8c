"""Functions: create, read, update, list, delete, and what is refused."""

import pytest

from package import package, read


@pytest.mark.recording("TestLambdaFunction::test_function_lifecycle")
def test_lifecycle(case, client, functions):
    name = functions.name()
    case.match("create_response", functions.helper(name, MemorySize=256, Timeout=5))
    case.match("get_function_response", client.get_function(FunctionName=name))
    answer = client.update_function_configuration(
        FunctionName=name,
        Runtime="python3.11",
        Description="Changed-Description",
        MemorySize=512,
        Timeout=10,
        Environment={"Variables": {"ENV_A": "a"}},
    )
    case.match("update_func_conf_response", answer)
    functions.wait(name)
    case.match("get_function_response_postupdate", client.get_function(FunctionName=name))
    code = package({"handler.py": read("version.py")})
    case.match("update_code_response", client.update_function_code(FunctionName=name, ZipFile=code))
    functions.wait(name)
    case.match("get_function_response_postcodeupdate", client.get_function(FunctionName=name))
    case.match("delete_response", client.delete_function(FunctionName=name))
    case.refused("delete_postdelete", client.delete_function, FunctionName=name)


@pytest.mark.recording("TestLambdaBaseFeatures::test_function_state")
def test_state(case, client, functions):
    name = functions.name()
    case.match("create-fn-response", functions.create(name))
    case.match("get-fn-response", client.get_function(FunctionName=name))


@pytest.mark.recording("TestLambdaFunction::test_redundant_updates")
def test_redundant_updates(case, client, functions):
    name = functions.name()
    case.match("create_response", functions.helper(name, Description="Initial description"))
    update = {"FunctionName": name, "Description": "1st update description"}
    case.match("first_update_result", client.update_function_configuration(**update))
    functions.wait(name)
    case.match("get_fn_config_result", client.get_function_configuration(FunctionName=name))
    case.match("get_fn_result", client.get_function(FunctionName=name))
    case.match("redundant_update_result", client.update_function_configuration(**update))
    functions.wait(name)
    case.match("get_fn_result_after_redundant_update", client.get_function(FunctionName=name))


@pytest.mark.recording("TestLambdaFunction::test_list_functions")
def test_list_functions(case, client, functions):
    # The names are in order, as the list is.
    base = functions.name()
    first, second = f"{base}-1", f"{base}-2"
    other = package({"handler.py": read("version.py")})
    case.match("create_response_1", functions.helper(first, Publish=True))
    case.match("create_response_2", functions.helper(second, code=other))
    case.refused("list_functions_invalid_functionversion", client.list_functions, FunctionVersion="invalid")

    def ours(**arguments):
        pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1}, **arguments)
        found = [one for page in pages for one in page["Functions"]]
        return {"Functions": [one for one in found if one["FunctionName"].startswith(base)]}

    case.match("list_all", ours(FunctionVersion="ALL"))
    case.match("list_default", ours())


@pytest.mark.recording("TestLambdaFunction::test_vpc_config")
def test_vpc_config(case, client, functions):
    name = functions.name()
    # The recording has these texts where the client gave its own ids.
    vpc = lambda n: {"SubnetIds": [f"subnet-{n}"], "SecurityGroupIds": [f"sg-{n}"]}
    case.match("create_response", functions.helper(name, MemorySize=256, Timeout=5, VpcConfig=vpc(1)))
    case.match("get_function_response", client.get_function(FunctionName=name))
    answer = client.update_function_configuration(FunctionName=name, VpcConfig=vpc(2))
    case.match("update_vpcconfig_update_response", answer)
    functions.wait(name)
    case.match("update_vpcconfig_get_function_response", client.get_function(FunctionName=name))
    empty = {"SubnetIds": [], "SecurityGroupIds": []}
    answer = client.update_function_configuration(FunctionName=name, VpcConfig=empty)
    case.match("delete_vpcconfig_update_response", answer)
    functions.wait(name)
    case.match("delete_vpcconfig_get_function_response", client.get_function(FunctionName=name))


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(operation, marks=pytest.mark.recording(f"TestLambdaFunction::test_ops_on_nonexisting_version[{operation}]"))
        for operation in ("get_function", "get_function_configuration", "get_function_event_invoke_config")
    ],
)
def test_nonexisting_version(case, client, functions, operation):
    name = functions.name()
    functions.create(name)
    call = getattr(client, operation)
    case.refused("version_not_found_exception", call, FunctionName=name, Qualifier="1221")


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(operation, marks=pytest.mark.recording(f"TestLambdaFunction::test_ops_with_arn_qualifier_mismatch[{operation}]"))
        for operation in ("delete_function", "get_function", "get_function_configuration")
    ],
)
def test_qualifier_mismatch(case, client, operation):
    call = getattr(client, operation)
    arn = "arn:aws:lambda:us-east-1:111111111111:function:some-function"
    case.refused("not_match_exception", call, FunctionName=f"{arn}:1", Qualifier="$LATEST")
    case.refused("match_exception", call, FunctionName=f"{arn}:$LATEST", Qualifier="$LATEST")


@pytest.mark.recording("TestPartialARNMatching::test_update_function_configuration_full_arn")
def test_update_by_every_form_of_name(case, client, functions):
    name = functions.name()
    arn = functions.create(name)["FunctionArn"]
    account = arn.split(":")[4]
    forms = [name, arn, f"{account}:function:{name}", f"function:{name}"]
    for number, form in enumerate(forms):
        answer = client.update_function_configuration(FunctionName=form, Description=str(number))
        assert (answer["FunctionName"], answer["Description"]) == (name, str(number))
        functions.wait(name)


RUNTIMES = ["dotnetcore3.1", "go1.x", "java8", "nodejs12.x", "nodejs14.x", "provided", "python3.7", "ruby2.7"]
DEPRECATED = "TestRuntimeValidation::test_create_deprecated_function_runtime_with_validation_enabled"


@pytest.mark.parametrize(
    "runtime", [pytest.param(one, marks=pytest.mark.recording(f"{DEPRECATED}[{one}]")) for one in RUNTIMES]
)
def test_deprecated_runtime(case, functions, runtime):
    case.refused("deprecation_error", functions.create, Runtime=runtime)


@pytest.mark.recording("TestLambdaSnapStart::test_snapstart_exceptions")
def test_snapstart_refused(case, functions):
    snap = {"ApplyOn": "invalidOption"}
    case.refused("create_function_invalid_snapstart_apply", functions.create, SnapStart=snap)


SNAPSTART = [
    ("dotnet10", "dotnet::Dotnet.Function::FunctionHandler"),
    ("dotnet8", "dotnet::Dotnet.Function::FunctionHandler"),
    *((f"java{n}", "echo.Handler") for n in (11, 17, 21, 25)),
    ("python3.12", "handler.handler"),
    ("python3.13", "handler.handler"),
]


@pytest.mark.parametrize(
    ("runtime", "handler"),
    [
        pytest.param(r, h, marks=pytest.mark.recording(f"TestLambdaSnapStart::test_snapstart_lifecycle[{r}]"))
        for r, h in SNAPSTART
    ],
)
def test_snapstart_off(case, client, functions, runtime, handler):
    name = functions.name()
    answer = functions.create(
        name, Runtime=runtime, Handler=handler, MemorySize=1024, Timeout=5, SnapStart={"ApplyOn": "None"}
    )
    case.match("create_function_response", answer)
    case.match("get_function_response_latest", client.get_function(FunctionName=name))
    client.publish_version(FunctionName=name, Description="version1")
    case.match("get_function_response_version_1", client.get_function(FunctionName=name, Qualifier="1"))


@pytest.mark.recording("TestLambdaRecursion::test_put_function_recursion_config_allow")
def test_recursion_allow(case, client, functions):
    name = functions.name()
    functions.create(name)
    answer = client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    case.match("put_recursion_config_response", answer)
    case.match("get_recursion_config_response", client.get_function_recursion_config(FunctionName=name))


@pytest.mark.recording("TestLambdaRecursion::test_put_function_recursion_config_default_terminate")
def test_recursion_default(case, client, functions):
    name = functions.name()
    functions.create(name)
    case.match("get_recursion_default_terminate_response", client.get_function_recursion_config(FunctionName=name))


@pytest.mark.recording("TestLambdaRecursion::test_put_function_recursion_config_invalid_value")
def test_recursion_invalid(case, client, functions):
    name = functions.name()
    functions.create(name)
    call = client.put_function_recursion_config
    case.refused("put_recursion_invalid_value_error", call, FunctionName=name, RecursiveLoop="InvalidValue")
