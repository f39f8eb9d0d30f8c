"""Brings a database to the newest schema: ordered scripts, each once, and never again what may have been run in part.

MariaDB commits at each DDL statement, so a script cannot be rolled back. A row of `schema_history` without `ms` is written
before a script begins: who finds one later knows that it was cut off, and leaves it to a person.
"""

import base64
import hashlib
import json
import os
import pathlib
import re
import time

import pymysql
from pymysql.constants import CLIENT

HISTORY = """CREATE TABLE IF NOT EXISTS schema_history (
  version INT NOT NULL PRIMARY KEY,
  checksum CHAR(64) NOT NULL,
  ms BIGINT NULL COMMENT 'null: begun, and not seen to end'
) ENGINE = InnoDB"""


class NeedsReview(Exception):
    """A script was cut off or failed: a person must look at the database."""


class ChangedScript(Exception):
    """A script is no longer what was applied."""


class Busy(Exception):
    """Another agent works on the database."""


def scripts():
    """Version, text and checksum of each script, in order."""
    for path in sorted(pathlib.Path(__file__).with_name("scripts").glob("*.sql")):
        text = path.read_text()
        yield int(path.name.split("_")[0]), text, hashlib.sha256(text.encode()).hexdigest()


def connect(database):
    return pymysql.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        database=database,
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=5,
        client_flag=CLIENT.MULTI_STATEMENTS,
    )


def run(cursor, text):
    """Executes all statements of a script; the first that fails ends it."""
    cursor.execute(text)
    while cursor.nextset():
        pass


def migrate(cursor, database):
    """Applies what is missing; how many scripts that were."""
    cursor.execute(HISTORY)
    cursor.execute("SELECT version, checksum, ms FROM schema_history")
    history = {version: (checksum, ms) for version, checksum, ms in cursor.fetchall()}
    wanted = list(scripts())
    # First all that forbids to begin, then the first change.
    for version, _, checksum in wanted:
        known, ms = history.get(version, (checksum, 0))
        if ms is None:
            raise NeedsReview(f"{database}: script {version} was begun and did not end; finish it or undo it by hand, then set its ms or delete its row")
        if known != checksum:
            raise ChangedScript(f"{database}: script {version} has changed since it was applied; write a new script instead")
        if version not in history and any(later > version for later in history):
            raise ChangedScript(f"{database}: script {version} came after a later one was applied; give it a higher number")
    applied = 0
    for version, text, checksum in wanted:
        if version in history:
            continue
        cursor.execute("INSERT INTO schema_history VALUES (%s, %s, NULL)", (version, checksum))
        begun = time.monotonic()
        try:
            run(cursor, text)
        except pymysql.MySQLError as error:
            raise NeedsReview(f"{database}: script {version} failed: {error}") from error
        ms = int((time.monotonic() - begun) * 1000)
        cursor.execute("UPDATE schema_history SET ms = %s WHERE version = %s", (ms, version))
        applied += 1
    return applied


def agent(database):
    """Brings one database up to date while no other agent does."""
    if not isinstance(database, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,54}", database):
        raise ValueError(f"{database!r} is no database's name: small letters, digits and _")
    connection = connect(database)
    try:
        with connection.cursor() as cursor:
            # Held until the connection ends, also when this process is killed.
            cursor.execute("SELECT GET_LOCK(%s, %s)", (f"schema {database}", float(os.environ["LOCK_S"])))
            if cursor.fetchone() != (1,):
                raise Busy(f"{database}: another agent works on it")
            applied = migrate(cursor, database)
    finally:
        connection.close()
    done = {"database": database, "applied": applied}
    print(json.dumps(done))
    return done


def handler(event, context):
    """Records of Kafka, `{"database": …}` each, or one such document."""
    if "records" not in event:
        return agent(event.get("database"))
    for records in event["records"].values():
        for record in records:
            agent(json.loads(base64.b64decode(record["value"]))["database"])
