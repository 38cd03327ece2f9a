"""The exceptions of this package: one tree, one class for each `code`."""

from __future__ import annotations


class CodexAuthError(Exception):
    """Base of everything that this package raises for a reason of its own.

    `str()` of it is one line that says what failed, where, and what to do. It never contains a
    token or a server's reply. Its cause, where there is one, is `__cause__`. It can be pickled.
    """

    code: str = "unknown"
    """The name of this kind of error, the same in every language."""

    reason: str | None = None
    """A finer reason where there is one.

    Refused refreshes have `expired`, `reused`, `invalidated`, `invalid_grant`, `unauthorized`,
    `empty_refresh_token` or `outcome_unknown`.
    """

    is_transient: bool = False
    """Whether the same call may succeed later without anybody signing in or repairing something."""

    retry_after: float | None = None
    """How many seconds to wait before trying again, where that is known."""

    response: object | None = None
    """The 401 that nothing could be done about, where an HTTP integration raised this."""


class RefreshTokenError(CodexAuthError):
    """The refresh token was refused for good: the user must sign in again."""


class RefreshTokenExpired(RefreshTokenError):
    """The refresh token has expired; the user must sign in again."""

    code = "refresh_token_expired"


class RefreshTokenReused(RefreshTokenError):
    """The refresh token was spent by somebody whose new tokens never reached the store."""

    code = "refresh_token_reused"


class RefreshTokenInvalidated(RefreshTokenError):
    """The server has revoked the refresh token."""

    code = "refresh_token_invalidated"


class RefreshTokenRejected(RefreshTokenError):
    """The refresh token was refused for another reason; see `reason`."""

    code = "refresh_token_rejected"


class TransientError(CodexAuthError):
    """The same call may succeed later, after `retry_after` seconds where that is set."""

    is_transient = True


class RefreshTransient(TransientError):
    """There was no clear answer from the token endpoint."""

    code = "refresh_transient"


class LockTimeout(TransientError):
    """Another program held a lock for longer than `lock_timeout`."""

    code = "lock_timeout"


class StoreError(CodexAuthError):
    """The store of the login cannot be used; nothing was redeemed."""


class StoreCorrupt(StoreError):
    """The store holds something that is not a Codex login. It is left as it is."""

    code = "store_corrupt"


class StoreReadOnly(StoreError):
    """The store cannot be written, so nothing was redeemed."""

    code = "store_read_only"


class StoreUnavailable(StoreError, TransientError):
    """The store cannot be reached or read."""

    code = "store_unavailable"


class KeyringUnavailable(StoreError, TransientError):
    """There is no keyring, or it does not work or answer."""

    code = "keyring_unavailable"


class KeyringLocked(StoreError, TransientError):
    """The keyring is locked, and nobody has unlocked it."""

    code = "keyring_locked"


class KeyringTooLong(StoreError):
    """The login is longer than what the keyring takes."""

    code = "keyring_too_long"


class InvalidOption(CodexAuthError, ValueError):
    """An option has a value that cannot be used."""

    code = "invalid_option"


class IdentityMismatch(CodexAuthError):
    """The stored login belongs to another account than the one the call is about."""

    code = "identity_mismatch"


class UnsupportedMode(CodexAuthError):
    """This kind of credential cannot be turned into request headers."""

    code = "unsupported_mode"


class OriginNotAllowed(CodexAuthError):
    """A request was to take the credential to an origin that is not allowed to have it."""

    code = "origin_not_allowed"


class LoginRequired(CodexAuthError):
    """A request needs a credential, and nobody is signed in."""

    code = "login_required"


class LoginError(CodexAuthError):
    """Nobody was signed in: the store is what it was, and the user may try again."""


class LoginDenied(LoginError):
    """The user, or the server for them, has said no."""

    code = "login_denied"


class LoginStateMismatch(LoginError):
    """A redirect answers another sign-in."""

    code = "login_state_mismatch"


class LoginTimeout(LoginError):
    """Nobody has signed in for as long as was waited."""

    code = "login_timeout"


class LoginCancelled(LoginError):
    """The program has ended the sign-in."""

    code = "login_cancelled"


class LoginPortBusy(LoginError, TransientError):
    """No port is free for the browser to come back to."""

    code = "login_port_busy"


class LoginWorkspaceNotAllowed(LoginError):
    """The login is of another workspace than the ones that are allowed."""

    code = "login_workspace_not_allowed"


class LoginNotSupported(LoginError):
    """The authorization server, or this machine, has no such way to sign in."""

    code = "login_not_supported"


class LoginInvalidCredential(LoginError):
    """A key or token that is no such thing."""

    code = "login_invalid_credential"


class LoginFailed(LoginError):
    """The authorization server has refused, or answered what cannot be used."""

    code = "login_failed"


class LoginTransient(LoginError, TransientError):
    """There was no answer from the authorization server."""

    code = "login_transient"


class SaveFailed(LoginError):
    """A new login could not be saved; see `reason`, the code of the store's error."""

    code = "save_failed"


def _tree(base: type[CodexAuthError]) -> list[type[CodexAuthError]]:
    return [base, *(leaf for child in base.__subclasses__() for leaf in _tree(child))]


_CLASSES: dict[str, type[CodexAuthError]] = {}
for _class in _tree(CodexAuthError):
    _class.__module__ = "codex_auth_sdk"
    if "code" in vars(_class):
        _CLASSES[_class.code] = _class


def from_core(
    code: str, message: str, reason: str | None, is_transient: bool, retry_after: float | None
) -> CodexAuthError:
    """The exception for an error of the core."""
    error = _CLASSES.get(code, CodexAuthError)(message)
    error.code = code
    error.reason = reason
    error.is_transient = is_transient
    error.retry_after = retry_after
    return error
