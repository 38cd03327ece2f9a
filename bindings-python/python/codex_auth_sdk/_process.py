"""What has to happen when a process ends or forks."""

import atexit
import os
import sys

from codex_auth_sdk import _native


def register() -> None:
    """See that no rotated tokens are lost at the end of this process or of its forked children."""
    atexit.register(_native.finish)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_native.before_fork,
            after_in_parent=_native.after_fork_in_parent,
            after_in_child=_after_fork,
        )
    # A child of multiprocessing that imports the package by itself.
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        _finish_worker_at_exit(_finish_worker)


def _after_fork() -> None:
    _native.after_fork()
    # Children of multiprocessing end without `atexit`, and forget what their parent registered.
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(_finish_worker, _finish_worker_at_exit)


def _finish_worker() -> None:
    _native.finish()


def _finish_worker_at_exit(finish: object) -> None:
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, finish, exitpriority=0)
