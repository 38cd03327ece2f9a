"""What the tests share: the issuer's control API, stores, and children with a watchdog."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import itertools
import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import traceback
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codex_auth_sdk import EphemeralStorage

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]

WATCHDOG_S = 60


class Issuer:
    """A running `test-issuer`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [_issuer()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port: int = json.loads(self._process.stdout.readline())["port"]
        self._names = (f"python{number}" for number in itertools.count())

    def realm(self, **start: Any) -> Realm:
        """A new realm; `start` is what `/control/realms` takes."""
        name = next(self._names)
        reply = _post(self.port, "/control/realms", {"name": name, **start})
        return Realm(self.port, name, reply["logins"])

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate()


class Realm:
    """An issuer of one test. Usable in forked children, and in others by `port` and `name`."""

    def __init__(self, port: int, name: str, logins: dict[str, Any]) -> None:
        self.port = port
        self.name = name
        self.logins = logins
        self.origin = f"http://127.0.0.1:{port}"
        self.url = f"{self.origin}/r/{name}"

    def call(self, name: str, arguments: Any = None, /, **named: Any) -> Any:
        """Makes a control call."""
        path = f"/r/{self.name}/control/{name}"
        return _post(self.port, path, named if arguments is None else arguments)

    def wait(self, **until: Any) -> Any:
        """Waits until the statistics match."""
        return self.call("wait", until=until)

    def options(self, **options: Any) -> dict[str, Any]:
        """Options of a manager that talks to this realm, and never waits long for others."""
        return {"token_url": f"{self.url}/oauth/token", "winner_wait": 0.3, **options}

    def stored(self, text: str | None) -> str:
        """The name of the refresh token in a record's text, such as `refresh:a1`."""
        return str(self.call("inspect", text=text)["record"]["tokens"]["refresh_token"])

    def get(self, path: str, headers: dict[str, str]) -> tuple[int, Any]:
        """Sends a request to the protected API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WATCHDOG_S)
        try:
            connection.request("GET", f"/r/{self.name}{path}", headers=headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read() or b"null")
        finally:
            connection.close()


class Child:
    """A forked child that runs `work`, as `uid` if given. It is ended after a minute."""

    def __init__(self, work: Callable[[], object], uid: int | None = None) -> None:
        reader, writer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(reader)
            # Not a handler in Python, which a child that hangs would never get to.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(WATCHDOG_S)
            os._exit(_run(work, uid, writer))
        os.close(writer)
        self._reader = os.fdopen(reader)

    def result(self) -> Any:
        """What `work` returned, as JSON carries it."""
        with self._reader:
            text = self._reader.read()
        _, status = os.waitpid(self._pid, 0)
        assert status == 0, f"the child ended with {os.waitstatus_to_exitcode(status)}: {text}"
        return json.loads(text)


class FileStore:
    """The store of a case: `auth.json`."""

    def __init__(self, home: Path) -> None:
        self._path = home / "auth.json"
        self.options: dict[str, Any] = {"codex_home": home, "store": "file"}

    def read(self) -> str | None:
        return self._path.read_text() if self._path.exists() else None

    def write(self, text: str | None, *, in_place: bool = False) -> None:
        if text is None:
            self._path.unlink(missing_ok=True)
        elif in_place:
            self._path.write_text(text)
        else:
            written = self._path.with_name("auth.json.new")
            written.write_text(text)
            written.rename(self._path)


class SessionKeyring:
    """A session with a keyring: a running `test-keyring`, which is built with the issuer."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [Path(_issuer()).with_name("test-keyring")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        #: By which it is found; none where there can be none.
        self.variables: dict[str, str] | None = json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.communicate()


class KeyringStore:
    """The store of a case: an item of the session's keyring."""

    def __init__(self, home: Path) -> None:
        digest = hashlib.sha256(str(home.resolve()).encode()).hexdigest()
        self._account = f"cli|{digest[:16]}"
        self.options: dict[str, Any] = {"codex_home": home, "store": "keyring"}

    def read(self) -> str | None:
        found = self._ask("lookup")
        return found.stdout if found.returncode == 0 else None

    def write(self, text: str | None, *, in_place: bool = False) -> None:
        assert not in_place
        if text is None:
            self._ask("clear")
        else:
            more = ["target", "default", "application", "rust-keyring", "--label", "a login"]
            self._ask("store", *more, text=text).check_returncode()

    def _ask(self, what: str, *more: str, text: str = "") -> subprocess.CompletedProcess[str]:
        item = ["service", "Codex Auth", "username", self._account]
        command = ["secret-tool", what, *item, *more]
        return subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=False)


class MemoryStore:
    """The store of a case: memory."""

    def __init__(self) -> None:
        self._storage = EphemeralStorage()
        self.options: dict[str, Any] = {"store": self._storage}
        self.read = self._storage.record

    def write(self, text: str | None, *, in_place: bool = False) -> None:
        assert not in_place
        self._storage.replace(text)


class RowStore:
    """The store of a case: a row of a database, as a custom store whose methods are functions."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.options: dict[str, Any] = {"store": self}

    def load(self) -> tuple[str, str] | None:
        row, _ = self._run("SELECT record, version FROM login")
        return row

    def save(self, record: str, expected: str | None) -> bool:
        row = (record, uuid.uuid4().hex)
        if expected is None:
            insert = "INSERT INTO login VALUES (1, ?, ?) ON CONFLICT DO NOTHING"
            return self._run(insert, *row)[1] == 1
        update = "UPDATE login SET record = ?, version = ? WHERE version = ?"
        return self._run(update, *row, expected)[1] == 1

    def delete(self, expected: str | None) -> bool:
        if expected is None:
            return self.load() is None
        return self._run("DELETE FROM login WHERE version = ?", expected)[1] == 1

    def read(self) -> str | None:
        row = self.load()
        return row and row[0]

    def write(self, text: str | None, *, in_place: bool = False) -> None:
        assert not in_place
        if text is None:
            self._run("DELETE FROM login")
        else:
            replace = "INSERT OR REPLACE INTO login VALUES (1, ?, ?)"
            self._run(replace, text, uuid.uuid4().hex)

    def _run(self, statement: str, *values: str) -> tuple[tuple[str, str] | None, int]:
        """The row that was found, and how many were changed."""
        # A connection must not cross a fork, nor be used by two threads.
        database = sqlite3.connect(self._path, isolation_level=None, timeout=WATCHDOG_S)
        with contextlib.closing(database):
            table = "login (id INTEGER PRIMARY KEY, record TEXT, version TEXT)"
            database.execute(f"CREATE TABLE IF NOT EXISTS {table}")
            cursor = database.execute(statement, values)
            return cursor.fetchone(), cursor.rowcount


class AsyncRowStore:
    """The same, whose methods are coroutine functions."""

    def __init__(self, path: Path) -> None:
        self._row = RowStore(path)
        self.options: dict[str, Any] = {"store": self}
        self.read = self._row.read
        self.write = self._row.write

    async def load(self) -> tuple[str, str] | None:
        await asyncio.sleep(0)
        return self._row.load()

    async def save(self, record: str, expected: str | None) -> bool:
        await asyncio.sleep(0)
        return self._row.save(record, expected)

    async def delete(self, expected: str | None) -> bool:
        await asyncio.sleep(0)
        return self._row.delete(expected)


def script(realm: Realm, home: Path, body: str) -> str:
    """A program for `python -c` that knows the realm and the CODEX_HOME of a test."""
    return f"""
import asyncio, os, pathlib, signal, sys, threading
sys.path.insert(0, {str(Path(__file__).parent)!r})
from codex_auth_sdk import AsyncAuthManager, AuthManager
from support import Realm, RowStore
realm = Realm({realm.port}, {realm.name!r}, {{}})
home = pathlib.Path({str(home)!r})
{body}
"""


def browser(folder: Path) -> Path:
    """A program that visits the page it is given, and goes where that leads, as a browser does.

    Other users see how it is called, so it must not be called with the address of a sign-in.
    """
    visit = """
import html, re, sys, urllib.request
address, = sys.argv[1:]
assert address.startswith("file:") and "state=" not in address
page = urllib.request.urlopen(address).read().decode()
urllib.request.urlopen(html.unescape(re.search('href="([^"]+)"', page)[1]))
"""
    path = folder / "browser"
    # Not the interpreter's path behind `#!`, where it could not have a space.
    path.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-c", visit])} "$@"\n')
    path.chmod(0o700)
    return path


def strace() -> list[str]:
    """A command that traces the one that follows, with all its threads and children."""
    command = ["strace", "-f", "-qq", "-o", os.devnull]
    works = shutil.which("strace") and subprocess.run([*command, "true"], check=False)
    if not works or works.returncode != 0:
        assert os.environ.get("CI") != "true", "strace does not work"
        pytest.skip("strace is not installed, or not allowed to trace")
    return command


def _run(work: Callable[[], object], uid: int | None, writer: int) -> int:
    with os.fdopen(writer, "w") as pipe:
        try:
            if uid is not None:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            pipe.write(json.dumps(work()))
        except BaseException:
            pipe.write(traceback.format_exc())
            return 1
    return 0


def _issuer() -> str:
    """The program: `$TEST_ISSUER`, else the newest one that was built."""
    if named := os.environ.get("TEST_ISSUER"):
        return named
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    built = [*target.glob("*/test-issuer"), *target.glob("*/*/test-issuer")]
    assert built, "build the issuer: cargo build -p codex-auth-tests --bin test-issuer"
    return str(max(built, key=lambda path: path.stat().st_mtime))


def _post(port: int, path: str, body: Any) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WATCHDOG_S)
    try:
        headers = {"content-type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        reply = connection.getresponse()
        answer = reply.read().decode()
    finally:
        connection.close()
    assert reply.status == 200, f"{path} {body}: {answer}"
    return json.loads(answer)
