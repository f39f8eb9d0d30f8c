"""Says which version it was built as, and which it runs as."""

VERSION = "version1"


def handler(event, context):
    return {
        "version_id": VERSION,
        "invoked_arn": context.invoked_function_arn,
        "version_from_ctx": context.function_version,
    }
