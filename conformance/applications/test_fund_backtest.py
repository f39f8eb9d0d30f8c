"""`examples/fund-backtest`, deployed as its README says: right against an independent library, and replaced under load."""

import concurrent.futures
import json
import math
import os
import pathlib
import random
import shutil
import subprocess
import sys
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from project import PYTHON, wheels
from server import ROOT

EXAMPLE = ROOT / "examples/fund-backtest"
FUNDS = [f"fund{n:02}" for n in range(12)]
SCALES = [2.0, 0.5, 3.0, 7.0, 0.1, 10.0, 1.5, 0.3, 100.0, 0.01, 1.1, 6.0]
# Where the future begins that the third artefact shuffles.
KNOWN_DAYS = 1_500


class Backtest:
    """The example on the server: its layer, its data in three forms, an alias for each."""

    def __init__(self, projects, folder):
        self.projects = projects
        self.folder = folder
        self.layer = wheels("numpy", EXAMPLE / "requirements.txt")
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("package", "layer", "data", ".venv"))
        published = projects.flint("layer", "publish", "numpy", self.layer, "--runtime", PYTHON, "-o", "json")
        self.change("flint.yaml", "numpy:1", f"numpy:{json.loads(published)['Version']}")
        self.python("generate.py", "data")
        self.mounted = "funds:1"
        self.show(self.folder / "data")
        self.deploy()

    def change(self, file, old, new):
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    def python(self, *arguments):
        """Runs Python with the layer's numpy, in the example's folder; its output."""
        env = os.environ | {"PYTHONPATH": str(self.layer / "python")}
        done = subprocess.run([sys.executable, "-B", *arguments], cwd=self.folder, env=env, stdout=subprocess.PIPE, check=True)
        return done.stdout

    def show(self, data):
        """Publishes data as an artefact and names its version in flint.yaml."""
        published = self.projects.flint("artefact", "publish", "funds", data, "-o", "json")
        now = f"funds:{json.loads(published)['version']}"
        self.change("flint.yaml", self.mounted, now)
        self.mounted = now

    def deploy(self, *flags):
        self.name = self.projects.deploy(self.folder, "--runtime", PYTHON, *flags)

    def ask(self, weights, cost_bp=15, alias="live", series=True):
        event = {"weights": weights, "cost_bp": cost_bp, "series": series}
        answer = self.projects.client.invoke(FunctionName=self.name, Qualifier=alias, Payload=json.dumps(event))
        document = json.load(answer["Payload"])
        assert "FunctionError" not in answer, document
        return document


@pytest.fixture
def backtest(projects, tmp_path):
    return Backtest(projects, tmp_path / "fund-backtest")


def portfolios(count, seed=11):
    """Random portfolios: from 1 to all funds, their weights, a cost."""
    chance = random.Random(seed)
    for _ in range(count):
        funds = chance.sample(FUNDS, chance.randint(1, len(FUNDS)))
        yield {fund: chance.uniform(0.01, 1) for fund in funds}, chance.uniform(0, 50)


def test_200_portfolios_are_those_of_an_independent_library(backtest):
    given = list(portfolios(200))
    backtest.projects.timed(backtest.name, lambda: backtest.ask(*given[0], series=False))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda each: backtest.ask(*each), given))
    looked_up = []
    for (weights, cost_bp), answer in zip(given, answers):
        whole = math.fsum(weights.values())
        target = [weights.get(fund, 0) / whole for fund in FUNDS]
        looked_up.append({"target": target, "cost": cost_bp / 1e4} | {key: answer[key] for key in ("returns", "measures")})
    data = json.loads(
        backtest.python(
            "-c",
            "import json, numpy as np\n"
            "values, days = np.load('data/values.npy'), np.load('data/days.npy')\n"
            "print(json.dumps({'values': values.tolist(), 'months': days.astype('datetime64[M]').astype(int).tolist()}))",
        )
    )
    libraries = wheels("empyrical", pathlib.Path(__file__).parent / "independent.txt", layer=False)
    checked = subprocess.run(
        [sys.executable, pathlib.Path(__file__).parent / "independent.py"],
        input=json.dumps(data | {"portfolios": looked_up}),
        env=os.environ | {"PYTHONPATH": str(libraries / "python")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    largest = json.loads(checked.stdout)
    print(largest)
    assert len(largest) == 8 and all(difference <= 1e-12 for difference in largest.values()), largest


def test_what_must_not_change_does_not(backtest):
    near = lambda one, other: max(abs(a - b) for a, b in zip(one, other, strict=True))
    mixed = {"fund00": 0.5, "fund03": 0.2, "fund07": 0.3}
    plain = backtest.ask(mixed)["returns"]
    # One fund without cost is that fund.
    alone = backtest.ask({"fund04": 3}, cost_bp=0)["returns"]
    values = json.loads(
        backtest.python("-c", "import numpy as np; print(np.load('data/values.npy')[:, 4].tolist())")
    )
    assert near(alone, [after / before - 1 for before, after in zip(values, values[1:])]) <= 1e-12
    # Weights are shares: twice all of them is the same; and the order does not count.
    twice = {fund: 2 * share for fund, share in reversed(mixed.items())}
    assert near(backtest.ask(twice)["returns"], plain) <= 1e-12
    # Cost never makes a portfolio worth more.
    totals = [backtest.ask(mixed, cost_bp=cost, series=False)["measures"]["total"] for cost in (0, 5, 15, 60)]
    assert totals == sorted(totals, reverse=True) and len(set(totals)) == 4
    # Funds in other units.
    backtest.python(
        "-c",
        f"import numpy as np; values = np.load('data/values.npy'); np.save('data/values.npy', values * np.array({SCALES}))",
    )
    backtest.show(backtest.folder / "data")
    backtest.deploy("--alias", "scaled")
    assert near(backtest.ask(mixed, alias="scaled")["returns"], plain) <= 1e-12
    # Another future, the same past.
    backtest.python(
        "-c",
        "import numpy as np; values = np.load('data/values.npy'); growth = values[1:] / values[:-1]\n"
        f"np.random.default_rng(3).shuffle(growth[{KNOWN_DAYS} - 1:])\n"
        "np.save('data/values.npy', values[0] * np.cumprod(np.vstack([np.ones(len(values[0])), growth]), axis=0))",
    )
    backtest.show(backtest.folder / "data")
    backtest.deploy("--alias", "shuffled")
    shuffled = backtest.ask(mixed, alias="shuffled")["returns"]
    past = KNOWN_DAYS - 1
    assert near(shuffled[:past], plain[:past]) <= 1e-12
    assert near(shuffled[past:], plain[past:]) > 1e-3
    # `live` still answers from the data that its version was published with.
    assert backtest.ask(mixed)["returns"] == plain


class Load:
    """Six callers that pause between calls: dozens of calls a second where there is a core for them."""

    def __init__(self, backtest):
        self.backtest = backtest
        self.calls = []
        self.failures = []
        self.done = threading.Event()
        self.callers = [threading.Thread(target=self.run, args=each) for each in portfolios(6)]

    def run(self, weights, cost_bp):
        while not self.done.wait(0.05):
            begun = time.monotonic()
            try:
                answer = self.backtest.ask(weights, cost_bp, series=False)
            except (AssertionError, BotoCoreError, ClientError) as error:
                self.failures.append(repr(error))
            else:
                self.calls.append((begun, answer["model"], answer["measures"]["total"]))

    def __enter__(self):
        self.begun = time.monotonic()
        for caller in self.callers:
            caller.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for caller in self.callers:
            caller.join()
        self.rate = len(self.calls) / (time.monotonic() - self.begun)
        print(f"{len(self.calls)} calls, {self.rate:.0f} a second, {len(self.failures)} failed")

    def served(self, model, more):
        """Waits until a model has answered so many calls more."""
        until = time.monotonic() + 60
        wanted = self.by(model) + more
        while self.by(model) < wanted and not self.failures:
            assert time.monotonic() < until, f"model {model} does not answer"
            time.sleep(0.02)

    def by(self, model):
        return sum(call[1] == model for call in list(self.calls))

    def models(self, after, before=math.inf):
        """The models that answered calls begun in a time."""
        return {model for begun, model, _ in self.calls if after < begun < before}


def test_a_new_model_takes_over_under_load_without_a_failed_request(backtest):
    with Load(backtest) as load:
        load.served(1, 100)
        backtest.change("model.py", "VERSION = 1", "VERSION = 2")
        backtest.change("model.py", "DAYS = 252", "DAYS = 250")
        backtest.deploy("-m", "a year of 250 days")
        replaced = time.monotonic()
        load.served(2, 150)
        returning = time.monotonic()
        backtest.projects.flint("alias", "set", backtest.name, "live=1")
        back = time.monotonic()
        load.served(1, 50)
    assert not load.failures, load.failures[:3]
    assert load.rate > 10, "a load worth the name"
    # A call that began just before the way back may be answered by either.
    assert load.models(replaced, returning - 1) == {2}
    assert load.models(back) == {1}
    assert len({total for _, _, total in load.calls}) == 6, "a longer year is no other total"


@pytest.mark.soak
def test_thirty_models_in_turn_under_load_without_a_failed_request(backtest):
    with Load(backtest) as load:
        for model in range(2, 32):
            backtest.change("model.py", f"VERSION = {model - 1}\n", f"VERSION = {model}\n")
            backtest.deploy()
            replaced = time.monotonic()
            load.served(model, 40)
            assert load.models(replaced) == {model}
    assert not load.failures, load.failures[:3]
