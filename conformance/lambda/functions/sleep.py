"""Sleeps as long as asked."""

import time


def handler(event, context):
    time.sleep(event.get("sleep", 0))
