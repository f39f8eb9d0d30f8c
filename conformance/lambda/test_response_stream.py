"""InvokeWithResponseStream, with boto3's own reader of event streams."""

import base64
import json
import time

import pytest
from botocore.exceptions import ClientError

from package import package

HANDLER = """
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  console.log('asked', context.awsRequestId);
  if (event.early) throw new RangeError('at once');
  stream.write('one ');
  await wait(event.wait || 0);
  if (event.fail) throw new TypeError('half way');
  if (event.size) stream.write(Buffer.alloc(event.size, 'x'));
  stream.end('two');
});
"""


@pytest.fixture(scope="module")
def name(client):
    from conftest import Functions

    made = Functions(client)
    name = made.name()
    settings = {"Runtime": "nodejs20.x", "Handler": "index.handler", "Timeout": 20}
    made.create(name, code=package({"index.js": HANDLER}), **settings)
    yield name
    made.clean()


def stream(client, name, payload, **arguments):
    return client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(payload), **arguments)


def read(answer):
    """All bytes, and what the end says."""
    chunks, end = [], None
    for event in answer["EventStream"]:
        assert end is None, "nothing comes after the end"
        if "PayloadChunk" in event:
            chunks.append(event["PayloadChunk"]["Payload"])
        else:
            end = event["InvokeComplete"]
    return b"".join(chunks), end


@pytest.mark.invokes
def test_chunks_come_while_the_handler_runs(client, name):
    read(stream(client, name, {}))
    begun = time.monotonic()
    answer = stream(client, name, {"wait": 1500})
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST"
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    events = iter(answer["EventStream"])
    assert next(events)["PayloadChunk"]["Payload"] == b"one "
    assert time.monotonic() - begun < 1.2
    assert next(events)["PayloadChunk"]["Payload"] == b"two"
    assert time.monotonic() - begun >= 1.5
    assert "ErrorCode" not in next(events)["InvokeComplete"]


@pytest.mark.invokes
def test_a_large_answer(client, name):
    body, end = read(stream(client, name, {"size": 20_000_000}))
    assert len(body) == 20_000_007 and body.endswith(b"xtwo") and "ErrorCode" not in end


@pytest.mark.invokes
def test_failures_are_told_at_the_end(client, name):
    body, end = read(stream(client, name, {"early": 1}))
    assert body == b"" and end["ErrorCode"] == "RangeError"
    assert json.loads(end["ErrorDetails"])["errorMessage"] == "at once"
    body, end = read(stream(client, name, {"fail": 1}))
    assert body == b"one " and end["ErrorCode"] == "TypeError"


@pytest.mark.invokes
def test_the_log_comes_with_the_end(client, name):
    _, end = read(stream(client, name, {}, LogType="Tail"))
    assert "asked" in base64.b64decode(end["LogResult"]).decode()


@pytest.mark.invokes
def test_a_handler_that_does_not_stream_is_one_chunk(client, functions):
    name = functions.name()
    functions.create(name)
    body, end = read(stream(client, name, {"a": [1, 2]}))
    assert json.loads(body) == {"a": [1, 2]} and "ErrorCode" not in end


def test_refusals(client, functions):
    with pytest.raises(ClientError) as told:
        stream(client, "doesnotexist", {})
    assert told.value.response["Error"]["Code"] == "ResourceNotFoundException"
    name = functions.name()
    functions.create(name)
    assert stream(client, name, {}, InvocationType="DryRun")["StatusCode"] == 204
    with pytest.raises(ClientError) as told:
        client.invoke_with_response_stream(FunctionName=name, Payload=b"{")
    assert told.value.response["Error"]["Code"] == "InvalidRequestContentException"
