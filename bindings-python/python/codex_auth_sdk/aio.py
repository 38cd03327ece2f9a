"""The manager of a login for asyncio and Trio. `codex_auth_sdk` exports `AsyncAuthManager`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from codex_auth_sdk._async_login import AsyncBrowserLogin, AsyncDeviceLogin
from codex_auth_sdk._native import AsyncManager, AuthManager
from codex_auth_sdk._pending import Answer, resolve

if TYPE_CHECKING:
    from datetime import timedelta

    from typing_extensions import Self, Unpack

    from codex_auth_sdk._decision import UnauthorizedRecoveryDecision
    from codex_auth_sdk._description import Description
    from codex_auth_sdk._native import (
        CodexAuth,
        Event,
        FollowStore,
        KeepFresh,
        LogoutOutcome,
        RequestAuthorization,
        Stats,
        StoreHolder,
        SyncOutcome,
        UnauthorizedRecovery,
    )
    from codex_auth_sdk._options import BrowserLoginOptions, DeviceLoginOptions, ManagerOptions


class AsyncAuthManager:
    """Manages a Codex login for asyncio and Trio; methods that use disk or network are coroutines.

    It does what `AuthManager` does, and has the same options. The constructor reads a file or a
    store in memory once, without waiting, and raises `StoreUnavailable` for other stores. `open`
    reads any store and waits as long as that takes:

        async with await AsyncAuthManager.open() as manager:
            auth = await manager.fresh_auth()

    A cancelled call, by `task.cancel()` or a timeout, ends the waiting only. Once the authorization
    server may have rotated the refresh token, the refresh goes on until the new tokens are saved,
    even after `asyncio.run` has returned. The exit of the interpreter waits for that, for 10
    seconds at most. A manager may be used from several event loops and threads at once, and one
    that was created before a fork works in the child.
    """

    __module__ = "codex_auth_sdk"
    __slots__ = ("__weakref__", "_manager")

    _manager: AsyncManager

    def __init__(self, **options: Unpack[ManagerOptions]) -> None:
        self._manager = AsyncManager(**options)

    @classmethod
    async def open(cls, **options: Unpack[ManagerOptions]) -> Self:
        """Creates a manager and reads its store, whichever that is.

        The options are those of `AuthManager`.

        Raises `InvalidOption`, `TypeError`, `StoreCorrupt`, `StoreUnavailable`,
        `KeyringUnavailable` or `KeyringLocked`. A store without a login is no error.
        """
        manager = cls.__new__(cls)
        manager._manager = await resolve(AsyncManager.open(**options))
        return manager

    @classmethod
    def open_unread(cls, **options: Unpack[ManagerOptions]) -> Self:
        """Creates a manager that does not read its store.

        It is for a program that signs in or out over a file that holds no login, for which `open`
        raises `StoreCorrupt`; what that file holds is kept beside it then. The manager has no
        snapshot until it reads or stores a login. The options are those of `AuthManager`.

        Raises `InvalidOption` and `TypeError`.
        """
        manager = cls.__new__(cls)
        manager._manager = AsyncManager.open_unread(**options)
        return manager

    def auth(self) -> CodexAuth | None:
        """Returns the snapshot in memory, or `None` if no login is stored. It never blocks."""
        return self._manager.auth()

    async def fresh_auth(self) -> CodexAuth | None:
        """Returns a snapshot whose access token has not expired, or `None` if no login is stored.

        If the token expires within `refresh_window`, this starts a refresh in the background and
        returns the current snapshot at once. Only if the token has expired does the caller wait for
        the refresh, and always in a child of `multiprocessing` or celery, which may be killed.
        A login without a refresh token is renewed by another program: then the caller
        waits for that one, for `winner_wait` at most.

        Raises the errors of `refresh_token`, and only if the token has expired.
        """
        auth = self._manager.fresh_auth_if_ready()
        return await resolve(self._manager.fresh_auth()) if auth is None else auth

    def fresh_auth_if_ready(self) -> CodexAuth | None:
        """Returns what `fresh_auth` would return without waiting.

        Returns `None` if `fresh_auth` would have to wait, or if no login is stored.
        """
        return self._manager.fresh_auth_if_ready()

    async def reload(self) -> bool:
        """Reads the store. Returns whether this replaced the snapshot in memory.

        Raises `StoreCorrupt`, `StoreUnavailable`, `KeyringUnavailable` or `KeyringLocked`; the
        snapshot in memory then stays.
        """
        return await resolve(self._manager.reload())

    async def sync_from_storage(self, auth: CodexAuth) -> SyncOutcome:
        """Reads the store and returns how the stored login relates to `auth`.

        The snapshot in memory becomes that of the stored login, whatever the result is.

        Raises the errors of `reload`.
        """
        return await resolve(self._manager.sync_from_storage(auth))

    async def refresh_token(self, auth: CodexAuth) -> CodexAuth | None:
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
        token was redeemed then.
        """
        return await resolve(self._manager.refresh_token(auth))

    def authorize(
        self, url: str, authorization: str | None = None
    ) -> AsyncRequestAuthorization | None:
        """Returns the authorization of a request to `url`, for HTTP integrations.

        `authorization` is the request's own `Authorization` header, if it has one. Returns `None`
        if the manager must leave the request alone: it has such a header, or its origin is neither
        that of the ChatGPT backend or the OpenAI API nor one of `allowed_origins`. A request whose
        bearer token is `MANAGED_API_KEY` always gets an authorization, which raises
        `OriginNotAllowed` if need be. This method never blocks.
        """
        native = self._manager.authorize(url, authorization)
        return None if native is None else AsyncRequestAuthorization(native)

    def unauthorized_recovery(self) -> UnauthorizedRecovery:
        """Returns the recovery state of one request. Get a new one for each request."""
        return self._manager.unauthorized_recovery()

    async def recover_from_unauthorized(
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
        return await resolve(self._manager.recover_from_unauthorized(auth, recovery))

    def keep_fresh(self) -> KeepFresh:
        """Starts a background task that refreshes the login before it expires.

        It refreshes each access token once that enters the refresh window, earlier than the Codex
        CLI would, and adopts logins and logouts of other programs. After an error it tries again
        later. It runs until `stop` of the returned object is called or the manager is garbage. The
        exit of the interpreter does not wait for it. A forked child must start its own.
        """
        return self._manager.keep_fresh()

    def follow_store(self) -> FollowStore:
        """Starts a background task that adopts what other programs store, as soon as they store it.

        Without it, the manager notices a new login, a logout or refreshed tokens of another program
        only when a token has expired or was rejected. For a file the task gets notifications from
        the operating system; any store is read once a second as well. A spent refresh token that
        another program puts back gives way to its successor again, if the manager has that. The
        task runs until `stop` of the returned object is called or the manager is garbage. A forked
        child must start its own.
        """
        return self._manager.follow_store()

    def subscribe(self) -> Events:
        """Returns the events from now on, as an asynchronous iterator for one event loop."""
        return Events(self._manager)

    def stats(self) -> Stats:
        """Returns the counters of this manager."""
        return self._manager.stats()

    async def describe(self) -> Description:
        """Describes this manager for a bug report, as a dict that `json.dumps` takes.

        It says which store keeps the login and why, where its files are, which processes hold its
        locks, what the login in memory is, and what is known of its refresh token. It has no token,
        no key and no email address. The call changes no login, and does not have the user unlock a
        keyring; macOS may ask the user by itself. What cannot be told within seconds is left out.
        `enable_logging` logs the description of each new manager at DEBUG, without the ids of
        account and user.
        """
        text: str = await resolve(self._manager.describe())
        description: Description = json.loads(text)
        return description

    async def login_with_browser(self, **options: Unpack[BrowserLoginOptions]) -> AsyncBrowserLogin:
        """Starts a sign-in with a browser: an authorization code with PKCE (RFC 8252, RFC 7636).

        The user opens `authorization_url` of the returned object, whose `wait` returns once the
        login is stored. The new login replaces the stored one when the sign-in is complete; a
        sign-in that fails or is cancelled changes nothing. The options are those of
        `AuthManager.login_with_browser`.

        Raises the errors of `AuthManager.login_with_browser`.
        """
        return AsyncBrowserLogin(await resolve(self._manager.login_with_browser(**options)))

    async def login_with_device_code(
        self, **options: Unpack[DeviceLoginOptions]
    ) -> AsyncDeviceLogin:
        """Starts a sign-in with a device code (RFC 8628): the user types the code in on any device.

        The user opens `verification_uri` of the returned object and types its `user_code`; its
        `wait` returns once the login is stored. The new login replaces the stored one when the
        sign-in is complete; a sign-in that fails or is cancelled changes nothing. The options are
        those of `AuthManager.login_with_device_code`.

        Raises the errors of `AuthManager.login_with_device_code`.
        """
        return AsyncDeviceLogin(await resolve(self._manager.login_with_device_code(**options)))

    async def resume_login_with_browser(self, sign_in_id: str) -> AsyncBrowserLogin:
        """Goes on with the manual sign-in with a browser whose `id` this is.

        Another manager of this login has begun it, in this process or in another one, which may
        have ended. `complete` of the returned object finishes it, in one process only. The options
        are those that it was begun with.

        Raises the errors of `AuthManager.resume_login_with_browser`.
        """
        return AsyncBrowserLogin(await resolve(self._manager.resume_login_with_browser(sign_in_id)))

    async def resume_login_with_device_code(self, sign_in_id: str) -> AsyncDeviceLogin:
        """Goes on with the sign-in with a device code whose `id` this is.

        Another manager of this login has begun it, in this process or in another one, which may
        have ended. Any number of processes may wait for the user: together they ask the server as
        often as one, and one of them stores the login.

        Raises the errors of `AuthManager.resume_login_with_browser`.
        """
        outcome = self._manager.resume_login_with_device_code(sign_in_id)
        return AsyncDeviceLogin(await resolve(outcome))

    async def login_with_api_key(self, api_key: str) -> CodexAuth:
        """Stores an API key as the login and returns its snapshot. No server checks the key.

        Raises `LoginInvalidCredential` if the text cannot be an API key, `LoginWorkspaceNotAllowed`
        if the manager has the option `account_id`, and `SaveFailed`.
        """
        try:
            outcome = self._manager.login_with_api_key(api_key)
        finally:
            del api_key  # What reports errors collects the variables of all frames.
        return await resolve(outcome)

    async def login_with_access_token(self, access_token: str) -> CodexAuth:
        """Stores a personal access token, or the token of an agent, as the login.

        Returns the snapshot of the login. No server checks the token.

        Raises the errors of `login_with_api_key`.
        """
        try:
            outcome = self._manager.login_with_access_token(access_token)
        finally:
            del access_token  # What reports errors collects the variables of all frames.
        return await resolve(outcome)

    async def logout(self, *, revoke: bool = True, any_account: bool = False) -> LogoutOutcome:
        """Removes the login from the store.

        With `revoke`, the default, the manager first asks the authorization server to revoke the
        tokens, which may end other sessions of the account; the login is removed even if that
        fails. A refresh that is in flight in any process does not bring the login back.

        Raises `IdentityMismatch` if the store now holds another account's login, which stays unless
        `any_account` is true, and `LockTimeout` or a `StoreError` if the store cannot be changed.
        """
        return await resolve(self._manager.logout(revoke, any_account))

    async def aclose(self, timeout: float | timedelta | None = None) -> bool:
        """Waits until no refresh is in flight and all tokens are saved. Returns whether that is so.

        It waits for `timeout` at most, in seconds or as a `timedelta`. Default: 10 s. The manager
        can be used afterwards. Leaving an `async with` block calls this.
        """
        return await resolve(self._manager.close(timeout))

    @property
    def store_holder(self) -> StoreHolder | None:
        """The kind of store that held the login when it was last read, for a store that chooses.

        Only `auto` chooses. `None` for other stores.
        """
        return self._manager.store_holder

    @property
    def pending_save(self) -> bool:
        """Whether the manager uses refreshed tokens that it could not save yet."""
        return self._manager.pending_save

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        auth = self.auth()
        return f"<AsyncAuthManager {'without a login' if auth is None else f'of {auth!r}'}>"


class Events:
    """The events of a manager, one after the other, by `AsyncAuthManager.subscribe`.

        async for event in manager.subscribe():
            print(event.kind)

    The iteration ends when `stop` is called. Cancelling the wait for an event loses none. At most
    64 events wait to be read; then the oldest are dropped and an event of the kind `missed` says
    how many. A forked child must subscribe for itself.
    """

    __module__ = "codex_auth_sdk"
    __slots__ = ("_manager", "_next", "_stopped", "_subscription")

    def __init__(self, manager: AsyncManager) -> None:
        # This keeps the manager alive for as long as a task may wait for its events.
        self._manager = manager
        self._next: Answer[Event | None] | None = None
        self._stopped = False
        self._subscription = manager.subscribe(self._deliver)

    def stop(self) -> None:
        """Ends the subscription, and the iteration of a task that waits in this event loop."""
        self._subscription.stop()
        self._stopped = True
        self._deliver(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._stopped:
            raise StopAsyncIteration
        if self._next is None:
            self._next = Answer()
            self._subscription.ask()
        event = await self._next.wait()
        if event is None:
            raise StopAsyncIteration
        self._next = None
        return event

    def _deliver(self, event: Event | None) -> None:
        if self._next is not None:
            self._next.deliver(event)


class AsyncRequestAuthorization:
    """The authorization of one HTTP request, for HTTP integrations that await.

    An integration gets one from `AsyncAuthManager.authorize` for each request. It says which
    snapshot the request is sent with, and whether the request is repeated.
    """

    __module__ = "codex_auth_sdk"
    __slots__ = ("_native",)

    def __init__(self, native: RequestAuthorization) -> None:
        self._native = native

    async def auth(self) -> CodexAuth:
        """Returns the snapshot to send the request with, refreshed like that of `fresh_auth`.

        Raises `LoginRequired` if no login is stored, `OriginNotAllowed` if the credential must not
        be sent to the request's origin, and the errors of `AsyncAuthManager.fresh_auth`.
        """
        return await resolve(self._native.begin_auth())

    async def retry_auth(self, auth: CodexAuth, status: int) -> CodexAuth | None:
        """Returns the snapshot to repeat the request with, or `None` if its response is final.

        The request was sent with `auth` and answered with the HTTP status `status`. Only a 401
        leads to a repetition, and one request is repeated at most twice. An integration calls this
        also for a request whose body cannot be sent again: the recovery makes the next request
        work.

        Raises the errors of `AsyncAuthManager.recover_from_unauthorized`.
        """
        return await resolve(self._native.begin_retry_auth(auth, status))


def native_of(manager: object) -> AuthManager | AsyncManager:
    """Returns the compiled manager behind `manager`.

    Raises `TypeError` if that is no manager.
    """
    if isinstance(manager, AsyncAuthManager):
        return manager._manager  # pyright: ignore[reportPrivateUsage]
    if isinstance(manager, AuthManager):
        return manager
    kind = type(manager).__name__
    hint = ": did you forget await?" if kind == "coroutine" else ""
    raise TypeError(f"manager must be an AuthManager or AsyncAuthManager, not {kind}{hint}")
