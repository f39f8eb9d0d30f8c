"""Logs a line and returns its request id."""

import logging

LOG = logging.getLogger()
LOG.setLevel(logging.INFO)


def handler(event, context):
    LOG.info("RequestId log message")
    return context.aws_request_id
