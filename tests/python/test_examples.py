"""The example programs do what they say, and recover from a 401 in between."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import browser

if TYPE_CHECKING:
    from collections.abc import Generator

    from support import Realm

EXAMPLES = Path(__file__).parents[2] / "examples" / "python"
EVENTS = ["response.created", "response.output_item.done", "response.completed"]


@pytest.fixture(autouse=True)
def _rejected(realm: Realm, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login whose access token is dead, for the programs of a test."""
    realm.call("kill_access")
    monkeypatch.setenv("CODEX_HOME", str(home))
    monkeypatch.setenv("CODEX_REFRESH_TOKEN_URL_OVERRIDE", f"{realm.url}/oauth/token")


def command(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(EXAMPLES / name), *map(str, arguments)]


def run(name: str, *arguments: object) -> list[str]:
    """Runs an example to its end: the lines that it printed."""
    program = command(name, *arguments)
    ran = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    return ran.stdout.splitlines()


@contextmanager
def running(name: str, *arguments: object) -> Generator[str]:
    """An example until the end of the block: the line that it printed."""
    program = subprocess.Popen(command(name, *arguments), stdout=subprocess.PIPE, text=True)
    with program:
        assert program.stdout is not None
        try:
            yield program.stdout.readline().strip()
        finally:
            program.terminate()
    assert program.returncode in (0, -signal.SIGTERM)


def assert_refreshed_once(realm: Realm) -> None:
    stats = realm.call("stats")
    assert (stats["requests"], stats["grants"]) == (1, 1)


def test_quickstart(realm: Realm) -> None:
    assert run("quickstart.py", f"{realm.url}/api/me", realm.origin) == ["200"]
    assert_refreshed_once(realm)


def test_retry_on_401(realm: Realm) -> None:
    assert run("retry_on_401.py", f"{realm.url}/api/me") == ["200"]
    assert_refreshed_once(realm)


def test_openai_stream(realm: Realm) -> None:
    pytest.importorskip("openai")
    assert run("openai_stream.py", f"{realm.url}/v1", realm.origin) == EVENTS
    assert_refreshed_once(realm)


def test_aiohttp_session(realm: Realm) -> None:
    pytest.importorskip("aiohttp")
    assert run("aiohttp_session.py", f"{realm.url}/api/me", realm.origin) == ["20 of 20"]
    assert_refreshed_once(realm)


def test_websocket(realm: Realm) -> None:
    pytest.importorskip("websockets")
    url = realm.url.replace("http:", "ws:") + "/api/socket"
    assert run("websocket.py", url, "hello") == ["hello"]
    assert_refreshed_once(realm)


def test_server(realm: Realm) -> None:
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    with running("server.py", 0, f"{realm.url}/api/me", realm.origin) as url:

        def ask(_: int) -> str:
            with urllib.request.urlopen(url) as response:
                return str(response.read().decode())

        with ThreadPoolExecutor() as threads:
            assert list(threads.map(ask, range(2))) == ["20 of 20"] * 2
        assert_refreshed_once(realm)


def test_custom_store(realm: Realm, home: Path, tmp_path: Path) -> None:
    database = tmp_path / "login.db"
    run("custom_store.py", "import", database, home / "auth.json")
    assert not os.path.lexists(home / "auth.json")
    assert run("custom_store.py", database, f"{realm.url}/api/me", realm.origin) == ["200"]
    assert_refreshed_once(realm)
    with closing(sqlite3.connect(database)) as db:
        (record,) = db.execute("SELECT record FROM login").fetchone()
    assert realm.stored(record) == "refresh:a1"


def test_login_by_device_code(realm: Realm) -> None:
    asked, done = run("login.py", "device", realm.url)
    assert asked == f"Open {realm.url}/codex/device and type in TEST-CODE"
    assert done == "Signed in as device@example.com"


def test_login_with_a_browser(
    realm: Realm, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", str(browser(tmp_path)))
    asked, done = run("login.py", "browser", realm.url)
    assert asked.startswith(f"Open {realm.url}/oauth/authorize?")
    assert done == "Signed in as device@example.com"
    assert realm.stored((home / "auth.json").read_text()) == "refresh:sign_in_0_0"
