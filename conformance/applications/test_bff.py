"""`examples/bff`, deployed behind its route: right against the services' own answers, and whole without one of them."""

import concurrent.futures
import importlib.util
import json
import shutil
import statistics
import time
import urllib.error
import urllib.request

import pytest

from project import Answer, node
from server import ROOT

EXAMPLE = ROOT / "examples/bff"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-{:016x}-01"


def module():
    spec = importlib.util.spec_from_file_location("services", EXAMPLE / "services.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


class Bff:
    """The example on the server, and the four services."""

    def __init__(self, projects, folder):
        self.projects = projects
        services = module()
        self.delays = services.DELAYS
        self.services = {name: services.Service(name) for name in services.SERVICES}
        shutil.copytree(EXAMPLE, folder)
        text = (folder / "flint.yaml").read_text()
        for place, (name, service) in enumerate(self.services.items()):
            old = f"http://127.0.0.1:{7401 + place}"
            assert f"{name.upper()}_URL: {old}" in text
            text = text.replace(old, service.url)
        (folder / "flint.yaml").write_text(text)
        self.name = projects.deploy(folder, "--runtime", node())

    def ask(self, customer, **headers):
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        request = urllib.request.Request(f"{self.projects.server.endpoint}/overview/{customer}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer)
        except urllib.error.HTTPError as error:
            return Answer(error)

    def expected(self, customer):
        """What the page should show, made of what the services say when Python asks them."""
        whole = {"customer": customer, "degraded": []}
        for name, service in self.services.items():
            try:
                with urllib.request.urlopen(f"{service.url}/{name}/{customer}", timeout=30) as answer:
                    whole[name] = json.load(answer)
            except urllib.error.HTTPError:
                whole["degraded"].append(name)
        for card in whole["card"]["cards"]:
            del card["pin_tries"]
            digits = list(card["number"])
            digits[6:-4] = "*" * len(digits[6:-4])
            card["number"] = "".join(digits)
        return whole

    def warm(self):
        """Asks until every part comes in time: the first answer of a new instance may miss the deadline."""
        until = time.monotonic() + 60
        while self.ask("c00000").json()["degraded"] != self.expected("c00000")["degraded"]:
            assert time.monotonic() < until, "the services are not reached in time"

    def stop(self):
        for service in self.services.values():
            service.stop()


@pytest.fixture
def bff(projects, tmp_path):
    made = Bff(projects, tmp_path / "bff")
    yield made
    made.stop()


def test_a_hundred_overviews_are_what_the_services_say(bff):
    bff.projects.timed(bff.name, lambda: bff.ask("c00000"))
    bff.warm()
    customers = [f"c{(n * 7919) % 10_000:05}" for n in range(100)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        everything = list(pool.map(bff.expected, customers))
    times, failed, late = [], 0, 0
    for n, (customer, expected) in enumerate(zip(customers, everything)):
        for service in bff.services.values():
            service.asked.clear()
        trace = TRACE.format(n + 1)
        begun = time.monotonic()
        answer = bff.ask(customer, traceparent=trace, X_Request_Id=f"r{n}", Authorization="Bearer not-for-services")
        times.append(time.monotonic() - begun)
        got = answer.json()
        failed += bool(expected["degraded"])
        in_time = len(got["degraded"]) <= len(expected["degraded"])
        if not in_time:
            # A busy machine can miss the deadline; said so, asked again, and counted.
            late += 1
            got = bff.ask(customer, traceparent=trace, X_Request_Id=f"r{n}").json()
        assert (answer.status, got) == (200, expected), customer
        asked = [service.asked[0] for service in bff.services.values()]
        for path, headers, _, _ in asked:
            headers = {key.lower(): value for key, value in headers.items()}
            assert path.endswith(f"/{customer}")
            assert (headers["traceparent"], headers["x-request-id"]) == (trace, f"r{n}")
            assert headers["x-amzn-trace-id"] and "authorization" not in headers
        if in_time:
            assert max(call[2] for call in asked) < min(call[3] for call in asked), "all are asked before one has answered"
    times.sort()
    print(f"median {statistics.median(times) * 1e3:.0f} ms, p95 {times[94] * 1e3:.0f} ms, {failed} degraded, {late} late")
    assert failed >= 1 and late <= 5
    assert max(bff.delays.values()) <= times[0] and times[94] < sum(bff.delays.values())


def test_a_service_that_is_gone_or_slow_costs_its_part_only(bff):
    bff.warm()
    whole = bff.expected("c00000")
    assert whole["degraded"] == []
    bff.services["points"].delay = 2
    begun = time.monotonic()
    answer = bff.ask("c00000")
    taken = time.monotonic() - begun
    assert answer.status == 200 and answer.json() == {**{k: v for k, v in whole.items() if k != "points"}, "degraded": ["points"]}
    assert 0.3 <= taken < 1.5, "the deadline is kept"
    bff.services["card"].stop()
    answer = bff.ask("c00000")
    assert answer.status == 200 and answer.json()["degraded"] == ["card", "points"]
    assert answer.json()["account"] == whole["account"]
    log = bff.projects.flint("logs", bff.name)
    assert '"service":"card"' in log and '"service":"points"' in log
    for name in ("account", "fund"):
        bff.services[name].stop()
    answer = bff.ask("c00000")
    assert (answer.status, answer.json()) == (200, {"customer": "c00000", "degraded": ["account", "card", "fund", "points"]})


def test_what_is_no_customer_is_refused(bff):
    for customer in ("c1", "c000420", "..%2Fadmin", "c0004%32x"):
        answer = bff.ask(customer)
        assert answer.status == 400 and "five digits" in answer.json()["error"]
    assert not any(service.asked for service in bff.services.values())
