"""The hooks for the end of a process and for forks."""

from __future__ import annotations

import atexit
import os
import sys

from codex_auth_sdk import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def register() -> None:
    """Registers the hooks, so that the end of this process or of a forked child loses no tokens."""
    atexit.register(_native.finish)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_native.before_fork,
            after_in_parent=_native.after_fork_in_parent,
            after_in_child=_after_fork,
        )
    process = sys.modules.get("multiprocessing.process")
    if process is None:
        return
    if process.parent_process() is not None:
        # This process is a worker, and imports the package after it was started.
        _start_worker(_finish_worker)
    elif getattr(process.current_process(), "_inheriting", False):
        # This process becomes a worker of the method `spawn`, or forks those of `forkserver`. A
        # spawned one runs no hooks after a fork, and ends like any process unless it is killed.
        _native.expect_unseen_exit()
        _expect_worker()


def _after_fork() -> None:
    _native.after_fork()
    _expect_worker()


def _expect_worker() -> None:
    """Registers the hook of a worker, in case that this process becomes one.

    A worker is a child of `multiprocessing` or of `billiard`, which `celery` uses. It drops the
    finalizers of its parent, runs this hook, and ends without the `atexit` hooks.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(_finish_worker, _start_worker)


def _finish_worker(**_: object) -> None:
    _native.finish()


def _start_worker(finish: Callable[..., None]) -> None:
    # A pool may also terminate or kill its workers, and then no hook of this process runs.
    _native.expect_unseen_exit()
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, finish, exitpriority=0)
    # A signal handler that calls `sys.exit` while the finalizers run cuts them short, and so this
    # one. The hook of `threading` still runs then: it comes last before the process is gone.
    register = getattr(sys.modules.get("threading"), "_register_atexit", None)
    if register is not None:
        register(finish)
    # A worker of celery runs no finalizers.
    signals = sys.modules.get("celery.signals")
    if signals is not None:
        signals.worker_process_shutdown.connect(finish, weak=False)
