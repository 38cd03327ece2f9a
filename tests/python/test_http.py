"""What the HTTP integrations do beyond the shared cases: cancellation, files, other hooks."""

from __future__ import annotations

import asyncio
import copy
import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import requests

from codex_auth_sdk import (
    MANAGED_API_KEY,
    AsyncAuthManager,
    AuthManager,
    HttpxAuth,
    OriginNotAllowed,
    RequestsAuth,
    aiohttp_middleware,
)
from http_support import AIOHTTP, EchoServer, options, seen, send

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support import Realm


@pytest.mark.parametrize("at", ["arrival", "reply"])
def test_a_cancelled_request_ends_the_waiting_not_the_refresh(
    at: str, realm: Realm, home: Path
) -> None:
    async def main() -> None:
        async with (
            await AsyncAuthManager.open(**options(realm, home)) as manager,
            httpx.AsyncClient(auth=HttpxAuth(manager), trust_env=False) as client,
        ):
            realm.call("kill_access")
            realm.call("hold", at=at)
            request = asyncio.create_task(client.get(f"{realm.url}/api/echo"))
            await asyncio.to_thread(realm.wait, held=1)
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            realm.call("release")
            assert (await client.get(f"{realm.url}/api/echo")).status_code == 200

    asyncio.run(main())
    assert realm.call("stats")["requests"] == 1


def test_a_request_that_hangs_times_out(realm: Realm, home: Path) -> None:
    settings: dict[str, Any] = {"timeout": 0.2, "trust_env": False}
    with AuthManager(**options(realm, home)) as manager:
        client = httpx.Client(auth=HttpxAuth(manager), **settings)
        with client, pytest.raises(httpx.ReadTimeout):
            client.get(f"{realm.url}/api/hang")
        with pytest.raises(requests.ReadTimeout):
            requests.get(f"{realm.url}/api/hang", auth=RequestsAuth(manager), timeout=0.2)
    assert realm.call("stats")["requests"] == 0


def test_a_form_with_files_is_sent_again(realm: Realm, home: Path) -> None:
    realm.call("kill_access")
    with (
        AuthManager(**options(realm, home)) as manager,
        httpx.Client(auth=HttpxAuth(manager), trust_env=False) as client,
    ):
        files = {"file": ("name", io.BytesIO(b"a file"))}
        response = client.post(f"{realm.url}/api/echo", files=files)
    assert response.status_code == 200
    assert "a file" in response.text


def test_a_file_is_sent_again_from_where_it_began(realm: Realm, home: Path) -> None:
    realm.call("kill_access")
    with AuthManager(**options(realm, home)) as manager:
        file = io.BytesIO(b"not this, but this")
        file.seek(len("not this, "))
        url = f"{realm.url}/api/echo"
        response = requests.post(url, data=file, auth=RequestsAuth(manager), timeout=60)
    assert (response.status_code, response.text) == (200, "but this")
    assert [reply.status_code for reply in response.history] == [401]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer\t{MANAGED_API_KEY}"},
        {"Authorization": f"Bearer  {MANAGED_API_KEY} "},
        {"Authorization": f"Bearer Bearer {MANAGED_API_KEY}"},
        {"Authorization": f"Bearer {MANAGED_API_KEY}, Bearer {MANAGED_API_KEY}"},
        {"Authorization": MANAGED_API_KEY},
        {"api-key": MANAGED_API_KEY},
        {"X-Api-Key": f"{MANAGED_API_KEY}", "Authorization": f"Bearer {MANAGED_API_KEY}"},
    ],
)
@pytest.mark.parametrize("client", ["requests", "httpx", *AIOHTTP])
def test_g9_the_placeholder_is_never_sent_wherever_a_client_writes_it(
    client: str, headers: dict[str, str], home: Path
) -> None:
    with EchoServer() as server:
        there = f"http://127.0.0.1:{server.server_port}"
        with AuthManager(codex_home=home, allowed_origins=[there]) as manager:
            send(client, manager, "GET", f"{there}/x", headers)
            own = {**headers, "Authorization": "Bearer own"}
            send(client, manager, "GET", f"{there}/x", own)
            with pytest.raises(OriginNotAllowed):
                send(
                    client, manager, "GET", f"{there}/x".replace("127.0.0.1", "localhost"), headers
                )
        server.shutdown()
    managed, left_alone = server.asked
    assert MANAGED_API_KEY not in str(server.asked)
    assert managed["ChatGPT-Account-ID"] == "acct-a"
    assert left_alone["Authorization"] == "Bearer own"


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    """What arrives at a proxy of the environment, which answers in the place of all servers."""
    for name in ("NO_PROXY", "no_proxy", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    with EchoServer() as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        yield server.asked
        server.shutdown()


@pytest.mark.parametrize("client", ["requests", "httpx", "httpx-async", *AIOHTTP])
def test_g9_a_proxy_of_the_environment_gets_no_token_in_clear_and_that_is_said(
    client: str,
    realm: Realm,
    home: Path,
    proxied: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    warned: set[str] = set()
    monkeypatch.setattr("codex_auth_sdk._logging._warned", warned)

    async def send_by_aiohttp(manager: AuthManager) -> None:
        import aiohttp

        middlewares = [aiohttp_middleware(manager)]
        async with aiohttp.ClientSession(middlewares=middlewares, trust_env=True) as session:
            for _ in range(2):
                await session.get(f"{realm.url}/api/echo")

    async def send_async(manager: AuthManager) -> None:
        async with httpx.AsyncClient(auth=HttpxAuth(manager)) as http:
            for _ in range(2):
                await http.get(f"{realm.url}/api/echo")

    def send_both() -> None:
        with AuthManager(**options(realm, home)) as manager:
            if client == "requests":
                for _ in range(2):
                    requests.get(f"{realm.url}/api/echo", auth=RequestsAuth(manager), timeout=60)
            elif client == "httpx":
                with httpx.Client(auth=HttpxAuth(manager)) as http:
                    for _ in range(2):
                        http.get(f"{realm.url}/api/echo")
            elif client == "aiohttp":
                asyncio.run(send_by_aiohttp(manager))
            else:
                asyncio.run(send_async(manager))

    send_both()
    assert len(proxied) == 2
    for headers in proxied:
        assert not {"authorization", "chatgpt-account-id"} & {*map(str.lower, headers)}
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert realm.origin in warnings[0]
    assert "NO_PROXY" in warnings[0]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    send_both()
    assert len(proxied) == 2
    assert seen(realm, [{"authorization": "access:a0"}] * 2, requests=0) == []


@pytest.mark.parametrize("client", ["requests", "httpx", *AIOHTTP])
def test_a_proxy_that_the_program_asks_for_is_its_own_choice(
    client: str, realm: Realm, home: Path, proxied: list[dict[str, str]], monkeypatch: Any
) -> None:
    proxy = os.environ["http_proxy"]
    monkeypatch.delenv("http_proxy")

    async def send_by_aiohttp(manager: AuthManager, url: str) -> None:
        import aiohttp

        async with aiohttp.ClientSession(middlewares=[aiohttp_middleware(manager)]) as session:
            await session.get(url, proxy=proxy)

    with AuthManager(**options(realm, home)) as manager:
        url = f"{realm.url}/api/echo"
        if client == "requests":
            chosen = {"http": proxy}
            requests.get(url, auth=RequestsAuth(manager), proxies=chosen, timeout=60)
        elif client == "aiohttp":
            asyncio.run(send_by_aiohttp(manager, url))
        else:
            with httpx.Client(auth=HttpxAuth(manager), proxy=proxy) as http:
                http.get(url)
    assert "Authorization" in proxied[0]


def test_a_request_that_is_sent_once_more_gets_the_credential_of_then(
    realm: Realm, home: Path
) -> None:
    with (
        AuthManager(**options(realm, home)) as manager,
        httpx.Client(auth=HttpxAuth(manager), trust_env=False) as client,
    ):
        request = client.build_request("GET", f"{realm.url}/api/echo")
        assert client.send(request).status_code == 200
        realm.call("kill_access")
        assert client.send(request).status_code == 200
        request.url = httpx.URL(f"{realm.url}/api/open".replace("127.0.0.1", "localhost"))
        assert client.send(request).status_code == 200
    expected = [{"authorization": name} for name in ("access:a0", "access:a0", "access:a1")]
    elsewhere = {"path": "/api/open", "authorization": "none", "account": None}
    assert seen(realm, [*expected, elsewhere], requests=1) == []


def test_a_file_that_does_not_say_whether_it_seeks_is_sent_again_if_it_does(
    realm: Realm, home: Path
) -> None:
    class Bare:
        def __init__(self, text: bytes) -> None:
            self.read = io.BytesIO(text).read

    class Seeking(Bare):
        def __init__(self, text: bytes) -> None:
            file = io.BytesIO(text)
            self.read, self.seek, self.tell = file.read, file.seek, file.tell

    with (
        AuthManager(**options(realm, home)) as manager,
        httpx.Client(auth=HttpxAuth(manager), trust_env=False) as client,
    ):
        statuses: list[int] = []
        for file in (Seeking(b"a file"), Bare(b"a file")):
            realm.call("kill_access")
            files: Any = {"file": ("name", file)}
            statuses.append(client.post(f"{realm.url}/api/echo", files=files).status_code)
    assert statuses == [200, 401]


def test_a_prepared_request_recovers_each_time_that_it_is_sent(realm: Realm, home: Path) -> None:
    with AuthManager(**options(realm, home)) as manager, requests.Session() as session:
        session.trust_env = False
        wanted = requests.Request("GET", f"{realm.url}/api/echo", auth=RequestsAuth(manager))
        prepared = session.prepare_request(wanted)
        statuses: list[int] = []
        for _ in range(3):
            realm.call("kill_access")
            statuses.append(session.send(prepared).status_code)
    assert statuses == [200, 200, 200]


def test_a_response_can_be_copied(realm: Realm, home: Path) -> None:
    with AuthManager(**options(realm, home)) as manager:
        url = f"{realm.url}/api/echo"
        response = requests.post(url, data="hello", auth=RequestsAuth(manager), timeout=60)
    copied = copy.deepcopy(response)
    assert copied.text == "hello"
    hook = copied.request.hooks["response"][-1]
    assert hook(copied) is copied


def test_headers_may_be_bytes(realm: Realm, home: Path) -> None:
    with AuthManager(**options(realm, home)) as manager:
        for own, status in [(b"Bearer own", 401), (f"Bearer {MANAGED_API_KEY}".encode(), 200)]:
            response = requests.get(
                f"{realm.url}/api/echo",
                headers={"Authorization": own},
                auth=RequestsAuth(manager),
                timeout=60,
            )
            assert response.status_code == status


def test_the_callers_own_trace_is_called_too(realm: Realm, home: Path) -> None:
    events: list[str] = []
    with (
        AuthManager(**options(realm, home)) as manager,
        httpx.Client(auth=HttpxAuth(manager), trust_env=False) as client,
    ):

        def trace(event: str, _: Any) -> None:
            events.append(event)

        url = f"{realm.url}/api/redirect?to=/api/echo"
        request = client.build_request("GET", url, extensions={"trace": trace})
        for _ in range(2):
            client.send(request, follow_redirects=True)
    assert events.count("http11.send_request_headers.started") == 4


def test_the_libraries_are_optional() -> None:
    code = """
import pydoc, sys
for name in ("httpx", "httpx2", "requests", "aiohttp"):
    sys.modules[name] = None
import codex_auth_sdk
from codex_auth_sdk import *
assert hasattr(codex_auth_sdk, "HttpxAuth")
integrations = [(HttpxAuth, "httpx"), (RequestsAuth, "requests"), (aiohttp_middleware, "aiohttp")]
for auth, extra in integrations:
    assert auth.__name__ in pydoc.render_doc(codex_auth_sdk)
    try:
        auth(object())
    except ImportError as error:
        assert str(error).endswith(f"pip install 'codex-auth-sdk[{extra}]'"), error
        assert error.__cause__ is not None
    else:
        raise AssertionError(auth)
del sys.modules["requests"]
assert codex_auth_sdk.RequestsAuth is not RequestsAuth
"""

    subprocess.run([sys.executable, "-c", code], check=True)
    lazily = """
import codex_auth_sdk, sys
assert not {'httpx', 'requests', 'aiohttp'} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", lazily], check=True)
