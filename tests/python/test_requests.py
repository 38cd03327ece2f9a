"""The shared cases of HTTP integrations (`tests/requests.json`), with every client of Python."""

from __future__ import annotations

import asyncio
import json
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
import requests

from codex_auth_sdk import (
    MANAGED_API_KEY,
    AsyncAuthManager,
    AuthManager,
    CodexAuthError,
    HttpxAuth,
    RequestsAuth,
    aiohttp_middleware,
)
from http_support import AIOHTTP, status_of
from support import ROOT, WATCHDOG_S, Issuer, Realm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

CASES = json.loads((ROOT / "tests" / "requests.json").read_text())
MODULES = [name for name in ("httpx", "httpx2") if find_spec(name)]
CLIENTS = [
    "requests",
    *(f"{name}-{way}" for name in MODULES for way in ("sync", "async")),
    *AIOHTTP,
]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_request(
    case: dict[str, Any],
    client: str,
    issuer: Issuer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    login = case.get("login", {})
    logins = {} if login is None else {"a": login}
    realm = issuer.realm(config=case.get("issuer", {}), logins=logins)
    if login is not None:
        (tmp_path / "auth.json").write_text(realm.logins["a"]["text"])
    for call in case.get("before", []):
        arguments = {name: value for name, value in call.items() if name != "call"}
        realm.call(call["call"], arguments)
    options = realm.options(codex_home=tmp_path, allowed_origins=[realm.origin])
    planned = [case["first"]] if "first" in case else []
    planned.append(case["request"])
    caplog.set_level("DEBUG", "codex_auth_sdk")
    observed = send(client, realm, options, planned)
    answer = realm.call("check_request", actual=observed, expect=case["expect"])
    assert answer["mismatches"] == [], answer
    output = f"{observed} {caplog.text} {capfd.readouterr()}"
    assert realm.call("leaks", text=output)["leaks"] == []


def send(client: str, realm: Realm, options: Any, planned: list[Any]) -> dict[str, Any]:
    """Sends what is planned with one client; what the last request came to."""
    if client == "requests":
        with AuthManager(**options) as manager, requests.Session() as session:
            session.auth = RequestsAuth(manager)
            session.trust_env = False
            return [by_requests(session, realm, request) for request in planned][-1]
    if client == "aiohttp":
        return asyncio.run(send_by_aiohttp(realm, options, planned))
    module = import_module(client.partition("-")[0])
    if client.endswith("-async"):
        return asyncio.run(send_async(module, realm, options, planned))
    settings = {"trust_env": False, "follow_redirects": True, "timeout": WATCHDOG_S}
    with (
        AuthManager(**options) as manager,
        module.Client(auth=HttpxAuth(manager), **settings) as http,
    ):
        return [by_httpx(http, realm, request) for request in planned][-1]


def by_requests(session: requests.Session, realm: Realm, request: Any) -> dict[str, Any]:
    body = request.get("body", "").encode()
    data = (part for part in [body]) if request.get("streamed") else body
    try:
        response = session.request(
            request.get("method", "GET"),
            url(realm, request),
            headers=headers(request),
            data=data,
            timeout=WATCHDOG_S,
        )
    except CodexAuthError as error:
        return failed(error)
    return {"status": response.status_code, "text": response.text}


def by_httpx(client: Any, realm: Realm, request: Any) -> dict[str, Any]:
    body = request.get("body", "").encode()

    def parts() -> Iterator[bytes]:
        yield body

    content = parts() if request.get("streamed") else body
    built = client.build_request(
        request.get("method", "GET"), url(realm, request), headers=headers(request), content=content
    )
    try:
        response = client.send(built)
    except CodexAuthError as error:
        return failed(error)
    return {"status": response.status_code, "text": response.text}


async def send_async(module: Any, realm: Realm, options: Any, planned: list[Any]) -> dict[str, Any]:
    settings = {"trust_env": False, "follow_redirects": True, "timeout": WATCHDOG_S}
    async with (
        await AsyncAuthManager.open(**options) as manager,
        module.AsyncClient(auth=HttpxAuth(manager), **settings) as http,
    ):
        return [await by_async_httpx(http, realm, request) for request in planned][-1]


async def by_async_httpx(client: Any, realm: Realm, request: Any) -> dict[str, Any]:
    body = request.get("body", "").encode()

    async def parts() -> AsyncIterator[bytes]:
        yield body

    content = parts() if request.get("streamed") else body
    built = client.build_request(
        request.get("method", "GET"), url(realm, request), headers=headers(request), content=content
    )
    try:
        response = await client.send(built)
    except CodexAuthError as error:
        return failed(error)
    return {"status": response.status_code, "text": response.text}


async def send_by_aiohttp(realm: Realm, options: Any, planned: list[Any]) -> dict[str, Any]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(WATCHDOG_S)
    async with (
        await AsyncAuthManager.open(**options) as manager,
        aiohttp.ClientSession(middlewares=[aiohttp_middleware(manager)], timeout=timeout) as http,
    ):
        return [await by_aiohttp(http, realm, request) for request in planned][-1]


async def by_aiohttp(session: Any, realm: Realm, request: Any) -> dict[str, Any]:
    body = request.get("body", "").encode()

    async def parts() -> AsyncIterator[bytes]:
        yield body

    data = parts() if request.get("streamed") else body
    try:
        async with session.request(
            request.get("method", "GET"), url(realm, request), headers=headers(request), data=data
        ) as response:
            return {"status": response.status, "text": await response.text()}
    except CodexAuthError as error:
        return failed(error)


def url(realm: Realm, request: Any) -> str:
    base = realm.url.replace("127.0.0.1", request.get("host", "127.0.0.1"))
    return f"{base}{request['path']}"


def headers(request: Any) -> dict[str, str]:
    own = request.get("authorization")
    if own is None:
        return {}
    return {"Authorization": own.replace("{placeholder}", MANAGED_API_KEY)}


def failed(error: CodexAuthError) -> dict[str, Any]:
    response: Any = error.response
    status = None if response is None else status_of(response)
    return {"error": {"code": error.code}, "error_status": status}
