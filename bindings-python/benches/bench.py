"""Prints what the calls of a program cost. Build with `maturin develop --release` first."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codex_auth_sdk import AsyncAuthManager, AuthManager, CodexAuth

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROUNDS = 7


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write(home, 0)
        print(f"import                          {import_ms():10.2f} ms")
        print(f"a program that prints a token   {token_ms(home):10.2f} ms")
        manager = AuthManager(codex_home=home)
        auth = signed_in(manager.auth())
        report("auth() and .access_token", per_call(lambda: signed_in(manager.auth()).access_token))
        report("fresh_auth(), blocking", per_call(manager.fresh_auth))
        asynchronous = AsyncAuthManager(codex_home=home)
        report("fresh_auth(), awaited", asyncio.run(per_await(asynchronous.fresh_auth)))
        sync = per_call(lambda: manager.sync_from_storage(auth), 2_000)
        report("sync_from_storage(), unchanged", sync)
        report("sync_from_storage(), changed", changed(manager, home))


def report(what: str, nanoseconds: float) -> None:
    print(f"{what:<32}{nanoseconds / 1_000:10.3f} us")


def per_call(call: Callable[[], object], calls: int = 200_000) -> float:
    """The best of some rounds, less the cost of the loop and of calling a function."""
    return best(call, calls) - (best(lambda: None, calls) if is_lambda(call) else 0)


def best(call: Callable[[], object], calls: int) -> float:
    rounds: list[float] = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        for _ in range(calls):
            call()
        rounds.append((time.perf_counter_ns() - start) / calls)
    return min(rounds)


def is_lambda(call: Callable[[], object]) -> bool:
    return getattr(call, "__name__", "") == "<lambda>"


async def per_await(call: Callable[[], Awaitable[object]], calls: int = 100_000) -> float:
    rounds: list[float] = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        for _ in range(calls):
            await call()
        rounds.append((time.perf_counter_ns() - start) / calls)
    return min(rounds)


def changed(manager: AuthManager, home: Path) -> float:
    """A store of 4 KiB that another program has just rewritten."""
    rounds: list[float] = []
    auth = signed_in(manager.auth())
    for generation in range(1, 500):
        write(home, generation)
        start = time.perf_counter_ns()
        outcome = manager.sync_from_storage(auth)
        rounds.append(time.perf_counter_ns() - start)
        assert outcome.changed
    return sorted(rounds)[len(rounds) // 2]


def import_ms() -> float:
    """What importing the package adds to starting the interpreter, best of many."""
    programs = ["import codex_auth_sdk", "pass"]
    package, bare = (min(run_ms(program) for _ in range(20)) for program in programs)
    return package - bare


def token_ms(home: Path) -> float:
    """From the start to the end of a program that prints a token, at the median."""
    program = (
        "import sys, codex_auth_sdk as sdk;"
        "print(sdk.AuthManager(codex_home=sys.argv[1]).fresh_auth().access_token)"
    )
    return statistics.median(run_ms(program, str(home)) for _ in range(50))


def run_ms(program: str, *arguments: str) -> float:
    start = time.perf_counter()
    command = [sys.executable, "-c", program, *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1_000


def signed_in(auth: CodexAuth | None) -> CodexAuth:
    assert auth is not None
    return auth


def write(home: Path, generation: int) -> None:
    """A record of about 4 KiB whose tokens are good for a day."""
    now = int(time.time())
    account = {"chatgpt_account_id": "acct-bench", "chatgpt_plan_type": "plus"}
    claims = {"https://api.openai.com/auth": {**account, "chatgpt_user_id": "user-bench"}}
    times = {"iat": now, "exp": now + 86_400}
    tokens = {
        "id_token": jwt({**claims, "email": "bench@example.com", "pad": "x" * 900}),
        "access_token": jwt({**claims, **times, "generation": generation, "pad": "x" * 1_200}),
        "refresh_token": f"rt-{generation}-{'x' * 64}",
        "account_id": "acct-bench",
    }
    written = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 60))
    record = {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens}
    path = home / "auth.json.new"
    path.write_text(json.dumps({**record, "last_refresh": written}, indent=2))
    os.replace(path, home / "auth.json")  # noqa: PTH105


def jwt(payload: dict[str, Any]) -> str:
    encoded = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"h.{encoded}.s"


if __name__ == "__main__":
    main()
