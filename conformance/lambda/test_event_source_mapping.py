"""Event source mappings: the recorded cases that need no service of AWS, the whole life of a mapping, what is refused.

No broker is needed here: a mapping of brokers that are not there is defined all the same, and says that it cannot reach
them. With a broker it is `crates/flint/tests/e2e/kafka.rs`.
"""

import json
import time
import uuid

import pytest
from botocore.exceptions import ClientError

import server as server_module

REGION, ACCOUNT = server_module.REGION, server_module.ACCOUNT
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:kafka-AbCdEf"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders/stream/2026-11-22T00:00:00.000"
STREAM = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/orders"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders"


def kafka(*servers):
    return {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": list(servers)}}


def request(name, **more):
    return {
        "FunctionName": name,
        "Topics": ["topic"],
        "StartingPosition": "TRIM_HORIZON",
        "SelfManagedEventSource": kafka("localhost:1"),
        "SourceAccessConfigurations": [],
    } | more


def refused(call, **named):
    with pytest.raises(ClientError) as error:
        call(**named)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


@pytest.mark.recording("TestLambdaEventSourceMappings::test_create_event_source_self_managed")
def test_self_managed(case, client, functions):
    name = functions.name()
    functions.create(name)
    arguments = {
        "FunctionName": name,
        "Topics": ["topic"],
        "StartingPosition": "TRIM_HORIZON",
        "SelfManagedEventSource": kafka("kafka:1000"),
    }
    access = [{"Type": "BASIC_AUTH", "URI": SECRET}]
    create = client.create_event_source_mapping
    case.refused("missing-source-access-configuration", create, **arguments)
    case.match("event-source-mapping-default", create(**arguments, SourceAccessConfigurations=access))
    case.refused("duplicate-source", create, **arguments, SourceAccessConfigurations=access)
    values = arguments | {
        "Topics": ["topic_2"],
        "BatchSize": 1,
        "StartingPosition": "LATEST",
        "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": "random_id"},
    }
    case.match("event-source-mapping-values", create(**values, SourceAccessConfigurations=access))
    several = arguments | {"SelfManagedEventSource": kafka("kafka:1000", "kafka:2000")}
    case.refused("multiple-duplicate-source", create, **several, SourceAccessConfigurations=access)


@pytest.mark.recording("TestLambdaEventSourceMappings::test_create_event_source_validation")
def test_validation(case, client, functions):
    name = functions.name()
    functions.create(name)
    create, source = client.create_event_source_mapping, {"FunctionName": name, "EventSourceArn": TABLE}
    case.refused("no_starting_position", create, **source)
    case.refused("invalid_starting_position", create, **source, StartingPosition="invalid")
    case.refused(
        "incompatible_starting_position",
        create,
        **source,
        StartingPosition="AT_TIMESTAMP",
        StartingPositionTimestamp="1741010802",
    )


@pytest.mark.recording("TestLambdaEventSourceMappings::test_create_event_source_validation_kinesis")
def test_validation_kinesis(case, client, functions):
    name = functions.name()
    functions.create(name)
    create, source = client.create_event_source_mapping, {"FunctionName": name, "EventSourceArn": STREAM}
    case.refused("no_starting_position", create, **source)
    case.refused("invalid_starting_position", create, **source, StartingPosition="invalid")


@pytest.mark.recording("TestDynamoDBEventSourceMapping::test_esm_with_not_existing_dynamodb_stream")
def test_no_stream(case, client, functions):
    name = functions.name()
    functions.create(name)
    stream = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/test-table-4a53f4e8/stream/2025-02-22T03:03:25.490"
    case.refused(
        "error",
        client.create_event_source_mapping,
        FunctionName=name,
        EventSourceArn=stream,
        BatchSize=1,
        StartingPosition="TRIM_HORIZON",
    )


@pytest.mark.recording("TestLambdaTag::test_create_tag_on_esm_create")
def test_tags(case, client, functions):
    """Recorded with a queue; tags are the same for every source."""
    name = functions.name()
    functions.create(name)
    tag = f"tag-{uuid.uuid4().hex[:8]}"
    made = client.create_event_source_mapping(**request(name, Enabled=False, Tags={"testtag": tag}))
    found = client.get_event_source_mapping(UUID=made["UUID"])
    arn = found["EventSourceMappingArn"]
    case.match("get_event_source_mapping_with_tag", "EventSourceMappingArn" in found)
    case.match("list_tags_result", client.list_tags(Resource=arn))
    client.tag_resource(Resource=arn, Tags={"more": "x"})
    client.untag_resource(Resource=arn, TagKeys=["testtag"])
    assert client.list_tags(Resource=arn)["Tags"] == {"more": "x"}


def invalid_filter(case, client, functions, pattern):
    name = functions.name()
    functions.create(name)
    case.refused(
        "create_event_source_mapping_exception",
        client.create_event_source_mapping,
        FunctionName=name,
        EventSourceArn=QUEUE,
        FilterCriteria={"Filters": [{"Pattern": pattern if isinstance(pattern, str) else json.dumps(pattern)}]},
    )


@pytest.mark.recording("TestSQSEventSourceMapping::test_sqs_invalid_event_filter[None]")
def test_no_filter(case, client, functions):
    invalid_filter(case, client, functions, None)


@pytest.mark.recording("TestSQSEventSourceMapping::test_sqs_invalid_event_filter[simple string]")
def test_text_as_filter(case, client, functions):
    invalid_filter(case, client, functions, "simple string")


@pytest.mark.recording("TestSQSEventSourceMapping::test_sqs_invalid_event_filter[invalid_filter2]")
def test_filter_without_list(case, client, functions):
    invalid_filter(case, client, functions, {"eventSource": "aws:sqs"})


@pytest.mark.recording("TestSQSEventSourceMapping::test_sqs_invalid_event_filter[invalid_filter3]")
def test_filter_with_empty_list(case, client, functions):
    invalid_filter(case, client, functions, {"eventSource": []})


def test_whole_life(client, functions):
    name = functions.name()
    functions.create(name)
    made = client.create_event_source_mapping(**request(name, Enabled=False, BatchSize=10))
    uid = made["UUID"]
    assert (made["State"], made["LastProcessingResult"]) == ("Creating", "No records processed")
    assert made["EventSourceMappingArn"].endswith(f":event-source-mapping:{uid}")
    assert made["SelfManagedKafkaEventSourceConfig"]["ConsumerGroupId"] == uid

    def wait(state):
        deadline = time.monotonic() + 30
        while (found := client.get_event_source_mapping(UUID=uid))["State"] != state:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found

    wait("Disabled")
    changed = client.update_event_source_mapping(
        UUID=uid,
        BatchSize=20,
        MaximumRetryAttempts=3,
        MaximumRecordAgeInSeconds=600,
        BisectBatchOnFunctionError=False,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        DestinationConfig={"OnFailure": {"Destination": "kafka://dead"}},
        FilterCriteria={"Filters": [{"Pattern": '{"value": {"a": [1]}}'}]},
    )
    assert changed["State"] in ("Updating", "Disabling")
    found = wait("Disabled")
    assert (found["BatchSize"], found["MaximumRetryAttempts"], found["MaximumRecordAgeInSeconds"]) == (20, 3, 600)
    assert found["DestinationConfig"] == {"OnFailure": {"Destination": "kafka://dead"}}
    assert found["FilterCriteria"] == {"Filters": [{"Pattern": '{"value": {"a": [1]}}'}]}
    assert found["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert found["BisectBatchOnFunctionError"] is False
    listed = client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    assert [one["UUID"] for one in listed] == [uid]
    assert client.list_event_source_mappings(EventSourceArn=QUEUE)["EventSourceMappings"] == []
    assert client.delete_event_source_mapping(UUID=uid)["State"] == "Deleting"
    code, text = refused(client.get_event_source_mapping, UUID=uid)
    assert (code, text) == ("ResourceNotFoundException", "The resource you requested does not exist.")


def test_brokers_that_are_not_there_are_told(client, functions, server):
    if not server.invokes:
        pytest.skip("this server works on no mappings")
    name = functions.name()
    functions.create(name)
    uid = client.create_event_source_mapping(**request(name))["UUID"]
    deadline = time.monotonic() + 60
    while not (found := client.get_event_source_mapping(UUID=uid))["LastProcessingResult"].startswith("PROBLEM"):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    assert found["State"] == "Creating"
    client.delete_event_source_mapping(UUID=uid)


def test_pages(client, functions):
    name = functions.name()
    functions.create(name)
    made = [client.create_event_source_mapping(**request(name, Topics=[f"t{n}"], Enabled=False)) for n in range(5)]
    found, marker = [], {}
    while True:
        page = client.list_event_source_mappings(FunctionName=name, MaxItems=2, **marker)
        found += [one["UUID"] for one in page["EventSourceMappings"]]
        if not page.get("NextMarker"):
            break
        marker = {"Marker": page["NextMarker"]}
    assert sorted(found) == sorted(one["UUID"] for one in made)


def test_what_is_refused(client, functions):
    name = functions.name()
    functions.create(name)
    create = client.create_event_source_mapping
    invalid = "InvalidParameterValueException"
    assert refused(create, **request("nobody-" + uuid.uuid4().hex[:8])) == (invalid, "Function does not exist")
    assert refused(create, FunctionName=name) == (invalid, "Unrecognized event source.")
    code, text = refused(create, FunctionName=name, EventSourceArn=QUEUE)
    assert code == invalid and "SelfManagedEventSource" in text
    for wrong in (
        {"BatchSize": 0},
        {"BatchSize": 10001},
        {"Topics": ["a", "b"]},
        {"Topics": [".."]},
        {"MaximumRetryAttempts": -2},
        {"SelfManagedEventSource": kafka("not a broker")},
        {"FunctionResponseTypes": ["Everything"]},
        {"SourceAccessConfigurations": [{"Type": "NO_AUTH", "URI": "x"}]},
    ):
        assert refused(create, **request(name, **wrong))[0] == "ValidationException", wrong
    for wrong in (
        {"DestinationConfig": {"OnFailure": {"Destination": "kafka://topic"}}},
        {"DestinationConfig": {"OnFailure": {"Destination": "https://example.com"}}},
        {"StartingPosition": "AT_TIMESTAMP"},
        {"MaximumRecordAgeInSeconds": 5},
        {"FilterCriteria": {"Filters": [{"Pattern": "[]"}]}},
        {"SourceAccessConfigurations": [{"Type": "BASIC_AUTH"}]},
    ):
        assert refused(create, **request(name, **wrong))[0] == invalid, wrong
    unknown = str(uuid.uuid4())
    for call in (client.get_event_source_mapping, client.delete_event_source_mapping):
        assert refused(call, UUID=unknown)[0] == "ResourceNotFoundException"
    assert refused(client.update_event_source_mapping, UUID=unknown)[0] == "ResourceNotFoundException"
