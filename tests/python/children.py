"""Starts a child in the way that is named.

Usage: children.py WAY CODEX_HOME PORT REALM; the ways are the functions of this file, and those of
`multiprocessing` have the name of a start method behind a colon.
"""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any, cast

from codex_auth_sdk import AsyncAuthManager, AuthManager
from support import WATCHDOG_S, Realm


def work(home: str, port: str, name: str) -> None:
    """Starts a refresh, which no caller waits for, and ends while it is in flight."""
    realm = Realm(int(port), name, {})

    async def begin() -> None:
        manager = AsyncAuthManager(**realm.options(codex_home=home))
        auth = manager.auth()
        assert auth is not None
        waiting = asyncio.create_task(manager.refresh_token(auth))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(begin())
    realm.call("wait", until={"held": 1}, timeout_ms=WATCHDOG_S * 1000)


def use_what_is_due(home: str, port: str, name: str) -> None:
    """Asks for a token that is still valid, and due."""
    realm = Realm(int(port), name, {})
    manager = AuthManager(**realm.options(codex_home=home, refresh_window=3500))
    assert manager.fresh_auth() is not None


def use_what_is_due_and_be_killed(*arguments: str) -> None:
    use_what_is_due(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)


def process(method: str, *arguments: str) -> None:
    _run(_process_of(method), work, *arguments)


def killed_process(method: str, *arguments: str) -> None:
    _run(_process_of(method), use_what_is_due_and_be_killed, *arguments)


def pool(method: str, *arguments: str) -> None:
    with multiprocessing.get_context(method).Pool(1, maxtasksperchild=1) as workers:
        workers.apply(work, arguments)
        workers.close()
        workers.join()


def terminated_pool(method: str, *arguments: str) -> None:
    with multiprocessing.get_context(method).Pool(1) as workers:
        workers.apply(use_what_is_due, arguments)


def executor(method: str, *arguments: str) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as workers:
        workers.submit(work, *arguments).result()


def billiard_process(*arguments: str) -> None:
    _run(importlib.import_module("billiard").Process, work, *arguments)


def billiard_killed_process(*arguments: str) -> None:
    _run(importlib.import_module("billiard").Process, use_what_is_due_and_be_killed, *arguments)


def billiard_terminated_pool(*arguments: str) -> None:
    workers: Any = importlib.import_module("billiard").Pool(1)
    workers.apply(use_what_is_due, arguments)
    workers.terminate()
    workers.join()


def celery(*arguments: str) -> None:
    from celery import Celery  # type: ignore[import-untyped]

    app: Any = Celery(broker="memory://")

    @app.task(name="work")  # type: ignore[untyped-decorator]
    def work_and_end_the_worker() -> None:
        work(*arguments)
        os.kill(os.getppid(), signal.SIGTERM)

    work_and_end_the_worker.delay()
    settings = ["--pool=prefork", "--concurrency=1", "--max-tasks-per-child=1"]
    app.worker_main(["worker", "--without-heartbeat", "--without-mingle", *settings])


def _process_of(method: str) -> Any:
    # The types of `multiprocessing` know no `Process` of a context.
    return cast("Any", multiprocessing.get_context(method)).Process


def _run(process: Any, target: Any, *arguments: str) -> None:
    started = process(target=target, args=arguments)
    started.start()
    started.join()


def main() -> None:
    way, *arguments = sys.argv[1:]
    signal.alarm(WATCHDOG_S)
    function, _, method = way.partition(":")
    globals()[function](*filter(None, [method]), *arguments)


if __name__ == "__main__":
    main()
