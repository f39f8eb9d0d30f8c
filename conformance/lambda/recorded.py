"""The recordings, the manifest and one case under replay."""

import functools
import json
import pathlib
import tomllib

from botocore.exceptions import ClientError

from matcher import Matcher, plain

HERE = pathlib.Path(__file__).resolve().parent


@functools.cache
def recordings():
    """Every recorded case by name, with the file it is in."""
    cases = {}
    for path in sorted((HERE / "recordings").glob("*.json")):
        for name, answers in json.loads(path.read_text()).items():
            cases[name] = (path.name, answers)
    return cases


@functools.cache
def manifest():
    """What becomes of each case: `run`, or the subject of the work that owns it."""
    return tomllib.loads((HERE / "manifest.toml").read_text())["case"]


class Case:
    """One recorded case: answers are given by their recorded names, each compared whole."""

    def __init__(self, name):
        self.name = name
        self.answers = recordings()[name][1]
        entry = manifest()[name]
        # Members that AWS sends today and did not send when the case was recorded.
        self.newer = set(entry.get("newer", []))
        self.matcher = Matcher()
        self.seen = set()
        self.differences = []

    def match(self, key, answer):
        """Compares an answer; differences are collected so that one run shows them all."""
        self.seen.add(key)
        expected = self.answers[key]
        if isinstance(answer, dict):
            answer = plain(answer)
        answer = self.without_newer(expected, answer)
        found = self.matcher.differences(expected, answer)
        self.differences += [f"{key}{text}" for text in found]
        return answer

    def refused(self, key, call, **arguments):
        """Makes a call that must fail and compares the error."""
        try:
            answer = call(**arguments)
        except ClientError as error:
            return self.match(key, error.response)
        self.seen.add(key)
        self.differences.append(f"{key}: was accepted: {answer!r}")
        return answer

    def without_newer(self, expected, answer):
        if not isinstance(answer, dict) or not isinstance(expected, dict):
            return answer
        kept = {k: v for k, v in answer.items() if k in expected or k not in self.newer}
        return {k: self.without_newer(expected.get(k), v) for k, v in kept.items()}

    def finish(self):
        """Fails with everything that differed, and with answers that no call was made for."""
        missing = set(self.answers) - self.seen
        found = self.differences + [f"{key}: not replayed" for key in sorted(missing)]
        assert not found, "\n".join([self.name, *found])
