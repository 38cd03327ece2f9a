"""However a program ends on its own account, a rotated pair is saved first, and nothing crashes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support import WATCHDOG_S, Realm, script

if TYPE_CHECKING:
    from pathlib import Path

# Who waits for the exchange when the program ends.
CALLERS = {
    "nobody": "assert AuthManager(**options, refresh_window=3500).fresh_auth() is not None",
    "a daemon thread": """
manager = AuthManager(**options)
threading.Thread(target=manager.refresh_token, args=(manager.auth(),), daemon=True).start()
""",
    "a task": """
async def main():
    manager = AsyncAuthManager(**options)
    task = asyncio.create_task(manager.refresh_token(manager.auth()))
    await asyncio.to_thread(realm.wait, held=1)
asyncio.run(main())
""",
}

WAYS = {
    "end": ("atexit.register(leave)", 0),
    "sys.exit": ("atexit.register(leave); sys.exit(7)", 7),
    "exception": ("atexit.register(leave); raise RuntimeError('on purpose')", 1),
    # Of libc, past the interpreter: what a program may do that embeds it.
    "exit": ("leave(); ctypes.CDLL(None).exit(7)", 7),
}


@pytest.mark.skipif(sys.platform == "win32", reason="libc is not found so")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("caller", CALLERS)
def test_an_end_waits_for_an_exchange(realm: Realm, home: Path, caller: str, way: str) -> None:
    ending, code = WAYS[way]
    # What is registered last runs first, and what was before the package came runs after its hook.
    first = "import atexit; after = []; atexit.register(lambda: print(after[0]()))\n"
    body = f"""
import ctypes
after.append((home / "auth.json").read_text)
def leave():
    realm.call("mark", name="leaving")
options = realm.options(codex_home=home)
{CALLERS[caller]}
realm.wait(held=1)
{ending}
"""
    realm.call("hold", at="reply")
    process = subprocess.Popen(
        [sys.executable, "-c", first + script(realm, home, body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        realm.wait(marks={"leaving": 1})
        realm.call("release")
        after, said = process.communicate(timeout=WATCHDOG_S)
    finally:
        process.kill()
    assert process.returncode == code
    assert said.endswith("RuntimeError: on purpose\n") if way == "exception" else said == ""
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1"
    # There are no hooks of Python's after libc's.
    assert after == "" if way == "exit" else realm.stored(after) == "refresh:a1"


def test_an_end_waits_for_a_callback(realm: Realm, home: Path) -> None:
    body = """
import atexit
def callback(event):
    realm.call("mark", name="called")
    realm.wait(marks={"released": 1})
    print(event.kind)
manager = AuthManager(**realm.options(codex_home=home))
subscription = manager.subscribe(callback)
manager.logout(revoke=False)
realm.wait(marks={"called": 1})
atexit.register(realm.call, "mark", name="leaving")
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script(realm, home, body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        realm.wait(marks={"leaving": 1})
        realm.call("mark", name="released")
        said = process.communicate(timeout=WATCHDOG_S)
    finally:
        process.kill()
    assert (process.returncode, *said) == (0, "logged_out\n", "")
