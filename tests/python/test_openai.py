"""The official client of OpenAI, through a manager."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from codex_auth_sdk import (
    MANAGED_API_KEY,
    AsyncAuthManager,
    AuthManager,
    HttpxAuth,
    OriginNotAllowed,
    RefreshTokenExpired,
)

if TYPE_CHECKING:
    from pathlib import Path

    from support import Realm

openai = pytest.importorskip("openai")
# What the client is made with by default, and what it was made with before.
modules = [httpx, pytest.importorskip("httpx2")]

QUESTION: dict[str, Any] = {"model": "gpt-5", "input": "hello", "stream": True}
EVENTS = ["response.created", "response.output_item.done", "response.completed"]


def options(realm: Realm, home: Path, **more: Any) -> dict[str, Any]:
    return realm.options(codex_home=home, **{"allowed_origins": [realm.origin], **more})


def client(module: Any, manager: AuthManager, realm: Realm) -> Any:
    http = module.Client(auth=HttpxAuth(manager), follow_redirects=True, trust_env=False)
    return openai.OpenAI(api_key=MANAGED_API_KEY, base_url=f"{realm.url}/v1", http_client=http)


@pytest.mark.parametrize("module", modules)
def test_a_stream_is_recovered(module: Any, realm: Realm, home: Path) -> None:
    realm.call("kill_access")
    with AuthManager(**options(realm, home)) as manager, client(module, manager, realm) as ai:
        events = [event.type for event in ai.responses.create(**QUESTION)]
    assert events == EVENTS
    stats = realm.call("stats")
    assert (stats["requests"], stats["api_unauthorized"], stats["api_ok"]) == (1, 1, 1)


@pytest.mark.parametrize("module", modules)
def test_many_streams_at_once_are_recovered_by_one_refresh(
    module: Any, realm: Realm, home: Path
) -> None:
    realm.call("kill_access")

    async def stream(ai: Any) -> list[str]:
        return [event.type async for event in await ai.responses.create(**QUESTION)]

    async def main() -> list[list[str]]:
        async with await AsyncAuthManager.open(**options(realm, home)) as manager:
            http = module.AsyncClient(auth=HttpxAuth(manager), trust_env=False)
            url = f"{realm.url}/v1"
            async with openai.AsyncOpenAI(
                api_key=MANAGED_API_KEY, base_url=url, http_client=http
            ) as ai:
                return await asyncio.gather(*(stream(ai) for _ in range(20)))

    assert asyncio.run(main()) == [EVENTS] * 20
    assert realm.call("stats")["requests"] == 1


@pytest.mark.parametrize("module", modules)
def test_an_origin_that_is_not_named_gets_nothing(module: Any, realm: Realm, home: Path) -> None:
    with AuthManager(**options(realm, home, allowed_origins=[])) as manager:
        ai = client(module, manager, realm).with_options(max_retries=0)
        with ai, pytest.raises(OriginNotAllowed, match="allowed_origins"):
            ai.responses.create(**QUESTION)
    stats = realm.call("stats")
    assert (stats["api_unauthorized"], stats["api_ok"]) == (0, 0)


@pytest.mark.parametrize("module", modules)
def test_a_dead_login_says_so_once(module: Any, realm: Realm, home: Path) -> None:
    realm.call("kill_access")
    realm.call("expire_refresh", token="a0")
    with AuthManager(**options(realm, home)) as manager, client(module, manager, realm) as ai:
        with pytest.raises(RefreshTokenExpired) as raised:
            ai.responses.create(**QUESTION)
        response: Any = raised.value.response
        assert response.status_code == 401
        assert "error" in response.json()
    stats = realm.call("stats")
    assert (stats["requests"], stats["api_unauthorized"]) == (1, 1)
