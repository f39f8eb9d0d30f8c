"""Returns its event."""


def handler(event, context):
    print(event)
    return event
