"""What the tests of signing in share: managers, and a browser."""

from __future__ import annotations

import socket
import threading
import urllib.parse
from typing import TYPE_CHECKING, Any

import requests

from codex_auth_sdk import AsyncAuthManager, AuthManager
from support import WATCHDOG_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Realm

ANY_PORT = (0,)


def visit(url: str) -> int:
    """Goes where it is sent, as a browser: the status of the last page."""
    with requests.Session() as browser:
        browser.trust_env = False
        return browser.get(url, timeout=WATCHDOG_S).status_code


def redirect_of(url: str) -> str:
    """Where a browser that goes to `url` is sent."""
    with requests.Session() as browser:
        browser.trust_env = False
        return browser.get(url, timeout=WATCHDOG_S, allow_redirects=False).headers["location"]


def options_of(realm: Realm, home: Path, **options: Any) -> dict[str, Any]:
    return {"codex_home": home, "issuer": realm.url, "winner_wait": 0.3, **options}


def manager_of(realm: Realm, home: Path, **options: Any) -> AuthManager:
    return AuthManager(**options_of(realm, home, **options))


def async_manager_of(realm: Realm, home: Path) -> AsyncAuthManager:
    return AsyncAuthManager(**options_of(realm, home))


def port_of(redirect_uri: str) -> int:
    port = urllib.parse.urlsplit(redirect_uri).port
    assert port is not None
    return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def until(condition: Callable[[], bool]) -> None:
    for _ in range(WATCHDOG_S * 100):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it does not come about")
