"""Web applications in people's own frameworks, deployed as web functions, with their packages from the public registries."""

import base64
import concurrent.futures
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import urllib.parse

import pytest

from project import PYTHON, node

needs_npm = pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")


def go_is_new_enough():
    if not shutil.which("go"):
        return False
    version = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True).stdout
    return tuple(map(int, version.strip().removeprefix("go").split(".")[:2])) >= (1, 21)


needs_go = pytest.mark.skipif(not go_is_new_enough(), reason="Go 1.21 or newer is not installed")


@needs_npm
def test_a_koa_bff_asks_five_services_at_once(projects):
    name = projects.deploy("koa", "--runtime", node())
    answer = projects.timed(name, lambda: projects.send(name, "/page/ann")).json()
    assert answer["user"] == "ann"
    assert [part.get("value") for part in answer["parts"]] == [1, 2, 3, 4, None]
    assert answer["parts"][4] == {"name": "advice", "missing": 503}, "the page comes without the part that failed"
    assert all(part["trace"] for part in answer["parts"][:4])
    assert 100 <= projects.send(name, "/page/bo").json()["ms"] < 400, "five answers of 100 ms each, at once"
    posted = projects.send(name, "/cart", {"items": [1, 2, 3]})
    assert (posted.status, posted.json()) == (202, {"items": 3})
    refused = projects.send(name, "/cart", method="DELETE")
    assert refused.status == 405 and refused.headers["Allow"] == "POST"


@needs_npm
def test_a_midway_application_with_decorators_and_injection(projects):
    name = projects.deploy("midway", "--runtime", node())
    first = projects.timed(name, lambda: projects.send(name, "/customers/ann")).json()
    assert (first["customer"], first["total"]) == ("ann", 120_050)
    assert first["accounts"] == [{"number": "****-01", "cents": 120_000}, {"number": "****-02", "cents": 50}]
    assert first["trace"], "the request's id reaches the application"
    transfer = {"from": "6222-01", "to": "6222-02", "cents": 1_000}
    made = projects.send(name, "/customers/ann/transfers", transfer)
    assert (made.status, made.json()) == (201, {"left": 119_000})
    after = projects.send(name, "/customers/ann").json()
    assert [account["cents"] for account in after["accounts"]] == [119_000, 1_050], "one service for all requests"
    refused = projects.send(name, "/customers/ann/transfers", transfer | {"cents": 10**9})
    assert (refused.status, refused.json()) == (422, {"refused": "not enough"})
    assert projects.send(name, "/nowhere").status == 404
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: projects.send(name, f"/customers/c{n}").json(), range(100)))
    assert [answer["customer"] for answer in answers] == [f"c{n}" for n in range(100)]
    assert {answer["pid"] for answer in answers} == {first["pid"]}, "one process answered all of it"
    log = projects.flint("logs", name)
    assert "overview of ann" in log, "Midway's own log is the function's"


@needs_npm
def test_an_express_server(projects):
    name = projects.deploy("express", "--runtime", node())
    item = projects.timed(name, lambda: projects.send(name, "/items/7?page=2", X_Forwarded_For="6.6.6.6")).json()
    assert (item["id"], item["page"], item["from"]) == ("7", "2", "127.0.0.1"), "a caller cannot say where it calls from"
    made = projects.send(name, "/items", {"name": "tea", "größe": "weiß"})
    assert made.status == 201 and made.headers["Location"] == "/items/tea"
    assert made.json() == {"made": {"name": "tea", "größe": "weiß"}}
    style = projects.send(name, "/static/site.css")
    assert style.headers["Cache-Control"] == "public, max-age=3600"
    assert projects.send(name, "/static/site.css", If_None_Match=style.headers["ETag"]).status == 304
    long = projects.send(name, "/long", Accept_Encoding="gzip")
    assert long.headers["Content-Encoding"] == "gzip" and len(long.body) < 1000
    thrown = projects.send(name, "/throw")
    assert (thrown.status, thrown.json()) == (500, {"error": "a handler that throws"})
    assert projects.send(name, "/items", b"{", Content_Type="application/json").status == 400
    assert projects.send(name, "/items", b'"' + b"x" * 2_000_000 + b'"', Content_Type="application/json").status == 413
    assert projects.send(name, "/items/8").json()["pid"] == item["pid"], "one process answered all of it"
    log = projects.flint("logs", name)
    assert "a handler that throws" in log and "GET /throw 500" in log


def test_flask_behind_two_gunicorn_processes(projects):
    name = projects.deploy("flask", "--runtime", PYTHON)
    page = projects.timed(name, lambda: projects.send(name, "/hello/%3Cb%3E?item=1&item=2"))
    assert page.body.decode() == "<h1>&lt;b&gt;</h1><li>1</li><li>2</li>"
    first = projects.send(name, "/count", b"by=2")
    second = projects.send(name, "/count", b"by=3", Cookie=first.headers["Set-Cookie"].split(";")[0])
    assert (first.json(), second.json()) == ({"count": 2}, {"count": 5})
    missing = projects.send(name, "/nowhere")
    assert (missing.status, missing.json()["path"]) == (404, "/nowhere")
    body = os.urandom(3_000_000)

    def upload(n):
        return projects.send(name, f"/files/a/{n}", body, method="PUT").json()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(upload, range(24)))
    assert {each["sha256"] for each in stored} == {hashlib.sha256(body).hexdigest()}
    assert len({each["pid"] for each in stored}) == 2, "both processes work"


def test_fastapi_on_uvicorn(projects):
    name = projects.deploy("fastapi", "--runtime", PYTHON)
    made = projects.timed(name, lambda: projects.send(name, "/orders", {"item": "tea", "quantity": 2}))
    assert (made.status, made.json()) == (201, {"item": "tea", "total": 6})
    refused = projects.send(name, "/orders", {"item": "tea", "quantity": 0})
    assert refused.status == 422 and refused.json()["detail"][0]["loc"] == ["body", "quantity"]
    assert "/orders" in projects.send(name, "/openapi.json").json()["paths"]
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        waited = list(pool.map(lambda _: projects.send(name, "/wait?ms=1000").json(), range(30)))
    assert len({each["pid"] for each in waited}) == 1, "concurrency 40: one instance for thirty calls"
    assert max(each["most"] for each in waited) >= 20, "they ran at once"
    assert projects.send(name, "/ticks").body == b"0\n1\n2\n3\n"
    socket_echoes(projects, name)


def socket_echoes(projects, name):
    """Opens a WebSocket by hand (RFC 6455) and sends two texts."""
    at = urllib.parse.urlparse(projects.server.endpoint)
    key = base64.b64encode(os.urandom(16)).decode()
    with socket.create_connection((at.hostname, at.port), timeout=20) as connection:
        head = f"GET /web/{name}:live/echo HTTP/1.1\r\nHost: {at.netloc}\r\nAuthorization: Bearer {projects.token}\r\n"
        head += f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        connection.sendall(head.encode())
        stream = connection.makefile("rb")
        status = stream.readline()
        assert b" 101 " in status, status
        headers = {}
        for line in iter(stream.readline, b"\r\n"):
            field, _, value = line.decode().partition(":")
            headers[field.lower()] = value.strip()
        proof = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        assert headers["sec-websocket-accept"] == base64.b64encode(proof).decode()
        for text in (b"one", b"two"):
            mask = os.urandom(4)
            hidden = bytes(byte ^ mask[n % 4] for n, byte in enumerate(text))
            connection.sendall(bytes([0x81, 0x80 | len(text)]) + mask + hidden)
            kind, length = stream.read(2)
            assert (kind, stream.read(length)) == (0x81, b"heard " + text)


@needs_go
def test_a_go_server(projects):
    name = projects.deploy("go-web")
    answer = projects.timed(name, lambda: projects.send(name, "/sum/40/2")).json()
    assert answer["sum"] == 42
    assert projects.send(name, "/sum/40/x").status == 400
    assert projects.send(name, "/panic").status == 500
    assert projects.send(name, "/sum/1/1").json()["pid"] == answer["pid"], "a panic is one request's"


@pytest.mark.skipif(not shutil.which("mvn"), reason="Maven is not installed")
def test_a_spring_boot_jar_has_the_heap_of_its_memory(projects):
    name = projects.deploy("spring")
    made = projects.timed(name, lambda: projects.send(name, "/orders", {"item": "tea", "quantity": 2}))
    assert made.json() == {"item": "tea", "total": 6}
    jvm = projects.send(name, "/jvm").json()
    assert 360 <= jvm["heap_mb"] <= 384, "the step for 512 MB, less what the collector sets aside"
    filled = projects.send(name, "/fill").json()["filled_mb"]
    assert 200 <= filled < jvm["heap_mb"], "a heap that is full is an error of Java's, not an end by the kernel"
    assert projects.send(name, "/jvm").json()["pid"] == jvm["pid"]
    assert projects.send(name, "/orders", {"item": "tea", "quantity": "x"}).status == 400
    assert pathlib.PurePath(projects.send(name, "/nowhere").json()["path"]).name == "nowhere"
