"""Projects of users: copied to a cache folder, built and deployed there by `flint deploy`, called over HTTP or by boto3.

The copy's folder is named after the project's content, so what `build` has fetched and made is used again by the next run.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

import server as server_module

PROJECTS = pathlib.Path(__file__).resolve().parent / "projects"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "flint" / "applications"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


def cached(folder):
    """A copy of a folder below the cache, named after what is in it."""
    folder = pathlib.Path(folder)
    digest = hashlib.sha256()
    # A package built for one interpreter is none for another.
    digest.update(PYTHON.encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    copy = CACHE / f"{folder.name}-{digest.hexdigest()[:16]}"
    if not copy.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = CACHE / f".{copy.name}.{os.getpid()}"
        shutil.copytree(folder, fresh)
        fresh.rename(copy)
    return copy


def node():
    """The runtime of the Node.js that npm installs for."""
    major = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout[1:].split(".")[0]
    return f"nodejs{major}.x"


class Answer:
    """Status, headers and body, whatever the status."""

    def __init__(self, answer):
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()

    def json(self):
        return json.loads(self.body)


class Projects:
    """Deploys projects and deletes their functions at the end of the test."""

    def __init__(self, server, client, record):
        self.server = server
        self.client = client
        self.record = record
        self.token = (pathlib.Path(server.data_dir) / "token").read_text().strip()
        self.names = []

    def flint(self, *arguments, cwd=None):
        """Runs the command line against the server; its standard output."""
        environment = os.environ | {"FLINT_ENDPOINT": self.server.endpoint, "FLINT_DATA_DIR": str(self.server.data_dir)}
        # The suite's interpreter first: `build` installs wheels with it.
        environment["PATH"] = f"{pathlib.Path(sys.executable).parent}:{environment['PATH']}"
        command = [server_module.binary(), *map(str, arguments)]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def deploy(self, project, *flags):
        """Builds and deploys a project of `projects`, or a folder as it is; the function's name."""
        folder = pathlib.Path(project) if pathlib.Path(project).is_absolute() else cached(PROJECTS / project)
        name = re.search(r"^name: (\S+)", (folder / "flint.yaml").read_text(), re.M).group(1)
        self.names.append(name)
        self.flint("deploy", ".", *flags, cwd=folder)
        return name

    def send(self, name, path, data=None, method=None, **headers):
        """A request to a web function's `live`."""
        url = f"{self.server.endpoint}/web/{name}:live{path}"
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        headers["Authorization"] = f"Bearer {self.token}"
        if isinstance(data, dict):
            data, headers["Content-Type"] = json.dumps(data).encode(), "application/json"
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer)
        except urllib.error.HTTPError as error:
            return Answer(error)

    def invoke(self, name, event):
        """Calls a function's `live`: its answer, and whether it is an error."""
        answer = self.client.invoke(FunctionName=name, Qualifier="live", Payload=json.dumps(event))
        return json.load(answer["Payload"]), "FunctionError" in answer

    def timed(self, name, call):
        """Notes what the first call takes and what the next ten take (median); the first one's result."""

        def once():
            begun = time.monotonic()
            return call(), time.monotonic() - begun

        result, first = once()
        warm = statistics.median(once()[1] for _ in range(10))
        memory = self.client.get_function_configuration(FunctionName=name, Qualifier="live")["MemorySize"]
        self.record(name, memory, first, warm)
        return result

    def clean(self):
        for name in set(self.names):
            try:
                self.client.delete_function(FunctionName=name)
            except self.client.exceptions.ResourceNotFoundException:
                pass


def wheels(name, requirements, layer=True):
    """A folder in the cache with `python/`, into which packages with these digests were installed.

    As a layer it holds wheels only, compiled: an instance cannot keep what it compiles.
    """
    digest = hashlib.sha256(PYTHON.encode() + requirements.read_bytes()).hexdigest()[:16]
    folder = CACHE / f"{name}-{digest}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = CACHE / f".{folder.name}.{os.getpid()}"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes"]
        command += ["--only-binary", ":all:"] if layer else ["--no-compile"]
        subprocess.run([*command, "--target", fresh / "python", "-r", requirements], check=True, timeout=600)
        fresh.rename(folder)
    return folder
