"""A child that is forked while a lock is held, and lives on: its parent's end frees the lock."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from codex_auth_sdk import AuthManager
from support import Realm, script, strace

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from codex_auth_sdk import CodexAuth

if sys.platform != "linux":
    pytest.skip("needs /proc and strace", allow_module_level=True)

OS_FORK = "os.fork()"

# As a library forks that knows nothing of Python: no hook runs in the child.
C_FORK = "ctypes.PyDLL(None).fork()"

EXEC = "subprocess.Popen(['sleep', '600'], close_fds=False).pid"

PARENT = """
import ctypes, subprocess, time

def is_held(name):
    lock = home / name
    return lock.exists() and f":{{lock.stat().st_ino}} " in pathlib.Path("/proc/locks").read_text()

manager = AuthManager(**realm.options(codex_home=home))
refreshing = threading.Thread(target=lambda: manager.refresh_token(manager.auth()))
refreshing.start()
{until_held}
while not is_held({lock!r}):
    time.sleep(0.001)
runs, says = os.pipe()
child = {fork}
if child == 0:
    os.write(says, b".")
    time.sleep(600)
    os._exit(0)
# What strace traces may stand still for a while after a fork, before the child's hooks have run.
if {forks}:
    os.read(runs, 1)
print(os.getpid(), child, is_held({lock!r}), flush=True)
refreshing.join()
realm.call("mark", name="parent_is_done")
sys.stdin.readline()
"""

# Slow enough to fork in the middle of it. A record is exchanged for the new one.
SLOW_SAVE = "inject=renameat2:delay_enter=3000000:when=1"


@contextlib.contextmanager
def parent(realm: Realm, home: Path, lock: str, fork: str) -> Generator[int, None, None]:
    """A process that holds `lock`, and has forked a child that lives on until the end of this."""
    if lock == "commit":
        command = [*strace(), "-e", "trace=renameat2", "-e", SLOW_SAVE, "--"]
        name, until_held = "auth.json.lock", "realm.wait(grants=1)"
    else:
        command = []
        name, until_held = ".codex-auth-sdk.lock", "realm.wait(held=1)"
        realm.call("hold")
    body = PARENT.format(lock=name, until_held=until_held, fork=fork, forks=fork != EXEC)
    with subprocess.Popen(
        [*command, sys.executable, "-c", script(realm, home, body)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pid, child, is_held = process.stdout.readline().split()
        try:
            assert is_held == "True"
            yield int(pid)
            os.kill(int(child), 0)
        finally:
            os.kill(int(child), signal.SIGKILL)
            process.stdin.close()


def refreshed(realm: Realm, home: Path) -> CodexAuth | None:
    """What another program gets before the child ends; a killed parent ends once its write does."""
    patience = {"refresh_deadline": 50, "lock_timeout": 55}
    manager = AuthManager(**realm.options(codex_home=home, **patience))
    auth = manager.auth()
    assert auth is not None
    return manager.refresh_token(auth)


@pytest.mark.parametrize("lock", ["refresh", "commit"])
@pytest.mark.parametrize("fork", [OS_FORK, C_FORK, EXEC], ids=["os", "c", "exec"])
def test_others_go_on_when_the_parent_is_done(
    lock: str, fork: str, realm: Realm, home: Path
) -> None:
    with parent(realm, home, lock, fork):
        realm.call("release")
        realm.wait(marks={"parent_is_done": 1})
        assert refreshed(realm, home) is not None
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a2"


# A child that C forked keeps the locks of a parent that did not unlock them: nobody can help that.
@pytest.mark.parametrize("fork", [OS_FORK, EXEC], ids=["os", "exec"])
def test_others_go_on_when_the_parent_is_killed(fork: str, realm: Realm, home: Path) -> None:
    with parent(realm, home, "refresh", fork) as pid:
        os.kill(pid, signal.SIGKILL)
        assert refreshed(realm, home) is not None
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1"


@pytest.mark.parametrize("fork", [OS_FORK, EXEC], ids=["os", "exec"])
def test_others_go_on_when_the_parent_is_killed_while_it_saves(
    fork: str, realm: Realm, home: Path
) -> None:
    with parent(realm, home, "commit", fork) as pid:
        os.kill(pid, signal.SIGKILL)
        assert refreshed(realm, home) is not None
    # The tokens were in a temp file, which another process renames.
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1"
