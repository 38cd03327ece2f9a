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

WAYS = [
    f"{way}:{method}"
    for way in ("process", "pool", "executor")
    for method in ("fork", "forkserver", "spawn")
]


@pytest.mark.parametrize("way", [*WAYS, "billiard_process", "celery"])
def test_g4_a_child_that_ends_while_a_refresh_is_in_flight_saves_the_pair(
    way: str, realm: Realm, home: Path
) -> None:
    library = way.partition("_")[0]
    if library in ("billiard", "celery") and find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    realm.call("hold", at="reply")
    program = Path(__file__).with_name("children.py")
    parent = subprocess.Popen(
        [sys.executable, program, way, home, str(realm.port), realm.name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    realm.call("wait", until={"held": 1}, timeout_ms=WATCHDOG_S * 1000)
    # A child that waits for nothing has ended by then.
    with suppress(subprocess.TimeoutExpired):
        parent.communicate(timeout=2)
    realm.call("release")
    output, _ = parent.communicate(timeout=WATCHDOG_S)
    assert parent.returncode == 0, output
    assert realm.stored((home / "auth.json").read_text()) == "refresh:a1", output
