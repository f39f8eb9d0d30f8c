"""Tags."""

import pytest


@pytest.mark.recording("TestLambdaTag::test_create_tag_on_fn_create")
def test_on_create(case, client, functions):
    name = functions.name()
    arn = functions.helper(name, Tags={"testtag": "custom"})["CreateFunctionResponse"]["FunctionArn"]
    case.match("get_function_result", client.get_function(FunctionName=name))
    case.match("list_tags_result", client.list_tags(Resource=arn))


@pytest.mark.recording("TestLambdaTags::test_tag_lifecycle")
def test_lifecycle(case, client, functions):
    name = functions.name()
    arn = functions.helper(name, Tags={"key_a": "value_a"})["CreateFunctionResponse"]["FunctionArn"]

    def both(suffix):
        case.match(f"list_tags_response_{suffix}", client.list_tags(Resource=arn))
        case.match(f"get_fn_response_{suffix}", client.get_function(FunctionName=name))

    both("postfncreate")
    more = {f"key_{x}": f"value_{x}" for x in "bcde"}
    case.match("tag_resource_response", client.tag_resource(Resource=arn, Tags=more))
    both("postaddtags")
    case.match("tag_resource_overwrite", client.tag_resource(Resource=arn, Tags={"key_c": "value_x"}))
    both("overwrite")
    client.untag_resource(Resource=arn, TagKeys=["key_c", "key_d"])
    both("postuntag")
    client.untag_resource(Resource=arn, TagKeys=["key_a", "key_b", "key_e"])
    both("postuntagall")
    client.delete_function(FunctionName=name)
    case.refused("list_tags_postdelete", client.list_tags, Resource=arn)


def numbered(count):
    return {f"{n}_key": f"{n}_value" for n in range(count)}


@pytest.mark.recording("TestLambdaTags::test_tag_limits")
def test_limits(case, client, functions):
    name = functions.name()
    arn = functions.helper(name)["CreateFunctionResponse"]["FunctionArn"]
    case.refused("tag_lambda_too_many_tags", client.tag_resource, Resource=arn, Tags=numbered(51))
    case.match("tag_response", client.tag_resource(Resource=arn, Tags=numbered(50)))
    case.match("list_tags_response", client.list_tags(Resource=arn))
    case.match("get_fn_response", client.get_function(FunctionName=name))
    more = {"a_key": "a_value"}
    case.refused("tag_lambda_too_many_tags_additional", client.tag_resource, Resource=arn, Tags=more)
    case.refused("create_function_invalid_tags", functions.create, Tags=numbered(51))


@pytest.mark.recording("TestLambdaTags::test_tag_versions")
def test_versions_have_none(case, client, functions):
    arn = functions.create(Publish=True)["FunctionArn"]
    case.refused("tag_resource_exception", client.tag_resource, Resource=f"{arn}:1", Tags={"key": "value"})
    case.refused("tag_resource_latest_exception", client.tag_resource, Resource=f"{arn}:$LATEST", Tags={"key": "value"})
