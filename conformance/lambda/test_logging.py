"""LoggingConfig."""

import pytest


def lifecycle(case, client, functions, first, updates):
    """Create, read, and one update with its two answers for each of `updates`."""
    name = functions.name()
    members = {"LoggingConfig": first} if first else {}
    case.match("create_response", functions.helper(name, MemorySize=256, Timeout=5, **members))
    case.match("get_function_response", client.get_function(FunctionName=name))
    case.match("function_config", client.get_function_configuration(FunctionName=name))
    for suffix, config in updates.items():
        answer = client.update_function_configuration(FunctionName=name, LoggingConfig=config)
        case.match(f"updated_config{suffix}", answer)
        functions.wait(name)
        case.match(f"received_config{suffix}", client.get_function_configuration(FunctionName=name))


@pytest.mark.recording("TestLoggingConfig::test_function_advanced_logging_configuration")
def test_group(case, client, functions):
    lifecycle(case, client, functions, {"LogFormat": "JSON"}, {"": {"LogGroup": "cool_lambda"}})


@pytest.mark.recording("TestLoggingConfig::test_advanced_logging_configuration_format_switch")
def test_format_switch(case, client, functions):
    lifecycle(case, client, functions, None, {"": {"LogFormat": "JSON"}, "_v2": {"LogFormat": "Text"}})


PARTIAL = [
    {"LogFormat": "JSON"},
    {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"},
    {"LogFormat": "JSON", "SystemLogLevel": "DEBUG"},
    {"LogGroup": "cool_lambda"},
]
NAME = "TestLoggingConfig::test_function_partial_advanced_logging_configuration_update[partial_config{}]"


@pytest.mark.parametrize(
    "config", [pytest.param(c, marks=pytest.mark.recording(NAME.format(n))) for n, c in enumerate(PARTIAL)]
)
def test_partial(case, client, functions, config):
    lifecycle(case, client, functions, None, {"": config})
