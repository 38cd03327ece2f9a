"""What a manager tells, counts and does while nobody asks."""

from __future__ import annotations

import asyncio
import gc
import queue
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from codex_auth_sdk import AsyncAuthManager, AuthManager, Event, RefreshTokenInvalidated
from support import Child

if TYPE_CHECKING:
    from pathlib import Path

    from support import Issuer, Realm

WAIT_S = 30


def refresh(manager: AuthManager) -> None:
    auth = manager.auth()
    assert auth is not None
    assert manager.refresh_token(auth) is not None


def test_a_callback_gets_every_event_in_order(realm: Realm, home: Path) -> None:
    events: queue.Queue[Event] = queue.Queue()
    with AuthManager(**realm.options(codex_home=home)) as manager:
        subscription = manager.subscribe(events.put)
        refresh(manager)
        assert events.get(timeout=WAIT_S).kind == "refreshed"
        realm.call("invalidate_refresh", token="a1")
        auth = manager.auth()
        assert auth is not None
        with pytest.raises(RefreshTokenInvalidated):
            manager.refresh_token(auth)
        failed = events.get(timeout=WAIT_S)
        assert (failed.kind, type(failed.error)) == ("refresh_failed", RefreshTokenInvalidated)
        manager.logout(revoke=False)
        assert events.get(timeout=WAIT_S).kind == "logged_out"
        subscription.stop()
    stats = manager.stats()
    assert (stats.redemptions, stats.failures, stats.adoptions) == (1, 1, 0)
    assert stats == manager.stats()
    assert "redemptions=1" in repr(stats)


def test_a_switched_workspace_and_another_login_are_told_apart(issuer: Issuer, home: Path) -> None:
    realm = issuer.realm(logins={"a": {}, "b": {"user_id": "user-a"}, "c": {}})
    auth_json = home / "auth.json"
    auth_json.write_text(realm.logins["a"]["text"])
    switch = {"/tokens/account_id": "acct-b", "/tokens/access_token": "access:b0"}
    switched = realm.call("store_text", record="a0", set=switch)["text"]
    events: queue.Queue[Event] = queue.Queue()
    with AuthManager(**realm.options(codex_home=home)) as manager:
        subscription = manager.subscribe(events.put)
        for text, kind, account in [
            (switched, "workspace_changed", "acct-b"),
            (realm.logins["a"]["text"], "workspace_changed", "acct-a"),
            (realm.logins["c"]["text"], "identity_changed", "acct-c"),
        ]:
            auth_json.write_text(text)
            assert manager.reload()
            event = events.get(timeout=WAIT_S)
            assert (event.kind, event.error, event.store_holder) == (kind, None, None)
            auth = manager.auth()
            assert auth is not None
            assert auth.account_id == account
        manager.login_with_api_key("sk-new")
        told = [events.get(timeout=WAIT_S).kind for _ in range(2)]
        assert sorted(told) == ["identity_changed", "logged_in"]
        subscription.stop()


def test_what_a_callback_raises_goes_to_the_hook(
    realm: Realm, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: queue.Queue[Any] = queue.Queue()

    def hook(unraisable: Any) -> None:
        raised.put(unraisable.exc_type)

    monkeypatch.setattr("sys.unraisablehook", hook)

    def callback(event: Event) -> None:
        raise LookupError(event.kind)

    with AuthManager(**realm.options(codex_home=home)) as manager:
        subscription = manager.subscribe(callback)
        refresh(manager)
        assert raised.get(timeout=WAIT_S) is LookupError
        refresh_again = manager.auth()
        assert refresh_again is not None
        manager.logout(revoke=False)
        assert raised.get(timeout=WAIT_S) is LookupError, "the next event is delivered all the same"
        subscription.stop()


def test_asyncio_iterates_and_a_cancelled_wait_loses_nothing(realm: Realm, home: Path) -> None:
    async def main() -> list[str]:
        async with await AsyncAuthManager.open(**realm.options(codex_home=home)) as manager:
            events = manager.subscribe()
            waiting = asyncio.create_task(anext(events))
            await asyncio.sleep(0)
            waiting.cancel()
            auth = manager.auth()
            assert auth is not None
            await manager.refresh_token(auth)
            await manager.logout(revoke=False)
            kinds: list[str] = [
                (await asyncio.wait_for(anext(events), WAIT_S)).kind for _ in range(2)
            ]
            waiting = asyncio.create_task(anext(events))
            await asyncio.sleep(0)
            events.stop()
            with pytest.raises(StopAsyncIteration):
                await waiting
            assert [event.kind async for event in events] == []
            return kinds

    assert asyncio.run(main()) == ["refreshed", "logged_out"]


def test_a_slow_iterator_is_told_what_it_missed(realm: Realm, home: Path) -> None:
    async def main() -> list[Event]:
        record = (home / "auth.json").read_text()
        async with await AsyncAuthManager.open(**realm.options(codex_home=home)) as manager:
            events = manager.subscribe()
            for _ in range(40):
                (home / "auth.json").unlink()
                await manager.reload()
                (home / "auth.json").write_text(record)
                await manager.reload()
            return [await asyncio.wait_for(anext(events), WAIT_S) for _ in range(3)]

    read = asyncio.run(main())
    kinds = [event.kind for event in read]
    assert "missed" in kinds, kinds
    assert sum(event.missed for event in read) > 0


def test_the_guardian_refreshes_without_anybody_asking(issuer: Issuer, home: Path) -> None:
    realm = issuer.realm(logins={"a": {"access_age_s": 3590}})
    (home / "auth.json").write_text(realm.logins["a"]["text"])
    events: queue.Queue[str] = queue.Queue()
    manager = AuthManager(**realm.options(codex_home=home))
    subscription = manager.subscribe(lambda event: events.put(event.kind))
    manager.keep_fresh()
    gc.collect()
    assert events.get(timeout=WAIT_S) == "refreshed"
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1"
    subscription.stop()


def test_the_store_is_followed_without_anybody_asking(realm: Realm, home: Path) -> None:
    events: queue.Queue[str] = queue.Queue()
    with AuthManager(**realm.options(codex_home=home)) as manager:
        subscription = manager.subscribe(lambda event: events.put(event.kind))
        following = manager.follow_store()
        rotated = realm.call("rotate", token="a0")["text"]
        (home / "auth.json").write_text(rotated)
        assert events.get(timeout=WAIT_S) == "adopted"
        (home / "auth.json").unlink()
        assert events.get(timeout=WAIT_S) == "logged_out"
        following.stop()
        subscription.stop()


def test_a_manager_that_is_gone_leaves_nothing_behind(realm: Realm, home: Path) -> None:
    manager = AuthManager(**realm.options(codex_home=home))

    class Callback:
        def __call__(self, event: Event) -> None: ...

    callback = Callback()
    alive = weakref.ref(callback)
    subscription = manager.subscribe(callback)
    manager.follow_store()
    del callback
    gc.collect()
    assert alive() is not None
    subscription.stop()
    del subscription, manager
    for _ in range(WAIT_S * 100):
        gc.collect()
        if alive() is None:
            return
        asyncio.run(asyncio.sleep(0.01))
    raise AssertionError("the callback is kept alive")


def test_a_forked_child_subscribes_for_itself(realm: Realm, home: Path) -> None:
    manager = AuthManager(**realm.options(codex_home=home))
    inherited: list[str] = []
    subscription = manager.subscribe(lambda event: inherited.append(event.kind))
    manager.follow_store()
    manager.keep_fresh()

    def child() -> list[Any]:
        heard: queue.Queue[str] = queue.Queue()
        own = manager.subscribe(lambda event: heard.put(event.kind))
        refresh(manager)
        kind = heard.get(timeout=WAIT_S)
        own.stop()
        subscription.stop()
        return [kind, inherited]

    assert Child(child).result() == ["refreshed", []]
    subscription.stop()
