"""The native half of `codex_auth_sdk`; import that instead.

Docstrings are those of the compiled module: `help(codex_auth_sdk)` shows them.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from os import PathLike
from typing import Any, Generic, Literal, NoReturn, TypeVar, final

from typing_extensions import Self, Unpack

from codex_auth_sdk._decision import UnauthorizedRecoveryDecision
from codex_auth_sdk._errors import CodexAuthError
from codex_auth_sdk._options import BrowserLoginOptions, DeviceLoginOptions, ManagerOptions
from codex_auth_sdk._store import CustomStore

__all__ = [
    "MANAGED_API_KEY",
    "AsyncManager",
    "AuthManager",
    "BrowserLogin",
    "CodexAuth",
    "DeviceLogin",
    "EphemeralStorage",
    "Event",
    "FollowStore",
    "KeepFresh",
    "LogoutOutcome",
    "Pending",
    "RequestAuthorization",
    "Stats",
    "StoreCalls",
    "StoreHolder",
    "StoreReply",
    "Subscription",
    "SyncOutcome",
    "UnauthorizedRecovery",
    "after_fork",
    "after_fork_in_parent",
    "before_fork",
    "broken_by",
    "deliver_log",
    "finish",
]

_T = TypeVar("_T")

MANAGED_API_KEY: str
"""The API key to give to a client that insists on one although a manager authorizes its requests.

A request with this bearer is authorized like one without any; it is never sent anywhere.
"""

@final
class CodexAuth:
    """A login as it was at one moment: immutable, cheap, and safe to share between threads.

    Hand the very snapshot that a request was sent with to `recover_from_unauthorized` when it is
    answered with 401. Two are equal if they are the same snapshot. Its `repr` shows no token, and
    it cannot be pickled.
    """

    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    @property
    def mode(
        self,
    ) -> Literal[
        "chatgpt",
        "api_key",
        "personal_access_token",
        "agent_identity",
        "external_tokens",
        "bedrock",
        "unknown",
    ]:
        """What kind of credential this is."""
    @property
    def access_token(self) -> str | None:
        """The bearer token: the access token, or the API key in mode `api_key`.

        `None` for a credential that is not a bearer token.
        """
    @property
    def account_id(self) -> str | None:
        """The id of the workspace, if it is known."""
    @property
    def user_id(self) -> str | None:
        """The id of the user, if it is known."""
    @property
    def email(self) -> str | None:
        """The user's e-mail address, for display."""
    @property
    def plan_type(self) -> str | None:
        """The plan, as the server spells it."""
    @property
    def expires_at(self) -> datetime | None:
        """When the access token expires, in UTC by the server's clock."""
    @property
    def last_refresh(self) -> datetime | None:
        """When the tokens were last refreshed, in UTC."""
    @property
    def is_fedramp(self) -> bool:
        """Whether the workspace is a FedRAMP one."""
    @property
    def base_url(self) -> str | None:
        """Where requests with this credential go."""
    def headers(self) -> dict[str, str]:
        """The headers of a request with this credential, in a new dict.

        Raises `UnsupportedMode` where the credential is not a bearer token, or where it or the
        account id cannot stand in a header.
        """
    def __reduce__(self) -> NoReturn: ...

@final
class UnauthorizedRecovery:
    """How far the recovery of one request has come. Safe to share between threads."""

    @property
    def give_up_reason(
        self,
    ) -> (
        Literal[
            "not_refreshable",
            "refresh_disabled",
            "exhausted",
            "logged_out",
            "identity_mismatch",
            "missing_identity",
            "fresh_token_rejected",
        ]
        | None
    ):
        """Why the last call gave up; `None` while there is still something to try."""

@final
class SyncOutcome:
    """How the stored login relates to the snapshot that a call was about."""

    @property
    def kind(
        self,
    ) -> Literal["skipped_missing_identity", "logged_out", "identity_mismatch", "applied"]:
        """The relation; see the documentation of the class."""
    @property
    def changed(self) -> bool:
        """Whether the manager's snapshot was replaced by newer tokens of the same login."""
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class LogoutOutcome:
    """What a logout did."""

    @property
    def removed(self) -> bool:
        """Whether a login was removed from the store."""
    @property
    def revoked(self) -> bool:
        """Whether the server confirmed a revocation."""
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class StoreHolder:
    """Where a store that chooses, `auto`, has found the login."""

    @property
    def kind(self) -> Literal["file", "keyring", "encrypted"]:
        """The kind of store that holds it, or would be written next."""
    @property
    def reason(self) -> str | None:
        """Why it is not the preferred one; `None` if it is."""
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class EphemeralStorage:
    """A store in memory, for tests and for programs that keep a login themselves.

    `record` is the content of an `auth.json`, as JSON text, UTF-8 bytes or a dict; `None` is a
    store where nobody is signed in. Raises `InvalidOption` where it is not a Codex login.
    """

    def __new__(cls, record: str | bytes | dict[str, Any] | None = None) -> Self: ...
    def record(self) -> str | None:
        """The login in the store, as the JSON text of an `auth.json`. It holds tokens."""
    def replace(self, record: str | bytes | dict[str, Any] | None) -> None:
        """Puts `record` in the place of whatever is stored; `None` signs out."""

@final
class AuthManager:
    """Owns a Codex login: hands out snapshots of it, keeps it fresh, and recovers from 401.

    The constructor reads the store. Durations are seconds or a `timedelta`; `None` is the default.
    Raises `InvalidOption`, `TypeError`, `StoreCorrupt`, `StoreUnavailable`.
    """

    def __new__(
        cls,
        *,
        codex_home: str | PathLike[str] | None = None,
        store: Literal["codex", "file", "keyring", "auto", "encrypted", "ephemeral"]
        | EphemeralStorage
        | CustomStore
        | None = None,
        refresh: Literal["auto", "never"] | None = None,
        account_id: str | None = None,
        refresh_window: float | timedelta | None = None,
        winner_wait: float | timedelta | None = None,
        refresh_deadline: float | timedelta | None = None,
        request_timeout: float | timedelta | None = None,
        lock_timeout: float | timedelta | None = None,
        token_url: str | None = None,
        revoke_url: str | None = None,
        issuer: str | None = None,
        client_id: str | None = None,
        originator: str | None = None,
        user_agent: str | None = None,
        proxy: str | None = None,
        token_encoding: Literal["json", "form"] | None = None,
        enable_codex_api_key_env: bool | None = None,
        allowed_origins: Sequence[str] | None = None,
    ) -> Self: ...
    def auth(self) -> CodexAuth | None:
        """The snapshot in memory; `None` while nobody is signed in. No I/O, no waiting."""
    def fresh_auth(self) -> CodexAuth | None:
        """The snapshot, refreshed first where needed; only an expired token makes it wait."""
    def fresh_auth_if_ready(self) -> CodexAuth | None:
        """What `fresh_auth` would return at once."""
    def reload(self) -> bool:
        """Reads the store; whether the snapshot in memory was replaced."""
    def sync_from_storage(self, auth: CodexAuth) -> SyncOutcome:
        """Reads the store and says how the login in it relates to `auth`."""
    def refresh_token(self, auth: CodexAuth) -> CodexAuth | None:
        """Gets a token in the place of `auth`'s, by redeeming the refresh token if need be."""
    def authorize(self, url: str, authorization: str | None = None) -> RequestAuthorization | None:
        """The authorization of a request to `url`, for HTTP integrations; else `None`."""
    def unauthorized_recovery(self) -> UnauthorizedRecovery:
        """The state of one request's recovery; get a new one for every request."""
    def recover_from_unauthorized(
        self, auth: CodexAuth, recovery: UnauthorizedRecovery
    ) -> UnauthorizedRecoveryDecision:
        """What to do about a 401 that a request with `auth` got."""
    def keep_fresh(self) -> KeepFresh:
        """Does what `fresh_auth` does in the background, without anybody asking."""
    def follow_store(self) -> FollowStore:
        """Has the snapshot in memory follow the store."""
    def subscribe(self, callback: Callable[[Event], object]) -> Subscription:
        """Calls `callback` with every `Event` from now on, in a thread that is not the caller's."""
    def stats(self) -> Stats:
        """What this manager has done so far, in numbers."""
    def login_with_browser(
        self,
        *,
        allowed_workspaces: Sequence[str] | None = None,
        revoke_replaced: bool | None = None,
        timeout: float | timedelta | None = None,
        ports: Sequence[int] | None = None,
        manual: bool | None = None,
        protocol: Literal["codex", "standard"] | None = None,
        scope: str | None = None,
        id_token_validation: Literal["where_published", "required", "off"] | None = None,
    ) -> BrowserLogin:
        """Begins to sign in with a browser."""
    def login_with_device_code(
        self,
        *,
        allowed_workspaces: Sequence[str] | None = None,
        revoke_replaced: bool | None = None,
        timeout: float | timedelta | None = None,
        protocol: Literal["codex", "standard"] | None = None,
        scope: str | None = None,
        id_token_validation: Literal["where_published", "required", "off"] | None = None,
    ) -> DeviceLogin:
        """Begins to sign in on another device, by a code that its user types in."""
    def login_with_api_key(self, api_key: str) -> CodexAuth:
        """Stores a login by API key, unchecked."""
    def login_with_access_token(self, access_token: str) -> CodexAuth:
        """Stores a login by personal access token, or by the token of an agent, unchecked."""
    def logout(self, *, revoke: bool = True, any_account: bool = False) -> LogoutOutcome:
        """Removes the login from the store, and with `revoke` from the server."""
    def close(self, timeout: float | timedelta | None = None) -> bool:
        """Waits, at most `timeout` (default 10 s), for what is in flight or still to be saved."""
    @property
    def store_holder(self) -> StoreHolder | None:
        """Which kind of store held the login when it was last read, and why not the preferred."""
    @property
    def pending_save(self) -> bool:
        """Whether rotated tokens are in use that could not be saved yet."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...

@final
class AsyncManager:
    """What `AsyncAuthManager` is made of: answers at once, or with a `Pending`."""

    def __new__(cls, **options: Unpack[ManagerOptions]) -> Self: ...
    @staticmethod
    def open(**options: Unpack[ManagerOptions]) -> AsyncManager | Pending[AsyncManager]: ...
    def auth(self) -> CodexAuth | None: ...
    def fresh_auth_if_ready(self) -> CodexAuth | None: ...
    def fresh_auth(self) -> CodexAuth | Pending[CodexAuth | None] | None: ...
    def reload(self) -> bool | Pending[bool]: ...
    def sync_from_storage(self, auth: CodexAuth) -> SyncOutcome | Pending[SyncOutcome]: ...
    def refresh_token(self, auth: CodexAuth) -> CodexAuth | Pending[CodexAuth | None] | None: ...
    def authorize(self, url: str, authorization: str | None) -> RequestAuthorization | None: ...
    def unauthorized_recovery(self) -> UnauthorizedRecovery: ...
    def recover_from_unauthorized(
        self, auth: CodexAuth, recovery: UnauthorizedRecovery
    ) -> UnauthorizedRecoveryDecision | Pending[UnauthorizedRecoveryDecision]: ...
    def keep_fresh(self) -> KeepFresh: ...
    def follow_store(self) -> FollowStore: ...
    def subscribe(self, deliver: Callable[[Event], object]) -> Subscription: ...
    def stats(self) -> Stats: ...
    def login_with_browser(
        self, **options: Unpack[BrowserLoginOptions]
    ) -> BrowserLogin | Pending[BrowserLogin]: ...
    def login_with_device_code(
        self, **options: Unpack[DeviceLoginOptions]
    ) -> DeviceLogin | Pending[DeviceLogin]: ...
    def login_with_api_key(self, api_key: str) -> CodexAuth | Pending[CodexAuth]: ...
    def login_with_access_token(self, access_token: str) -> CodexAuth | Pending[CodexAuth]: ...
    def logout(self, revoke: bool, any_account: bool) -> LogoutOutcome | Pending[LogoutOutcome]: ...
    def close(self, timeout: float | timedelta | None) -> bool | Pending[bool]: ...
    @property
    def store_holder(self) -> StoreHolder | None: ...
    @property
    def pending_save(self) -> bool: ...

@final
class BrowserLogin:
    """A sign-in that waits for a browser: by `AuthManager.login_with_browser`.

    It goes on in the background until it is done, `cancel()` is called, a `with` block of it is
    left, or it is garbage.
    """

    @property
    def authorization_url(self) -> str:
        """Where the browser is to go."""
    @property
    def redirect_uri(self) -> str:
        """Where the browser comes back to."""
    def open_browser(self) -> None:
        """Opens the user's browser there; raises `LoginNotSupported` where none can be."""
    def wait(self) -> CodexAuth:
        """Waits until the login is stored. Raises a `LoginError`."""
    def begin_wait(self) -> CodexAuth | Pending[CodexAuth]: ...
    def complete(self, redirected_url: str) -> CodexAuth:
        """Goes on with the address that the browser ended up at, and waits."""
    def begin_complete(self, redirected_url: str) -> CodexAuth | Pending[CodexAuth]: ...
    def cancel(self) -> None:
        """Ends it, unless the login is being stored already."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...

@final
class DeviceLogin:
    """A sign-in that waits for a code to be typed in: by `AuthManager.login_with_device_code`."""

    @property
    def user_code(self) -> str:
        """What the user types in."""
    @property
    def verification_uri(self) -> str:
        """Where."""
    @property
    def verification_uri_complete(self) -> str | None:
        """The same with the code in it; `None` where the server has none."""
    @property
    def expires_in(self) -> float:
        """How many seconds the code is good, from when it was made."""
    def wait(self) -> CodexAuth:
        """Waits until the login is stored. Raises a `LoginError`."""
    def begin_wait(self) -> CodexAuth | Pending[CodexAuth]: ...
    def cancel(self) -> None:
        """Ends it, unless the login is being stored already."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...

@final
class Event:
    """Something that happened to a manager's login. No secrets."""

    @property
    def kind(
        self,
    ) -> Literal[
        "adopted",
        "refreshed",
        "logged_out",
        "identity_changed",
        "refresh_failed",
        "save_failed",
        "save_recovered",
        "store_changed",
        "logged_in",
        "login_pending",
        "login_failed",
        "missed",
    ]:
        """What happened; see the documentation of the class."""
    @property
    def error(self) -> CodexAuthError | None:
        """Why, of `refresh_failed`, `save_failed` and `login_failed`."""
    @property
    def store_holder(self) -> StoreHolder | None:
        """Where the login is now, of `store_changed`."""
    @property
    def missed(self) -> int:
        """How many events are missing, of `missed`."""

@final
class Subscription:
    """Has events delivered until `stop`, or until it and its manager are gone."""

    def stop(self) -> None:
        """Ends it. An event that is being delivered is delivered to its end."""
    def ask(self) -> None: ...

@final
class KeepFresh:
    """Keeps a login fresh until `stop`, or until its manager is gone."""

    def stop(self) -> None:
        """Ends it. A refresh in flight goes on."""

@final
class FollowStore:
    """Follows the store until `stop`, or until its manager is gone."""

    def stop(self) -> None:
        """Ends it."""

@final
class Stats:
    """What a manager has done since it was made, in numbers that only grow."""

    @property
    def adoptions(self) -> int:
        """Replacements of the snapshot by tokens of the same login that somebody else got."""
    @property
    def redemptions(self) -> int:
        """Refresh tokens that the server has taken from this manager for new ones."""
    @property
    def recoveries(self) -> int:
        """Recoveries from a 401 that came to a retry."""
    @property
    def waits(self) -> int:
        """Waits for somebody else's refresh."""
    @property
    def failures(self) -> int:
        """Refreshes that ended in an error, once for all who waited for one."""
    @property
    def lock_wait(self) -> float:
        """How long refreshes have waited for the lock, all together, in seconds."""
    def __eq__(self, value: object, /) -> bool: ...

@final
class RequestAuthorization:
    """With what a request is sent, and whether it is sent again: by `AuthManager.authorize`."""

    def auth(self) -> CodexAuth:
        """The snapshot to send the request with, fresh as by `AuthManager.fresh_auth`."""
    def begin_auth(self) -> CodexAuth | Pending[CodexAuth]: ...
    def retry_auth(self, auth: CodexAuth, status: int) -> CodexAuth | None:
        """The snapshot to send the request again with, after `status`; `None` if that is final."""
    def begin_retry_auth(
        self, auth: CodexAuth, status: int
    ) -> CodexAuth | Pending[CodexAuth | None] | None: ...

@final
class StoreCalls:
    """The calls for one store, for the thread that makes them."""

    def next(self) -> tuple[str, tuple[str | None, ...], StoreReply] | None:
        """Waits for the next call: the method, its arguments, and whom to answer."""

@final
class StoreReply:
    """Takes the answer to one call."""

    def returned(self, value: object) -> None:
        """What the method returned."""
    def raised(self, error: BaseException) -> None:
        """What the method raised."""

@final
class Pending(Generic[_T]):
    """An answer that is not there yet."""

    def start(self, deliver: Callable[[_T, BaseException | None], object]) -> None:
        """Calls `deliver(value, error)`, once, from a thread of its own."""

def broken_by(store: CustomStore) -> str | None:
    """Runs the suite that every store must pass; what `store` breaks, if anything."""

def finish(timeout: float = 10.0) -> bool:
    """For a process that is about to end: waits, at most `timeout` seconds, for its refreshes."""

def before_fork() -> None:
    """Waits until nothing is half set up that a forked child would miss."""

def after_fork_in_parent() -> None:
    """Goes on, in the parent."""

def after_fork() -> None:
    """Gives up, in a forked child, what belongs to its parent."""

def deliver_log(
    deliver: Callable[[str, str, str, dict[str, str], float | None], object],
) -> None:
    """Calls `deliver(level, target, message, fields, duration)` with all that is traced."""
