"""Returns the environment that it was loaded with, and the trace id that it has now."""

import os

AT_INIT = dict(os.environ)


def handler(event, context):
    return {"environment": AT_INIT | {"_X_AMZN_TRACE_ID": os.environ.get("_X_AMZN_TRACE_ID")}}
