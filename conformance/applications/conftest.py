"""Fixtures: the server, projects that are deployed with the command line, and a table of what they took at the end."""

import boto3
import pytest
from botocore.config import Config

import server as server_module
from project import Projects

TIMES = pytest.StashKey[list]()
# What the examples want of a server: services on its loopback, and a cap of calls on one database host.
SETTINGS = ["network.allow_host=true", "limits.downstreams=mariadb=4"]


@pytest.fixture(scope="session")
def server():
    found = server_module.find(*SETTINGS)
    yield found
    found.stop()


@pytest.fixture(scope="session")
def client(server):
    key, secret = server.credentials()
    return boto3.client(
        "lambda",
        endpoint_url=server.endpoint,
        region_name=server_module.REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 0}, read_timeout=120, max_pool_connections=40),
    )


@pytest.fixture
def projects(server, client, request):
    if not server.invokes or not server.data_dir:
        pytest.skip("this server executes no functions, or its data folder is out of reach")
    times = request.config.stash.setdefault(TIMES, [])
    made = Projects(server, client, lambda *row: times.append(row))
    yield made
    made.clean()


def pytest_terminal_summary(terminalreporter, config):
    times = config.stash.get(TIMES, [])
    if times:
        terminalreporter.section("applications")
        terminalreporter.line(f"{'application':16}{'memory':>10}{'first answer':>16}{'warm':>12}")
        for name, memory, first, warm in times:
            terminalreporter.line(f"{name:16}{memory:>7} MB{first * 1e3:>13.0f} ms{warm * 1e3:>9.1f} ms")
