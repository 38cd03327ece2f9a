"""The integration with `httpx` and `httpx2`. `codex_auth_sdk` exports `HttpxAuth`."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from codex_auth_sdk._confinement import (
    AsyncConfinement,
    Confinement,
    can_confine,
    forget_credential,
    origin_of,
    redirected_from,
    release,
)
from codex_auth_sdk._errors import CodexAuthError
from codex_auth_sdk._pending import resolve
from codex_auth_sdk._placeholder import authorization_to_replace, is_placeholder
from codex_auth_sdk.aio import native_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from types import ModuleType

    from codex_auth_sdk._native import AuthManager, CodexAuth, RequestAuthorization
    from codex_auth_sdk.aio import AsyncAuthManager

# The manager repeats no request with another status, so it need not be asked about them.
_UNAUTHORIZED = 401


def _usable_modules() -> list[ModuleType]:
    found: list[ModuleType] = []
    for name in ("httpx", "httpx2"):
        with suppress(ImportError):
            found.append(import_module(name))
    usable = [module for module in found if can_confine(module)]
    if not usable:
        raise ImportError("there is neither httpx 0.28 or later nor httpx2")
    return usable


_MODULES = _usable_modules()
_BYTES: tuple[type, ...] = tuple(module.ByteStream for module in _MODULES)

# A client checks that its `auth` is an instance of its own module's `Auth`.
_Auth: Any = type("_Auth", tuple(module.Auth for module in _MODULES), {})


class HttpxAuth(_Auth):  # type: ignore[misc]
    """Authorizes the requests of an `httpx` or `httpx2` client with the login of a manager.

    It works with `Client` and `AsyncClient`, and so with libraries that are built on them:

        client = httpx.Client(auth=HttpxAuth(manager))
        openai = OpenAI(api_key=MANAGED_API_KEY, http_client=client, base_url=...)

    Each request is sent with a fresh snapshot. After a 401 response the login is recovered and the
    request is repeated, at most twice. A request whose body cannot be sent again, such as a
    generator, is not repeated: its 401 is returned once the login is recovered. The caller always
    gets the server's own response, a final 401 too.

    A request gets the credential only if its origin is that of the ChatGPT backend or the OpenAI
    API, or one of the manager's `allowed_origins`. A redirect to another origin loses the
    credential, also for all redirects that follow. (A transport that is not part of httpx, or a
    hook that replaces the extensions of a request, may send `ChatGPT-Account-ID` and `originator`
    along, but never the token.) A request that has an `Authorization` header of its own is left
    alone, unless that is `MANAGED_API_KEY`.

    An `AsyncClient` may run under asyncio or Trio. A response hook that raises for a 401, such as
    `raise_for_status`, prevents the recovery. An object of this class may be shared between clients
    and threads.

    Raises `LoginRequired`, `OriginNotAllowed`, and the errors of `recover_from_unauthorized`, which
    have the 401 as their `response`.
    """

    __module__ = "codex_auth_sdk"

    def __init__(self, manager: AuthManager | AsyncAuthManager) -> None:
        self._manager = native_of(manager)
        # The headers of the last credential, so that they are not built for every request.
        self._known: tuple[CodexAuth | None, list[tuple[bytes, bytes]], str] = (None, [], "")

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Authorizes one request of a `Client`, as `httpx` asks for."""
        authorization = self._authorization(request)
        if authorization is None:
            yield request
            return
        confinement = Confinement(request)
        response: Any = None
        try:
            auth = authorization.auth()
            while True:
                self._put_headers(request, auth, confinement)
                response = yield request
                # After a redirect, the request to repeat is the redirected one.
                request = response.request
                if response.status_code != _UNAUTHORIZED or not confinement.has_stayed(response):
                    return
                again = authorization.retry_auth(auth, response.status_code)
                if again is None or not _can_be_sent_again(request):
                    return
                auth = again
                response.read()
        except CodexAuthError as error:
            if response is not None:
                response.read()
                forget_credential(response)
                error.response = response
            # What reports errors collects the variables of all frames of their tracebacks.
            del request, response, confinement
            raise error.with_traceback(None)  # noqa: B904

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Authorizes one request of an `AsyncClient`, as `httpx` asks for."""
        authorization = self._authorization(request)
        if authorization is None:
            yield request
            return
        confinement = AsyncConfinement(request)
        response: Any = None
        try:
            auth = await resolve(authorization.begin_auth())
            while True:
                self._put_headers(request, auth, confinement)
                response = yield request
                # After a redirect, the request to repeat is the redirected one.
                request = response.request
                if response.status_code != _UNAUTHORIZED or not confinement.has_stayed(response):
                    return
                again = await resolve(authorization.begin_retry_auth(auth, response.status_code))
                if again is None or not _can_be_sent_again(request):
                    return
                auth = again
                await response.aread()
        except CodexAuthError as error:
            if response is not None:
                await response.aread()
                forget_credential(response)
                error.response = response
            # What reports errors collects the variables of all frames of their tracebacks.
            del request, response, confinement
            raise error.with_traceback(None)  # noqa: B904

    def _authorization(self, request: Any) -> RequestAuthorization | None:
        release(request)
        authorization = self._manager.authorize(
            origin_of(request.url), _take_authorization(request)
        )
        earlier = redirected_from(request)
        if earlier is None:
            return authorization
        if authorization is None:
            earlier.has_left = True
        return None if earlier.has_left else authorization

    def _put_headers(self, request: Any, auth: CodexAuth, confinement: Confinement) -> None:
        known, headers, bearer = self._known
        if known != auth:
            own = auth.headers()
            headers = [(name.encode(), value.encode()) for name, value in own.items()]
            bearer = own["Authorization"]
            self._known = (auth, headers, bearer)
        confinement.put_headers(request, headers, bearer)


def _take_authorization(request: Any) -> str | None:
    """Returns the `Authorization` of `request`, from which all placeholders are removed."""
    headers, own = request.headers, request.headers.get("Authorization")
    placeholders = [header for header in headers.raw if is_placeholder(header[1])]
    if placeholders:
        kept = [header for header in headers.raw if header not in placeholders]
        request.headers = type(headers)(kept)
    return authorization_to_replace(own, placeholders)


def _can_be_sent_again(request: Any) -> bool:
    stream = request.stream
    if isinstance(stream, _BYTES):
        return True
    # This is a multipart form.
    fields = getattr(stream, "fields", None)
    return fields is not None and all(_can_be_read_again(field) for field in fields)


def _can_be_read_again(field: Any) -> bool:
    file = getattr(field, "file", b"")
    # A temporary file of Python 3.10 can seek, but has no `seekable`.
    return (
        isinstance(file, (bytes, str)) or getattr(file, "seekable", lambda: hasattr(file, "seek"))()
    )
