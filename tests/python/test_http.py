"""What the HTTP integrations do beyond the shared cases: cancellation, files, other hooks."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import requests

from codex_auth_sdk import AsyncAuthManager, AuthManager, HttpxAuth, RequestsAuth

if TYPE_CHECKING:
    from pathlib import Path

    from support import Realm


def options(realm: Realm, home: Path) -> dict[str, Any]:
    return realm.options(codex_home=home, allowed_origins=[realm.origin])


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


def test_the_callers_own_trace_is_called_too(realm: Realm, home: Path) -> None:
    events: list[str] = []
    with (
        AuthManager(**options(realm, home)) as manager,
        httpx.Client(auth=HttpxAuth(manager), trust_env=False) as client,
    ):

        def trace(event: str, _: Any) -> None:
            events.append(event)

        url = f"{realm.url}/api/redirect?to=/api/echo"
        client.get(url, extensions={"trace": trace}, follow_redirects=True)
    assert events.count("http11.send_request_headers.started") == 2


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
    codex_auth_sdk.HttpxAuth
except ImportError as error:
    assert "httpx 0.28" in str(error), error
else:
    raise AssertionError("not refused")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_libraries_are_optional() -> None:
    code = """
import sys
for name in ("httpx", "httpx2", "requests"):
    sys.modules[name] = None
import codex_auth_sdk
for name in ("HttpxAuth", "RequestsAuth"):
    try:
        getattr(codex_auth_sdk, name)
    except ImportError as error:
        assert "httpx" in str(error) or "requests" in str(error), error
    else:
        raise AssertionError(name)
"""

    subprocess.run([sys.executable, "-c", code], check=True)
    lazily = "import codex_auth_sdk, sys; assert not {'httpx', 'requests'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", lazily], check=True)
