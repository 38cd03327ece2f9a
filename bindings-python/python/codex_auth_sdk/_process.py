"""The hooks for the end of a process and for forks."""

import atexit
import os
import sys

from codex_auth_sdk import _native


def register() -> None:
    """Registers the hooks, so that the end of this process or of a forked child loses no tokens."""
    atexit.register(_native.finish)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_native.before_fork,
            after_in_parent=_native.after_fork_in_parent,
            after_in_child=_after_fork,
        )
    # This process is a child of multiprocessing, and imports the package after it was started.
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        _finish_worker_at_exit(_finish_worker)


def _after_fork() -> None:
    _native.after_fork()
    # A child of multiprocessing runs no `atexit` hooks, and drops the finalizers of its parent.
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(_finish_worker, _finish_worker_at_exit)


def _finish_worker() -> None:
    _native.finish()


def _finish_worker_at_exit(finish: object) -> None:
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, finish, exitpriority=0)
    # A signal handler that calls `sys.exit` while the finalizers run cuts them short, and so this
    # one. The hook of `threading` still runs then: it comes last before the process is gone.
    register = getattr(sys.modules.get("threading"), "_register_atexit", None)
    if register is not None:
        register(finish)
