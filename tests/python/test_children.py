"""Children that end past the exit hooks of the interpreter lose no pair."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import WATCHDOG_S

if TYPE_CHECKING:
    from support import Realm

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")


def of_every_method(*ways: str) -> list[str]:
    return [f"{way}:{method}" for way in ways for method in ("fork", "forkserver", "spawn")]


def start(way: str, realm: Realm, home: Path) -> subprocess.Popen[str]:
    """Starts a child in the way that is named, in a process of its own."""
    library = way.partition("_")[0]
    if library in ("billiard", "celery") and find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    program = Path(__file__).with_name("children.py")
    return subprocess.Popen(
        [sys.executable, program, way, home, str(realm.port), realm.name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(
    "way", [*of_every_method("process", "pool", "executor"), "billiard_process", "celery"]
)
def test_g4_a_child_that_ends_while_a_refresh_is_in_flight_saves_the_pair(
    way: str, realm: Realm, home: Path
) -> None:
    realm.call("hold", at="reply")
    parent = start(way, realm, home)
    realm.call("wait", until={"held": 1}, timeout_ms=WATCHDOG_S * 1000)
    # A child that waits for nothing has ended by then.
    with suppress(subprocess.TimeoutExpired):
        parent.communicate(timeout=2)
    realm.call("release")
    output, _ = parent.communicate(timeout=WATCHDOG_S)
    assert parent.returncode == 0, output
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1", output


@pytest.mark.parametrize(
    "way",
    [
        *of_every_method("killed_process", "terminated_pool"),
        *("billiard_killed_process", "billiard_terminated_pool"),
    ],
)
def test_g4_a_child_that_is_killed_has_saved_what_was_due_when_it_asked(
    way: str, realm: Realm, home: Path
) -> None:
    parent = start(way, realm, home)
    output, _ = parent.communicate(timeout=WATCHDOG_S)
    assert parent.returncode == 0, output
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1", output
