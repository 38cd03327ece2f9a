"""Authorization for `httpx` and `httpx2`; `codex_auth_sdk` exports `HttpxAuth`."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from codex_auth_sdk._confinement import AsyncConfinement, Confinement, can_confine, release
from codex_auth_sdk._errors import CodexAuthError
from codex_auth_sdk._pending import answer
from codex_auth_sdk.aio import native_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from types import ModuleType

    from codex_auth_sdk._native import AuthManager, CodexAuth, RequestAuthorization
    from codex_auth_sdk.aio import AsyncAuthManager

# The manager says no to retries of all others, and most are.
_UNAUTHORIZED = 401


def _installed() -> list[ModuleType]:
    found: list[ModuleType] = []
    for name in ("httpx", "httpx2"):
        with suppress(ImportError):
            found.append(import_module(name))
    usable = [module for module in found if can_confine(module)]
    if not usable:
        raise ImportError(
            "HttpxAuth needs httpx 0.28 or later, or httpx2; pip install 'codex-auth-sdk[httpx]'"
        )
    return usable


_MODULES = _installed()
_BYTES: tuple[type, ...] = tuple(module.ByteStream for module in _MODULES)

# A client asks whether it is given its own kind of authorization.
_Auth: Any = type("_Auth", tuple(module.Auth for module in _MODULES), {})


class HttpxAuth(_Auth):  # type: ignore[misc]
    """Sends the requests of an `httpx` or `httpx2` client with a manager's credential.

    For `Client` and `AsyncClient`, and so for what is built on them:

        client = httpx.Client(auth=HttpxAuth(manager))
        openai = OpenAI(api_key=MANAGED_API_KEY, http_client=client, base_url=...)

    Each request is sent with a fresh snapshot. After a 401 it is sent again, at most twice, if its
    body can be; the 401 to a body that cannot (a generator) comes back after the tokens were
    recovered. The final response is the server's own, also where it is a 401.

    Only requests to the origins of the credential, and to the manager's `allowed_origins`, get it,
    and it does not go along a redirect to another origin. (By the transports of httpx itself: other
    ones take `ChatGPT-Account-ID` and `originator` along, never the token; so they do where a hook
    gives a request other extensions.) A request with an `Authorization` of its own is left alone,
    unless that is `MANAGED_API_KEY`.

    An `AsyncClient` has to run under asyncio. A response hook that raises for a 401, as
    `raise_for_status` does, comes before any recovery.

    Raises `LoginRequired`, `OriginNotAllowed`, and what `recover_from_unauthorized` raises, then
    with the 401 as `response`. May be shared between clients and threads.
    """

    __module__ = "codex_auth_sdk"

    def __init__(self, manager: AuthManager | AsyncAuthManager) -> None:
        self._manager = native_of(manager)
        # The last credential, so that its headers are made once and not for every request.
        self._known: tuple[CodexAuth | None, list[tuple[bytes, bytes]], str] = (None, [], "")

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """The flow of a `Client`."""
        authorization = self._authorization(request)
        if authorization is None:
            yield request
            return
        auth = authorization.auth()
        confinement = Confinement(request)
        while True:
            self._put_headers(request, auth, confinement)
            response = yield request
            # A redirect may have led elsewhere, and its request is the one to be sent again.
            request = response.request
            if response.status_code != _UNAUTHORIZED or not confinement.has(request.url):
                return
            try:
                again = authorization.retry_auth(auth, response.status_code)
            except CodexAuthError as error:
                response.read()
                error.response = response
                raise
            if again is None or not _can_be_sent_again(request):
                return
            auth = again
            response.read()

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """The flow of an `AsyncClient`."""
        authorization = self._authorization(request)
        if authorization is None:
            yield request
            return
        auth = await answer(authorization.begin_auth())
        confinement = AsyncConfinement(request)
        while True:
            self._put_headers(request, auth, confinement)
            response = yield request
            # A redirect may have led elsewhere, and its request is the one to be sent again.
            request = response.request
            if response.status_code != _UNAUTHORIZED or not confinement.has(request.url):
                return
            try:
                again = await answer(authorization.begin_retry_auth(auth, response.status_code))
            except CodexAuthError as error:
                await response.aread()
                error.response = response
                raise
            if again is None or not _can_be_sent_again(request):
                return
            auth = again
            await response.aread()

    def _authorization(self, request: Any) -> RequestAuthorization | None:
        release(request)
        return self._manager.authorize(str(request.url), request.headers.get("Authorization"))

    def _put_headers(self, request: Any, auth: CodexAuth, confinement: Confinement) -> None:
        known, headers, bearer = self._known
        if known != auth:
            own = auth.headers()
            headers = [(name.encode(), value.encode()) for name, value in own.items()]
            bearer = own["Authorization"]
            self._known = (auth, headers, bearer)
        confinement.put_headers(request, headers, bearer)


def _can_be_sent_again(request: Any) -> bool:
    stream = request.stream
    if isinstance(stream, _BYTES):
        return True
    # A form with files.
    fields = getattr(stream, "fields", None)
    return fields is not None and all(_can_be_read_again(field) for field in fields)


def _can_be_read_again(field: Any) -> bool:
    file = getattr(field, "file", b"")
    # A temporary file of Python 3.10 does not say, and can.
    return (
        isinstance(file, (bytes, str)) or getattr(file, "seekable", lambda: hasattr(file, "seek"))()
    )
