"""Writes two lines of log and returns its event and context."""

import logging

LOG = logging.getLogger()
LOG.setLevel(logging.INFO)


def handler(event, context):
    print("Lambda log message - print function")
    LOG.info("Lambda log message - logging module")
    names = [
        "invoked_function_arn",
        "function_version",
        "function_name",
        "memory_limit_in_mb",
        "aws_request_id",
        "log_group_name",
        "log_stream_name",
        "client_context",
    ]
    return {"event": event, "context": {name: getattr(context, name) for name in names}}
