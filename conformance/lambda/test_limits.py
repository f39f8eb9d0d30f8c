"""Sizes, concurrency, the account."""

import pytest

from package import package, read


@pytest.mark.recording("TestLambdaSizeLimits::test_oversized_request_create_lambda")
def test_oversized_request(case, functions):
    case.refused("invalid_param_exc", functions.create, code=bytes(55_000_000))


@pytest.mark.recording("TestLambdaSizeLimits::test_oversized_unzipped_lambda")
def test_oversized_unzipped(case, functions):
    code = package({"handler.py": read("echo.py"), "large.bin": bytes(270_000_000)})
    case.refused("invalid_param_exc", functions.create, code=code)


@pytest.mark.recording("TestLambdaSizeLimits::test_large_environment_variables_fails")
def test_large_environment(case, functions):
    variables = {"LARGE_VAR": "x" * 4081}
    case.refused("failed_create_fn_result", functions.create, Environment={"Variables": variables})


@pytest.mark.recording("TestLambdaSizeLimits::test_large_environment_fails_multiple_keys")
def test_large_environment_of_several(case, functions):
    variables = {"SMALL_VAR": "ok", "LARGE_VAR": "x" * 4064}
    case.refused("failured_create_fn_result_multi_key", functions.create, Environment={"Variables": variables})


@pytest.mark.recording("TestLambdaSizeLimits::test_lambda_envvars_near_limit_succeeds")
def test_environment_near_the_limit(case, functions):
    answer = functions.helper(Environment={"Variables": {"LARGE_VAR": "x" * 4080}})
    case.match("successful_create_fn_result", answer)


@pytest.mark.recording("TestLambdaReservedConcurrency::test_function_concurrency")
def test_reserved_concurrency(case, client, functions):
    name = functions.name()
    functions.create(name)
    for number in (0, 1):
        answer = client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=number)
        case.match(f"put_function_concurrency_with_reserved_{number}", answer)
    case.match("get_function_concurrency", client.get_function_concurrency(FunctionName=name))
    case.match("delete_response", client.delete_function_concurrency(FunctionName=name))
    case.match("get_function_concurrency_after_delete", client.get_function_concurrency(FunctionName=name))


@pytest.mark.recording("TestLambdaConcurrency::test_lambda_concurrency_crud")
def test_concurrency_crud(case, client, functions):
    name = functions.name()
    functions.create(name)
    case.match("get_function_concurrency_default", client.get_function_concurrency(FunctionName=name))
    answer = client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    case.match("put_function_concurrency", answer)
    case.match("get_function_concurrency_updated", client.get_function_concurrency(FunctionName=name))
    client.delete_function_concurrency(FunctionName=name)
    case.match("get_function_concurrency_deleted", client.get_function_concurrency(FunctionName=name))


@pytest.mark.recording("TestLambdaAccountSettings::test_account_settings")
def test_account_settings(case, client):
    # Recorded are the names of the members: their values differ by account.
    answer = client.get_account_settings()
    for part in ("AccountLimit", "AccountUsage"):
        assert all(isinstance(value, int) and value >= 0 for value in answer[part].values())
        answer[part] = sorted(answer[part])
    case.match("acc_settings_modded", answer)
