"""`examples/hooks`: methods that a page calls do what the functions of the back end do when they are called directly."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest

from project import Answer, node
from server import ROOT

EXAMPLE = ROOT / "examples/hooks"
# What both ways are asked: module, method, arguments.
CALLS = [
    ["funds", "list", []],
    ["funds", "list", ["bond"]],
    ["funds", "list", ["…nothing"]],
    ["funds", "price", ["000002", 250]],
    ["funds", "price", ["000003", 7]],
    ["funds", "price", ["999999", 1]],
    ["funds", "price", ["000001", 0.5]],
    ["clock", "today", ["UTC"]],
]
RUN = """
const told = [];
for (const [module, name, given] of CALLS) {
  try { told.push({ value: await modules[module][name](...given) }); }
  catch (error) { told.push({ error: error.message, status: error.status }); }
}
console.log(JSON.stringify(told));
"""
# As much of a document as the page uses.
DOCUMENT = """
const parts = {};
globalThis.document = {
  querySelector: (id) => (parts[id] ??= { replaceChildren(...children) { this.children = children.map((each) => each.textContent); } }),
  createElement: () => ({}),
};
"""


class Hooks:
    """Both halves of the example on the server."""

    def __init__(self, projects, folder):
        self.projects, self.folder = projects, folder
        self.address = f"{projects.server.endpoint}/hooks/"
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("dist", "client.js"))
        self.deploy()

    def deploy(self):
        self.name = self.projects.deploy(self.folder, "--runtime", node())
        self.projects.deploy(self.folder / "web")

    def send(self, path, data=None, **headers):
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        request = urllib.request.Request(self.address + path, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer)
        except urllib.error.HTTPError as error:
            return Answer(error)

    def node(self, program):
        """Runs a module in a Node.js that is not Flint's; what it prints."""
        (self.folder / "program.mjs").write_text(program)
        done = subprocess.run(["node", "program.mjs"], cwd=self.folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def client(self):
        """The module as the site serves it, put beside the program; it is told where it came from."""
        served = self.send("client.js")
        assert served.status == 200 and "javascript" in served.headers["Content-Type"]
        text = served.body.decode().replace("import.meta.url", json.dumps(self.address + "client.js"))
        (self.folder / "client.mjs").write_text(text)

    def remote(self, calls):
        self.client()
        return self.node(f'import * as modules from "./client.mjs";\nconst CALLS = {json.dumps(calls)};\n{RUN}')

    def direct(self, calls):
        imports = 'import funds from "./api/funds.js";\nimport clock from "./api/clock.js";\nconst modules = { funds, clock };\n'
        return self.node(f"{imports}const CALLS = {json.dumps(calls)};\n{RUN}")


@pytest.fixture
def hooks(projects, tmp_path):
    return Hooks(projects, tmp_path / "hooks")


def test_methods_of_the_page_are_the_functions_of_the_back_end(hooks):
    remote, direct = hooks.remote(CALLS), hooks.direct(CALLS)
    assert remote == direct
    assert len(remote[0]["value"]) == 4 and remote[3] == {"value": {"code": "000002", "cents": 26030}}
    assert [each.get("status") for each in remote[5:7]] == [404, 400]
    # An error that is not for the page: only the log has its text.
    assert hooks.remote([["funds", "audit", []]]) == [{"error": "the method failed", "status": 500}]
    assert "the ledger at 10.1.2.3 is closed" in hooks.projects.flint("logs", hooks.name)
    # A new function of the back end is a method of the page after a deploy.
    (hooks.folder / "api/rates.js").write_text("exports.twice = async (n) => 2 * n;\n")
    hooks.deploy()
    assert hooks.remote([["rates", "twice", [21]]]) == [{"value": 42}]


def test_the_page_shows_what_the_back_end_says(hooks):
    page = hooks.send("")
    assert page.status == 200 and '<script type="module" src="app.js">' in page.body.decode()
    hooks.client()
    app = hooks.send("app.js").body.decode().replace("./client.js", "./client.mjs")
    (hooks.folder / "app.mjs").write_text(app)
    shown = hooks.node(f'{DOCUMENT}\nawait import("./app.mjs");\nconsole.log(JSON.stringify(parts));')
    assert shown["#funds"]["children"] == ["000002 短债 A", "000004 中短债 C"]
    assert shown["#price"]["textContent"].startswith("250 × 短债 A: 260.30 (20")


def test_only_what_is_exported_can_be_called(hooks):
    def call(path, body=b"[]", kind="application/json"):
        return hooks.send(f"api/{path}", body, Content_Type=kind)

    assert call("funds/list").status == 200
    for path in ("funds/secret", "funds/find", "funds/constructor", "__proto__/toString", "..%2Findex/handler"):
        answer = call(path)
        assert answer.status == 404 and "there is no method" in answer.json()["error"], path
    assert call("funds/list", kind="text/plain").status == 415, "a form of another site"
    assert call("funds/list", b"{}").status == 400
    assert call("funds/list", b"[").status == 400
    # The source of the back end is no part of the site.
    assert hooks.send("api/funds.js").status == 404
