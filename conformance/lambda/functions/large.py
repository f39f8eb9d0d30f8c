"""Returns as many bytes as asked for."""


def handler(event, context):
    return "x" * event["bytes_num"]
