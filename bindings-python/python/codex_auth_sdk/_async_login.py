"""Sign-ins for asyncio, which wait for their user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_auth_sdk._pending import resolve

if TYPE_CHECKING:
    from typing_extensions import Self

    from codex_auth_sdk._native import BrowserLogin, CodexAuth, DeviceLogin


class AsyncBrowserLogin:
    """A sign-in with a browser that waits for its user, by `AsyncAuthManager.login_with_browser`.

        async with await manager.login_with_browser() as login:
            print(f"Open {login.authorization_url}")
            auth = await login.wait()

    It goes on in the background until the login is stored, `cancel` is called, its `async with`
    block is left, or the object is garbage. A cancelled task that waits for it does not cancel it.
    The exit of the interpreter does not wait for it, and a forked child must start its own.
    """

    __module__ = "codex_auth_sdk"
    __slots__ = ("__weakref__", "_native")

    def __init__(self, native: BrowserLogin) -> None:
        self._native = native

    @property
    def authorization_url(self) -> str:
        """The address at which the user signs in. Keep it out of logs."""
        return self._native.authorization_url

    @property
    def redirect_uri(self) -> str:
        """The address to which the authorization server redirects the browser after the sign-in."""
        return self._native.redirect_uri

    @property
    def id(self) -> str | None:
        """The id by which `resume_login_with_browser` finishes the sign-in in any process.

        It is `None` unless the sign-in is manual and the store keeps sign-ins, as PostgreSQL does.
        Hand it to the user of the sign-in only, in a cookie, say.
        """
        return self._native.id

    def open_browser(self) -> None:
        """Opens the user's browser at a page in a file that leads it on to `authorization_url`.

        Other users of the machine see the command that opens the browser, and cannot read the
        file. A browser on another machine cannot either: show its user the address.

        A browser that runs in the terminal blocks this call, and with it the event loop, until it
        ends.

        Raises `LoginNotSupported` if no browser can be opened.
        """
        self._native.open_browser()

    async def wait(self) -> CodexAuth:
        """Waits until the login is stored, and returns its snapshot.

        It may be called again, and by several tasks at once.

        Raises a `LoginError`: `LoginDenied`, `LoginTimeout`, `LoginCancelled`,
        `LoginWorkspaceNotAllowed`, `LoginFailed`, `LoginTransient` or `SaveFailed`;
        `StoreUnavailable` if a store that keeps sign-ins cannot be asked. The store then holds what
        it held before.
        """
        return await resolve(self._native.begin_wait())

    async def complete(self, redirected_url: str) -> CodexAuth:
        """Completes the sign-in with the address at which the browser arrived, and waits for it.

        `redirected_url` is that address, as the user has pasted it. Returns the snapshot of the
        login.

        Raises `LoginStateMismatch` if the address belongs to another sign-in, or `LoginFailed` if
        it is no such address; the sign-in then goes on waiting. Else raises the errors of `wait`.
        """
        try:
            outcome = self._native.begin_complete(redirected_url)
        finally:
            del redirected_url  # What reports errors collects the variables of all frames.
        return await resolve(outcome)

    def cancel(self) -> None:
        """Cancels the sign-in in all processes, unless its login is being stored already.

        The port is free at once. Tasks that wait for it get a `LoginCancelled`.
        """
        self._native.cancel()

    def leave(self) -> None:
        """Ends the sign-in in this process, as garbage collection does.

        If it has an `id`, it can be resumed until its time is over. Tasks that wait for it here get
        a `LoginCancelled`.
        """
        self._native.leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<AsyncBrowserLogin redirect_uri={self.redirect_uri!r}>"


class AsyncDeviceLogin:
    """A sign-in with a device code that waits for its user.

    `AsyncAuthManager.login_with_device_code` returns it.

        async with await manager.login_with_device_code() as login:
            print(f"Open {login.verification_uri} and type in {login.user_code}")
            auth = await login.wait()

    It goes on in the background until the login is stored, `cancel` is called, its `async with`
    block is left, or the object is garbage. A cancelled task that waits for it does not cancel it.
    The exit of the interpreter does not wait for it, and a forked child must start its own.
    """

    __module__ = "codex_auth_sdk"
    __slots__ = ("__weakref__", "_native")

    def __init__(self, native: DeviceLogin) -> None:
        self._native = native

    @property
    def user_code(self) -> str:
        """The code that the user types in. Keep it out of logs."""
        return self._native.user_code

    @property
    def verification_uri(self) -> str:
        """The address at which the user types the code in."""
        return self._native.verification_uri

    @property
    def verification_uri_complete(self) -> str | None:
        """The address with the code in it, for a QR code; `None` if the server sends none."""
        return self._native.verification_uri_complete

    @property
    def id(self) -> str | None:
        """The id by which `resume_login_with_device_code` goes on with the sign-in in any process.

        It is `None` unless the store keeps sign-ins, as PostgreSQL does. Hand it to the user of the
        sign-in only.
        """
        return self._native.id

    @property
    def expires_in(self) -> float:
        """The lifetime of the code in seconds, from its creation or from its resumption here."""
        return self._native.expires_in

    async def wait(self) -> CodexAuth:
        """Waits until the login is stored, and returns its snapshot.

        It may be called again, and by several tasks at once.

        Raises a `LoginError`: `LoginTimeout` if the code has expired, else the errors of
        `AsyncBrowserLogin.wait`. The store then holds what it held before.
        """
        return await resolve(self._native.begin_wait())

    def cancel(self) -> None:
        """Cancels the sign-in in all processes, unless its login is being stored already.

        Tasks that wait for it get a `LoginCancelled`.
        """
        self._native.cancel()

    def leave(self) -> None:
        """Ends the sign-in in this process, as garbage collection does.

        If it has an `id`, it can be resumed until its time is over. Tasks that wait for it here get
        a `LoginCancelled`.
        """
        self._native.leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<AsyncDeviceLogin verification_uri={self.verification_uri!r}>"
