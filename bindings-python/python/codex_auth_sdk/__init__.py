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
    RefreshTokenError,
    RefreshTokenExpired,
    RefreshTokenInvalidated,
    RefreshTokenRejected,
    RefreshTokenReused,
    RefreshTransient,
    StoreCorrupt,
    StoreError,
    StoreReadOnly,
    StoreUnavailable,
    TransientError,
    UnsupportedMode,
)
from codex_auth_sdk._native import (
    AuthManager,
    CodexAuth,
    EphemeralStorage,
    LogoutOutcome,
    StoreHolder,
    SyncOutcome,
    UnauthorizedRecovery,
)

# Importing `typing` would take longer than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from codex_auth_sdk._store import CustomStore
    from codex_auth_sdk.aio import AsyncAuthManager

__all__ = [
    "AsyncAuthManager",
    "AuthManager",
    "CodexAuth",
    "CodexAuthError",
    "CustomStore",
    "EphemeralStorage",
    "IdentityMismatch",
    "InvalidOption",
    "KeyringLocked",
    "KeyringTooLong",
    "KeyringUnavailable",
    "LockTimeout",
    "LogoutOutcome",
    "RefreshTokenError",
    "RefreshTokenExpired",
    "RefreshTokenInvalidated",
    "RefreshTokenRejected",
    "RefreshTokenReused",
    "RefreshTransient",
    "StoreCorrupt",
    "StoreError",
    "StoreHolder",
    "StoreReadOnly",
    "StoreUnavailable",
    "SyncOutcome",
    "TransientError",
    "UnauthorizedRecovery",
    "UnauthorizedRecoveryDecision",
    "UnsupportedMode",
]

_process.register()


def __getattr__(name: str) -> object:
    # asyncio takes several times as long to import as all of this package.
    if name == "AsyncAuthManager":
        from codex_auth_sdk import aio

        globals()[name] = aio.AsyncAuthManager
        return aio.AsyncAuthManager
    if name == "CustomStore":
        from codex_auth_sdk import _store

        globals()[name] = _store.CustomStore
        return _store.CustomStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
