"""Keeps a Codex login alive for every program that shares it.

`AuthManager` (blocking) and `AsyncAuthManager` (asyncio) own a login: they hand out snapshots of it
(`CodexAuth`), refresh it without logging anybody else out, and recover from 401. Any number of
processes, in any language, may share one login.

Durations are seconds, as a number, or a `datetime.timedelta`; times are aware datetimes in UTC.
Cancelling a call, by a timeout or Ctrl-C, ends the waiting only: a refresh goes on until the new
tokens are saved, at the exit of the interpreter for up to 10 seconds. Everything here may be shared
between threads, and managers keep working in a forked child. Whatever fails raises a
`CodexAuthError`.

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
)

# Importing `typing` would take longer than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from codex_auth_sdk._async_login import AsyncBrowserLogin, AsyncDeviceLogin
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
    "enable_logging",
]

_process.register()


# What takes long to import, or needs a library that is not always there.
_LATER = {
    "AsyncAuthManager": "codex_auth_sdk.aio",
    "AsyncBrowserLogin": "codex_auth_sdk._async_login",
    "AsyncDeviceLogin": "codex_auth_sdk._async_login",
    "AsyncRequestAuthorization": "codex_auth_sdk.aio",
    "CustomStore": "codex_auth_sdk._store",
    "Events": "codex_auth_sdk.aio",
    "HttpxAuth": "codex_auth_sdk._httpx",
    "RequestsAuth": "codex_auth_sdk._requests",
    "enable_logging": "codex_auth_sdk._logging",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
