"""The manager for asyncio. `AsyncAuthManager` is what `codex_auth_sdk` exports from here."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from codex_auth_sdk._async_login import AsyncBrowserLogin, AsyncDeviceLogin
from codex_auth_sdk._native import AsyncManager
from codex_auth_sdk._pending import answer

if TYPE_CHECKING:
    from datetime import timedelta

    from typing_extensions import Self, Unpack

    from codex_auth_sdk._decision import UnauthorizedRecoveryDecision
    from codex_auth_sdk._native import (
        AuthManager,
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
    """`AuthManager` for asyncio: what touches the disk or the network is awaited.

    The options are those of `AuthManager`. The constructor reads a file or memory once, without
    waiting, and raises `StoreUnavailable` where that is not possible; `open` reads any store and
    waits as long as it takes:

        async with await AsyncAuthManager.open() as manager:
            auth = await manager.fresh_auth()

    Cancelling a call, by `task.cancel()` or a timeout, ends the waiting only: a refresh goes on
    until the new tokens are saved, also after `asyncio.run` has returned, and at the exit of the
    interpreter for up to 10 seconds. A manager may be used from several event loops and threads at
    once, and one made before a fork works in the child.
    """

    __module__ = "codex_auth_sdk"
    __slots__ = ("__weakref__", "_manager")

    _manager: AsyncManager

    def __init__(self, **options: Unpack[ManagerOptions]) -> None:
        self._manager = AsyncManager(**options)

    @classmethod
    async def open(cls, **options: Unpack[ManagerOptions]) -> Self:
        """Opens a manager on any store, waiting for it if need be.

        Raises `InvalidOption`, `TypeError`, `StoreCorrupt`, `StoreUnavailable`. That nobody is
        signed in is no error.
        """
        manager = cls.__new__(cls)
        manager._manager = await answer(AsyncManager.open(**options))
        return manager

    def auth(self) -> CodexAuth | None:
        """The snapshot in memory; `None` while nobody is signed in. No I/O, no waiting."""
        return self._manager.auth()

    async def fresh_auth(self) -> CodexAuth | None:
        """The snapshot, refreshed first where needed; `None` while nobody is signed in.

        While the token is still valid a due refresh runs in the background and the current
        snapshot is returned at once; only an expired token makes the caller wait.

        Raises what `refresh_token` raises, and only for an expired token.
        """
        auth = self._manager.fresh_auth_if_ready()
        return await answer(self._manager.fresh_auth()) if auth is None else auth

    def fresh_auth_if_ready(self) -> CodexAuth | None:
        """What `fresh_auth` would return at once.

        `None` if it would have to wait, or if nobody is signed in.
        """
        return self._manager.fresh_auth_if_ready()

    async def reload(self) -> bool:
        """Reads the store; whether the snapshot in memory was replaced.

        Raises `StoreCorrupt` or `StoreUnavailable`; the snapshot then stays what it was.
        """
        return await answer(self._manager.reload())

    async def sync_from_storage(self, auth: CodexAuth) -> SyncOutcome:
        """Reads the store and says how the login in it relates to `auth`.

        The snapshot in memory follows the store whatever the answer is.

        Raises `StoreCorrupt` or `StoreUnavailable`.
        """
        return await answer(self._manager.sync_from_storage(auth))

    async def refresh_token(self, auth: CodexAuth) -> CodexAuth | None:
        """Gets a token in the place of `auth`'s.

        That is the store's, if somebody has refreshed it already, else one for which the stored
        refresh token is redeemed. `None` where there is nothing to get for this login: it was
        logged out, replaced by another account's, or may not be refreshed. Any number of callers
        with one token share one refresh.

        Raises `RefreshTokenError` (sign in again); `TransientError`, that is `RefreshTransient`,
        `LockTimeout` or `StoreUnavailable` (try again, after `retry_after` seconds where that is
        set); `StoreReadOnly` or `StoreCorrupt` (nothing was spent).
        """
        return await answer(self._manager.refresh_token(auth))

    def authorize(
        self, url: str, authorization: str | None = None
    ) -> AsyncRequestAuthorization | None:
        """The authorization of a request to `url`, for HTTP integrations.

        `None` where it gets none: it has an `Authorization` header (`authorization`) of its own, or
        goes to an origin that is neither the ChatGPT backend's nor the API's nor one of
        `allowed_origins`. A request whose bearer is `MANAGED_API_KEY` always gets one, or an error.
        """
        native = self._manager.authorize(url, authorization)
        return None if native is None else AsyncRequestAuthorization(native)

    def unauthorized_recovery(self) -> UnauthorizedRecovery:
        """The state of one request's recovery; get a new one for every request."""
        return self._manager.unauthorized_recovery()

    async def recover_from_unauthorized(
        self, auth: CodexAuth, recovery: UnauthorizedRecovery
    ) -> UnauthorizedRecoveryDecision:
        """What to do about a 401 that a request with `auth` got.

        `RETRY` with what `auth()` returns now, or `GIVE_UP`, for the reason that
        `recovery.give_up_reason` names. The first call adopts what another program has stored, the
        next one refreshes; a request therefore needs at most two retries. A call that raises does
        not use up the recovery.

        Raises what `refresh_token` raises.
        """
        return await answer(self._manager.recover_from_unauthorized(auth, recovery))

    def keep_fresh(self) -> KeepFresh:
        """Does what `fresh_auth` does in the background, without anybody asking.

        The token is refreshed once it is due, well before the Codex CLI would, and logins and
        logouts by others are followed. Nothing ends it but `stop()` of what is returned, or the end
        of the manager, which keeps its last one alive. The exit of the interpreter does not wait
        for it; a forked child has to ask for its own.
        """
        return self._manager.keep_fresh()

    def follow_store(self) -> FollowStore:
        """Has the snapshot in memory follow the store.

        A rotation, a login or a logout by another program is adopted at once, without a request
        failing first. For a file the system tells of changes; the store is looked at every second
        besides. It ends as `keep_fresh` does.
        """
        return self._manager.follow_store()

    def subscribe(self) -> Events:
        """What happens to the login from now on, as an asynchronous iterator for one event loop."""
        return Events(self._manager)

    def stats(self) -> Stats:
        """What this manager has done so far, in numbers."""
        return self._manager.stats()

    async def login_with_browser(self, **options: Unpack[BrowserLoginOptions]) -> AsyncBrowserLogin:
        """Begins to sign in with a browser.

        The user goes to `authorization_url` of what is returned, which waits for them. The options
        are those of `AuthManager.login_with_browser`. The new login takes the place of whatever is
        stored when it is complete, and not before: a sign-in that is cancelled or fails changes
        nothing.

        Raises what `AuthManager.login_with_browser` raises.
        """
        return AsyncBrowserLogin(await answer(self._manager.login_with_browser(**options)))

    async def login_with_device_code(
        self, **options: Unpack[DeviceLoginOptions]
    ) -> AsyncDeviceLogin:
        """Begins to sign in on another device.

        Its user types `user_code` of what is returned in at `verification_uri`. The options are
        those of `AuthManager.login_with_device_code`.

        Raises what `AuthManager.login_with_device_code` raises.
        """
        return AsyncDeviceLogin(await answer(self._manager.login_with_device_code(**options)))

    async def login_with_api_key(self, api_key: str) -> CodexAuth:
        """Stores a login by API key, and returns its snapshot.

        Nobody is asked whether the key is good.

        Raises `LoginInvalidCredential` where it cannot be a key, `LoginWorkspaceNotAllowed` where
        the manager is for one account, `SaveFailed`.
        """
        return await answer(self._manager.login_with_api_key(api_key))

    async def login_with_access_token(self, access_token: str) -> CodexAuth:
        """Stores a login by personal access token, or by the token of an agent.

        Returns its snapshot. Nobody is asked whether it is good.

        Raises what `login_with_api_key` raises.
        """
        return await answer(self._manager.login_with_access_token(access_token))

    async def logout(self, *, revoke: bool = True, any_account: bool = False) -> LogoutOutcome:
        """Removes the login from the store.

        With `revoke` the server is asked to revoke it first, which is best effort and may end
        other sessions of the account. A refresh in flight in any process does not bring the login
        back.

        Raises `IdentityMismatch` where the store holds another account's login by now, which is
        left alone unless `any_account` is true; `StoreReadOnly`, `StoreUnavailable`, `LockTimeout`.
        """
        return await answer(self._manager.logout(revoke, any_account))

    async def aclose(self, timeout: float | timedelta | None = None) -> bool:
        """Waits for refreshes in flight and tokens that are still to be saved.

        Waits at most `timeout` (seconds or a `timedelta`; default 10 s) and says whether all are
        done. The manager stays usable. Leaving an `async with` block does the same.
        """
        return await answer(self._manager.close(timeout))

    @property
    def store_holder(self) -> StoreHolder | None:
        """Which kind of store held the login when it was last read, and why not the preferred one.

        `None` for a store that does not choose.
        """
        return self._manager.store_holder

    @property
    def pending_save(self) -> bool:
        """Whether rotated tokens are in use that could not be saved yet."""
        return self._manager.pending_save

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        auth = self.auth()
        return f"<AsyncAuthManager {'without a login' if auth is None else f'of {auth!r}'}>"


class Events:
    """The events of a manager since `AsyncAuthManager.subscribe`, one after the other.

        async for event in manager.subscribe():
            print(event.kind)

    It goes on until `stop()`. Cancelling the wait for an event loses none. At most 64 wait to be
    read; then the oldest give way and an event `missed` tells how many. A forked child has to
    subscribe for itself.
    """

    __module__ = "codex_auth_sdk"
    __slots__ = ("_manager", "_next", "_stopped", "_subscription")

    def __init__(self, manager: AsyncManager) -> None:
        # It lives as long as somebody may be waiting here.
        self._manager = manager
        self._next: asyncio.Future[Event | None] | None = None
        self._stopped = False
        self._subscription = manager.subscribe(self._deliver)

    def stop(self) -> None:
        """Ends it, also for whoever is waiting in this event loop."""
        self._subscription.stop()
        self._stopped = True
        self._settle(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._stopped:
            raise StopAsyncIteration
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
            self._subscription.ask()
        event = await asyncio.shield(self._next)
        if event is None:
            raise StopAsyncIteration
        self._next = None
        return event

    def _deliver(self, event: Event) -> None:
        if self._next is not None:
            with suppress(RuntimeError):  # Nobody waits any more once the loop is closed.
                self._next.get_loop().call_soon_threadsafe(self._settle, event)

    def _settle(self, event: Event | None) -> None:
        if self._next is not None and not self._next.done():
            self._next.set_result(event)


class AsyncRequestAuthorization:
    """`RequestAuthorization` for asyncio, by `AsyncAuthManager.authorize`."""

    __module__ = "codex_auth_sdk"
    __slots__ = ("_native",)

    def __init__(self, native: RequestAuthorization) -> None:
        self._native = native

    async def auth(self) -> CodexAuth:
        """The snapshot to send the request with, fresh as by `AsyncAuthManager.fresh_auth`.

        Raises `LoginRequired` while nobody is signed in, `OriginNotAllowed` where this credential
        may not go there, else what `AsyncAuthManager.fresh_auth` raises.
        """
        return await answer(self._native.begin_auth())

    async def retry_auth(self, auth: CodexAuth, status: int) -> CodexAuth | None:
        """The snapshot to send the request again with.

        It was sent with `auth` and answered with `status`; `None` where that is the final response.

        Raises what `AsyncAuthManager.recover_from_unauthorized` raises.
        """
        return await answer(self._native.begin_retry_auth(auth, status))


def native_of(manager: AuthManager | AsyncAuthManager) -> AuthManager | AsyncManager:
    """What makes the calls of `manager`."""
    if isinstance(manager, AsyncAuthManager):
        return manager._manager  # pyright: ignore[reportPrivateUsage]
    return manager
