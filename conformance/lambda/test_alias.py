"""Aliases."""

import pytest


def with_two_versions(client, functions, **members):
    name = functions.name()
    created = functions.create(name, **members)
    one = client.publish_version(FunctionName=name)
    client.update_function_configuration(FunctionName=name, Environment={"Variables": {"testenv": "prod"}})
    functions.wait(name)
    two = client.publish_version(FunctionName=name)
    return name, created, one, two


@pytest.mark.recording("TestLambdaAlias::test_alias_lifecycle")
def test_lifecycle(case, client, functions):
    environment = {"Variables": {"testenv": "staging"}}
    name, created, one, two = with_two_versions(client, functions, Handler="index.handler", Environment=environment)
    case.match("create_response", created)
    case.match("publish_v1", one)
    case.match("publish_v2", two)
    arn = created["FunctionArn"]
    custom = {"FunctionName": name, "Description": "custom-alias"}
    shares = {"AdditionalVersionWeights": {"2": 0.2}}
    answer = client.create_alias(**custom, Name="aliasname1_1", FunctionVersion="1", RoutingConfig=shares)
    case.match("create_alias_1_1", answer)
    get = lambda alias: client.get_alias(FunctionName=name, Name=alias)
    case.match("get_alias_1_1", get("aliasname1_1"))
    case.match("get_function_alias_1_1", client.get_function(FunctionName=name, Qualifier="aliasname1_1"))
    case.match("get_function_byarn_alias_1_1", client.get_function(FunctionName=f"{arn}:aliasname1_1"))
    missing = "aliasdoesnotexist"
    case.refused("get_function_alias_notfound_exc", client.get_function, FunctionName=name, Qualifier=missing)
    case.refused("get_function_alias_byarn_notfound_exc", client.get_function, FunctionName=f"{arn}:{missing}")
    case.match("create_alias_1_2", client.create_alias(**custom, Name="aliasname1_2", FunctionVersion="1"))
    case.match("get_alias_1_2", get("aliasname1_2"))
    case.match("create_alias_1_3", client.create_alias(FunctionName=name, Name="aliasname1_3", FunctionVersion="1"))
    case.match("get_alias_1_3", get("aliasname1_3"))
    case.match("create_alias_2", client.create_alias(**custom, Name="aliasname2", FunctionVersion="2"))
    case.match("get_alias_2", get("aliasname2"))
    pages = client.get_paginator("list_aliases").paginate(FunctionName=name, PaginationConfig={"PageSize": 1})
    case.match("list_aliases_for_fnname", {"Aliases": [alias for page in pages for alias in page["Aliases"]]})
    none = {"AdditionalVersionWeights": {}}
    case.match("update_alias_1_1", client.update_alias(FunctionName=name, Name="aliasname1_1", RoutingConfig=none))
    case.match("get_alias_1_1_after_update", get("aliasname1_1"))
    listed = lambda **more: client.list_aliases(FunctionName=name, **more)
    case.match("list_aliases_for_fnname_after_update", listed())
    case.match("update_alias_1_2", client.update_alias(FunctionName=name, Name="aliasname1_2", RoutingConfig=none))
    case.match("get_alias_1_2_after_update", get("aliasname1_2"))
    case.match("list_aliases_for_fnname_after_update_2", listed())
    case.match("list_aliases_for_version", listed(FunctionVersion="1"))
    case.match("delete_alias_response", client.delete_alias(FunctionName=name, Name="aliasname1_1"))
    case.match("list_aliases_for_fnname_afterdelete", listed())


@pytest.mark.recording("TestLambdaAlias::test_non_existent_alias_deletion")
def test_deleting_no_alias(case, client, functions):
    name = functions.name()
    environment = {"Variables": {"testenv": "staging"}}
    case.match("create_response", functions.create(name, Handler="index.handler", Environment=environment))
    case.match("delete_alias_response", client.delete_alias(FunctionName=name, Name="non-existent"))


@pytest.mark.recording("TestLambdaAliases::test_alias_routingconfig")
def test_routing(case, client, functions):
    name, *_ = with_two_versions(client, functions)
    shares = {"AdditionalVersionWeights": {"2": 0.5}}
    answer = client.create_alias(FunctionName=name, Name="alias1", FunctionVersion="1", RoutingConfig=shares)
    case.match("create_alias_response", answer)
