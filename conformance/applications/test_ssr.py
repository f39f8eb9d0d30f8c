"""`examples/ssr`: the page that Flint streams is the one that a bare Node.js renders, and comes before all of it is made."""

import concurrent.futures
import hashlib
import html.parser
import json
import os
import shutil
import subprocess
import time
import urllib.request

import pytest

from project import PROJECTS, cached, node
from server import ROOT
from test_web import needs_npm

EXAMPLE = ROOT / "examples/ssr"
LATE = 0.4
KINDS = ["稳健增长", "沪深红利", "全球科技", "短债", "平衡养老"]

pytestmark = needs_npm


class Rows(html.parser.HTMLParser):
    """The texts of a page's table, row by row, and of the paragraph `best`."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.best, self.into = [], "", None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.into = "cell"
        elif ("id", "best") in attributes:
            self.into = "best"

    def handle_endtag(self, tag):
        self.into = None

    def handle_data(self, text):
        if self.into == "cell":
            self.rows[-1][-1] += text
        elif self.into == "best":
            self.best += text


def funds(count):
    """The example's funds, by a program of its own."""
    state = 20261122

    def following(below):
        nonlocal state
        state = state * 48271 % 2147483647
        return state % below

    for n in range(count):
        name = KINDS[following(5)] + (" <A&C>" if n % 7 == 0 else " A")
        nav, change = 5000 + following(30000), following(1001) - 500
        sign = "-" if change < 0 else "+"
        value = f"{nav // 10_000}.{nav % 10_000:04}"
        yield change, [str(100000 + 37 * n), name, value, f"{sign}{abs(change) // 100}.{abs(change) % 100:02}%"]


def read(url):
    """A page, and when its first and its last part came."""
    begun = time.monotonic()
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.status == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
        page = answer.read1(65536)
        first = time.monotonic() - begun
        shell = page
        while part := answer.read1(65536):
            # What came at once with the first part is its part: the table is larger than a read.
            if time.monotonic() - begun < first + LATE / 2:
                shell += part
            page += part
    return page, shell, first, time.monotonic() - begun


def test_a_streamed_page_is_the_one_of_a_bare_node(projects):
    folder = cached(EXAMPLE)
    name = projects.deploy(folder, "--runtime", node())
    url = projects.client.get_function_url_config(FunctionName=name, Qualifier="live")["FunctionUrl"]
    projects.timed(name, lambda: read(url))
    page, shell, first, whole = read(url)
    bare = subprocess.run(
        ["node", folder / "index.js"], env=os.environ | {"NODE_ENV": "production"}, stdout=subprocess.PIPE, check=True, timeout=60
    ).stdout
    assert hashlib.sha256(page).hexdigest() == hashlib.sha256(bare).hexdigest()
    assert b"react.development" not in page and len(page) > 15_000
    expected = list(funds(200))
    shown = Rows(page.decode())
    assert shown.rows == [["代码", "名称", "净值", "日涨跌"], *(row for _, row in expected)]
    best = max(expected, key=lambda each: each[0])[1]
    assert shown.best == f"今日最佳：{best[1]}（{best[0]}）"
    print(f"first byte after {first * 1e3:.0f} ms, last after {whole * 1e3:.0f} ms")
    # The whole table is with the reader while the late part is still worked on.
    assert len(Rows(shell.decode(errors="ignore")).rows) == 201 and "正在计算" in shell.decode(errors="ignore")
    assert "今日最佳" not in shell.decode(errors="ignore")
    assert whole >= LATE and first < whole - LATE / 2
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert {hashlib.sha256(each[0]).digest() for each in pool.map(read, [url] * 8)} == {hashlib.sha256(page).digest()}
    small = read(url + "?count=3")[0]
    assert Rows(small.decode()).rows[1:] == [row for _, row in expected[:3]]


def reader():
    """The program that reads a page in a browser, with what it needs."""
    folder = cached(PROJECTS / "browser")
    if not (folder / "node_modules" / ".package-lock.json").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, check=True, capture_output=True, timeout=300)
    return folder / "read.js"


@pytest.mark.skipif(not shutil.which("chromium"), reason="Chromium is not installed")
def test_the_page_comes_alive_in_a_browser_and_a_click_calls_a_function(projects):
    quote = projects.deploy(cached(EXAMPLE / "quote"), "--runtime", node())
    quotes = projects.client.get_function_url_config(FunctionName=quote, Qualifier="live")["FunctionUrl"]
    name = projects.deploy(cached(EXAMPLE), "--runtime", node(), "--env", f"QUOTES={quotes}", "--env", "LATE_MS=1500")
    url = projects.client.get_function_url_config(FunctionName=name, Qualifier="live")["FunctionUrl"]
    read(url)
    done = subprocess.run(["node", reader(), url], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["early"], "the table was shown while the late part was still worked on"
    expected = list(funds(200))
    assert (seen["rows"], seen["first"]) == (200, expected[0][1])
    best = max(expected, key=lambda each: each[0])[1]
    assert seen["best"] == f"今日最佳：{best[1]}（{best[0]}）"
    # Nothing is said: React tells of every text that is another one than the server's.
    assert seen["said"] == [], seen["said"]
    code = expected[0][1][0]
    nav = int(code) * 7919 % 100_000
    assert (seen["before"], seen["quote"]) == ("", f"{code} 最新净值 {nav // 10_000}.{nav % 10_000:04}")
    assert seen["asked"] == [url, f"{url}client.js", f"{quotes}?code={code}"], "nothing from anywhere else"
