"""A MariaDB server with a data folder of its own, on a free loopback port."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from broker import free_ports

USER, PASSWORD = "agent", "open sesame"


def installed():
    return all(shutil.which(name, path="/usr/sbin:" + os.environ["PATH"]) for name in ("mariadbd", "mariadb", "mariadb-dump"))


class Database:
    """A server that runs, and the official client's programs for it."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flint-mariadb-"))
        (self.port,) = free_ports(1)
        data, self.socket = self.folder / "data", self.folder / "socket"
        # As root it must be told that this is meant.
        user = ["--user=root"] if os.getuid() == 0 else []
        init = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", *user]
        subprocess.run([*init, "--skip-test-db"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
        serve = [shutil.which("mariadbd", path="/usr/sbin:" + os.environ["PATH"]), "--no-defaults", f"--datadir={data}", *user]
        serve += ["--bind-address=127.0.0.1", f"--port={self.port}", f"--socket={self.socket}", "--skip-name-resolve"]
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(serve, stdout=log, stderr=log)
        until = time.monotonic() + 60
        while subprocess.run(self.client("mariadb", "-e", "SELECT 1"), capture_output=True).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError("the database did not start")
            time.sleep(0.1)
        self.sql(f"CREATE USER {USER}@127.0.0.1 IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO {USER}@127.0.0.1")

    def client(self, program, *arguments, user="root"):
        way = [f"--socket={self.socket}"]
        if user == USER:
            way = ["--host=127.0.0.1", f"--port={self.port}", f"--password={PASSWORD}"]
        return [program, "--no-defaults", "--default-character-set=utf8mb4", *way, f"--user={user}", *arguments]

    def sql(self, text, database=None, user="root"):
        """Runs a script as a person would; the rows of its answers, as lists of texts."""
        command = self.client("mariadb", "-N", "-B", *([database] if database else []), user=user)
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    def dump(self, database, *flags):
        """What a database is, without the agent's own table."""
        flags = [*flags, "--skip-comments", "--routines", "--triggers", f"--ignore-table={database}.schema_history", database]
        done = subprocess.run(self.client("mariadb-dump", *flags), capture_output=True, text=True, check=True, timeout=60)
        return done.stdout

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
