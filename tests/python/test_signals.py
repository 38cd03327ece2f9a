"""Ctrl-C and SIGTERM: the call ends at once, the refresh does not."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support import Realm, script

if TYPE_CHECKING:
    from pathlib import Path

BLOCKING = """
manager = AuthManager(**realm.options(codex_home=home))
def refresh():
    manager.refresh_token(manager.auth())
"""

ASYNCIO = """
manager = AsyncAuthManager(**realm.options(codex_home=home))
def refresh():
    asyncio.run(manager.refresh_token(manager.auth()))
"""

DAEMON = """
manager = AuthManager(**realm.options(codex_home=home))
def refresh():
    arguments = [manager.auth()]
    waiting = threading.Thread(target=manager.refresh_token, args=arguments, daemon=True)
    waiting.start()
    waiting.join()
"""

POOL = """
from concurrent.futures import ThreadPoolExecutor
manager = AuthManager(**realm.options(codex_home=home))
def refresh():
    with ThreadPoolExecutor(1) as threads:
        threads.submit(manager.refresh_token, manager.auth()).result()
"""

# What the README recommends.
EXIT_ON_SIGTERM = """
def end(*_):
    realm.call("mark", name="ending")
    sys.exit(143)

signal.signal(signal.SIGTERM, end)
"""

CAUGHT = """
try:
    refresh()
except KeyboardInterrupt:
    sys.stderr.write("KeyboardInterrupt: caught\\n")
    sys.stderr.flush()
"""


@pytest.mark.parametrize("ending", [CAUGHT, "refresh()"], ids=["caught", "uncaught"])
@pytest.mark.parametrize("manager", [BLOCKING, ASYNCIO], ids=["blocking", "asyncio"])
def test_ctrl_c_ends_the_call_and_not_the_refresh(
    manager: str, ending: str, realm: Realm, home: Path
) -> None:
    realm.call("hold", at="reply")
    program = script(realm, home, manager + ending)
    with subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        realm.wait(held=1)
        process.send_signal(signal.SIGINT)
        # The reply is still held, so whoever reports this did not wait for it.
        lines = iter(process.stderr.readline, "")
        assert any(line.startswith("KeyboardInterrupt") for line in lines)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        realm.call("release")
        process.wait(60)
        assert "rror" not in process.stderr.read()
    assert process.returncode == (0 if ending is CAUGHT else -signal.SIGINT)
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1"


@pytest.mark.parametrize(
    "manager", [BLOCKING, ASYNCIO, DAEMON, POOL], ids=["blocking", "asyncio", "daemon", "pool"]
)
def test_a_handled_sigterm_ends_the_program_and_not_the_refresh(
    manager: str, realm: Realm, home: Path
) -> None:
    realm.call("hold", at="reply")
    program = script(realm, home, manager + EXIT_ON_SIGTERM + "refresh()")
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        realm.wait(held=1)
        terminate(process, realm)
        # Once more, as from a parent that passes on what its whole group has got already.
        terminate(process, realm)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        realm.call("release")
        assert process.wait(60) == 143
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1"


def terminate(process: subprocess.Popen[bytes], realm: Realm) -> None:
    """Sends SIGTERM until the program handles it.

    Python handles a signal that comes just before a thread begins to wait for a lock only after the
    wait, unless another signal follows.
    """
    before = realm.call("stats")["marks"].get("ending", 0)
    while realm.call("stats")["marks"].get("ending", 0) == before:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            pytest.fail(f"the program has ended with {process.returncode}")


def test_more_of_ctrl_c_ends_the_waiting_at_exit(realm: Realm, home: Path) -> None:
    realm.call("hold")
    with subprocess.Popen(
        [sys.executable, "-c", script(realm, home, BLOCKING + CAUGHT)],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        realm.wait(held=1)
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "KeyboardInterrupt: caught\n"
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
    assert realm.call("stats")["grants"] == 0


def test_other_threads_run_while_a_call_waits(realm: Realm, home: Path) -> None:
    body = (
        BLOCKING
        + """
waiting = threading.Thread(target=refresh)
waiting.start()
realm.wait(held=1)
assert waiting.is_alive()
realm.call("release")
waiting.join()
"""
    )
    realm.call("hold")
    program = script(realm, home, body)
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1"
