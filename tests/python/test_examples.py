"""The example programs do what they say, and recover from a 401 in between."""

from __future__ import annotations

import base64
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

import httpx
import pytest

import postgres
from http_support import Echo, EchoServer
from sign_in import until
from support import browser

if TYPE_CHECKING:
    from collections.abc import Generator

    from support import Realm

# Those of a copy, with the package as it is installed, where EXAMPLES names it.
EXAMPLES = Path(os.environ.get("EXAMPLES", Path(__file__).parents[2] / "examples" / "python"))
USERS = ("alice", "bob")
EVENTS = ["response.created", "response.output_item.done", "response.completed"]


@pytest.fixture(autouse=True)
def _rejected(realm: Realm, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login whose access token is dead, for the programs of a test."""
    realm.call("kill_access")
    monkeypatch.setenv("CODEX_HOME", str(home))
    monkeypatch.setenv("CODEX_REFRESH_TOKEN_URL_OVERRIDE", f"{realm.url}/oauth/token")


def command(name: object, *arguments: object) -> list[str]:
    return [sys.executable, str(EXAMPLES / str(name)), *map(str, arguments)]


def run(name: str, *arguments: object) -> list[str]:
    """Runs an example to its end: the lines that it printed."""
    program = command(name, *arguments)
    ran = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    return ran.stdout.splitlines()


@contextmanager
def running(name: object, *arguments: object) -> Generator[str]:
    """An example until the end of the block: the line that it printed."""
    program = subprocess.Popen(command(name, *arguments), stdout=subprocess.PIPE, text=True)
    with program:
        assert program.stdout is not None
        try:
            yield program.stdout.readline().strip()
        finally:
            program.terminate()
    assert program.returncode in (0, 128 + signal.SIGTERM, -signal.SIGTERM)


def assert_refreshed_once(realm: Realm, logins: int = 1) -> None:
    stats = realm.call("stats")
    assert (stats["requests"], stats["grants"], stats["max_redemptions"]) == (logins, logins, 1)


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


@contextmanager
def service(
    realm: Realm, api: str, origin: str, monkeypatch: pytest.MonkeyPatch
) -> Generator[tuple[object, ...]]:
    """The service of many users, whose database is there until the end of the block."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    monkeypatch.setenv("CODEX_AUTH_STORE_KEY", base64.b64encode(bytes(32)).decode())
    with postgres.running() as store:
        subprocess.run([sys.executable, "-m", "codex_auth_sdk", "migrate", store], check=True)
        yield ("many_users.py", 0, store, api, realm.url, origin)


@contextmanager
def replicas(
    realm: Realm, api: str, origin: str, monkeypatch: pytest.MonkeyPatch
) -> Generator[tuple[str, str]]:
    """Two replicas of the service of many users until the end of the block."""
    with (
        service(realm, api, origin, monkeypatch) as program,
        running(*program) as first,
        running(*program) as second,
    ):
        yield first, second


def ask(replica: str, user: str, path: str = "/me", method: str = "GET") -> httpx.Response:
    headers = {"X-User": user}
    return httpx.request(method, replica + path, headers=headers, timeout=60, trust_env=False)


def sign_in(realm: Realm, user: str, at: str, noticed_by: str) -> None:
    """Signs in at one replica to an account of the user's, until the other one knows the login."""
    account = {"account_id": f"acct-{user}", "user_id": f"user-{user}"}
    realm.call("configure", account={**account, "email": f"{user}@example.com"})
    asked = ask(at, user, "/login", "POST")
    code = {"user_code": "TEST-CODE", "verification_uri": f"{realm.url}/codex/device"}
    assert asked.status_code == 200
    assert {"sign_in": asked.json()["sign_in"], **code} == asked.json()
    until(lambda: ask(noticed_by, user, "/login").json() == "signed_in")


def test_many_users(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    api = f"{realm.url}/api/me"
    with replicas(realm, api, realm.origin, monkeypatch) as (first, second):
        for user in USERS:
            unknown = ask(second, user)
            assert (unknown.status_code, unknown.json()) == (401, {"error": "login_required"})
            sign_in(realm, user, first, second)
        everywhere = [(replica, user) for replica in (second, first) for user in USERS]
        assert_served(everywhere)
        realm.call("kill_access")
        assert_served(everywhere * 3)
        assert_refreshed_once(realm, logins=2)

        # The tokens stay good, so that no 401 of the API tells the other replica.
        realm.call("configure", revoke="fail")
        assert ask(first, "alice", "/login", "DELETE").status_code == 200
        until(lambda: ask(second, "alice").status_code == 401)
        assert ask(second, "alice", "/login").json() == "signed_out"
        assert_served([(first, "bob"), (second, "bob")])


def test_a_sign_in_outlives_the_replica_that_began_it(
    realm: Realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm.call("configure", device_pending_polls=3)
    with service(realm, f"{realm.url}/api/me", realm.origin, monkeypatch) as program:
        with subprocess.Popen(command(*program), stdout=subprocess.PIPE, text=True) as killed:
            assert killed.stdout is not None
            url = killed.stdout.readline().strip()
            sign_in = ask(url, "alice", "/login", "POST").json()["sign_in"]
            killed.kill()
        with running(*program) as heir:
            assert ask(heir, "bob", f"/login?sign_in={sign_in}").json() == "signed_out"
            path = f"/login?sign_in={sign_in}"
            assert ask(heir, "alice", path).json() == "pending"
            until(lambda: ask(heir, "alice", path).json() == "signed_in")
            assert ask(heir, "alice").status_code == 200
    assert realm.call("stats")["sign_ins"] == 1


def assert_served(requests: list[tuple[str, str]]) -> None:
    """Each of the requests, all at once, is sent with the login of its user."""
    with ThreadPoolExecutor(len(requests)) as threads:
        answers = [threads.submit(ask, replica, user) for replica, user in requests]
    for (_, user), answered in zip(requests, answers, strict=True):
        answer = answered.result()
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["user_id"], told["account_header"]) == (f"user-{user}", f"acct-{user}")


class Baker(Echo):
    """Sets a cookie with each answer."""

    def end_headers(self) -> None:
        self.send_header("Set-Cookie", "session=1; Path=/")
        super().end_headers()


def test_many_users_share_no_cookie(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    with EchoServer() as server:
        server.RequestHandlerClass = Baker
        origin = f"http://127.0.0.1:{server.server_port}"
        with replicas(realm, f"{origin}/me", origin, monkeypatch) as (replica, other):
            for user in USERS:
                sign_in(realm, user, replica, other)
                assert ask(replica, user).status_code == 200
        server.shutdown()
    assert len(server.asked) == 2
    assert all("Authorization" in headers for headers in server.asked)
    assert all("Cookie" not in headers for headers in server.asked)
