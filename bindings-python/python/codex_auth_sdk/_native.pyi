"""The compiled half of `codex_auth_sdk`. Programs import `codex_auth_sdk` instead.

The docstrings here are those of the compiled module, which has them from its doc comments:
`scripts/stub-docs --write` puts them here.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from os import PathLike
from typing import Any, Generic, Literal, NoReturn, TypeVar, final

from typing_extensions import Self

from codex_auth_sdk._decision import UnauthorizedRecoveryDecision
from codex_auth_sdk._description import Description
from codex_auth_sdk._errors import CodexAuthError
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
    "__version__",
    "after_fork",
    "after_fork_in_parent",
    "before_fork",
    "broken_by",
    "deliver_log",
    "expect_unseen_exit",
    "finish",
    "run_command",
]

_T = TypeVar("_T")

MANAGED_API_KEY: str
"""A placeholder for a client that requires an API key although a manager authorizes its requests.

The manager replaces it: a request with this bearer token is authorized like one without any. The
placeholder itself is never sent.
"""
__version__: str
"""The version of this package."""

@final
class CodexAuth:
    """A snapshot of a login: its tokens and account as they were at one moment.

    A manager hands snapshots out. A program sends a request with one, and passes that same snapshot
    to `recover_from_unauthorized` if the request is answered with 401. A snapshot is immutable and
    may be shared between threads. A snapshot equals only itself, and copies as itself. The `repr`
    shows no token, and a snapshot cannot be pickled, so that no token gets into a file or another
    process by accident.

    Example:
        auth = manager.auth()
        if auth is not None:
            response = client.get(f"{auth.base_url}/models", headers=auth.headers())

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
        """The kind of credential.

        - `chatgpt`: a ChatGPT login, the only kind that managers refresh.
        - `api_key`: an OpenAI API key.
        - `personal_access_token`: a token that its user has created for programs.
        - `agent_identity`: the signing key of an agent; it is not a bearer token.
        - `external_tokens`: ChatGPT tokens that another program refreshes.
        - `bedrock`: a credential of Amazon Bedrock.
        - `unknown`: a kind that this version does not know.
        """
    @property
    def access_token(self) -> str | None:
        """The bearer token (RFC 6750): the access token, or the API key in the mode `api_key`.

        `None` for a credential that is not a bearer token.
        """
    @property
    def account_id(self) -> str | None:
        """The id of the ChatGPT workspace that requests are made for. `None` if it is not known."""
    @property
    def user_id(self) -> str | None:
        """The id of the user. `None` if the tokens do not name one."""
    @property
    def email(self) -> str | None:
        """The user's e-mail address, for display. `None` if the tokens do not name one."""
    @property
    def plan_type(self) -> str | None:
        """The ChatGPT plan, as the server spells it, such as `plus`. `None` if it is not known."""
    @property
    def expires_at(self) -> datetime | None:
        """When the access token expires, as an aware `datetime` in UTC by the server's clock.

        `None` if the token does not say.
        """
    @property
    def last_refresh(self) -> datetime | None:
        """When a program last refreshed the tokens, as an aware `datetime` in UTC.

        `None` if the stored record does not say.
        """
    @property
    def is_fedramp(self) -> bool:
        """Whether the workspace is subject to FedRAMP."""
    @property
    def base_url(self) -> str | None:
        """The base URL of the API for this credential; `None` if it is not a bearer token."""
    def headers(self) -> dict[str, str]:
        """Returns the headers that authorize a request, in a new dict. They contain the token.

        They are `Authorization` and, for ChatGPT logins, `ChatGPT-Account-ID`, `originator` and,
        where `is_fedramp` is true, `X-OpenAI-Fedramp`.

        Raises `UnsupportedMode` if the credential is not a bearer token, or if it or the account id
        contains characters that a header cannot have.
        """
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, _memo: dict[int, Any], /) -> Self: ...
    def __reduce__(self) -> NoReturn: ...

@final
class UnauthorizedRecovery:
    """The state of one request's recovery from 401: it remembers which steps were tried.

    Get a new one from `AuthManager.unauthorized_recovery` for each request, and pass it to
    `recover_from_unauthorized` each time the request is answered with 401. It may be shared between
    threads: two calls with one recovery run one after the other.
    """

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
        """Why `recover_from_unauthorized` gave up. `None` as long as it did not.

        - `not_refreshable`: the manager cannot replace the credential: it is a key, or it came
          without a refresh token and the program that renews it has not done so.
        - `refresh_disabled`: the manager has the option `refresh="never"`, and no other program has
          stored new tokens.
        - `exhausted`: the request was already repeated with a refreshed token.
        - `logged_out`: no login is stored any more.
        - `identity_mismatch`: the stored login belongs to another user or workspace, or is another
          key.
        - `missing_identity`: the stored login does not say to which user it belongs.
        - `fresh_token_rejected`: the API rejects tokens that have not expired, and several of them
          were replaced lately, so another refresh is pointless for some time.
        """

@final
class SyncOutcome:
    """The result of `sync_from_storage`: how the stored login relates to the caller's snapshot.

    It is immutable and compares by value.
    """

    @property
    def kind(
        self,
    ) -> Literal["skipped_missing_identity", "logged_out", "identity_mismatch", "applied"]:
        """How the stored login relates to the snapshot.

        - `applied`: it is the snapshot's own login.
        - `logged_out`: no login is stored.
        - `identity_mismatch`: it belongs to another user or workspace, or is an API key.
        - `skipped_missing_identity`: it does not say to which user it belongs, so the request must
          not be repeated with it.
        """
    @property
    def changed(self) -> bool:
        """Whether the manager has replaced its snapshot by newer tokens of the snapshot's login."""
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class LogoutOutcome:
    """The result of `logout`. It is immutable and compares by value."""

    @property
    def removed(self) -> bool:
        """Whether the store held a login, which was removed."""
    @property
    def revoked(self) -> bool:
        """Whether the authorization server has confirmed that it revoked the tokens."""
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class StoreHolder:
    """Which kind of store holds the login, where the store `auto` chooses between two.

    It is immutable and compares by value.
    """

    @property
    def kind(self) -> Literal["file", "keyring", "encrypted"]:
        """The kind of store that holds the login: `file`, `keyring` or `encrypted`.

        Without a login, it is the kind that the next login is written to.
        """
    @property
    def reason(self) -> str | None:
        """Why this is not the preferred kind of store. `None` if it is the preferred one."""
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class EphemeralStorage:
    """A store in memory, for tests and for programs that keep the login somewhere else.

    `record` is the content of an `auth.json`, as JSON text, UTF-8 bytes or a dict. With `None`, the
    default, the store holds no login. All managers that get this object as their `store` share its
    login. It may be shared between threads. A forked child has a copy of its own.

    Raises `InvalidOption` if `record` is not a Codex login.

    Example:
        store = EphemeralStorage({"OPENAI_API_KEY": "sk-example"})
        manager = AuthManager(store=store)

    """

    def __new__(cls, record: str | bytes | dict[str, Any] | None = None) -> Self: ...
    def record(self) -> str | None:
        """Returns the stored login as the JSON text of an `auth.json`, or `None`.

        It contains tokens: keep it out of logs.
        """
    def replace(self, record: str | bytes | dict[str, Any] | None) -> None:
        """Replaces the stored login by `record`. `None` removes it.

        Raises `InvalidOption` if `record` is not a Codex login; the stored login then stays.
        """

@final
class AuthManager:
    """Manages a Codex login: hands out snapshots, refreshes the tokens, and recovers from 401.

    Any number of managers, in any number of processes and languages, may share one login. All
    methods may be called from any thread. A method that reads the disk or uses the network lets
    other threads run, and Ctrl-C ends its waiting. Ctrl-C does not end its work: once the
    authorization server may have rotated the refresh token, the refresh goes on in the background
    until the new tokens are saved. The exit of the interpreter waits for that, for 10 seconds at
    most. A manager that was created before a fork works in the child.

    The constructor reads the store. All options are keywords, and `None` stands for the default.
    Durations are seconds, as a number, or a `timedelta`.

    - `codex_home`: the folder of the login. Default: `$CODEX_HOME`, else `~/.codex`.
    - `store`: the place of the login. `codex`, the default, is the store that the Codex CLI uses:
      `$CODEX_ACCESS_TOKEN` if it is set, else the store that the CLI's `config.toml` names. Other
      names are `file`, `keyring`, `auto` (the keyring, or a file if there is no keyring),
      `encrypted`, `ephemeral` (in memory), `postgres://HOST/DATABASE?login=NAME`, a row of a
      database that any number of hosts share, and `agent`: another program, which has the refresh
      token and hands out access tokens (`agent:unix:/path`, `agent:http://127.0.0.1:PORT`, or with
      `#NAME`; default: `$CODEX_AUTH_AGENT`, else the socket of this user's agent). An
      `EphemeralStorage`, or an object with the methods of `CustomStore`, is a store too.
    - `login`: the name of the login in a database. Default: what the URL names.
    - `store_key`: the keys that encrypt a login in a database, each the Base64 of 32 bytes,
      separated by commas; the first one encrypts. `plaintext` in the place of a key is the way to
      have no encryption. Default: `$CODEX_AUTH_STORE_KEY`; without a key such a store is an error.
    - `refresh`: `auto`, the default, or `never`. With `never` the manager redeems no refresh token
      and only adopts what other programs store.
    - `account_id`: the id of the only workspace whose login this manager hands out. Default: any.
    - `refresh_window`: how long before its expiry an access token is refreshed. Default: 10
      minutes, or half the token's lifetime if that is less.
    - `winner_wait`: after the server has rejected a refresh token, how long the manager waits for
      the save of another program that may have redeemed the token; or how long for the program that
      renews a login which this manager may not refresh. Default: 5 s.
    - `refresh_deadline`: how long one refresh may take once it has the refresh lock. Default: 45 s.
    - `request_timeout`: how long one request to the token endpoint may take. Default: 30 s.
    - `lock_timeout`: how long a refresh waits for the refresh lock while another process holds it.
      It must exceed `refresh_deadline`. Default: 60 s.
    - `token_url`: the token endpoint for refreshes. Default: `$CODEX_REFRESH_TOKEN_URL_OVERRIDE`,
      else `/oauth/token` of the issuer. This and the next two must be `https`, or `http` on
      loopback.
    - `revoke_url`: the revocation endpoint (RFC 7009). Default: `$CODEX_REVOKE_TOKEN_URL_OVERRIDE`,
      else `/oauth/revoke` beside the token endpoint.
    - `issuer`: the authorization server. Default: `https://auth.openai.com`.
    - `client_id`: the OAuth client of new logins, and of stored logins whose record names none.
      Default: `$CODEX_APP_SERVER_LOGIN_CLIENT_ID`, else the Codex CLI's client.
    - `originator`: the name of the calling program, which ChatGPT requests carry in the header
      `originator`. Default: `$CODEX_INTERNAL_ORIGINATOR_OVERRIDE`, else `codex_auth_sdk`.
    - `user_agent`: the `User-Agent` of requests to the authorization server. Default: the
      originator.
    - `proxy`: the proxy for `https` requests to the authorization server, by HTTP or SOCKS5, such
      as `http://user:password@host:port` or `socks5h://host:port`. Default: the proxy that the
      environment or the system names (`$HTTPS_PROXY`, `$ALL_PROXY`), except for hosts in
      `$NO_PROXY` and on loopback; one that cannot be used is an error. A proxy that is given here
      is used for all hosts.
    - `token_encoding`: the encoding of token requests, `json` (default) or `form`.
    - `enable_codex_api_key_env`: whether `$CODEX_API_KEY`, if it is set, replaces the stored login.
      This needs the store `codex`. Default: `False`.
    - `allowed_origins`: origins (`https://host` or `https://host:port`) to which the integrations
      with HTTP clients may send the credential, as a list. The origin of the ChatGPT backend for a
      ChatGPT login, and that of the OpenAI API for an API key, are always allowed.

    Raises `InvalidOption` for a bad value, `TypeError` for a value of a wrong type, `StoreCorrupt`,
    `StoreUnavailable`, `KeyringUnavailable` and `KeyringLocked`. A store without a login is no
    error.

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

    def __new__(
        cls,
        *,
        codex_home: str | PathLike[str] | None = None,
        store: Literal["codex", "file", "keyring", "auto", "encrypted", "ephemeral", "agent"]
        | str
        | EphemeralStorage
        | CustomStore
        | None = None,
        login: str | None = None,
        store_key: str | None = None,
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
    @staticmethod
    def open_unread(**options: Any) -> AuthManager:
        """Creates a manager that does not read its store.

        It is for a program that signs in or out over a file that holds no login, for which the
        constructor raises `StoreCorrupt`; what that file holds is kept beside it then. The manager
        has no snapshot until it reads or stores a login. The options are those of the constructor.

        Raises `InvalidOption` and `TypeError`.

        Example:
            try:
                manager = AuthManager()
            except StoreCorrupt:
                manager = AuthManager.open_unread()
                manager.login_with_api_key(key)

        """
    def auth(self) -> CodexAuth | None:
        """Returns the snapshot in memory, or `None` if no login is stored. It never blocks."""
    def fresh_auth(self) -> CodexAuth | None:
        """Returns a snapshot whose access token has not expired, or `None` if no login is stored.

        If the token expires within `refresh_window`, this starts a refresh in the background and
        returns the current snapshot at once. Only if the token has expired does the caller wait for
        the refresh, and always in a child of `multiprocessing` or celery, which may be killed.
        A login without a refresh token is renewed by another program: then the caller
        waits for that one, for `winner_wait` at most.

        Raises the errors of `refresh_token`, and only if the token has expired.
        """
    def fresh_auth_if_ready(self) -> CodexAuth | None:
        """Returns what `fresh_auth` would return without waiting.

        Returns `None` if `fresh_auth` would have to wait, or if no login is stored.
        """
    def reload(self) -> bool:
        """Reads the store. Returns whether this replaced the snapshot in memory.

        Raises `StoreCorrupt`, `StoreUnavailable`, `KeyringUnavailable` or `KeyringLocked`; the
        snapshot in memory then stays.
        """
    def sync_from_storage(self, auth: CodexAuth) -> SyncOutcome:
        """Reads the store and returns how the stored login relates to `auth`.

        The snapshot in memory becomes that of the stored login, whatever the result is.

        Raises the errors of `reload`.
        """
    def refresh_token(self, auth: CodexAuth) -> CodexAuth | None:
        """Returns a snapshot with another access token than that of `auth`.

        If another process has refreshed the login already, this adopts its tokens; else it redeems
        the stored refresh token. Any number of callers with one rejected token share one refresh.
        Returns `None` if there is no such token for the login of `auth`: no login is stored any
        more, another account's login is stored, or the login may not be refreshed. A key is not
        replaced by another one, which may be another account's; but `auth()` returns the stored one
        from then on.

        Raises `RefreshTokenError` if the user must sign in again, `TransientError`
        (`RefreshTransient`, `LockTimeout`, `StoreUnavailable`, `KeyringUnavailable` or
        `KeyringLocked`) if the caller may try again, after `retry_after` seconds if that is set,
        and `StoreReadOnly`, `StoreCorrupt` or `KeyringTooLong` if the store cannot be used; no
        token was redeemed then. Ctrl-C raises `KeyboardInterrupt`, and the refresh goes on.
        """
    def authorize(self, url: str, authorization: str | None = None) -> RequestAuthorization | None:
        """Returns the authorization of a request to `url`, for HTTP integrations.

        `authorization` is the request's own `Authorization` header, if it has one. Returns `None`
        if the manager must leave the request alone: it has such a header, or its origin is neither
        that of the ChatGPT backend or the OpenAI API nor one of `allowed_origins`. A request whose
        bearer token is `MANAGED_API_KEY` always gets an authorization, which raises
        `OriginNotAllowed` if need be. This method never blocks.
        """
    def unauthorized_recovery(self) -> UnauthorizedRecovery:
        """Returns the recovery state of one request. Get a new one for each request."""
    def recover_from_unauthorized(
        self, auth: CodexAuth, recovery: UnauthorizedRecovery
    ) -> UnauthorizedRecoveryDecision:
        """Decides what to do about a 401 response to a request that was sent with `auth`.

        Returns `RETRY` if the request is to be sent again with the snapshot that `auth()` now
        returns. Returns `GIVE_UP` if the 401 is final; `recovery.give_up_reason` says why. The
        first call for a request adopts tokens that another program has stored, or refreshes if
        there are none; the second one refreshes unless the first one did. So a request is repeated
        at most twice. A call that raises does not count.

        Raises the errors of `refresh_token`; but `fresh_token_rejected` and `not_refreshable` are
        reasons to give up, and no errors.
        """
    def keep_fresh(self) -> KeepFresh:
        """Starts a background task that refreshes the login before it expires.

        It refreshes each access token once that enters the refresh window, earlier than the Codex
        CLI would, and adopts logins and logouts of other programs. After an error it tries again
        later. It runs until `stop` of the returned object is called or the manager is garbage. The
        exit of the interpreter does not wait for it. A forked child must start its own.
        """
    def follow_store(self) -> FollowStore:
        """Starts a background task that adopts what other programs store, as soon as they store it.

        Without it, the manager notices a new login, a logout or refreshed tokens of another program
        only when a token has expired or was rejected. For a file the task gets notifications from
        the operating system; any store is read once a second as well. A spent refresh token that
        another program puts back gives way to its successor again, if the manager has that. The
        task runs until `stop` of the returned object is called or the manager is garbage. A forked
        child must start its own.
        """
    def subscribe(self, callback: Callable[[Event], object]) -> Subscription:
        """Calls `callback` with each `Event` from now on.

        The calls come from another thread, one after the other, until `stop` of the returned object
        is called, or that object or the manager is garbage. An exception that the callback raises
        goes to `sys.unraisablehook`. A slow callback delays nothing else: at most 64 events wait
        for it, then the oldest are dropped and an event of the kind `missed` says how many. At most
        16 callbacks run at once, of all managers of a process. A forked child must subscribe for
        itself.
        """
    def stats(self) -> Stats:
        """Returns the counters of this manager."""
    def describe(self) -> Description:
        """Describes this manager for a bug report, as a dict that `json.dumps` takes.

        It says which store keeps the login and why, where its files are, which processes hold its
        locks, what the login in memory is, and what is known of its refresh token. It has no token,
        no key and no email address. The call changes no login, and does not have the user unlock a
        keyring; macOS may ask the user by itself. What cannot be told within seconds is left out.
        `enable_logging` logs the description of each new manager at DEBUG, without the ids of
        account and user.
        """
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
        """Starts a sign-in with a browser: an authorization code with PKCE (RFC 8252, RFC 7636).

        The user opens `authorization_url` of the returned object, whose `wait` returns once the
        login is stored. The new login replaces the stored one when the sign-in is complete; a
        sign-in that fails or is cancelled changes nothing. All options are keywords, and `None`
        stands for the default.

        - `allowed_workspaces`: the ids of the workspaces whose logins are accepted. Default: any.
          Name them where it is known whose login is wanted: then no person who gets hold of the
          authorization URL can sign this program in to an account of his own.
        - `revoke_replaced`: whether to revoke the replaced login once the new one is saved. Servers
          may end all sessions of the account with it, the new one too. Default: `False`.
        - `timeout`: how long to wait for the user, in seconds or as a `timedelta`. Default: 10
          minutes.
        - `ports`: the ports of this machine that the browser may be redirected to; the first free
          one is used. 0 is any free port. Default: 1455 and 1457, which the Codex CLI's client has
          registered. The redirect names 127.0.0.1, and `localhost` with the protocol `standard`;
          then the port must be free on ::1 too.
        - `manual`: whether the browser runs on another machine. Then no port is opened, and the
          user pastes the address at which the browser arrives, for `complete`. Default: `False`.
        - `protocol`: `codex`, the default, for what Codex's authorization server understands, or
          `standard` for OpenID Connect at the endpoints that the issuer publishes.
        - `scope`: the requested scope. Default: the usual one of the protocol.
        - `id_token_validation`: whether to validate the id token's signature and claims:
          `where_published` (default: if the issuer publishes its keys), `required` or `off`.

        Raises `InvalidOption`, `TypeError`; `LoginPortBusy`; `LoginFailed` or `LoginTransient` if
        the issuer's endpoints cannot be read; and `LockTimeout` or a `StoreError` if the store
        could not save a login.

        Example:
            with manager.login_with_browser() as login:
                print(f"Open {login.authorization_url}")
                print(f"Signed in as {login.wait().email}")

        """
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
        """Starts a sign-in with a device code (RFC 8628): the user types the code in on any device.

        The user opens `verification_uri` of the returned object and types its `user_code`; its
        `wait` returns once the login is stored. The new login replaces the stored one when the
        sign-in is complete; a sign-in that fails or is cancelled changes nothing. The options are
        those of `login_with_browser` without `ports` and `manual`. The code's lifetime bounds
        `timeout`. Each time the server answers that the user has not typed the code in yet, the
        manager sends an event `login_pending`.

        Raises `LoginNotSupported` if the server has no device codes, and the errors of
        `login_with_browser`.
        """
    def resume_login_with_browser(self, sign_in_id: str) -> BrowserLogin:
        """Goes on with the manual sign-in with a browser whose `id` this is.

        Another manager of this login has begun it, in this process or in another one, which may
        have ended. `complete` of the returned object finishes it, in one process only. The options
        are those that it was begun with.

        Raises `NotSupportedByStore` if the store keeps no sign-ins, `LoginCancelled` if the sign-in
        has ended or is another login's, `LoginFailed` if it is no such sign-in, `StoreUnavailable`
        if its state is not what was stored, and the errors of `login_with_browser`.
        """
    def resume_login_with_device_code(self, sign_in_id: str) -> DeviceLogin:
        """Goes on with the sign-in with a device code whose `id` this is.

        Another manager of this login has begun it, in this process or in another one, which may
        have ended. Any number of processes may wait for the user: together they ask the server as
        often as one, and one of them stores the login.

        Raises the errors of `resume_login_with_browser`.
        """
    def login_with_api_key(self, api_key: str) -> CodexAuth:
        """Stores an API key as the login and returns its snapshot. No server checks the key.

        Raises `LoginInvalidCredential` if the text cannot be an API key, `LoginWorkspaceNotAllowed`
        if the manager has the option `account_id`, and `SaveFailed`.
        """
    def login_with_access_token(self, access_token: str) -> CodexAuth:
        """Stores a personal access token, or the token of an agent, as the login.

        Returns the snapshot of the login. No server checks the token.

        Raises the errors of `login_with_api_key`.
        """
    def logout(self, *, revoke: bool = True, any_account: bool = False) -> LogoutOutcome:
        """Removes the login from the store.

        With `revoke`, the default, the manager first asks the authorization server to revoke the
        tokens, which may end other sessions of the account; the login is removed even if that
        fails. A refresh that is in flight in any process does not bring the login back.

        Raises `IdentityMismatch` if the store now holds another account's login, which stays unless
        `any_account` is true, and `LockTimeout` or a `StoreError` if the store cannot be changed.
        """
    def close(self, timeout: float | timedelta | None = None) -> bool:
        """Waits until no refresh is in flight and all tokens are saved. Returns whether that is so.

        It waits for `timeout` at most, in seconds or as a `timedelta`. Default: 10 s. The manager
        can be used afterwards. Leaving a `with` block calls this.
        """
    @property
    def store_holder(self) -> StoreHolder | None:
        """The kind of store that held the login when it was last read, for a store that chooses.

        Only `auto` chooses. `None` for other stores.
        """
    @property
    def pending_save(self) -> bool:
        """Whether the manager uses refreshed tokens that it could not save yet."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...

@final
class AsyncManager:
    """The compiled half of `AsyncAuthManager`. No method of it blocks."""

    def __new__(cls, **options: object) -> Self: ...
    @staticmethod
    def open(**options: object) -> AsyncManager | Pending[AsyncManager]:
        """Reads any store: returns the manager, or a `Pending`."""
    @staticmethod
    def open_unread(**options: object) -> AsyncManager:
        """Does not read the store."""
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
    def describe(self) -> str | Pending[str]: ...
    def login_with_browser(self, **options: object) -> BrowserLogin | Pending[BrowserLogin]: ...
    def login_with_device_code(self, **options: object) -> DeviceLogin | Pending[DeviceLogin]: ...
    def resume_login_with_browser(
        self, sign_in_id: str
    ) -> BrowserLogin | Pending[BrowserLogin]: ...
    def resume_login_with_device_code(
        self, sign_in_id: str
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
    """A sign-in with a browser that waits for its user, by `AuthManager.login_with_browser`.

    It goes on in the background until the login is stored, `cancel` is called, its `with` block is
    left, or the object is garbage. It may be shared between threads. The exit of the interpreter
    does not wait for it, and a forked child must start its own.

    Example:
        with manager.login_with_browser() as login:
            print(f"Open {login.authorization_url}")
            auth = login.wait()

    """

    @property
    def authorization_url(self) -> str:
        """The address at which the user signs in. Keep it out of logs."""
    @property
    def redirect_uri(self) -> str:
        """The address to which the authorization server redirects the browser after the sign-in."""
    @property
    def id(self) -> str | None:
        """The id by which `resume_login_with_browser` finishes the sign-in in any process.

        It is `None` unless the sign-in is manual and the store keeps sign-ins, as PostgreSQL does.
        Hand it to the user of the sign-in only, in a cookie, say.
        """
    def open_browser(self) -> None:
        """Opens the user's browser at a page in a file that leads it on to `authorization_url`.

        Other users of the machine see the command that opens the browser, and cannot read the
        file. A browser on another machine cannot either: show its user the address.

        A browser that runs in the terminal blocks this call until it ends.

        Raises `LoginNotSupported` if no browser can be opened.
        """
    def wait(self) -> CodexAuth:
        """Blocks until the login is stored, and returns its snapshot.

        It may be called again, and by several threads at once. Ctrl-C ends the waiting, not the
        sign-in.

        Raises a `LoginError`: `LoginDenied`, `LoginTimeout`, `LoginCancelled`,
        `LoginWorkspaceNotAllowed`, `LoginFailed`, `LoginTransient` or `SaveFailed`;
        `StoreUnavailable` if a store that keeps sign-ins cannot be asked. The store then holds what
        it held before.
        """
    def begin_wait(self) -> CodexAuth | Pending[CodexAuth]:
        """Does what `wait` does without blocking: returns the snapshot, or a `Pending`."""
    def complete(self, redirected_url: str) -> CodexAuth:
        """Completes the sign-in with the address at which the browser arrived, and waits for it.

        `redirected_url` is that address, as the user has pasted it. Returns the snapshot of the
        login.

        Raises `LoginStateMismatch` if the address belongs to another sign-in, or `LoginFailed` if
        it is no such address; the sign-in then goes on waiting. Else raises the errors of `wait`.
        """
    def begin_complete(self, redirected_url: str) -> CodexAuth | Pending[CodexAuth]:
        """Does what `complete` does without blocking: returns the snapshot, or a `Pending`."""
    def cancel(self) -> None:
        """Cancels the sign-in in all processes, unless its login is being stored already.

        The port is free at once. Callers that wait for it get a `LoginCancelled`.
        """
    def leave(self) -> None:
        """Ends the sign-in in this process, as garbage collection does.

        If it has an `id`, it can be resumed until its time is over. Callers that wait for it here
        get a `LoginCancelled`.
        """
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...

@final
class DeviceLogin:
    """A sign-in with a device code that waits for its user.

    `AuthManager.login_with_device_code` returns it. It goes on in the background until the login is
    stored, `cancel` is called, its `with` block is left, or the object is garbage. It may be shared
    between threads. The exit of the interpreter does not wait for it, and a forked child must start
    its own.

    Example:
        with manager.login_with_device_code() as login:
            print(f"Open {login.verification_uri} and type in {login.user_code}")
            auth = login.wait()

    """

    @property
    def user_code(self) -> str:
        """The code that the user types in. Keep it out of logs."""
    @property
    def verification_uri(self) -> str:
        """The address at which the user types the code in."""
    @property
    def verification_uri_complete(self) -> str | None:
        """The address with the code in it, for a QR code; `None` if the server sends none."""
    @property
    def id(self) -> str | None:
        """The id by which `resume_login_with_device_code` goes on with the sign-in in any process.

        It is `None` unless the store keeps sign-ins, as PostgreSQL does. Hand it to the user of the
        sign-in only.
        """
    @property
    def expires_in(self) -> float:
        """The lifetime of the code in seconds, from its creation or from its resumption here."""
    def wait(self) -> CodexAuth:
        """Blocks until the login is stored, and returns its snapshot.

        It may be called again, and by several threads at once. Ctrl-C ends the waiting, not the
        sign-in.

        Raises a `LoginError`: `LoginTimeout` if the code has expired, else the errors of
        `BrowserLogin.wait`. The store then holds what it held before.
        """
    def begin_wait(self) -> CodexAuth | Pending[CodexAuth]:
        """Does what `wait` does without blocking: returns the snapshot, or a `Pending`."""
    def cancel(self) -> None:
        """Cancels the sign-in in all processes, unless its login is being stored already.

        Callers that wait for it get a `LoginCancelled`.
        """
    def leave(self) -> None:
        """Ends the sign-in in this process, as garbage collection does.

        If it has an `id`, it can be resumed until its time is over. Callers that wait for it here
        get a `LoginCancelled`.
        """
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...

@final
class Event:
    """Something that happened to the login of a manager. It holds no secrets.

    An event describes the moment at which it was sent. `AuthManager.auth` has the present state.
    """

    @property
    def kind(
        self,
    ) -> Literal[
        "adopted",
        "refreshed",
        "logged_out",
        "identity_changed",
        "workspace_changed",
        "refresh_failed",
        "save_failed",
        "save_recovered",
        "store_changed",
        "credential_left_out",
        "logged_in",
        "login_pending",
        "login_failed",
        "missed",
    ]:
        """The kind of event.

        - `adopted`: the manager now uses tokens that another process or program has refreshed.
        - `refreshed`: the manager has redeemed the refresh token and uses the new tokens.
        - `logged_out`: the store holds no login any more.
        - `identity_changed`: the store holds another login than before, or its first login.
        - `workspace_changed`: the login is for another workspace than before.
        - `refresh_failed`: a refresh has failed; `error` says why.
        - `save_failed`: the manager uses new tokens that it could not save; `error` says why. It
          tries again, and sends no second event for that.
        - `save_recovered`: the tokens of the last `save_failed` are saved.
        - `store_changed`: another kind of store holds the login than before; see `store_holder`.
        - `credential_left_out`: a request is sent without the credential, since its origin may not
          get that; `error` names the origin. Sent once for each origin, for 16 at most.
        - `logged_in`: this manager has stored a new login.
        - `login_pending`: a sign-in with a device code has asked the server, and its user has not
          typed the code in yet.
        - `login_failed`: a sign-in has failed or was cancelled; `error` says why.
        - `missed`: the subscriber was too slow, and `missed` events were dropped at this point.
        """
    @property
    def error(self) -> CodexAuthError | None:
        """The error that `kind` is about, for a kind that has one; else `None`."""
    @property
    def store_holder(self) -> StoreHolder | None:
        """The store that holds the login now, for `store_changed`. `None` for other kinds."""
    @property
    def missed(self) -> int:
        """How many events were dropped, for `missed`. 0 for other kinds."""

@final
class Subscription:
    """A subscription to the events of a manager, by `AuthManager.subscribe`.

    Events are delivered until `stop` is called, or until this object or the manager is garbage.
    """

    def stop(self) -> None:
        """Ends the subscription. A callback that is running at this moment runs to its end."""
    def ask(self) -> None:
        """Requests one more event. It is for internal use."""

@final
class KeepFresh:
    """A background task that refreshes a login before it expires, by `AuthManager.keep_fresh`.

    It runs until `stop` is called or its manager is garbage.
    """

    def stop(self) -> None:
        """Ends the task. A refresh that is in flight goes on."""

@final
class FollowStore:
    """A background task that adopts what other programs store, by `AuthManager.follow_store`.

    It runs until `stop` is called or its manager is garbage.
    """

    def stop(self) -> None:
        """Ends the task."""

@final
class Stats:
    """Counters of what a manager has done since it was created. They never decrease.

    An object of this class is immutable and compares by value.
    """

    @property
    def adoptions(self) -> int:
        """How often the manager adopted tokens that another process or program had refreshed."""
    @property
    def redemptions(self) -> int:
        """How many refresh tokens this manager has redeemed."""
    @property
    def recoveries(self) -> int:
        """How many calls of `recover_from_unauthorized` decided for a retry."""
    @property
    def waits(self) -> int:
        """How often a call waited for the refresh of another caller, process or program."""
    @property
    def failures(self) -> int:
        """How many refreshes failed. A refresh that several callers waited for counts once."""
    @property
    def lock_wait(self) -> float:
        """How long refreshes have waited for the refresh lock, in seconds, as a total."""
    def __eq__(self, value: object, /) -> bool: ...

@final
class RequestAuthorization:
    """The authorization of one HTTP request, for HTTP integrations.

    It says which snapshot the request is sent with, and whether the request is repeated. An HTTP
    integration gets one from `AuthManager.authorize` for each request. It may be shared between
    threads.

    Example:
        auth = authorization.auth()
        while auth is not None:
            response = send(headers=auth.headers())
            auth = authorization.retry_auth(auth, response.status)

    """

    def auth(self) -> CodexAuth:
        """Returns the snapshot to send the request with, refreshed like that of `fresh_auth`.

        Raises `LoginRequired` if no login is stored, `OriginNotAllowed` if the credential must not
        be sent to the request's origin, and the errors of `AuthManager.fresh_auth`.
        """
    def begin_auth(self) -> CodexAuth | Pending[CodexAuth]:
        """Does what `auth` does without blocking: returns the snapshot, or a `Pending`."""
    def retry_auth(self, auth: CodexAuth, status: int) -> CodexAuth | None:
        """Returns the snapshot to repeat the request with, or `None` if its response is final.

        The request was sent with `auth` and answered with the HTTP status `status`. Only a 401
        leads to a repetition, and one request is repeated at most twice. An integration calls this
        also for a request whose body cannot be sent again: the recovery makes the next request
        work.

        Raises the errors of `AuthManager.recover_from_unauthorized`.
        """
    def begin_retry_auth(
        self, auth: CodexAuth, status: int
    ) -> CodexAuth | Pending[CodexAuth | None] | None:
        """Does what `retry_auth` does without blocking: returns its result, or a `Pending`."""

@final
class StoreCalls:
    """The queue from which the thread of one store takes its calls."""

    def next(self) -> tuple[str, tuple[str | None, ...], StoreReply] | None:
        """Waits for the next call.

        Returns the name of the method, its arguments, and the `StoreReply` that takes the result.
        Returns `None` once no manager uses the store any more.
        """

@final
class StoreReply:
    """Takes the result of one call. It can be given one result only."""

    def returned(self, value: object) -> None:
        """Tells the core that the method returned `value`."""
    def raised(self, error: BaseException) -> None:
        """Tells the core that the method raised `error`."""

@final
class Pending(Generic[_T]):
    """An answer of the core that is not ready yet."""

    def start(self, deliver: Callable[[_T, BaseException | None], object]) -> None:
        """Calls `deliver(value, error)` once, when the answer is ready, from another thread.

        While the interpreter ends, it blocks and calls `deliver` from the caller's thread instead.

        Raises `RuntimeError` if it was called before.
        """

def run_command(argv: Sequence[str]) -> int:
    """Runs the command `codex-auth-sdk` with `argv`, whose first item is its name, like `sys.argv`.

    Returns its exit code. Ctrl-C and signals that end a process by default do so here, once what is
    in flight is saved; then this does not return.
    """

def broken_by(store: CustomStore) -> str | None:
    """Runs the conformance suite on `store` and returns which rule `store` breaks, if any."""

def finish(timeout: float = 10.0) -> bool:
    """Waits, before the process ends, until no refresh is in flight and all tokens are saved.

    Waits for `timeout` seconds at most, and returns whether all is done. Ctrl-C ends the waiting.
    The `SystemExit` of a signal handler does not, since the process is ending already.
    """

def expect_unseen_exit() -> None:
    """Makes callers wait for a refresh that is due: this process may end without exit hooks."""

def before_fork() -> None:
    """Prepares a fork: waits until no thread is in a step that a child could not finish."""

def after_fork_in_parent() -> None:
    """Lets the other threads of the parent go on after a fork."""

def after_fork() -> None:
    """Gives up, in a forked child, the locks and threads that belong to its parent."""

def deliver_log(
    deliver: Callable[[str, str, str, dict[str, str], float | None], object],
) -> None:
    """Calls `deliver(level, target, message, fields, duration)` with each record from now on.

    The calls come from a thread that is not the caller's. The records that are left when the
    process ends are delivered in the thread that calls `finish`. A second call of this function
    changes nothing.
    """
