"""What the HTTP integrations send along a redirect, and what they send again after one."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import TYPE_CHECKING

import httpx
import pytest
import requests

from codex_auth_sdk import AuthManager, HttpxAuth, RequestsAuth
from http_support import AIOHTTP, EchoServer, options, seen, send, status_of

if TYPE_CHECKING:
    from pathlib import Path

    from support import Realm


def test_a_401_of_another_origin_is_final_and_what_led_there_not_sent_again(
    realm: Realm, home: Path
) -> None:
    with (
        AuthManager(**options(realm, home)) as manager,
        httpx.Client(auth=HttpxAuth(manager), trust_env=False, follow_redirects=True) as client,
    ):
        response = client.post(f"{realm.url}/api/redirect?to=/api/echo&host=other")
    assert response.status_code == 401
    there = {"path": "/api/echo", "authorization": "none"}
    first = {"path": "/api/redirect", "authorization": "access:a0"}
    assert seen(realm, [first, there], requests=0) == []


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
@pytest.mark.parametrize("client", ["requests", "httpx", *AIOHTTP])
def test_g9_a_redirect_that_comes_back_from_another_origin_gets_no_credential(
    client: str, method: str, realm: Realm, home: Path
) -> None:
    realm.call("kill_access")
    url = f"{realm.url}/api/redirect?host=other&to=/api/redirect%3Fto%3D/api/echo"
    with AuthManager(**options(realm, home)) as manager:
        assert status_of(send(client, manager, method, url)) == 401
    names = {"authorization": "none", "account": None}
    hops = [{"host": "localhost", **names}, {"host": "127.0.0.1", "path": "/api/echo", **names}]
    assert seen(realm, [{"authorization": "access:a0"}, *hops], requests=0) == []


def test_g9_a_program_that_follows_redirects_itself_gives_no_credential_to_what_comes_back(
    realm: Realm, home: Path
) -> None:
    url = f"{realm.url}/api/redirect?host=other&to=/api/redirect%3Fto%3D/api/echo"
    with (
        AuthManager(**options(realm, home)) as manager,
        httpx.Client(auth=HttpxAuth(manager), trust_env=False) as client,
    ):
        answer = client.get(url)
        while answer.next_request is not None:
            answer = client.send(answer.next_request)
    assert answer.status_code == 401
    names = {"authorization": "none", "account": None}
    assert seen(realm, [{"authorization": "access:a0"}, names, names], requests=0) == []


WAYS_TO_WRITE_ANOTHER_ORIGIN = (
    "http://{other}/x",
    "//{other}/x",
    "////{other}/x",
    "http:////{other}/x",
    "/\\{other}/x",
    "\\\\{other}/x",
    "http:\\\\{other}/x",
    "http://{home}@{other}/x",
    "http://{home}\\@{other}/x",
    "http://{other}\\@{home}/x",
    "http://{home}#@{other}/x",
    "http://{other}#@{home}/x",
    "http://{home};@{other}/x",
    "HTTP://{other}/x",
)


@pytest.mark.parametrize("location", WAYS_TO_WRITE_ANOTHER_ORIGIN)
@pytest.mark.parametrize("client", ["requests", "httpx", *AIOHTTP])
def test_g9_nothing_goes_along_a_redirect_however_it_is_written(
    client: str, location: str, home: Path
) -> None:
    with EchoServer() as server:
        there = f"127.0.0.1:{server.server_port}"
        other = there.replace("127.0.0.1", "localhost")
        server.location = location.format(home=there, other=other)
        refused = [requests.RequestException, httpx.HTTPError, httpx.InvalidURL]
        if client == "aiohttp":
            refused.append(import_module("aiohttp").ClientError)
        with (
            AuthManager(codex_home=home, allowed_origins=[f"http://{there}"]) as manager,
            contextlib.suppress(*refused),
        ):
            send(client, manager, "GET", f"http://{there}/")
        server.shutdown()
    for headers in server.asked:
        ours = {"chatgpt-account-id", "originator"} & {*map(str.lower, headers)}
        # A user in the URL makes an `Authorization` that is not ours.
        has_token = "Bearer" in headers.get("Authorization", "")
        assert headers["Host"] == there or not (ours or has_token), headers


def test_a_401_behind_a_redirect_has_that_sent_again_and_not_what_led_there(
    realm: Realm, home: Path
) -> None:
    realm.call("kill_access")
    with (
        AuthManager(**options(realm, home)) as manager,
        httpx.Client(auth=HttpxAuth(manager), trust_env=False, follow_redirects=True) as client,
    ):
        response = client.post(f"{realm.url}/api/redirect?to=/api/echo", content=b"hello")
    assert (response.status_code, response.text) == (200, "hello")
    paths = ["/api/redirect", "/api/echo", "/api/echo"]
    assert seen(realm, [{"path": path} for path in paths], requests=1) == []


def test_a_redirect_that_the_caller_follows_gets_the_credential_of_where_it_leads(
    realm: Realm, home: Path
) -> None:
    other = realm.origin.replace("127.0.0.1", "localhost")
    settings = realm.options(codex_home=home, allowed_origins=[realm.origin, other])
    with (
        AuthManager(**settings) as manager,
        httpx.Client(auth=HttpxAuth(manager), trust_env=False) as client,
    ):
        answer = client.get(f"{realm.url}/api/redirect?to=/api/echo&host=other")
        assert answer.next_request is not None
        assert client.send(answer.next_request).status_code == 200
    there = {"host": "localhost", "authorization": "access:a0", "account": "acct-a"}
    assert seen(realm, [{"path": "/api/redirect"}, there], requests=0) == []


def test_a_redirect_to_nowhere_comes_back_as_it_is(home: Path) -> None:
    class Nowhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", "http://localhost:99999/")
            self.send_header("Content-Length", "0")
            self.end_headers()

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Nowhere) as server,
        AuthManager(
            codex_home=home, allowed_origins=[url := f"http://127.0.0.1:{server.server_port}"]
        ) as manager,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        auth = RequestsAuth(manager)
        response = requests.get(url, auth=auth, allow_redirects=False, timeout=60)
        server.shutdown()
    assert response.status_code == 302


def test_a_client_whose_redirects_cannot_be_confined_is_refused() -> None:
    code = """
import sys
import httpx

class Request(httpx.Request):
    def __init__(self, *given, extensions=None, **named):
        super().__init__(*given, **named)
        self.extensions = {} if extensions is None else extensions

httpx.Request = Request
sys.modules["httpx2"] = None
import codex_auth_sdk
try:
    codex_auth_sdk.HttpxAuth(None)
except ImportError as error:
    assert "httpx 0.28" in str(error), error
else:
    raise AssertionError("not refused")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
