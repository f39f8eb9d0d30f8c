"""Takes its time to load; says how it was started and by which instance."""

import os
import time
import uuid

time.sleep(float(os.environ.get("LOAD_SECONDS", "1")))
INSTANCE = uuid.uuid4().hex


def handler(event, context):
    time.sleep(event.get("sleep", 0))
    kind = os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
    return {"kind": kind, "instance": INSTANCE, "version": context.function_version}
