// The second argument of a handler, with the field names of Lambda.

/** Milliseconds of a clock that nobody sets. */
function now() {
  const time = process.hrtime();
  return time[0] * 1e3 + time[1] / 1e6;
}

function parsed(text, name) {
  if (text === undefined || text === null) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error('Cannot parse ' + name + ' as json: ' + error);
  }
}

/** The context of a call; `settle` ends it. */
function contextOf(call, fn, settle) {
  const header = call.header;
  const ends = call.began + (header.remaining_ms || 0);
  const finish = (failed, value) => {
    call.called = true;
    settle(call, failed, value);
  };
  return {
    callbackWaitsForEmptyEventLoop: true,
    succeed: (value) => finish(false, value),
    fail: (error) => finish(true, error === undefined || error === null ? 'handled' : error),
    done: (error, value) => (error === undefined || error === null ? finish(false, value) : finish(true, error)),
    functionVersion: fn.function_version,
    functionName: fn.function_name,
    memoryLimitInMB: fn.memory_text,
    logGroupName: fn.log_group,
    logStreamName: fn.log_stream,
    clientContext: parsed(header.client_context, 'ClientContext'),
    identity: parsed(header.identity, 'CognitoIdentity'),
    invokedFunctionArn: header.arn || fn.function_arn,
    awsRequestId: header.request_id,
    tenantId: header.tenant_id,
    getRemainingTimeInMillis: () => Math.max(0, Math.floor(ends - now())),
  };
}

Object.assign(exports, { now, contextOf });
