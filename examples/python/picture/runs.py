"""Runs of programs that share one login, at an issuer like that of the demo."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

ACCESS_TOKEN_LIFE_S = 3

# That of the demo without the Codex CLI.
ISSUER_CONFIG = {
    "access_ttl_ms": ACCESS_TOKEN_LIFE_S * 1000,
    "grant_latency_ms": 100,
    "refusal_latency_ms": 300,
    "clock_offset_s": 900,
    "policy": "revoke_family",
}


@dataclass
class Lane:
    """What one program did. Times are seconds since the start of the run."""

    name: str
    started: float | None = None
    # When it went on after a 401, to a quarter of a second.
    recovered: list[float] = field(default_factory=list)
    # When it redeemed the refresh token.
    redeemed: list[float] = field(default_factory=list)
    signed_out: float | None = None
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """What all of them did, and what the issuer says of it."""

    lanes: Sequence[Lane]
    seconds: float
    grants: int
    refused: int

    def signed_out(self) -> list[float]:
        """When programs lost the login, in that order."""
        return sorted(lane.signed_out for lane in self.lanes if lane.signed_out is not None)


class Issuer:
    """A test issuer, with a login in a folder."""

    def __init__(self, program: Path, stack: ExitStack) -> None:
        process = stack.enter_context(
            subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        stack.callback(process.terminate)
        self.url = f"http://127.0.0.1:{json.loads(_output(process).readline())['port']}"
        self.home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.call("reset", **ISSUER_CONFIG)
        login = self.call("login", name="a", access_age_s=0)
        (self.home / "auth.json").write_text(login["text"])

    def call(self, name: str, /, **arguments: Any) -> Any:
        """Makes a control call."""
        headers = {"content-type": "application/json"}
        body = json.dumps(arguments).encode()
        request = urllib.request.Request(f"{self.url}/control/{name}", body, headers)
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)


def run(issuer: Path, programs: dict[str, list[str]], seconds: float) -> Run:
    """Starts the programs, each by its name and command, and watches them."""
    with ExitStack() as stack:
        served = Issuer(issuer, stack)
        lanes = [Lane(name) for name in programs]
        start = time.monotonic()
        started = [_started(command, name, served, stack) for name, command in programs.items()]
        watches = [
            threading.Thread(target=_watch, args=(process, lane, start))
            for process, lane in zip(started, lanes, strict=True)
        ]
        for watch in watches:
            watch.start()
        while (now := time.monotonic() - start) < seconds:
            redeemers = served.call("stats")["redeemers"]
            for lane in lanes:
                count = redeemers.get(lane.name, 0) - len(lane.redeemed)
                lane.redeemed += [now] * count
            time.sleep(0.05)
        for process in started:
            _input(process).close()
        for process, lane, watch in zip(started, lanes, watches, strict=True):
            watch.join()
            if code := process.wait():
                lane.errors.append(f"it ended with {code}")
        stats = served.call("stats")
        return Run(lanes, seconds, stats["grants"], stats["refused"])


def _started(
    command: list[str], name: str, issuer: Issuer, stack: ExitStack
) -> subprocess.Popen[bytes]:
    process = stack.enter_context(
        subprocess.Popen(
            [*command, str(issuer.home), issuer.url, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    )
    stack.callback(process.terminate)
    return process


def _watch(process: subprocess.Popen[bytes], lane: Lane, start: float) -> None:
    """Reads the tallies of a program to their end."""
    for line in _output(process):
        now = time.monotonic() - start
        tally = json.loads(line)
        if lane.started is None:
            lane.started = now
        lane.recovered += [now] * (tally["recovered"] - len(lane.recovered))
        if tally["logouts"] and lane.signed_out is None:
            lane.signed_out = now
        lane.errors = tally.get("errors", [])


def _output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def _input(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin
