"""Versions."""

import pytest


@pytest.mark.recording("TestLambdaVersions::test_version_lifecycle")
def test_lifecycle(case, client, functions):
    name = functions.name()
    get = lambda **more: client.get_function(FunctionName=name, **more)
    versions = lambda: client.list_versions_by_function(FunctionName=name)
    case.match("create_response", functions.create(name, Handler="index.handler", Description="No version :("))
    case.match("get_function_result", get())
    case.match("list_versions_result", versions())
    update = lambda text: client.update_function_configuration(FunctionName=name, Description=text)
    case.match("first_update_response", update("First version :)"))
    functions.wait(name)
    case.match("first_update_get_function", get())
    publish = lambda **more: client.publish_version(FunctionName=name, **more)
    case.match("first_publish_response", publish(Description="First version description :)"))
    case.match("first_publish_get_function", get(Qualifier="1"))
    case.match("first_publish_get_function_config", client.get_function_configuration(FunctionName=name, Qualifier="1"))
    case.match("second_update_response", update("Second version :))"))
    functions.wait(name)
    case.match("first_publish_get_function_after_update", get(Qualifier="1"))
    case.match("second_publish_response", publish())
    case.match("third_publish_response", publish(Description="Third version description :)))"))
    case.match("list_versions_result_after_third_publish", versions())
    client.delete_function(FunctionName=name, Qualifier="1")
    case.match("list_versions_result_after_deletion_of_first_version", versions())
