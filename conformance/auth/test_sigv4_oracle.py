"""Signature checks against botocore: what it signs must be accepted, and a copy with one thing altered must be refused.

Run `pytest conformance/auth` with botocore installed and `cargo build -p flint-auth --example verify` done; the binary is
looked for in `target`, `CARGO_TARGET_DIR` or at `FLINT_AUTH_VERIFY`. `FLINT_ORACLE_SEED` repeats a run.
"""

import datetime
import json
import os
import pathlib
import random
import subprocess
from unittest import mock
from urllib.parse import quote, urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

COUNT = 1000
KEY = botocore.credentials.Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
TEXTS = ["a", "b-c", "x.y_z~", "", "0", "A", "sp ace", "ünïcode", "日本", "🦀", "%41", "%", "a/b", "a+b", "a=b", "a&b", "*", "'()!", ":", "@", "$LATEST"]
SEGMENTS = ["functions", "2015-03-31", "arn:aws:lambda:r:1:function:n", "a b", "ü", "%2F", "..", ".", "", "~x", "a*b", "$LATEST", "a;b", "日本"]
HEADER_VALUES = ["plain", "  leading", "trailing  ", "in  the   middle", "tab\tinside", 'quo"ted', "a,b", "", "grüße"]


def binary():
    root = pathlib.Path(__file__).resolve().parents[2]
    given = os.environ.get("FLINT_AUTH_VERIFY")
    folder = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or root / "target")
    for path in [given, folder / "release/examples/verify", folder / "debug/examples/verify"]:
        if path and pathlib.Path(path).exists():
            return str(path)
    raise FileNotFoundError("build it first: cargo build -p flint-auth --example verify")


def judge(lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([binary()], input=text.encode(), stdout=subprocess.PIPE, check=True)
    answers = done.stdout.decode().splitlines()
    assert len(answers) == len(lines)
    return answers


def random_url(pick):
    path = "/" + "/".join(quote(pick.choice(SEGMENTS), safe=pick.choice(["", "~:", "~:*$;"])) for _ in range(pick.randint(0, 6)))
    pairs = []
    for _ in range(pick.randint(0, 5)):
        name, value = pick.choice(TEXTS) or "empty", pick.choice(TEXTS)
        pairs.append(quote(name, safe="-_.~") + pick.choice(["=", "=", "="]) + quote(value, safe="-_.~"))
        if pick.random() < 0.2:
            pairs.append(pairs[-1])  # a repeated pair
        if pick.random() < 0.2:
            pairs.append(quote(name, safe="-_.~"))  # a name without `=`
        if pick.random() < 0.1:
            pairs.append(quote(name) + "=" + pick.choice(["raw*star", "lower%2fhex", "a+b", "x=y=z", "(1)"]))  # not canonical
    return "http://%s%s%s" % (pick.choice(["127.0.0.1:8080", "flint.test", "[::1]:9000"]), path, "?" + "&".join(pairs) if pairs else "")


def signed(pick, kind):
    """A request signed by botocore, as the wire has it."""
    now = EPOCH + datetime.timedelta(seconds=pick.randint(0, 10**8))
    method = pick.choice(["GET", "POST", "PUT", "DELETE", "HEAD"])
    # botocore moves the body of a presigned request into its query, so only one without a body comes out as it went in
    body = b"" if method in ("GET", "HEAD") or kind == "presigned" else pick.choice([b"", b"{}", os.urandom(pick.randint(1, 3000)), "ü".encode()])
    request = botocore.awsrequest.AWSRequest(method=method, url=random_url(pick), data=body)
    request.headers["Host"] = urlsplit(request.url).netloc
    for name in pick.sample(["X-Amz-Invocation-Type", "Content-Type", "X-Amz-Client-Context", "X-Custom", "Accept"], pick.randint(0, 4)):
        request.headers.add_header(name, pick.choice(HEADER_VALUES))
        if pick.random() < 0.2:
            request.headers.add_header(name, pick.choice(HEADER_VALUES))
    request.headers.add_header("User-Agent", "oracle")
    region, service = pick.choice(["us-east-1", "local", "cn-north-1"]), pick.choice(["lambda", "lambda", "states", "service"])
    lifetime = pick.randint(1, 604800)
    if kind == "presigned":
        signer = botocore.auth.SigV4QueryAuth(KEY, service, region, expires=lifetime)
        now_seen = now + datetime.timedelta(seconds=pick.randint(0, lifetime))
    else:
        signer = botocore.auth.SigV4Auth(KEY, service, region)
        now_seen = now + datetime.timedelta(seconds=pick.randint(-300, 300))
        if kind == "unsigned payload":
            request.context["payload_signing_enabled"] = False
            request.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
        elif kind == "date header":
            request.headers["Date"] = "replaced"
        elif kind == "stated payload":
            request.headers["X-Amz-Content-SHA256"] = signer.payload(request)
    with mock.patch("botocore.auth.get_current_datetime", return_value=now.replace(tzinfo=None)):
        signer.add_auth(request)
    parts = urlsplit(request.url)
    return {
        "method": method,
        "path": parts.path or "/",
        "query": parts.query,
        "headers": [[name.lower(), value] for name, value in request.headers.items()],
        "body_hex": body.hex(),
        "now": int(now_seen.timestamp()),
    }, "ok %s %s" % (region, service)


def flip(pick, text):
    """The text with one letter or digit exchanged."""
    places = [i for i, c in enumerate(text) if c.isascii() and c.isalnum()]
    at = pick.choice(places)
    return text[:at] + pick.choice([c for c in "abcdef0123456789" if c != text[at].lower()]) + text[at + 1:]


def altered(pick, line, kind):
    """A copy with exactly one thing altered, and what that was."""
    copy = json.loads(json.dumps(line))
    names = {name for name, _ in copy["headers"]}
    ways = ["method", "path", "query", "header", "signature", "late"]
    if kind != "unsigned payload":
        ways.append("body")
    if kind != "presigned":
        ways.append("early")
    if "x-amz-date" in names:
        ways.append("date")
    way = pick.choice(ways)
    if way == "method":
        copy["method"] = "PATCH"
    elif way == "path":
        copy["path"] = copy["path"].rstrip("/") + "/added"
    elif way == "query":
        copy["query"] += ("&" if copy["query"] else "") + "added=1"
    elif way == "header":
        host = next(h for h in copy["headers"] if h[0] == "host")
        host[1] = "other." + host[1]
    elif way == "body":
        copy["body_hex"] += "00"
    elif way == "date":
        date = next(h for h in copy["headers"] if h[0] == "x-amz-date")
        date[1] = date[1][:13] + "%02dZ" % ((int(date[1][13:15]) + 1) % 60)
    elif way == "late":
        copy["now"] += 604801
    elif way == "early":
        copy["now"] -= 601
    elif kind == "presigned":
        start = copy["query"].index("X-Amz-Signature=") + 16
        copy["query"] = copy["query"][:start] + flip(pick, copy["query"][start:])
    else:
        given = next(h for h in copy["headers"] if h[0] == "authorization")
        start = given[1].index("Signature=") + 10
        given[1] = given[1][:start] + flip(pick, given[1][start:])
    return copy, way


@pytest.mark.parametrize("kind", ["headers", "presigned", "unsigned payload", "stated payload", "date header"])
def test_botocore_signs_and_flint_agrees(kind):
    seed = os.environ.get("FLINT_ORACLE_SEED") or str(random.randrange(10**9))
    pick = random.Random(seed + kind)
    good = [signed(pick, kind) for _ in range(COUNT // 5)]
    bad = [altered(pick, line, kind) for line, _ in good]
    for (line, expected), answer in zip(good, judge([line for line, _ in good])):
        assert answer == expected, "seed %s: %s" % (seed, line)
    refused = {}
    for (line, way), answer in zip(bad, judge([line for line, _ in bad])):
        assert not answer.startswith("ok"), "seed %s: %s accepted with another %s" % (seed, line, way)
        refused[way] = refused.get(way, 0) + 1
    print("%s: %d accepted, %d refused %s" % (kind, len(good), len(bad), refused))
