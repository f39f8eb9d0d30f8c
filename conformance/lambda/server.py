"""The server under test: one that runs already, or one started here.

`FLINT_ENDPOINT` with `FLINT_DATA_DIR` (whose `credentials` file is read) names a running server. Otherwise `FLINT_BIN`, or
the binary under `target`, is started on a free port with a fresh data folder. `FLINT_MANAGEMENT_BIN` names the example
server of the management API instead; tests that invoke are then skipped.
"""

import configparser
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ACCOUNT = "111111111111"
REGION = "us-east-1"
ROOT = pathlib.Path(__file__).resolve().parents[2]


class Server:
    """Where the server is and how to speak to it."""

    def __init__(self, endpoint, data_dir, process=None, invokes=True):
        self.endpoint = endpoint
        self.data_dir = data_dir
        self.process = process
        self.invokes = invokes

    def credentials(self):
        """Access key and secret of the first profile in the credentials file."""
        file = configparser.ConfigParser()
        file.read(pathlib.Path(self.data_dir or "/nonexistent") / "credentials")
        for section in file.sections():
            return file[section]["aws_access_key_id"], file[section]["aws_secret_access_key"]
        # The example server asks for none.
        return "none", "none"

    def stop(self):
        """Ends the server that was started here, by its process id, and removes its data."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.data_dir, ignore_errors=True)


def find(*settings):
    """The server under test; one that is started here has these settings (`NAME=VALUE`)."""
    endpoint = os.environ.get("FLINT_ENDPOINT")
    if endpoint:
        return Server(endpoint.rstrip("/"), os.environ.get("FLINT_DATA_DIR"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    data_dir = tempfile.mkdtemp(prefix="flint-conformance-")
    example = os.environ.get("FLINT_MANAGEMENT_BIN")
    if example:
        command = [example, data_dir, address, ACCOUNT, REGION]
    else:
        command = [binary(), "serve", "--data-dir", data_dir, "--listen", address, "--account-id", ACCOUNT]
        command += ["--region", REGION]
        for setting in settings:
            command += ["--set", setting]
    log = open(os.environ.get("FLINT_LOG", pathlib.Path(data_dir) / "server.log"), "wb")
    # The suite's own variables are no settings of the server.
    ours = {"FLINT_ENDPOINT", "FLINT_DATA_DIR", "FLINT_BIN", "FLINT_MANAGEMENT_BIN", "FLINT_LOG"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    server = Server(f"http://{address}", data_dir, process, invokes=not example)
    wait_ready(server, log.name)
    return server


def binary():
    """The built binary."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    candidates = [os.environ.get("FLINT_BIN"), target / "release" / "flint", target / "debug" / "flint"]
    for candidate in filter(None, candidates):
        if pathlib.Path(candidate).exists():
            return str(candidate)
    raise RuntimeError("no flint binary: run cargo build, or set FLINT_BIN or FLINT_ENDPOINT")


def wait_ready(server, log):
    """Waits for `/readyz`; a server that ends before is an error with its last words."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError("the server ended: " + pathlib.Path(log).read_text(errors="replace")[-2000:])
        try:
            if urllib.request.urlopen(server.endpoint + "/readyz", timeout=2).status == 200:
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    server.stop()
    raise RuntimeError("the server was not ready within 60 seconds")
