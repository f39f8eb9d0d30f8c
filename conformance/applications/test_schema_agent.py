"""`examples/schema-agent`: databases brought up to date by records of a real Kafka, on a real MariaDB."""

import concurrent.futures
import hashlib
import json
import shutil
import time

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic

from broker import Broker
from database import PASSWORD, USER, Database, installed
from project import PYTHON
from server import ROOT

EXAMPLE = ROOT / "examples/schema-agent"
SCRIPTS = sorted((EXAMPLE / "scripts").glob("*.sql"))
PARTITIONS = 8
CAP = 4

pytestmark = pytest.mark.skipif(not installed(), reason="mariadb-server-core and mariadb-client are not installed")


@pytest.fixture(scope="module")
def database():
    made = Database()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def broker():
    assert shutil.which("java") and shutil.which("mvn"), "the broker needs java and mvn; scripts/test.sh installs them"
    made = Broker()
    yield made
    made.stop()


class Agent:
    """The example on the server; a folder of its own, whose scripts a test may change."""

    def __init__(self, projects, database, folder):
        self.projects, self.database, self.folder = projects, database, folder
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("package"))
        self.change("flint.yaml", 'DB_PORT: "3306"', f'DB_PORT: "{database.port}"')
        self.change("flint.yaml", "DB_PASSWORD: change me", f"DB_PASSWORD: {PASSWORD}")

    def change(self, file, old, new):
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    def deploy(self):
        self.name = self.projects.deploy(self.folder, "--runtime", PYTHON)

    def empty(self, *names):
        for name in names:
            self.database.sql(f"DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name} CHARACTER SET utf8mb4")

    def invoke(self, name):
        return self.projects.invoke(self.name, {"database": name})

    def history(self, name):
        return self.database.sql("SELECT version, checksum, ms IS NULL FROM schema_history ORDER BY version", name)

    def by_hand(self, name):
        """What the scripts make when a person gives them to the official client."""
        self.empty(name)
        for script in SCRIPTS:
            # By the same user: a trigger and a view keep who made them.
            self.database.sql(script.read_text(), name, user=USER)
        return self.database.dump(name, "--no-data"), self.database.dump(name)


@pytest.fixture
def agent(projects, database, tmp_path):
    return Agent(projects, database, tmp_path / "schema-agent")


def applied():
    return [[str(n + 1), hashlib.sha256(script.read_bytes()).hexdigest(), "0"] for n, script in enumerate(SCRIPTS)]


def burst(agent, broker, count):
    """Records of `count` databases, each twice, at once; returns when all were worked off."""
    topic = f"release-{count}"
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    names = [f"branch_{n:03}" for n in range(count)]
    agent.empty(*names)
    producer = KafkaProducer(bootstrap_servers=broker.address, acks="all")
    ends = [0] * PARTITIONS
    for n, name in enumerate(names):
        # The second delivery in another partition: both may be under way at once.
        for partition in (n % PARTITIONS, (n + 3) % PARTITIONS):
            producer.send(topic, json.dumps({"database": name}).encode(), partition=partition)
            ends[partition] += 1
    producer.flush()
    producer.close()
    agent.database.sql("FLUSH STATUS")
    client = agent.projects.client
    mapping = client.create_event_source_mapping(
        FunctionName=f"{agent.name}:live",
        Topics=[topic],
        SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [broker.address]}},
        SelfManagedKafkaEventSourceConfig={"ConsumerGroupId": topic},
        SourceAccessConfigurations=[],
        StartingPosition="TRIM_HORIZON",
        BatchSize=1,
    )
    try:
        until = time.monotonic() + 30 + 3 * count
        committed = {}
        while [committed.get(n, 0) for n in range(PARTITIONS)] != ends:
            assert time.monotonic() < until, f"worked off: {committed} of {ends}"
            time.sleep(0.5)
            committed = {at.partition: found.offset for at, found in admin.list_group_offsets(topic)[topic].items()}
    finally:
        client.delete_event_source_mapping(UUID=mapping["UUID"])
        admin.close()
    return names


def all_equal(agent, names):
    schema, everything = agent.by_hand("by_hand")
    assert schema.count("CREATE TABLE") >= 3 and "movement_books" in schema and "overdrawn" in schema and "客户号" in schema
    for name in names:
        assert agent.history(name) == applied(), name
        assert agent.database.dump(name, "--no-data") == schema, name
        # The scripts also insert rows: each is there once.
        assert agent.database.dump(name) == everything, name


def check_burst(agent, broker, count):
    agent.deploy()
    begun = time.monotonic()
    names = burst(agent, broker, count)
    used = int(agent.database.sql("SHOW GLOBAL STATUS LIKE 'Max_used_connections'")[0][1])
    print(f"{count} databases, {2 * count} records: {time.monotonic() - begun:.1f} s, at most {used} connections")
    # One connection is the test's own.
    assert 2 < used <= CAP + 1, "several at once, and never more than the cap of the host"
    all_equal(agent, names)
    letters = agent.projects.flint("dlq", "list", "-o", "json")
    assert agent.name not in letters, letters
    # And once more, to one that has everything.
    assert agent.invoke(names[0]) == ({"database": names[0], "applied": 0}, False)


def test_twenty_databases_in_one_burst_each_told_twice(agent, broker):
    check_burst(agent, broker, 20)


@pytest.mark.soak
def test_two_hundred_databases_in_one_burst(agent, broker):
    check_burst(agent, broker, 200)


def test_four_agents_at_once_apply_each_script_once(agent):
    agent.deploy()
    agent.empty("warm")
    agent.invoke("warm")
    for turn in range(5):
        agent.empty("shared")
        with concurrent.futures.ThreadPoolExecutor(CAP) as pool:
            answers = list(pool.map(agent.invoke, ["shared"] * CAP))
        # None failed: those that came second waited for the first.
        assert not any(failed for _, failed in answers), answers
        assert sorted(answer["applied"] for answer, _ in answers) == [0, 0, 0, 3], turn
    all_equal(agent, ["shared"])


def test_a_changed_script_is_refused(agent):
    agent.deploy()
    agent.empty("changed")
    assert agent.projects.timed(agent.name, lambda: agent.invoke("changed")) == ({"database": "changed", "applied": 3}, False)
    before = agent.database.dump("changed")
    agent.change("scripts/002_movements.sql", "DECIMAL(18, 2)", "DECIMAL(20, 2)")
    (agent.folder / "scripts/004_later.sql").write_text("CREATE TABLE later (id INT);")
    agent.deploy()
    answer, failed = agent.invoke("changed")
    assert failed and answer["errorType"] == "ChangedScript" and "script 2 has changed" in answer["errorMessage"]
    assert (agent.database.dump("changed"), agent.history("changed")) == (before, applied())
    answer, failed = agent.invoke("no such; database")
    assert failed and answer["errorType"] == "ValueError"


def test_a_script_that_was_cut_off_is_left_to_a_person(agent):
    (agent.folder / "scripts/004_long.sql").write_text(
        "CREATE TABLE tried (n INT); INSERT INTO tried VALUES (1); DO SLEEP(5); CREATE TABLE ended (n INT);"
    )
    agent.change("flint.yaml", "timeout: 60s", "timeout: 3s")
    agent.change("flint.yaml", 'LOCK_S: "10"', 'LOCK_S: "1"')
    agent.deploy()
    agent.empty("cut")
    answer, failed = agent.invoke("cut")
    assert failed and "timed out" in answer["errorMessage"], answer
    # The database holds the lock of the one that was killed until it sees that nobody is there any more.
    until = time.monotonic() + 30
    busy = 0
    while (told := agent.invoke("cut"))[0].get("errorType") == "Busy":
        busy += 1
        assert time.monotonic() < until
    answer, failed = told
    assert busy and failed and answer["errorType"] == "NeedsReview" and "script 4 was begun" in answer["errorMessage"]
    assert [row[2] for row in agent.history("cut")] == ["0", "0", "0", "1"]
    assert agent.database.sql("SELECT COUNT(*) FROM tried", "cut") == [["1"]], "it was not run again"
    # A person ends it by hand and says so.
    agent.database.sql("CREATE TABLE IF NOT EXISTS ended (n INT); UPDATE schema_history SET ms = 0 WHERE version = 4", "cut")
    assert agent.invoke("cut") == ({"database": "cut", "applied": 0}, False)


def test_a_script_that_fails_is_left_to_a_person(agent):
    (agent.folder / "scripts/004_wrong.sql").write_text("CREATE TABLE half (n INT); INSERT INTO nowhere VALUES (1);")
    agent.deploy()
    agent.empty("wrong")
    answer, failed = agent.invoke("wrong")
    assert failed and answer["errorType"] == "NeedsReview" and "nowhere" in answer["errorMessage"]
    answer, failed = agent.invoke("wrong")
    assert failed and "script 4 was begun" in answer["errorMessage"]
