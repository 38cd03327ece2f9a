"""What the tests of the HTTP integrations share: a client's request, and a server that keeps it."""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import httpx
import requests

from codex_auth_sdk import AuthManager, HttpxAuth, RequestsAuth, aiohttp_middleware

if TYPE_CHECKING:
    from pathlib import Path

    from support import Realm

# There is not always a wheel of it.
AIOHTTP = ["aiohttp"] if find_spec("aiohttp") else []


def options(realm: Realm, home: Path) -> dict[str, Any]:
    return realm.options(codex_home=home, allowed_origins=[realm.origin])


def status_of(response: Any) -> int:
    """The status of a response of any client."""
    name = "status" if type(response).__module__.startswith("aiohttp.") else "status_code"
    status: int = getattr(response, name)
    return status


def seen(realm: Realm, expected: list[dict[str, Any]], **stats: int) -> list[str]:
    """How what the API saw, and the statistics, differ from what is expected."""
    expect = {"seen": expected, "stats": stats}
    mismatches: list[str] = realm.call("check_request", actual={}, expect=expect)["mismatches"]
    return mismatches


class EchoServer(ThreadingHTTPServer):
    """Redirects `/` to `location`, and keeps the headers of what else it is asked for."""

    def __init__(self, location: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Echo)
        self.location = location
        self.asked: list[dict[str, str]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Echo(BaseHTTPRequestHandler):
    """Answers for an `EchoServer`."""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, EchoServer)
        if self.path == "/":
            self.send_response(302)
            self.send_header("Location", server.location)
        else:
            server.asked.append(dict(self.headers))
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Prints nothing."""


def send(
    client: str,
    manager: AuthManager,
    method: str,
    url: str,
    headers: dict[str, str] | None = None,
) -> Any:
    """Sends a request that follows redirects."""
    if client == "requests":
        auth = RequestsAuth(manager)
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, url, headers=headers, auth=auth, timeout=60)
    if client == "aiohttp":
        return asyncio.run(send_by_aiohttp(manager, method, url, headers))
    settings: dict[str, Any] = {"trust_env": False, "follow_redirects": True}
    with httpx.Client(auth=HttpxAuth(manager), **settings) as http:
        return http.request(method, url, headers=headers)


async def send_by_aiohttp(
    manager: AuthManager, method: str, url: str, headers: dict[str, str] | None = None
) -> Any:
    """Sends a request that follows redirects. Its response has been read."""
    import aiohttp

    async with (
        aiohttp.ClientSession(middlewares=[aiohttp_middleware(manager)]) as session,
        session.request(method, url, headers=headers) as response,
    ):
        await response.read()
        return response
