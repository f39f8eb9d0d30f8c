"""Keeps a file and a number, and sleeps: what of them survives a time-out."""

import time

NUMBER = 0
FILE = "/tmp/state"


def handler(event, context):
    global NUMBER
    if "write" in event:
        with open(FILE, "w") as file:
            file.write(event["write"])
    elif "read" in event:
        with open(FILE) as file:
            return {"content": file.read()}
    elif "set" in event:
        NUMBER = event["set"]
    elif "number" in event:
        return {"number": NUMBER}
    elif "sleep" in event:
        time.sleep(event["sleep"])
