"""asyncio: tasks are cancelled at random, on loops of every kind, and nothing is lost."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from chaos import World, is_welcome, request_async, signed_in
from codex_auth_sdk import AsyncAuthManager

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from pathlib import Path

    from support import Realm

    Worlds = Callable[[int], Iterator[World]]
    Run = Callable[[Coroutine[Any, Any, None]], None]

TASKS = 6
ROUNDS = 6


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on a new loop of this kind."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop", reason="it has no wheel for this").new_event_loop

    def run(main: Coroutine[Any, Any, None]) -> None:
        loop = factory()
        try:
            loop.run_until_complete(main)
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    return run


async def some_call(world: World, manager: AsyncAuthManager, chance: random.Random) -> object:
    """A call of a random method. A login that the API takes is not rotated."""
    auth = signed_in(manager)
    which = chance.randrange(8)
    if which == 0:
        return await manager.reload()
    if which == 1:
        return await manager.sync_from_storage(auth)
    if which == 2:
        return await manager.aclose(0.002)
    if which == 3:
        return await AsyncAuthManager.open(**world.options())
    if which < 6 or is_welcome(world.realm, auth):
        return await manager.fresh_auth()
    if which == 6:
        return await manager.refresh_token(auth)
    return await manager.recover_from_unauthorized(auth, manager.unauthorized_recovery())


async def cancelled(tasks: list[asyncio.Task[object]]) -> None:
    """Their end, which nobody else waits for."""
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, BaseException) and not isinstance(ended, asyncio.CancelledError):
            raise ended


async def with_timeouts(calls: list[Awaitable[object]], chance: random.Random) -> None:
    bounded = [asyncio.wait_for(call, chance.random() / 100) for call in calls]
    for ended in await asyncio.gather(*bounded, return_exceptions=True):
        if isinstance(ended, BaseException) and not isinstance(ended, asyncio.TimeoutError):
            raise ended


async def with_a_cancelled_group(calls: list[Awaitable[object]], chance: random.Random) -> None:
    tasks = [asyncio.ensure_future(call) for call in calls]
    group = asyncio.gather(*tasks)
    await asyncio.sleep(chance.random() / 100)
    group.cancel()
    await cancelled([*tasks, asyncio.ensure_future(_settled(group))])


async def _settled(group: asyncio.Future[list[object]]) -> object:
    return await group


async def with_a_failing_group(calls: list[Awaitable[object]], chance: random.Random) -> None:
    class Failed(Exception):
        pass

    async def fail() -> None:
        await asyncio.sleep(chance.random() / 100)
        raise Failed

    async def wait_for(call: Awaitable[object]) -> object:
        return await call

    if sys.version_info < (3, 11):
        await with_a_cancelled_group(calls, chance)
        return
    try:
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(wait_for(call))
            group.create_task(fail())
    except Exception as ended:
        # An `ExceptionGroup`, which Python 3.10 does not know.
        if [type(one) for one in getattr(ended, "exceptions", [])] != [Failed]:
            raise


async def with_some_cancelled(calls: list[Awaitable[object]], chance: random.Random) -> None:
    tasks = [asyncio.ensure_future(call) for call in calls]
    for task in chance.sample(tasks, len(tasks) // 2):
        await asyncio.sleep(chance.random() / 300)
        task.cancel()
    await cancelled(tasks)


WAYS = [with_timeouts, with_a_cancelled_group, with_a_failing_group, with_some_cancelled]


async def play(world: World, manager: AsyncAuthManager, chance: random.Random) -> None:
    for _ in range(ROUNDS):
        calls: list[Awaitable[object]] = [some_call(world, manager, chance) for _ in range(TASKS)]
        await chance.choice(WAYS)(calls, chance)
        world.kill(3, chance)


async def end(world: World, manager: AsyncAuthManager) -> None:
    """Whatever came before, the manager gets through."""
    # A token that was killed while its grant was on the way is a reason to ask once more.
    assert await manager.aclose(60)
    assert await request_async(world.realm, manager), world.stats()
    assert await manager.aclose(60)


def test_tasks_that_are_cancelled_at_random_lose_nothing(
    worlds: Worlds, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    for world in worlds(4):
        manager = AsyncAuthManager(**world.options())
        run(play(world, manager, world.chance()))
        run(end(world, manager))
    assert caplog.records == []


def test_loops_in_many_threads_share_a_manager(
    worlds: Worlds, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    for world in worlds(2):
        managers = [AsyncAuthManager(**world.options()) for _ in range(2)]
        with ThreadPoolExecutor(6) as threads:
            done = [
                threads.submit(run, play(world, managers[number % 2], world.chance()))
                for number in range(6)
            ]
        for thread in done:
            thread.result()
        for manager in managers:
            run(end(world, manager))
    assert caplog.records == []


async def _time_out(call: Awaitable[object], ready: Awaitable[object]) -> None:
    waiting = asyncio.ensure_future(asyncio.wait_for(call, 0.2))
    await ready
    with pytest.raises(asyncio.TimeoutError):
        await waiting


async def _cancel(call: Awaitable[object], ready: Awaitable[object]) -> None:
    task = asyncio.ensure_future(call)
    await ready
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _fail_beside(call: Awaitable[object], ready: Awaitable[object]) -> None:
    async def fail() -> None:
        await ready
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.gather(call, fail())


@pytest.mark.parametrize("hold", ["arrival", "reply"])
@pytest.mark.parametrize("leave", [_time_out, _cancel, _fail_beside])
def test_leaving_in_the_middle_of_an_exchange(
    realm: Realm,
    home: Path,
    run: Run,
    hold: str,
    leave: Callable[[Awaitable[object], Awaitable[object]], Coroutine[Any, Any, None]],
) -> None:
    async def main() -> None:
        manager = AsyncAuthManager(**realm.options(codex_home=home))
        auth = signed_in(manager)
        realm.call("hold", at=hold)
        await leave(manager.refresh_token(auth), asyncio.to_thread(realm.wait, held=1))
        follower = asyncio.ensure_future(manager.refresh_token(auth))
        realm.call("release")
        assert await follower is not None

    run(main())
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1"
    assert realm.call("stats")["requests"] == 1
