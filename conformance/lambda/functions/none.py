"""Returns nothing."""


def handler(event, context):
    print(event)
