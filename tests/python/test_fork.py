"""fork: managers made before it work in the child, and nobody hangs or loses tokens."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import multiprocessing.util
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from chaos import TIMES, World, report, request, request_async
from codex_auth_sdk import (
    AsyncAuthManager,
    AuthManager,
    EphemeralStorage,
    UnauthorizedRecoveryDecision,
)
from support import Child, Realm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from codex_auth_sdk import CodexAuth

    Worlds = Callable[[int], Iterator[World]]

if not hasattr(os, "fork"):
    pytest.skip("there is no fork here", allow_module_level=True)


def signed_in(manager: AuthManager | AsyncAuthManager) -> CodexAuth:
    auth = manager.auth()
    assert auth is not None
    return auth


def recovered(manager: AuthManager, auth: CodexAuth) -> bool:
    decision = manager.recover_from_unauthorized(auth, manager.unauthorized_recovery())
    return decision is UnauthorizedRecoveryDecision.RETRY


async def recovered_async(manager: AsyncAuthManager, auth: CodexAuth) -> bool:
    decision = await manager.recover_from_unauthorized(auth, manager.unauthorized_recovery())
    return decision is UnauthorizedRecoveryDecision.RETRY


def stored(realm: Realm, home: Path) -> str:
    return realm.stored((home / "auth.json").read_text())


def test_a_manager_works_in_the_child_after_use_in_the_parent(realm: Realm, home: Path) -> None:
    manager = AuthManager(**realm.options(codex_home=home))
    assert manager.refresh_token(signed_in(manager)) is not None
    child = Child(lambda: recovered(manager, signed_in(manager)))
    assert child.result() is True
    assert stored(realm, home) == "refresh:a2"
    assert recovered(manager, signed_in(manager))
    assert manager.refresh_token(signed_in(manager)) is not None
    assert stored(realm, home) == "refresh:a3"


def test_an_async_manager_works_in_the_child(realm: Realm, home: Path) -> None:
    manager = AsyncAuthManager(**realm.options(codex_home=home))
    assert asyncio.run(manager.refresh_token(signed_in(manager))) is not None
    child = Child(lambda: asyncio.run(recovered_async(manager, signed_in(manager))))
    assert child.result() is True
    assert stored(realm, home) == "refresh:a2"


def test_a_fork_inside_of_a_running_loop(realm: Realm, home: Path) -> None:
    async def main() -> Any:
        manager = AsyncAuthManager(**realm.options(codex_home=home))
        await manager.refresh_token(signed_in(manager))
        auth = signed_in(manager)
        child = Child(lambda: asyncio.run(recovered_async(manager, auth)))
        seen = await asyncio.to_thread(child.result)
        return seen and await recovered_async(manager, auth)

    assert asyncio.run(main()) is True
    assert stored(realm, home) == "refresh:a2"
    assert realm.call("stats")["requests"] == 2


def test_a_child_waits_for_the_refresh_of_its_parent(realm: Realm, home: Path) -> None:
    manager = AuthManager(**realm.options(codex_home=home))
    auth = signed_in(manager)
    realm.call("hold")

    def follow() -> bool:
        realm.call("mark", name="child_is_about_to_wait")
        return recovered(manager, auth)

    with ThreadPoolExecutor(1) as threads:
        leader = threads.submit(manager.refresh_token, auth)
        realm.wait(held=1)
        child = Child(follow)
        realm.wait(marks={"child_is_about_to_wait": 1})
        realm.call("release")
        assert leader.result(60) is not None
    assert child.result() is True
    assert realm.call("stats")["requests"] == 1


def test_a_child_does_not_keep_the_lock_of_its_parent(realm: Realm, home: Path) -> None:
    manager = AuthManager(**realm.options(codex_home=home))
    auth = signed_in(manager)
    realm.call("hold")

    def linger() -> bool:
        realm.call("wait", until={"marks": {"parent_is_done": 1}}, timeout_ms=50_000)
        return True

    with ThreadPoolExecutor(1) as threads:
        leader = threads.submit(manager.refresh_token, auth)
        realm.wait(held=1)
        child = Child(linger)
        realm.call("release")
        assert leader.result(60) is not None
    assert manager.refresh_token(signed_in(manager)) is not None
    realm.call("mark", name="parent_is_done")
    assert child.result() is True
    assert stored(realm, home) == "refresh:a2"


def test_many_forks_while_threads_refresh(realm: Realm, home: Path) -> None:
    manager = AuthManager(**realm.options(codex_home=home))
    stop = threading.Event()

    def refresh() -> None:
        while not stop.is_set():
            manager.refresh_token(signed_in(manager))

    with ThreadPoolExecutor(2) as threads:
        workers = [threads.submit(refresh) for _ in range(2)]
        try:
            children = [Child(lambda: manager.reload() in {True, False}) for _ in range(20)]
            assert all(child.result() for child in children)
        finally:
            stop.set()
        for worker in workers:
            worker.result(60)
    assert realm.call("stats")["max_redemptions"] == 1


def test_a_child_does_not_wait_for_a_recovery_of_its_parent(realm: Realm, home: Path) -> None:
    manager = AuthManager(**realm.options(codex_home=home))
    auth = signed_in(manager)
    recovery = manager.unauthorized_recovery()
    realm.call("hold")
    with ThreadPoolExecutor(1) as threads:
        leader = threads.submit(manager.recover_from_unauthorized, auth, recovery)
        realm.wait(held=1)
        child = Child(lambda: str(manager.recover_from_unauthorized(auth, recovery)))
        realm.call("release")
        assert leader.result(60) is UnauthorizedRecoveryDecision.RETRY
    assert child.result() == str(UnauthorizedRecoveryDecision.RETRY)
    assert realm.call("stats")["requests"] == 1


@pytest.fixture
def _quick_switches() -> Iterator[None]:
    """Lets threads take turns quickly, so that many forks take little time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_quick_switches")
def test_many_forks_while_threads_use_a_store_in_memory(
    realm: Realm, capfd: pytest.CaptureFixture[str]
) -> None:
    text = realm.logins["a"]["text"]
    store = EphemeralStorage(text)
    manager = AuthManager(**realm.options(store=store))
    stop = threading.Event()

    def use() -> None:
        while not stop.is_set():
            manager.reload()

    with ThreadPoolExecutor(4) as threads:
        using = [threads.submit(use) for _ in range(4)]
        try:
            for _ in range(50 * TIMES):
                child = Child(lambda: (manager.reload(), store.record() is not None))
                assert child.result() == [False, True]
        finally:
            stop.set()
        for used in using:
            used.result(60)
    assert capfd.readouterr().err == ""
    report("test_many_forks_while_threads_use_a_store_in_memory", 50 * TIMES)


def test_many_forks_in_the_middle_of_exchanges(worlds: Worlds) -> None:
    for world in worlds(3):
        blocking = AuthManager(**world.options())
        awaited = AsyncAuthManager(**world.options())
        stop = threading.Event()

        def get(
            world: World = world, manager: AuthManager = blocking, stop: threading.Event = stop
        ) -> None:
            while not stop.is_set():
                request(world.realm, manager)

        async def get_async(
            world: World = world,
            manager: AsyncAuthManager = awaited,
            stop: threading.Event = stop,
        ) -> None:
            while not stop.is_set():
                await request_async(world.realm, manager)

        def ask(
            number: int,
            world: World = world,
            blocking: AuthManager = blocking,
            awaited: AsyncAuthManager = awaited,
        ) -> bool:
            if number % 2:
                request(world.realm, blocking)
                return blocking.close(60)
            asyncio.run(request_async(world.realm, awaited))
            return asyncio.run(awaited.aclose(60))

        with ThreadPoolExecutor(4) as threads:
            getting = [threads.submit(get), threads.submit(asyncio.run, get_async())]
            try:
                children: list[Child] = []
                for number in range(12):
                    world.kill(3, world.random)
                    children.append(Child(partial(ask, number)))
                assert all(child.result() for child in children)
            finally:
                stop.set()
            for got in getting:
                got.result(60)
        assert request(world.realm, blocking), world.stats()


_POOLED: list[tuple[AuthManager, CodexAuth]] = []


def _recover_in_pool(_: int) -> bool:
    return recovered(*_POOLED[0])


def test_a_pool_of_forked_workers_is_one_refresh(realm: Realm, home: Path) -> None:
    manager = AuthManager(**realm.options(codex_home=home))
    assert manager.refresh_token(signed_in(manager)) is not None
    _POOLED[:] = [(manager, signed_in(manager))]
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert pool.map_async(_recover_in_pool, range(16), 1).get(60) == [True] * 16
    assert realm.call("stats")["requests"] == 2
    assert stored(realm, home) == "refresh:a2"


def _refresh_ahead(manager: AuthManager, realm: Realm) -> None:
    # Here a refresh that is due makes its caller wait.
    threading.Thread(target=manager.fresh_auth, daemon=True).start()
    realm.wait(held=1)
    threading.Thread(target=_release_later, args=(realm,), daemon=True).start()


def _release_later(realm: Realm) -> None:
    realm.call("release")


def test_a_worker_that_ends_saves_what_it_began(realm: Realm, home: Path) -> None:
    realm.call("hold", at="reply")
    manager = AuthManager(**realm.options(codex_home=home, refresh_window=3500))
    context = multiprocessing.get_context("fork")
    worker = context.Process(target=_refresh_ahead, args=(manager, realm))
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0
    assert stored(realm, home) == "refresh:a1"


def _exit_on_sigterm(realm: Realm) -> None:
    def end(*_: object) -> None:
        realm.call("mark", name="ending")
        sys.exit(143)

    signal.signal(signal.SIGTERM, end)


def _begin_a_refresh(realm: Realm, home: Path) -> None:
    _REFRESHING.append(AuthManager(**realm.options(codex_home=home, refresh_window=3500)))
    threading.Thread(target=_REFRESHING[-1].fresh_auth, daemon=True).start()
    realm.wait(held=1)


_REFRESHING: list[AuthManager] = []


# A pool ends its workers by SIGTERM when its `with` is left.
def test_a_pool_worker_that_handles_sigterm_saves_what_it_began(realm: Realm, home: Path) -> None:
    realm.call("hold", at="reply")
    left = threading.Event()

    def release() -> bool:
        realm.wait(marks={"ending": 1})
        waits = not left.wait(1)
        realm.call("release")
        return waits

    context = multiprocessing.get_context("fork")
    with ThreadPoolExecutor(1) as threads:
        with context.Pool(1, _exit_on_sigterm, (realm,)) as pool:
            pool.apply(_begin_a_refresh, (realm, home))
            waits = threads.submit(release)
        left.set()
        assert waits.result(60)
    assert stored(realm, home) == "refresh:a1"


def _exit_among_finalizers(realm: Realm, home: Path) -> None:
    _begin_a_refresh(realm, home)
    # As a handler of SIGTERM does that comes while they run.
    multiprocessing.util.Finalize(None, sys.exit, (143,), exitpriority=10)


def test_an_exit_that_cuts_the_finalizers_short_saves_what_was_begun(
    realm: Realm, home: Path
) -> None:
    realm.call("hold", at="reply")
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_exit_among_finalizers, args=(realm, home))
    child.start()
    realm.wait(held=1)
    child.join(1)
    assert child.is_alive()
    realm.call("release")
    child.join(60)
    assert not child.is_alive()
    assert stored(realm, home) == "refresh:a1"


_IMPORTS_ITSELF = """
import json, multiprocessing, sys, threading, urllib.request

def control(call, **arguments):
    data = json.dumps(arguments).encode()
    urllib.request.urlopen(sys.argv[3] + "/control/" + call, data).read()

def work():
    from codex_auth_sdk import AuthManager

    manager = AuthManager(**json.loads(sys.argv[2]))
    threading.Thread(target=manager.fresh_auth, daemon=True).start()
    control("wait", until={"held": 1})
    threading.Thread(target=control, args=("release",), daemon=True).start()

if __name__ == "__main__":
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 0, child.exitcode
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_worker_that_imports_the_package_itself_saves_what_it_began(
    realm: Realm, home: Path, tmp_path: Path, method: str
) -> None:
    realm.call("hold", at="reply")
    script = tmp_path / "program.py"
    script.write_text(_IMPORTS_ITSELF)
    options = json.dumps(realm.options(codex_home=str(home), refresh_window=3500))
    arguments = [sys.executable, str(script), method, options, realm.url]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=90, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert stored(realm, home) == "refresh:a1"
