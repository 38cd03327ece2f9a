"""Starts a child in the way that is named, which ends while a refresh is in flight.

Usage: children.py WAY CODEX_HOME PORT REALM; the ways are the functions of this file, and those of
`multiprocessing` have the name of a start method behind a colon.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any, cast

from codex_auth_sdk import AuthManager
from support import WATCHDOG_S, Realm


def work(home: str, port: str, name: str) -> None:
    """Starts a refresh of a token that is still valid, and does not wait for it."""
    realm = Realm(int(port), name, {})
    manager = AuthManager(**realm.options(codex_home=home, refresh_window=3500))
    assert manager.fresh_auth() is not None
    realm.call("wait", until={"held": 1}, timeout_ms=WATCHDOG_S * 1000)


def process(method: str, *arguments: str) -> None:
    # The types of `multiprocessing` know no `Process` of a context.
    context = cast("Any", multiprocessing.get_context(method))
    started = context.Process(target=work, args=arguments)
    started.start()
    started.join()


def pool(method: str, *arguments: str) -> None:
    with multiprocessing.get_context(method).Pool(1, maxtasksperchild=1) as workers:
        workers.apply(work, arguments)
        workers.close()
        workers.join()


def executor(method: str, *arguments: str) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as workers:
        workers.submit(work, *arguments).result()


def billiard_process(*arguments: str) -> None:
    billiard: Any = importlib.import_module("billiard")
    started = billiard.Process(target=work, args=arguments)
    started.start()
    started.join()


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


def main() -> None:
    way, *arguments = sys.argv[1:]
    signal.alarm(WATCHDOG_S)
    function, _, method = way.partition(":")
    globals()[function](*filter(None, [method]), *arguments)


if __name__ == "__main__":
    main()
