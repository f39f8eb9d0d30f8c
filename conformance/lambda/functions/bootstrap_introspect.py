#!/usr/bin/python3
"""A custom runtime: speaks the Runtime API itself and tells what it was started with.

The environment is read as the kernel has it, so that nothing that Python adds is told.
"""

import json
import os
import urllib.request

BASE = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"


def environment():
    with open("/proc/self/environ", encoding="utf-8") as file:
        pairs = [pair.split("=", 1) for pair in file.read().split("\0") if "=" in pair]
    return dict(pairs)


START = environment()


def answer(event, headers):
    if isinstance(event, dict) and "error_msg" in event:
        return "error", {"errorMessage": f"Error: {event['error_msg']}", "errorType": "errorString"}
    if not isinstance(event, dict) or event.get("operation") != "introspect":
        return "response", event
    variables = dict(START)
    variables["_X_AMZN_TRACE_ID"] = headers["Lambda-Runtime-Trace-Id"]
    context = {
        "aws_request_id": headers["Lambda-Runtime-Aws-Request-Id"],
        "deadline": headers["Lambda-Runtime-Deadline-Ms"],
        "function_name": START["AWS_LAMBDA_FUNCTION_NAME"],
        "function_version": START["AWS_LAMBDA_FUNCTION_VERSION"],
        "invoked_function_arn": headers["Lambda-Runtime-Invoked-Function-Arn"],
        "log_group_name": START["AWS_LAMBDA_LOG_GROUP_NAME"],
        "log_stream_name": START["AWS_LAMBDA_LOG_STREAM_NAME"],
        "memory_limit_in_mb": int(START["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]),
    }
    return "response", {"ctx": context, "environment": variables, "packages": []}


while True:
    with urllib.request.urlopen(f"{BASE}/next") as call:
        headers, event = call.headers, json.load(call)
    kind, body = answer(event, headers)
    url = f"{BASE}/{headers['Lambda-Runtime-Aws-Request-Id']}/{kind}"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), method="POST")).close()
