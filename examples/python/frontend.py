"""A program that calls a protected API in a loop, shares its login with others, and recovers.

It ends when its standard input does, and prints its tally as a line of JSON now and then.
Usage: frontend.py CODEX_HOME ISSUER_URL NAME
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass, field

from codex_auth_sdk import AuthManager, CodexAuth, UnauthorizedRecoveryDecision


@dataclass
class Tally:
    requests: int = 0
    recovered: int = 0
    logouts: int = 0
    slowest_ms: float = 0.0
    errors: list[str] = field(default_factory=list)


def main() -> None:
    home, url, name = sys.argv[1:]
    manager = AuthManager(codex_home=home, token_url=f"{url}/oauth/token", originator=name)
    stopped = threading.Event()

    def stop_with_input() -> None:
        sys.stdin.read()
        stopped.set()

    threading.Thread(target=stop_with_input, daemon=True).start()
    tally = Tally()
    reported = time.monotonic()
    while not stopped.wait(0.01):
        try:
            request(manager, url, tally)
        except Exception as error:
            tally.errors.append(f"{type(error).__name__}: {error}")
        if time.monotonic() - reported > 0.25:
            print(json.dumps(asdict(tally)), flush=True)
            reported = time.monotonic()
    print(json.dumps(asdict(tally)), flush=True)


def request(manager: AuthManager, url: str, tally: Tally) -> None:
    """One request, with as many retries as the recovery allows."""
    recovery = manager.unauthorized_recovery()
    while True:
        auth = manager.auth()
        if auth is None:
            raise RuntimeError("logged out")
        tally.requests += 1
        if call_api(url, auth) != 401:
            return
        start = time.monotonic()
        decision = manager.recover_from_unauthorized(auth, recovery)
        tally.slowest_ms = max(tally.slowest_ms, (time.monotonic() - start) * 1e3)
        if decision is not UnauthorizedRecoveryDecision.RETRY:
            tally.logouts += 1
            raise RuntimeError(f"gave up: {recovery.give_up_reason}")
        tally.recovered += 1


def call_api(url: str, auth: CodexAuth) -> int:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"{url}/api/me", headers=auth.headers())
        ) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


if __name__ == "__main__":
    main()
