"""asyncio: cancelling ends the waiting, never the refresh; loops come and go."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING

import pytest

from codex_auth_sdk import (
    AsyncAuthManager,
    RefreshTokenInvalidated,
    UnauthorizedRecoveryDecision,
)
from support import Realm, script

if TYPE_CHECKING:
    from pathlib import Path

    from codex_auth_sdk import CodexAuth


def signed_in(manager: AsyncAuthManager) -> CodexAuth:
    auth = manager.auth()
    assert auth is not None
    return auth


def test_a_coroutine_can_be_run_as_it_is(realm: Realm, home: Path) -> None:
    manager = AsyncAuthManager(**realm.options(codex_home=home))
    auth = signed_in(manager)
    assert asyncio.run(manager.fresh_auth()) is not None
    new = asyncio.run(manager.refresh_token(auth))
    assert new is not None
    assert new.access_token == signed_in(manager).access_token != auth.access_token
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1"


def test_a_timeout_ends_the_waiting_only(realm: Realm, home: Path) -> None:
    async def main() -> None:
        async with await AsyncAuthManager.open(**realm.options(codex_home=home)) as manager:
            realm.call("hold", at="reply")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(manager.refresh_token(signed_in(manager)), 0.2)
            await asyncio.to_thread(realm.wait, held=1)
            realm.call("release")
            assert await manager.aclose(30)
            assert signed_in(manager).access_token is not None

    asyncio.run(main())
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1"
    assert realm.call("stats")["requests"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the threads are counted in /proc")
def test_thousands_of_awaited_calls_have_a_few_threads(realm: Realm, home: Path) -> None:
    program = """
async def main():
    manager = AsyncAuthManager(**realm.options(codex_home=home))
    auth = manager.auth()
    realm.call("hold", at="reply")
    calls = [asyncio.ensure_future(manager.refresh_token(auth)) for _ in range(2000)]
    await asyncio.to_thread(realm.wait, held=1)
    realm.call("release")
    assert len({fresh.access_token for fresh in await asyncio.gather(*calls)}) == 1
    return len(os.listdir("/proc/self/task"))

print(asyncio.run(main()))
"""
    command = [sys.executable, "-c", script(realm, home, program)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    # The program's own two, the core's, and the one that wakes the tasks.
    assert int(ended.stdout) <= 4 + 1, ended.stdout


def test_a_cancelled_task_ends_the_waiting_only(realm: Realm, home: Path) -> None:
    async def main() -> None:
        manager = AsyncAuthManager(**realm.options(codex_home=home))
        realm.call("hold")
        auth = signed_in(manager)
        tasks = [asyncio.create_task(manager.refresh_token(auth)) for _ in range(2)]
        await asyncio.to_thread(realm.wait, held=1)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        realm.call("release")
        new = await tasks[1]
        assert new is not None

    asyncio.run(main())
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1"


def test_fifty_tasks_are_one_refresh(realm: Realm, home: Path) -> None:
    async def main() -> None:
        manager = AsyncAuthManager(**realm.options(codex_home=home))
        auth = signed_in(manager)
        calls = [
            manager.recover_from_unauthorized(auth, manager.unauthorized_recovery())
            for _ in range(50)
        ]
        assert set(await asyncio.gather(*calls)) == {UnauthorizedRecoveryDecision.RETRY}

    asyncio.run(main())
    assert realm.call("stats")["requests"] == 1


def test_errors_reach_the_one_who_waits(realm: Realm, home: Path) -> None:
    realm.call("invalidate_refresh", token="a0")

    async def main() -> None:
        manager = AsyncAuthManager(**realm.options(codex_home=home))
        auth = signed_in(manager)
        calls = [manager.refresh_token(auth) for _ in range(3)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [RefreshTokenInvalidated] * 3

    asyncio.run(main())


def test_one_manager_serves_loop_after_loop(realm: Realm, home: Path) -> None:
    manager = AsyncAuthManager(**realm.options(codex_home=home))
    for generation in [1, 2, 3]:
        assert asyncio.run(manager.refresh_token(signed_in(manager))) is not None
        assert realm.stored((home / "auth.json").read_text()) == f"refresh:a{generation}"


def test_a_manager_is_collected_while_it_is_at_work(realm: Realm, home: Path) -> None:
    async def main() -> weakref.ref[AsyncAuthManager]:
        manager = AsyncAuthManager(**realm.options(codex_home=home))
        realm.call("hold")
        task = asyncio.create_task(manager.refresh_token(signed_in(manager)))
        await asyncio.to_thread(realm.wait, held=1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return weakref.ref(manager)

    collected = asyncio.run(main())
    gc.collect()
    assert collected() is None
    realm.call("release")
    realm.wait(grants=1)
    follower = AsyncAuthManager(**realm.options(codex_home=home))
    assert asyncio.run(follower.refresh_token(signed_in(follower))) is not None
    assert realm.call("stats")["max_redemptions"] == 1


ABANDON = """
async def main():
    # A slow machine is no reason for asyncio's debug mode to say something.
    asyncio.get_running_loop().slow_callback_duration = 60
    manager = AsyncAuthManager(**realm.options(codex_home=home))
    realm.call("hold")
    task = asyncio.create_task(manager.refresh_token(manager.auth()))
    await asyncio.to_thread(realm.wait, held=1)

asyncio.run(main())
"""


def test_a_task_left_behind_is_silent_and_its_tokens_are_saved(realm: Realm, home: Path) -> None:
    program = script(realm, home, ABANDON + 'realm.call("release")\n')
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1"


def test_an_answer_after_the_end_of_the_loop_is_silent(realm: Realm, home: Path) -> None:
    after = (
        ABANDON
        + """
realm.call("release")
manager = AsyncAuthManager(**realm.options(codex_home=home))
assert asyncio.run(manager.aclose(30))
asyncio.run(manager.refresh_token(manager.auth()))
"""
    )
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", script(realm, home, after)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_an_exit_hook_of_the_program_may_still_await(realm: Realm, home: Path) -> None:
    body = """
manager = AsyncAuthManager(**realm.options(codex_home=home))
hook.append(lambda: asyncio.run(manager.refresh_token(manager.auth())))
"""
    # Registered before the package is imported, so it runs after the package's own hook.
    first = "import atexit; hook = []; atexit.register(lambda: hook[0]())\n"
    ended = subprocess.run(
        [sys.executable, "-c", first + script(realm, home, body)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1"
