"""Resource policies of functions: AddPermission, GetPolicy, RemovePermission."""

import json

import pytest


def statement(answer):
    return answer | {"Statement": json.loads(answer["Statement"])}


def policy(client, **arguments):
    answer = client.get_policy(**arguments)
    return answer | {"Policy": json.loads(answer["Policy"])}


def add(client, name, sid="s3", principal="s3.amazonaws.com", **members):
    action = members.pop("Action", "lambda:InvokeFunction")
    return client.add_permission(FunctionName=name, Action=action, StatementId=sid, Principal=principal, **members)


@pytest.mark.recording("TestLambdaPermissions::test_add_lambda_permission_aws")
def test_a_statement_and_its_policy(case, client, functions):
    name = functions.name()
    case.match("create_lambda", functions.helper(name))
    case.match("add_permission", statement(add(client, name, SourceArn="arn:aws:s3:::bucket")))
    case.match("get_policy", policy(client, FunctionName=name))


@pytest.mark.recording("TestLambdaPermissions::test_add_lambda_permission_fields")
def test_every_member(case, client, functions):
    name = functions.name()
    functions.create(name)
    account = {"SourceAccount": "111111111111"}
    key = "add_permission_principal_"
    case.match(key + "wildcard", statement(add(client, name, "wilcard", "*", **account)))
    case.match(key + "service", statement(add(client, name, "lambda", "lambda.amazonaws.com", **account)))
    case.match(key + "account", statement(add(client, name, "account-id", "111111111111")))
    user = "arn:aws:iam::111111111111:user/somebody"
    case.match(key + "arn", statement(add(client, name, "user-arn", user, **account)))
    optional = {
        "Action": "lambda:InvokeFunctionUrl",
        "SourceArn": "arn:aws:s3:::bucket",
        "FunctionUrlAuthType": "NONE",
        "PrincipalOrgID": "o-1234567890",
    }
    answer = add(client, name, "urlPermission", "*", **optional, **account)
    case.match("add_permission_optional_fields", statement(answer))
    token = {"EventSourceToken": "amzn1.ask.skill.xxxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"}
    case.match("add_permission_alexa_skill", statement(add(client, name, "alexaSkill", "*", **token)))


@pytest.mark.recording("TestLambdaPermissions::test_create_multiple_lambda_permissions")
def test_two_statements(case, client, functions):
    name = functions.name()
    functions.create(name)
    case.match("add_permission_response_1", statement(add(client, name, "logs", "logs.amazonaws.com")))
    case.match("add_permission_response_2", statement(add(client, name, "kinesis", "kinesis.amazonaws.com")))
    case.match("policy_after_2_add", policy(client, FunctionName=name))


@pytest.mark.recording("TestLambdaPermissions::test_lambda_permission_fn_versioning")
def test_versions_and_aliases_have_policies_of_their_own(case, client, functions):
    name = functions.name()
    functions.helper(name)
    functions.wait(name)
    bucket = {"SourceArn": "arn:aws:s3:::bucket"}
    case.match("add_permission", statement(add(client, name, **bucket)))
    case.match("get_policy", policy(client, FunctionName=name))
    case.match("publish_version_result", client.publish_version(FunctionName=name))
    case.match("get_function_result_after_publishing", client.get_function(FunctionName=name))
    case.match("get_policy_after_publishing_latest", policy(client, FunctionName=name))
    get = client.get_policy
    case.refused("get_policy_after_publishing_new_version", get, FunctionName=name, Qualifier="1")
    add(client, name, Qualifier="1", **bucket)
    case.match("get_policy_version", policy(client, FunctionName=name, Qualifier="1"))
    alias = "permission-alias"
    created = client.create_alias(FunctionName=name, Name=alias, FunctionVersion="1")
    case.match("create_alias_response", created)
    got = client.get_alias(FunctionName=name, Name=alias)
    case.match("get_alias", got)
    arguments = {"client": client, "name": name, "Qualifier": alias, **bucket}
    case.refused("add_permission_alias_revision_exception", add, RevisionId="wrong", **arguments)
    add(RevisionId=got["RevisionId"], **arguments)
    case.match("get_policy_alias", policy(client, FunctionName=name, Qualifier=alias))
    latest = policy(client, FunctionName=name)
    case.match("get_policy_after_adding_to_new_version", latest)
    add(client, name, "s3_2", RevisionId=latest["RevisionId"], **bucket)
    case.match("get_policy_after_adding_2", policy(client, FunctionName=name))


@pytest.mark.recording("TestLambdaPermissions::test_permission_exceptions")
def test_refusals(case, client, functions):
    name = functions.name()
    functions.create(name)
    common = {"client": client, "name": name}
    case.refused("add_permission_invalid_statement_id", add, sid="example.com", **common)
    case.refused("add_permission_fn_qualifier_mismatch", add, client=client, name=name + ":alias", Qualifier="other")
    case.refused("add_permission_fn_qualifier_latest", add, Qualifier="$LATEST", **common)
    case.refused("add_permission_principal_invalid", add, principal="invalid.nonaws.com", **common)
    get, remove = client.get_policy, client.remove_permission
    case.refused("get_policy_fn_doesnotexist", get, FunctionName="doesnotexist")
    case.refused("get_policy_fn_version_doesnotexist", get, FunctionName=name, Qualifier="42")
    case.refused("add_permission_fn_doesnotexist", add, client=client, name="doesnotexist")
    case.refused("remove_permission_policy_doesnotexist", remove, FunctionName=name, StatementId="s3")
    case.refused("add_permission_fn_alias_doesnotexist", add, Qualifier="alias-doesnotexist", **common)
    case.refused("add_permission_fn_version_doesnotexist", add, Qualifier="42", **common)
    case.refused("add_permission_fn_qualifier_invalid", add, Qualifier="invalid-qualifier-with-?-char", **common)
    odd = "valid-with-$-but-doesnotexist"
    case.refused("add_permission_fn_qualifier_valid_doesnotexist", add, Qualifier=odd, **common)
    add(**common)
    case.refused("add_permission_conflicting_statement_id", add, **common)
    case.refused("remove_permission_fn_doesnotexist", remove, FunctionName="doesnotexist", StatementId="s3")
    alias = {"FunctionName": name, "StatementId": "s3", "Qualifier": "alias-doesnotexist"}
    case.refused("remove_permission_fn_alias_doesnotexist", remove, **alias)


@pytest.mark.recording("TestLambdaPermissions::test_remove_multi_permissions")
def test_statements_are_taken_out(case, client, functions):
    name = functions.name()
    functions.create(name)
    case.match("add_permission_1", statement(add(client, name)))
    second = add(client, name, "sqs", "sqs.amazonaws.com", SourceArn="arn:aws:s3:::bucket")
    case.match("add_permission_2", statement(second))
    case.match("policy_after_2_add", policy(client, FunctionName=name))
    remove = client.remove_permission
    key = "remove_permission_exception_nonexisting_sid"
    case.refused(key, remove, FunctionName=name, StatementId="non-existent")
    remove(FunctionName=name, StatementId="sqs")
    removed = policy(client, FunctionName=name)
    case.match("policy_after_removal", removed)
    case.match("policy_after_removal_attempt", policy(client, FunctionName=name))
    remove(FunctionName=name, StatementId="s3", RevisionId=removed["RevisionId"])
    case.refused("get_policy_exception_removed_all", client.get_policy, FunctionName=name)


@pytest.mark.invokes
@pytest.mark.recording("TestLambdaPermissions::test_lambda_permission_url_invocation")
def test_a_url_without_a_permission(case, client, functions):
    from test_function_url import call

    name = functions.name()
    functions.create(name)
    url = client.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    answer = call(url)
    assert answer.status == 200
    case.match("lambda_url_invocation_missing_permission", json.loads(answer.text))
