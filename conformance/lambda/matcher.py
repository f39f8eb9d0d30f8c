"""Compares an answer with a recorded one, whole.

Placeholders of the recording are wildcards of their kind; within a case, equal placeholders stand for equal values and
numbered ones of one kind (`<uuid:1>`, `<uuid:2>`) for different values.
"""

import json
import re

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
DATE = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|\+0000|\+00:00)?"
WORD = r"[A-Za-z0-9_-]+"
IP = r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}"
KINDS = {
    "uuid": UUID,
    "request-id": UUID,
    "timeout_error_msg": UUID,
    "partition": r"aws[a-z-]*",
    "region": r"[a-z]{2}-[a-z]+-\d",
    "function-name": WORD,
    "fn-name": WORD,
    "alias-name": WORD,
    "resource": r"[A-Za-z0-9_/@.=+:-]+",
    # Of a zip as base64, of an image as hexadecimal digits.
    "code-sha256": r"[A-Za-z0-9+/]{43}=|[0-9a-f]{64}",
    "code-sha-256": r"[A-Za-z0-9+/]{43}=",
    "location": r"https?://\S+",
    "function-url": r"https?://\S+/",
    "user_arn": r"arn:aws:iam::\d{12}:user/\S+",
    "duration": r"[0-9.]+",
    "memory": r"\d+",
    "xray-daemon-address": IP,
    "log-result": r"[A-Za-z0-9+/=]+",
    "x-amzn-trace-id": r"\S+",
    "xray-trace-id": r"\S+",
}
# A whole value that is one of these words is a wildcard.
WORDS = {
    "date": lambda value: bool(re.fullmatch(DATE, str(value))),
    "datetime": lambda value: value is not None,
    "timestamp": lambda value: isinstance(value, (int, float)) or bool(re.fullmatch(DATE, str(value))),
    "log-result": lambda value: bool(re.fullmatch(KINDS["log-result"], str(value))),
    "code-sha256": lambda value: bool(re.fullmatch(KINDS["code-sha256"], str(value))),
    "event-id": lambda value: bool(value),
    "lambda-url": lambda value: bool(re.fullmatch(KINDS["function-url"], str(value))),
}
NUMBERS = {"code-size", "remaining-time-in-millis", "deadline"}
# `<module>` and `<frozen importlib._bootstrap>` are Python's own words in stack traces.
PLACEHOLDER = re.compile(r"<<([a-z0-9_-]+)>(:\d+)?>|<(?!module>)([a-z0-9_-]+)(:\d+)?>")
# AWS's addresses inside an execution environment differ from host to host.
ADDRESSES = {"AWS_LAMBDA_RUNTIME_API", "AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_ADDRESS"}
# Of the metadata only the status is recorded.
IGNORED = {"RequestId", "HTTPHeaders", "RetryAttempts", "MaxAttemptsReached", "HostId"}


class Matcher:
    """The placeholders of one case and what they stand for."""

    def __init__(self):
        self.bound = {}

    def differences(self, expected, actual, path=""):
        """What differs, as a list of texts; empty when the answer is as recorded."""
        if isinstance(expected, dict) and isinstance(actual, dict):
            return self._maps(expected, actual, path)
        if isinstance(expected, list) and isinstance(actual, list):
            if len(expected) != len(actual):
                return [f"{path}: {len(expected)} items recorded, {len(actual)} answered: {actual!r}"]
            pairs = enumerate(zip(expected, actual))
            return [text for i, (e, a) in pairs for text in self.differences(e, a, f"{path}[{i}]")]
        if isinstance(expected, str) and self._text(expected, actual):
            return []
        if not isinstance(expected, str) and type(expected) is type(actual) and expected == actual:
            return []
        return [f"{path}: recorded {expected!r}, answered {actual!r}"]

    def _maps(self, expected, actual, path):
        found = []
        for key in expected:
            if key in IGNORED:
                continue
            if key not in actual:
                found.append(f"{path}.{key}: recorded {expected[key]!r}, answered nothing")
            elif key in ADDRESSES:
                if not re.fullmatch(IP + r"(:\d+)?", str(actual[key])):
                    found.append(f"{path}.{key}: {actual[key]!r} is no address")
            else:
                found += self.differences(expected[key], actual[key], f"{path}.{key}")
        for key in actual:
            if key not in expected and key not in IGNORED:
                found.append(f"{path}.{key}: recorded nothing, answered {actual[key]!r}")
        return found

    def _text(self, expected, actual):
        if expected in WORDS:
            return WORDS[expected](actual)
        whole = PLACEHOLDER.fullmatch(expected)
        if whole and (whole[1] or whole[3]) in NUMBERS:
            return isinstance(actual, (int, float)) or str(actual).isdigit()
        if not isinstance(actual, str):
            return False
        return self._pattern(expected, actual)

    def _pattern(self, expected, actual):
        pattern, names, end = "", [], 0
        for found in PLACEHOLDER.finditer(expected):
            pattern += literal(expected[end : found.start()])
            kind = found[1] or found[3]
            names.append((kind, found[0]))
            pattern += f"({KINDS.get(kind, '.+?')})"
            end = found.end()
        pattern += literal(expected[end:])
        match = re.fullmatch(pattern, actual, re.DOTALL)
        if not match:
            return False
        return all(self._bind(kind, name, value) for (kind, name), value in zip(names, match.groups()))

    def _bind(self, kind, name, value):
        if kind in ("duration", "memory", "location", "timeout_error_msg", "version"):
            return True
        if name in self.bound:
            return self.bound[name] == value
        others = [v for n, v in self.bound.items() if n.split(":")[0] == name.split(":")[0] and ":" in name]
        self.bound[name] = value
        return value not in others


def literal(text):
    """A recorded text as a pattern: a `date` at its start or between tabs is a wildcard."""
    parts = re.split(r"((?:^|(?<=\t))date(?=[\t ]|$))", text)
    return "".join(DATE if part == "date" else re.escape(part) for part in parts)


def plain(answer):
    """An answer of boto3 in the form of the recordings: payloads read, JSON structures parsed."""
    answer = dict(answer)
    payload = answer.get("Payload")
    if hasattr(payload, "read"):
        text = payload.read().decode()
        answer["Payload"] = text
        try:
            value = json.loads(text)
        except ValueError:
            return answer
        if isinstance(value, (dict, list)):
            answer["Payload"] = value
    return answer
