"""Trio: awaited calls, requests and events work as they do under asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

pytest.importorskip("trio")

import trio

from codex_auth_sdk import AsyncAuthManager, HttpxAuth, RefreshTokenExpired

if TYPE_CHECKING:
    from pathlib import Path

    from support import Issuer, Realm


def test_an_expired_token_is_refreshed_for_a_request(issuer: Issuer, tmp_path: Path) -> None:
    realm = issuer.realm(logins={"a": {"access_age_s": 4000}})
    (tmp_path / "auth.json").write_text(realm.logins["a"]["text"])

    async def main() -> None:
        options = realm.options(codex_home=tmp_path, allowed_origins=[realm.origin])
        async with (
            await AsyncAuthManager.open(**options) as manager,
            httpx.AsyncClient(auth=HttpxAuth(manager), trust_env=False) as client,
        ):
            assert (await client.get(f"{realm.url}/api/echo")).status_code == 200
            realm.call("kill_access")
            assert (await client.get(f"{realm.url}/api/echo")).status_code == 200
            realm.call("kill_access")
            realm.call("expire_refresh", token="a2")
            with pytest.raises(RefreshTokenExpired):
                await client.get(f"{realm.url}/api/echo")

    trio.run(main)


def test_a_cancelled_call_ends_the_waiting_only(realm: Realm, home: Path) -> None:
    async def main() -> None:
        async with await AsyncAuthManager.open(**realm.options(codex_home=home)) as manager:
            auth = manager.auth()
            assert auth is not None
            realm.call("hold", at="reply")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(manager.refresh_token, auth)
                await trio.to_thread.run_sync(lambda: realm.wait(held=1))
                nursery.cancel_scope.cancel()
            realm.call("release")
            assert await manager.aclose(30)

    trio.run(main)
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1"


def test_an_answer_after_the_end_of_the_run_is_silent(
    realm: Realm, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    manager = AsyncAuthManager(**realm.options(codex_home=home))

    async def main() -> None:
        auth = manager.auth()
        assert auth is not None
        with trio.move_on_after(0.2):
            await manager.refresh_token(auth)

    realm.call("hold", at="reply")
    trio.run(main)
    realm.call("release")
    assert trio.run(manager.aclose, 30)
    assert capfd.readouterr().err == ""


def test_events_are_delivered(realm: Realm, home: Path) -> None:
    async def main() -> list[str]:
        async with await AsyncAuthManager.open(**realm.options(codex_home=home)) as manager:
            events = manager.subscribe()
            kinds: list[str] = []

            async def listen() -> None:
                async for event in events:
                    kinds.append(event.kind)
                    if event.kind == "refreshed":
                        # A wait that is cancelled loses no event, and `stop` ends another one.
                        with trio.move_on_after(0.01):
                            await anext(events)
                        events.stop()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                auth = manager.auth()
                assert auth is not None
                await manager.refresh_token(auth)
            return kinds

    assert "refreshed" in trio.run(main)
