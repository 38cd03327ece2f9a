"""Sign-ins for asyncio, by `AsyncAuthManager`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_auth_sdk._pending import answer

if TYPE_CHECKING:
    from typing_extensions import Self

    from codex_auth_sdk._native import BrowserLogin, CodexAuth, DeviceLogin


class AsyncBrowserLogin:
    """`BrowserLogin` for asyncio, by `AsyncAuthManager.login_with_browser`.

        async with await manager.login_with_browser() as login:
            print(f"Open {login.authorization_url}")
            auth = await login.wait()

    It goes on in the background until it is done, `cancel()` is called, an `async with` block of it
    is left, or it is garbage; the end of a task that waits for it does not end it.
    """

    __module__ = "codex_auth_sdk"
    __slots__ = ("__weakref__", "_native")

    def __init__(self, native: BrowserLogin) -> None:
        self._native = native

    @property
    def authorization_url(self) -> str:
        """Where the browser is to go. It is for the user: keep it out of logs."""
        return self._native.authorization_url

    @property
    def redirect_uri(self) -> str:
        """Where the browser comes back to."""
        return self._native.redirect_uri

    def open_browser(self) -> None:
        """Opens the user's browser at `authorization_url`; waits for one in the terminal.

        Raises `LoginNotSupported` where none can be opened.
        """
        self._native.open_browser()

    async def wait(self) -> CodexAuth:
        """Waits until the login is stored, and returns its snapshot.

        May be called again, and by several tasks at once.

        Raises `LoginDenied`, `LoginTimeout`, `LoginCancelled`, `LoginWorkspaceNotAllowed`,
        `LoginFailed`, `LoginTransient`, `SaveFailed`: a `LoginError`. In all cases the store is
        what it was.
        """
        return await answer(self._native.begin_wait())

    async def complete(self, redirected_url: str) -> CodexAuth:
        """Goes on with the address that the browser ended up at, as its user has pasted it.

        Raises `LoginStateMismatch` where it is of another sign-in, `LoginFailed` where it is no
        such address: both leave this one waiting. Else what `wait` raises.
        """
        return await answer(self._native.begin_complete(redirected_url))

    def cancel(self) -> None:
        """Ends it, unless the login is being stored already. The port is free at once."""
        self._native.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<AsyncBrowserLogin redirect_uri={self.redirect_uri!r}>"


class AsyncDeviceLogin:
    """`DeviceLogin` for asyncio, by `AsyncAuthManager.login_with_device_code`.

        async with await manager.login_with_device_code() as login:
            print(f"Open {login.verification_uri} and type in {login.user_code}")
            auth = await login.wait()

    It goes on and ends as an `AsyncBrowserLogin` does.
    """

    __module__ = "codex_auth_sdk"
    __slots__ = ("__weakref__", "_native")

    def __init__(self, native: DeviceLogin) -> None:
        self._native = native

    @property
    def user_code(self) -> str:
        """What the user types in. It is for the user: keep it out of logs."""
        return self._native.user_code

    @property
    def verification_uri(self) -> str:
        """Where."""
        return self._native.verification_uri

    @property
    def verification_uri_complete(self) -> str | None:
        """The same with the code in it, for a QR code, say; `None` where the server has none."""
        return self._native.verification_uri_complete

    @property
    def expires_in(self) -> float:
        """How many seconds the code is good, from when it was made."""
        return self._native.expires_in

    async def wait(self) -> CodexAuth:
        """Waits until the login is stored; see `AsyncBrowserLogin.wait`.

        `LoginTimeout` where the code has expired.
        """
        return await answer(self._native.begin_wait())

    def cancel(self) -> None:
        """Ends it, unless the login is being stored already."""
        self._native.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<AsyncDeviceLogin verification_uri={self.verification_uri!r}>"
