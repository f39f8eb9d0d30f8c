"""A real Kafka broker on free loopback ports: the one of the Rust tests, with their jars, which are fetched once."""

import fcntl
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

VERSION = "4.1.1"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "flint"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>test</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


def jars():
    """The folder with the broker's jars; who comes first fetches them, as `crates/testkit` does, under the same lock."""
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = CACHE / f"kafka-{VERSION}"
    with open(CACHE / "kafka.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix="kafka-", dir=CACHE) as work:
                (pathlib.Path(work) / "pom.xml").write_text(POM)
                command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={work}/jars"]
                subprocess.run(command, cwd=work, check=True, timeout=600)
                (pathlib.Path(work) / "jars").rename(folder)
    return folder


def free_ports(count):
    """Ports that nobody listens on now; each is held until all are found."""
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


class Broker:
    """A broker that runs, with empty storage."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flint-kafka-"))
        port, controller = free_ports(2)
        self.address = f"127.0.0.1:{port}"
        properties = self.folder / "server.properties"
        properties.write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
            f"listeners=OPEN://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n"
            f"advertised.listeners=OPEN://127.0.0.1:{port}\n"
            "listener.security.protocol.map=OPEN:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
            "controller.listener.names=CONTROLLER\ninter.broker.listener.name=OPEN\n"
            f"log.dirs={self.folder}/data\nauto.create.topics.enable=false\n"
            "offsets.topic.num.partitions=4\noffsets.topic.replication.factor=1\n"
            "group.initial.rebalance.delay.ms=0\ngroup.min.session.timeout.ms=1000\nlog.cleaner.enable=false\n"
        )
        java = ["java", "-Xms96m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        java += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info"]
        java += ["-cp", f"{jars()}/*"]
        form = ["kafka.tools.StorageTool", "format", "--cluster-id", "Zmxpbn1pbi1hLXRlc3Qhbg", "--config", properties]
        subprocess.run([*java, *form], check=True, stdout=subprocess.DEVNULL, timeout=120)
        log = self.folder / "broker.log"
        with open(log, "wb") as file:
            self.process = subprocess.Popen([*java, "kafka.Kafka", properties], stdout=file, stderr=file)
        until = time.monotonic() + 90
        while "Kafka Server started" not in log.read_text(errors="replace"):
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError("the broker did not start")
            time.sleep(0.1)

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
