"""Blocking calls under gevent: the others of its greenlets go on meanwhile.

gevent patches the standard library, so that what blocks a thread blocks a greenlet. It cannot patch
the compiled half of this package, whose waits would stop the hub, and all greenlets with it.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

from codex_auth_sdk import _native

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCKING: dict[type, tuple[str, ...]] = {
    _native.AuthManager: (
        "__exit__",
        "close",
        "fresh_auth",
        "login_with_access_token",
        "login_with_api_key",
        "login_with_browser",
        "login_with_device_code",
        "logout",
        "recover_from_unauthorized",
        "refresh_token",
        "reload",
        "resume_login_with_browser",
        "resume_login_with_device_code",
        "sync_from_storage",
    ),
    _native.BrowserLogin: ("complete", "wait"),
    _native.DeviceLogin: ("wait",),
    _native.RequestAuthorization: ("auth", "retry_auth"),
}


def is_patched_in() -> bool:
    """Returns whether gevent has replaced the threads of this process by greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def let_greenlets_run() -> None:
    """Makes the blocking methods of this package wait in a thread of the hub's pool."""
    for owner, names in _BLOCKING.items():
        for name in names:
            setattr(owner, name, _in_thread(getattr(owner, name)))


def start_thread(function: Callable[..., object], *arguments: object) -> None:
    """Starts a thread that is one of the operating system, not a greenlet."""
    from gevent import monkey  # type: ignore[import-untyped]

    monkey.get_original("_thread", "start_new_thread")(function, arguments)


def _in_thread(method: Any) -> Any:
    from gevent import get_hub

    @wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        return get_hub().threadpool.apply(method, arguments, named)

    return call
