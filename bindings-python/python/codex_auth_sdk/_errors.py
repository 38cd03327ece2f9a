"""The exceptions of this package: one tree, with one class for each `code`."""

from __future__ import annotations


class CodexAuthError(Exception):
    """The base class of the exceptions of this package.

    `str()` of it is one line that says what failed, where, and what to do. It contains neither a
    token nor a server's reply. `__cause__` is the underlying exception, if there is one. An error
    can be pickled, without its `response`.
    """

    code: str = "unknown"
    """The kind of error, such as `store_corrupt`. It has one spelling in all languages."""

    reason: str | None = None
    """A more precise reason, or `None`.

    If the server rejected a refresh token, it is `expired`, `reused`, `invalidated`,
    `invalid_grant`, `unauthorized`, `uncoded` or `outcome_unknown`. For `RefreshTransient`, it is
    `fresh_token_rejected` if too many rejected access tokens were replaced lately, and
    `not_refreshable` if another program renews the login and has not done so yet. For
    `StoreUnavailable`, it is `held_open` if another program has a file open and does not share it,
    on Windows. For `SaveFailed`, it is the `code` of the store's error.
    """

    is_transient: bool = False
    """Whether the call may succeed later although no user signs in or repairs something."""

    retry_after: float | None = None
    """How many seconds to wait before the next try. `None` if that is not known."""

    response: object | None = None
    """The 401 response that led to this error, if an HTTP integration raised it; else `None`.

    The credential is removed from its request.
    """

    def __reduce__(self) -> tuple[type[CodexAuthError], tuple[object, ...], dict[str, object]]:
        attributes = {name: value for name, value in vars(self).items() if name != "response"}
        return type(self), self.args, attributes


class RefreshTokenError(CodexAuthError):
    """The server has rejected the refresh token for good: the user must sign in again."""


class RefreshTokenExpired(RefreshTokenError):
    """The refresh token has expired: the user must sign in again."""

    code = "refresh_token_expired"


class RefreshTokenReused(RefreshTokenError):
    """Another program redeemed the refresh token, and its new tokens never reached the store.

    The user must sign in again.
    """

    code = "refresh_token_reused"


class RefreshTokenInvalidated(RefreshTokenError):
    """The server has revoked the refresh token: the user must sign in again."""

    code = "refresh_token_invalidated"


class RefreshTokenRejected(RefreshTokenError):
    """The server has rejected the refresh token for another reason, see `reason`.

    The user must sign in again.
    """

    code = "refresh_token_rejected"


class TransientError(CodexAuthError):
    """The call may succeed later, after `retry_after` seconds if that is set."""

    is_transient = True


class RefreshTransient(TransientError):
    """The token endpoint gave no usable answer. The caller may try again."""

    code = "refresh_transient"


class LockTimeout(TransientError):
    """Another process or program held a lock for longer than `lock_timeout`."""

    code = "lock_timeout"


class StoreError(CodexAuthError):
    """The store of the login cannot be used. No token was redeemed."""


class StoreCorrupt(StoreError):
    """The store holds something that is not a Codex login. It was left unchanged."""

    code = "store_corrupt"


class StoreReadOnly(StoreError):
    """The store cannot be written, so no token was redeemed."""

    code = "store_read_only"


class StoreUnavailable(StoreError, TransientError):
    """The store cannot be reached or read."""

    code = "store_unavailable"


class KeyringUnavailable(StoreError, TransientError):
    """This machine has no keyring, or the keyring does not answer."""

    code = "keyring_unavailable"


class KeyringLocked(StoreError, TransientError):
    """The keyring is locked, and the user has not unlocked it."""

    code = "keyring_locked"


class KeyringTooLong(StoreError):
    """The login is longer than the keyring allows."""

    code = "keyring_too_long"


class NotSupportedByStore(StoreError):
    """The store cannot do this: an agent's login is refreshed and replaced where the agent runs."""

    code = "not_supported_by_store"


class InvalidOption(CodexAuthError, ValueError):
    """An option has a bad value."""

    code = "invalid_option"


class IdentityMismatch(CodexAuthError):
    """The stored login belongs to another account than the login that the call is about."""

    code = "identity_mismatch"


class UnsupportedMode(CodexAuthError):
    """This kind of credential cannot be sent in request headers."""

    code = "unsupported_mode"


class OriginNotAllowed(CodexAuthError):
    """The origin of a request must not receive the credential, see `allowed_origins`."""

    code = "origin_not_allowed"


class LoginRequired(CodexAuthError):
    """A request needs a credential, and no login is stored."""

    code = "login_required"


class LoginError(CodexAuthError):
    """A sign-in has failed. The store is unchanged, and the user may try again."""


class LoginDenied(LoginError):
    """The user or the authorization server has denied the sign-in."""

    code = "login_denied"


class LoginStateMismatch(LoginError):
    """The redirect belongs to another sign-in: its `state` (RFC 6749) is a different one."""

    code = "login_state_mismatch"


class LoginTimeout(LoginError):
    """The user has not signed in before the timeout."""

    code = "login_timeout"


class LoginCancelled(LoginError):
    """The program has cancelled the sign-in."""

    code = "login_cancelled"


class LoginPortBusy(LoginError, TransientError):
    """None of the ports that the browser may be redirected to is free."""

    code = "login_port_busy"


class LoginWorkspaceNotAllowed(LoginError):
    """The login belongs to a workspace that is not among the allowed ones."""

    code = "login_workspace_not_allowed"


class LoginNotSupported(LoginError):
    """The authorization server or this machine does not support this way to sign in."""

    code = "login_not_supported"


class LoginInvalidCredential(LoginError):
    """The given text is not an API key or access token."""

    code = "login_invalid_credential"


class LoginFailed(LoginError):
    """The authorization server has refused the sign-in, or gave an unusable answer."""

    code = "login_failed"


class LoginTransient(LoginError, TransientError):
    """The authorization server did not answer. The user may try again."""

    code = "login_transient"


class SaveFailed(LoginError):
    """A new login could not be saved. `reason` is the `code` of the store's error."""

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
    """Returns the exception for an error of the core."""
    error = _CLASSES.get(code, CodexAuthError)(message)
    error.code = code
    error.reason = reason
    error.is_transient = is_transient
    error.retry_after = retry_after
    return error
