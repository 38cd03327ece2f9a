"""Keeps a Codex login alive for every program that shares it.

A Codex login is an access token, an id token and a refresh token, which can be redeemed only once.
`AuthManager` (blocking) and `AsyncAuthManager` (asyncio, Trio) manage a login: they hand out
snapshots of it (`CodexAuth`), refresh it so that no other program loses it, and recover from 401.
Any number of processes, in any language, may share one login.

Durations are seconds, as a number, or a `datetime.timedelta`. Times are aware datetimes in UTC. A
timeout, a cancelled task or Ctrl-C ends the waiting of a call, not a refresh: that goes on until
the new tokens are saved, and the exit of the interpreter waits for it, for 10 seconds at most. All
objects may be shared between threads, and managers keep working in a forked child. Every error is
a `CodexAuthError`, except for a `TypeError` for an argument of a wrong type.

Example:
    with AuthManager() as manager:
        recovery = manager.unauthorized_recovery()
        while (auth := manager.fresh_auth()) is not None:
            response = send(headers=auth.headers())
            if response.status != 401:
                break
            decision = manager.recover_from_unauthorized(auth, recovery)
            if decision is UnauthorizedRecoveryDecision.GIVE_UP:
                sys.exit(f"sign in again: {recovery.give_up_reason}")

"""

import sys

from codex_auth_sdk import _process
from codex_auth_sdk._decision import UnauthorizedRecoveryDecision
from codex_auth_sdk._errors import (
    CodexAuthError,
    IdentityMismatch,
    InvalidOption,
    KeyringLocked,
    KeyringTooLong,
    KeyringUnavailable,
    LockTimeout,
    LoginCancelled,
    LoginDenied,
    LoginError,
    LoginFailed,
    LoginInvalidCredential,
    LoginNotSupported,
    LoginPortBusy,
    LoginRequired,
    LoginStateMismatch,
    LoginTimeout,
    LoginTransient,
    LoginWorkspaceNotAllowed,
    NotSupportedByStore,
    OriginNotAllowed,
    RefreshTokenError,
    RefreshTokenExpired,
    RefreshTokenInvalidated,
    RefreshTokenRejected,
    RefreshTokenReused,
    RefreshTransient,
    SaveFailed,
    StoreCorrupt,
    StoreError,
    StoreReadOnly,
    StoreUnavailable,
    TransientError,
    UnsupportedMode,
)
from codex_auth_sdk._native import (
    MANAGED_API_KEY,
    AuthManager,
    BrowserLogin,
    CodexAuth,
    DeviceLogin,
    EphemeralStorage,
    Event,
    FollowStore,
    KeepFresh,
    LogoutOutcome,
    RequestAuthorization,
    Stats,
    StoreHolder,
    Subscription,
    SyncOutcome,
    UnauthorizedRecovery,
    __version__,
)

# `typing.TYPE_CHECKING` is not used: to import `typing` takes longer than all other imports here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from codex_auth_sdk._aiohttp import aiohttp_middleware
    from codex_auth_sdk._async_login import AsyncBrowserLogin, AsyncDeviceLogin
    from codex_auth_sdk._description import Description
    from codex_auth_sdk._httpx import HttpxAuth
    from codex_auth_sdk._logging import enable_logging
    from codex_auth_sdk._requests import RequestsAuth
    from codex_auth_sdk._store import CustomStore
    from codex_auth_sdk.aio import AsyncAuthManager, AsyncRequestAuthorization, Events

__all__ = [
    "MANAGED_API_KEY",
    "AsyncAuthManager",
    "AsyncBrowserLogin",
    "AsyncDeviceLogin",
    "AsyncRequestAuthorization",
    "AuthManager",
    "BrowserLogin",
    "CodexAuth",
    "CodexAuthError",
    "CustomStore",
    "Description",
    "DeviceLogin",
    "EphemeralStorage",
    "Event",
    "Events",
    "FollowStore",
    "HttpxAuth",
    "IdentityMismatch",
    "InvalidOption",
    "KeepFresh",
    "KeyringLocked",
    "KeyringTooLong",
    "KeyringUnavailable",
    "LockTimeout",
    "LoginCancelled",
    "LoginDenied",
    "LoginError",
    "LoginFailed",
    "LoginInvalidCredential",
    "LoginNotSupported",
    "LoginPortBusy",
    "LoginRequired",
    "LoginStateMismatch",
    "LoginTimeout",
    "LoginTransient",
    "LoginWorkspaceNotAllowed",
    "LogoutOutcome",
    "NotSupportedByStore",
    "OriginNotAllowed",
    "RefreshTokenError",
    "RefreshTokenExpired",
    "RefreshTokenInvalidated",
    "RefreshTokenRejected",
    "RefreshTokenReused",
    "RefreshTransient",
    "RequestAuthorization",
    "RequestsAuth",
    "SaveFailed",
    "Stats",
    "StoreCorrupt",
    "StoreError",
    "StoreHolder",
    "StoreReadOnly",
    "StoreUnavailable",
    "Subscription",
    "SyncOutcome",
    "TransientError",
    "UnauthorizedRecovery",
    "UnauthorizedRecoveryDecision",
    "UnsupportedMode",
    "__version__",
    "aiohttp_middleware",
    "enable_logging",
]

_process.register()

if "gevent.monkey" in sys.modules:
    from codex_auth_sdk import _gevent

    if _gevent.is_patched_in():
        _gevent.let_greenlets_run()

# These are imported when they are first used: they take long to import, or need a library that may
# not be installed.
_LAZY_EXPORTS = {
    "AsyncAuthManager": "codex_auth_sdk.aio",
    "AsyncBrowserLogin": "codex_auth_sdk._async_login",
    "AsyncDeviceLogin": "codex_auth_sdk._async_login",
    "AsyncRequestAuthorization": "codex_auth_sdk.aio",
    "CustomStore": "codex_auth_sdk._store",
    "Description": "codex_auth_sdk._description",
    "Events": "codex_auth_sdk.aio",
    "HttpxAuth": "codex_auth_sdk._httpx",
    "RequestsAuth": "codex_auth_sdk._requests",
    "aiohttp_middleware": "codex_auth_sdk._aiohttp",
    "enable_logging": "codex_auth_sdk._logging",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY_EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        module = import_module(_LAZY_EXPORTS[name])
    except ImportError as error:
        from codex_auth_sdk import _absent

        if name not in _absent.NEEDS:
            raise
        # Not kept: the library may be installed later.
        return _absent.stand_in(name, error)
    value: object = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
