"""However a sign-in ends early: whoever waits is told, and nobody waits for a user for ever."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from codex_auth_sdk import (
    AsyncBrowserLogin,
    CodexAuth,
    LoginCancelled,
    LoginTimeout,
)
from sign_in import (
    ANY_PORT,
    async_manager_of,
    is_free,
    manager_of,
    port_of,
    redirect_of,
    until,
    visit,
)
from support import WATCHDOG_S, Child, script

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Realm


@pytest.mark.parametrize("way", ["cancel", "leave"])
def test_who_waits_is_told_of_the_end(way: str, realm: Realm, home: Path) -> None:
    before = (home / "auth.json").read_text()
    manager = manager_of(realm, home)
    with ThreadPoolExecutor(1) as threads:
        # Where nobody is told, the pool waits for the thread as long as that waits.
        with manager.login_with_browser(ports=ANY_PORT, timeout=WATCHDOG_S / 2) as login:
            waiting = threads.submit(login.wait)
            until(waiting.running)
            if way == "cancel":
                login.cancel()
                with pytest.raises(LoginCancelled):
                    waiting.result(WATCHDOG_S)
        with pytest.raises(LoginCancelled):
            waiting.result(WATCHDOG_S)
    port = port_of(login.redirect_uri)
    with manager.login_with_browser(ports=[port]) as again:
        assert port_of(again.redirect_uri) == port
    assert (home / "auth.json").read_text() == before


def test_a_cancelled_task_ends_only_its_waiting(realm: Realm, home: Path) -> None:
    async def main() -> None:
        manager = async_manager_of(realm, home)
        login = await manager.login_with_browser(ports=ANY_PORT)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(login.wait(), 0.01)
        assert not is_free(port_of(login.redirect_uri))
        waiting = asyncio.create_task(login.wait())
        assert await asyncio.to_thread(visit, login.authorization_url) == 200
        assert (await waiting).account_id == "acct-device"

        login = await manager.login_with_browser(ports=ANY_PORT)
        waiting = asyncio.create_task(login.wait())
        await asyncio.sleep(0)
        login.cancel()
        with pytest.raises(LoginCancelled):
            await waiting
        device = await manager.login_with_device_code()
        async with device:
            waiting = asyncio.create_task(device.wait())
        with pytest.raises(LoginCancelled):
            await waiting

    asyncio.run(main())


def test_a_login_that_nobody_holds_ends(realm: Realm, home: Path) -> None:
    async def main() -> int:
        login = await async_manager_of(realm, home).login_with_browser(ports=ANY_PORT)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(login.wait(), 0.01)
        return port_of(login.redirect_uri)

    port = asyncio.run(main())
    gc.collect()
    until(partial(is_free, port))
    login = manager_of(realm, home).login_with_browser(ports=ANY_PORT)
    port = port_of(login.redirect_uri)
    assert not is_free(port)
    del login
    until(partial(is_free, port))


def test_nobody_is_waited_for_for_ever(realm: Realm, home: Path) -> None:
    manager = manager_of(realm, home)
    with pytest.raises(LoginTimeout):
        manager.login_with_browser(ports=ANY_PORT, timeout=0.02).wait()
    realm.call("configure", device_pending_polls=1000)
    with pytest.raises(LoginTimeout):
        manager.login_with_device_code(timeout=timedelta(milliseconds=1)).wait()


# By the time that the server was asked in vain, they wait.
WAITERS = {
    "a daemon thread": """
manager = AuthManager(**options)
asked = threading.Event()
subscription = manager.subscribe(lambda event: asked.set())
login = manager.login_with_device_code()
threading.Thread(target=login.wait, daemon=True).start()
asked.wait()
""",
    "a daemon thread with a loop": """
asked = threading.Event()
async def main():
    manager = AsyncAuthManager(**options)
    events = manager.subscribe()
    login = await manager.login_with_device_code()
    task = asyncio.create_task(login.wait())
    await anext(events)
    asked.set()
    await task
threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
asked.wait()
""",
    "a task": """
async def main():
    manager = AsyncAuthManager(**options)
    events = manager.subscribe()
    login = await manager.login_with_device_code()
    task = asyncio.create_task(login.wait())
    await anext(events)
    return login
login = asyncio.run(main())
""",
    "nobody": "login = AuthManager(**options).login_with_device_code()",
}


@pytest.mark.parametrize("waiter", WAITERS)
def test_the_exit_waits_for_no_user(waiter: str, realm: Realm, home: Path) -> None:
    body = f"""
import atexit
from codex_auth_sdk import _native
realm.call("configure", device_pending_polls=1000)
options = {{'codex_home': home, 'issuer': realm.url}}
{WAITERS[waiter]}
# Before the package's own hook: false if there were something to wait for.
atexit.register(lambda: print(_native.finish(1.0)))
"""
    program = [sys.executable, "-c", script(realm, home, body)]
    ended = subprocess.run(program, capture_output=True, text=True, check=True, timeout=WATCHDOG_S)
    assert (ended.stdout, ended.stderr) == ("True\n", "")


def test_ctrl_c_ends_the_waiting_and_not_the_sign_in(realm: Realm, home: Path) -> None:
    body = """
manager = AuthManager(codex_home=home, issuer=realm.url)
login = manager.login_with_browser(ports=[0])
try:
    print(login.authorization_url, flush=True)
    login.wait()
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(login.wait().account_id)
"""
    program = [sys.executable, "-c", script(realm, home, body)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert visit(url) == 200
        assert process.stdout.readline() == "acct-device\n"
        assert process.wait(WATCHDOG_S) == 0


async def waited(login: AsyncBrowserLogin) -> CodexAuth:
    return await login.wait()


def test_a_forked_child_begins_its_own(realm: Realm, home: Path) -> None:
    manager = manager_of(realm, home)
    login = manager.login_with_browser(ports=ANY_PORT)
    device = manager.login_with_device_code()
    manual = manager.login_with_browser(manual=True)
    address = redirect_of(manual.authorization_url)

    def child() -> list[str]:
        seen: list[str] = []
        waits: list[Callable[[], object]] = [
            login.wait,
            device.wait,
            partial(manual.complete, address),
            lambda: asyncio.run(waited(AsyncBrowserLogin(login))),
        ]
        for wait in waits:
            try:
                wait()
            except LoginCancelled as error:
                seen.append(error.code)
        login.cancel()
        own = manager.login_with_browser(ports=ANY_PORT)
        assert visit(own.authorization_url) == 200
        seen.append(str(own.wait().account_id))
        return seen

    assert Child(child).result() == ["login_cancelled"] * 4 + ["acct-device"]
    assert manual.complete(address).account_id == "acct-device"
    assert visit(login.authorization_url) == 200
    assert login.wait().account_id == "acct-device"


def test_a_child_that_lives_on_does_not_keep_the_port(realm: Realm, home: Path) -> None:
    manager = manager_of(realm, home)
    login = manager.login_with_browser(ports=ANY_PORT)
    port = port_of(login.redirect_uri)
    child = Child(lambda: realm.wait(marks={"over": 1})["marks"])
    login.cancel()
    until(partial(is_free, port))
    with manager.login_with_browser(ports=[port]) as again:
        assert port_of(again.redirect_uri) == port
    realm.call("mark", name="over")
    assert child.result() == {"over": 1}
