"""Stores written in Python: they conform, fail clearly, hang nothing, and lose nothing."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from codex_auth_sdk import (
    AsyncAuthManager,
    AuthManager,
    EphemeralStorage,
    LockTimeout,
    RefreshTransient,
    StoreCorrupt,
    StoreUnavailable,
)
from codex_auth_sdk.testing import check_store
from support import ROOT, WATCHDOG_S, AsyncRowStore, Child, Realm, RowStore, script

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from codex_auth_sdk import CustomStore

LOGIN = '{"OPENAI_API_KEY": "sk-1"}'


@pytest.fixture
def row(tmp_path: Path, realm: Realm) -> RowStore:
    """A row that holds the first record of `a`."""
    store = RowStore(tmp_path / "login.db")
    store.write(realm.logins["a"]["text"])
    return store


class LockedRow(RowStore):
    """A row with a lock that other processes see; here another object stands for one."""

    def __init__(self, path: Path, others: set[str]) -> None:
        super().__init__(path)
        self.lock = others
        self.threads: set[int] = set()

    def try_lock(self) -> bool:
        self.threads.add(threading.get_ident())
        if self.lock:
            return False
        self.lock.add("this")
        return True

    def unlock(self) -> None:
        self.lock.discard("this")


class LeasedRow(LockedRow):
    """A row with a lock that ends by itself unless it is renewed."""

    lease: float | timedelta = 60

    def renew(self) -> bool:
        return "this" in self.lock


class AsyncLockedRow(AsyncRowStore):
    """The same, as coroutines."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.is_locked = False

    async def try_lock(self) -> bool:
        await asyncio.sleep(0)
        was_locked, self.is_locked = self.is_locked, True
        return not was_locked

    async def unlock(self) -> None:
        await asyncio.sleep(0.01)
        self.is_locked = False


@pytest.mark.parametrize("kind", [RowStore, AsyncRowStore, AsyncLockedRow])
def test_a_store_written_in_python_conforms(kind: Any, tmp_path: Path) -> None:
    check_store(kind(tmp_path / "login.db"))


def test_a_store_with_a_lock_conforms_and_is_called_by_one_thread(tmp_path: Path) -> None:
    store = LockedRow(tmp_path / "login.db", set())
    check_store(store)
    assert store.lock == set()
    assert len(store.threads) == 1
    assert store.threads != {threading.get_ident()}


class Careless(RowStore):
    """A row that is written whatever it holds."""

    def save(self, record: str, expected: str | None) -> bool:
        self.write(record)
        return bool(record) or expected is None


def test_a_store_that_overwrites_does_not_conform(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="Conflict"):
        check_store(Careless(tmp_path / "login.db"))


class Broken:
    """A store whose methods do what they are told to."""

    def __init__(self, load: Any = None, save: Any = None) -> None:
        self._load, self._save = load, save

    def load(self) -> Any:
        return self._load() if callable(self._load) else self._load

    def save(self, _record: str, _expected: str | None) -> Any:
        return self._save() if callable(self._save) else self._save

    def delete(self, _expected: str | None) -> Any:
        return True


class AsyncBroken(Broken):
    """The same, as coroutines."""

    async def load(self) -> Any:
        await asyncio.sleep(0)
        return super().load()


class SesameError(Exception):
    """An exception of a store."""


def refuse() -> None:
    raise SesameError("the password is sesame")


def blocking(store: CustomStore) -> AuthManager:
    return AuthManager(store=store)


def opened(store: CustomStore) -> AsyncAuthManager:
    return asyncio.run(AsyncAuthManager.open(store=store))


@pytest.mark.parametrize("kind", [Broken, AsyncBroken])
def test_an_exception_is_unavailable_and_its_cause_is_the_exception(kind: Any) -> None:
    makers: list[Callable[[CustomStore], object]] = [blocking, opened]
    for make in makers:
        with pytest.raises(StoreUnavailable) as caught:
            make(kind(refuse))
        assert isinstance(caught.value.__cause__, SesameError)
        assert "sesame" in str(caught.value.__cause__)
        assert kind.__name__ in str(caught.value)
        assert "sesame" not in str(caught.value)


WRONG = [3, (1, 2), ("{}",), ("{}", None), (None, "1"), (b"{}", "1"), "{}"]


@pytest.mark.parametrize("load", WRONG)
def test_a_wrong_answer_is_unavailable_and_says_what_is_wrong(load: Any) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        AuthManager(store=Broken(load))
    assert isinstance(caught.value.__cause__, TypeError)
    assert "what load returns must be" in str(caught.value.__cause__)


def test_nothing_is_stored() -> None:
    assert AuthManager(store=Broken(None)).auth() is None


def test_what_is_no_login_is_corrupt() -> None:
    with pytest.raises(StoreCorrupt, match="Broken"):
        AuthManager(store=Broken(("<html>", "1")))


def test_a_store_needs_its_methods_and_a_lock_both(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="load, save and delete"):
        AuthManager(store=object())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    store: Any = RowStore(tmp_path / "login.db")
    store.try_lock = lambda: True
    with pytest.raises(TypeError, match="both try_lock and unlock"):
        AuthManager(store=store)
    leased: Any = LeasedRow(tmp_path / "leased.db", set())
    leased.renew = None
    with pytest.raises(TypeError, match="lease and renew together"):
        AuthManager(store=leased)
    leased = LeasedRow(tmp_path / "leased.db", set())
    leased.lease = "long"
    with pytest.raises(TypeError, match="lease must be a number of seconds or a timedelta"):
        AuthManager(store=leased)


def test_only_open_reads_a_custom_store_for_asyncio(row: RowStore) -> None:
    with pytest.raises(StoreUnavailable, match="open"):
        AsyncAuthManager(store=row)
    assert opened(row).auth() is not None


def test_g1_nothing_is_redeemed_under_a_lease_that_may_end_before_the_answer(
    realm: Realm, tmp_path: Path
) -> None:
    for lease, is_enough in ((1, False), (timedelta(minutes=1), True)):
        store = LeasedRow(tmp_path / f"{is_enough}.db", set())
        store.lease = lease
        store.write(realm.logins["a"]["text"])
        manager = AuthManager(**realm.options(store=store), request_timeout=5)
        auth = manager.auth()
        assert auth is not None
        if is_enough:
            assert manager.refresh_token(auth) is not None
        else:
            with pytest.raises(RefreshTransient, match="lock may end"):
                manager.refresh_token(auth)
        assert realm.call("stats")["requests"] == int(is_enough)


def test_g4_a_lease_is_renewed_while_a_pair_is_unsaved(realm: Realm, tmp_path: Path) -> None:
    store = LeasedRow(tmp_path / "login.db", set())
    store.lease = 8
    store.write(realm.logins["a"]["text"])
    save, renewed = store.save, threading.Event()

    def fail_until_renewed(record: str, expected: str | None) -> bool:
        if not renewed.is_set():
            refuse()
        return save(record, expected)

    def renew() -> bool:
        renewed.set()
        return "this" in store.lock

    store.save = fail_until_renewed  # type: ignore[method-assign]
    store.renew = renew  # type: ignore[method-assign]
    manager = AuthManager(**realm.options(store=store), request_timeout=5)
    auth = manager.auth()
    assert auth is not None
    assert manager.refresh_token(auth) is not None
    assert renewed.wait(WATCHDOG_S)
    assert manager.close(WATCHDOG_S)
    assert realm.stored(store.read()) == "refresh:a1"


def test_a_save_that_fails_keeps_the_pair_and_is_tried_again(realm: Realm, row: RowStore) -> None:
    manager = AuthManager(**realm.options(store=row))
    auth = manager.auth()
    assert auth is not None
    save, failures = row.save, [refuse, refuse]

    def fail_at_first(record: str, expected: str | None) -> bool:
        if failures:
            failures.pop()()
        return save(record, expected)

    row.save = fail_at_first  # type: ignore[method-assign]
    assert manager.refresh_token(auth) is not None
    assert manager.close(WATCHDOG_S)
    assert realm.stored(row.read()) == "refresh:a1"
    assert realm.call("stats")["requests"] == 1


def test_g1_managers_of_one_store_are_one_refresh(realm: Realm, row: RowStore) -> None:
    managers = [AuthManager(**realm.options(store=row)) for _ in range(4)]
    auths = [manager.auth() for manager in managers]

    def refresh(number: int) -> None:
        auth = auths[number]
        assert auth is not None
        assert managers[number].refresh_token(auth) is not None

    threads = [threading.Thread(target=refresh, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WATCHDOG_S)
    assert realm.call("stats")["requests"] == 1
    assert realm.stored(row.read()) == "refresh:a1"


def test_g1_nothing_is_redeemed_while_another_process_has_the_lock(
    realm: Realm, tmp_path: Path
) -> None:
    others = {"another"}
    store = LockedRow(tmp_path / "login.db", others)
    store.write(realm.logins["a"]["text"])
    short = {"refresh_deadline": 0.2, "lock_timeout": 0.5}
    manager = AuthManager(**realm.options(store=store, **short))
    auth = manager.auth()
    assert auth is not None
    with pytest.raises(LockTimeout):
        manager.refresh_token(auth)
    assert realm.call("stats")["requests"] == 0
    others.clear()
    patient = AuthManager(**realm.options(store=store))
    assert patient.refresh_token(auth) is not None
    # Calls come one after the other, so this one after the unlock.
    assert patient.reload() is False
    assert store.lock == set()


class Barred(RowStore):
    """A row that answers once the caller's thread has done something else."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.bar = threading.Event()
        self.bar.set()

    def load(self) -> tuple[str, str] | None:
        assert self.bar.wait(WATCHDOG_S)
        return super().load()


def test_a_waiting_caller_holds_neither_the_interpreter_nor_the_loop(tmp_path: Path) -> None:
    store = Barred(tmp_path / "login.db")
    store.write(LOGIN)

    async def main() -> None:
        manager = await AsyncAuthManager.open(store=store)
        store.bar.clear()
        reading = asyncio.ensure_future(manager.reload())
        # The loop runs, or this would never be set.
        asyncio.get_running_loop().call_later(0.05, store.bar.set)
        assert await reading is False
        # Neither does a blocking manager on the loop's own thread need that loop.
        assert AuthManager(store=AsyncRowStore(tmp_path / "login.db")).auth() is not None

    asyncio.run(asyncio.wait_for(main(), WATCHDOG_S))


def test_g8_a_coroutine_that_never_ends_is_cancelled(tmp_path: Path) -> None:
    store = AsyncRowStore(tmp_path / "login.db")
    store.write(LOGIN)
    manager = AuthManager(store=store)
    cancelled = threading.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    store.load = hang  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable, match="has not answered"):
        manager.reload()
    assert cancelled.wait(WATCHDOG_S)
    del store.load
    assert manager.reload() is False


def test_a_forked_child_gets_a_thread_of_its_own(realm: Realm, row: RowStore) -> None:
    manager = AuthManager(**realm.options(store=row))

    def refresh() -> Any:
        auth = manager.auth()
        assert auth is not None
        return manager.refresh_token(auth) is not None and manager.close(WATCHDOG_S)

    assert Child(refresh).result() is True
    assert realm.stored(row.read()) == "refresh:a1"
    assert manager.reload() is True


@pytest.mark.parametrize(
    "start",
    [
        "threading.Thread(target=manager.refresh_token, args=[manager.auth()], daemon=True)"
        ".start()",
        "asyncio.run(abandon())",
    ],
)
def test_g4_an_exit_waits_until_the_store_has_the_pair(
    start: str, realm: Realm, row: RowStore, tmp_path: Path
) -> None:
    realm.call("hold", at="reply")
    body = f"""
store = RowStore(home / "login.db")
options = realm.options(store=store)
manager = AuthManager(**options)
async def abandon():
    opened = await AsyncAuthManager.open(**options)
    task = asyncio.ensure_future(opened.refresh_token(opened.auth()))
    await asyncio.to_thread(realm.wait, held=1)
    task.cancel()
{start}
realm.wait(held=1)
threading.Timer(0.2, realm.call, ["release"]).start()
"""
    ended = run(script(realm, tmp_path, body))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert realm.stored(row.read()) == "refresh:a1"


@pytest.mark.usefixtures("row")
def test_an_interpreter_ends_while_a_store_hangs(realm: Realm, tmp_path: Path) -> None:
    body = """
import time, codex_auth_sdk
store = RowStore(home / "login.db")
manager = AuthManager(store=store)
hangs = threading.Event()
def hang():
    hangs.set()
    time.sleep(3600)
store.load = hang
threading.Thread(target=manager.reload, daemon=True).start()
hangs.wait()
print("ending", flush=True)
"""
    ended = run(script(realm, tmp_path, body))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ending\n", "")


def test_a_store_ends_with_its_last_manager(tmp_path: Path) -> None:
    # Those of other tests may still be about to end.
    others = serving()
    store = RowStore(tmp_path / "login.db")
    managers = [AuthManager(store=store), AuthManager(store=store)]
    gone = threading.Event()
    weakref.finalize(store, gone.set)
    (thread,) = (thread for thread in serving() if thread not in others)
    del store
    managers.pop()
    assert thread.is_alive()
    managers.clear()
    thread.join(WATCHDOG_S)
    # What a thread of the core lets go of is released with the next call into the package, and
    # this store refers to itself.
    for _ in range(WATCHDOG_S * 100):
        AuthManager(store=EphemeralStorage())
        gc.collect()
        if gone.wait(0.01):
            break
    assert gone.is_set()
    assert thread not in serving()


def serving() -> list[threading.Thread]:
    gc.collect()
    return [thread for thread in threading.enumerate() if thread.name == "codex-auth-sdk-store"]


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=WATCHDOG_S,
        check=False,
    )


def test_the_store_of_the_examples_conforms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("requests")
    monkeypatch.setattr(sys, "path", [str(ROOT / "examples" / "python"), *sys.path])
    check_store(import_module("custom_store").Row(str(tmp_path / "login.db")))
