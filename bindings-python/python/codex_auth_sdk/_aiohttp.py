"""The integration with `aiohttp`. `codex_auth_sdk` exports `aiohttp_middleware`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import finalize

from aiohttp import (
    BytesPayload,
    ClientMiddlewareType,  # Releases without middlewares do not have it.
    MultipartWriter,
)

from codex_auth_sdk._environment_proxy import is_of_environment, warn_of_proxy
from codex_auth_sdk._errors import CodexAuthError
from codex_auth_sdk._pending import resolve
from codex_auth_sdk._placeholder import authorization_to_replace, is_placeholder
from codex_auth_sdk.aio import native_of

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

    from codex_auth_sdk._native import AsyncManager, AuthManager, CodexAuth
    from codex_auth_sdk.aio import AsyncAuthManager

# The manager repeats no request with another status, so it need not be asked about them.
_UNAUTHORIZED = 401


def aiohttp_middleware(manager: AuthManager | AsyncAuthManager) -> ClientMiddlewareType:
    """Returns a client middleware of `aiohttp` that authorizes requests with a manager's login.

        async with aiohttp.ClientSession(middlewares=[aiohttp_middleware(manager)]) as session:
            async with session.get(url) as response:
                ...

    Each request is sent with a fresh snapshot, the handshake of a WebSocket too. After a 401
    response the login is recovered and the request is repeated, at most twice. A request whose body
    cannot be sent again, such as an asynchronous generator, is not repeated: its 401 is returned
    once the login is recovered. The caller always gets the server's own response, a final 401 too.

    A request gets the credential only if its origin is that of the ChatGPT backend or the OpenAI
    API, or one of the manager's `allowed_origins`. A redirect to another origin loses the
    credential, also for all redirects that follow. A request that has an `Authorization` header of
    its own, for example from a netrc file, is left alone, unless that is `MANAGED_API_KEY`. Once a
    request is sent, the credential is removed from it: neither `request_info` nor a middleware that
    encloses this one sees a token.

    A cancelled request ends the waiting, not a refresh. The middleware may be shared between
    sessions and event loops.

    Requests raise `LoginRequired`, `OriginNotAllowed`, and the errors of
    `recover_from_unauthorized`, which have the 401 as their `response`.
    """
    return _Middleware(native_of(manager))


aiohttp_middleware.__module__ = "codex_auth_sdk"


class _Middleware:
    def __init__(self, manager: AuthManager | AsyncManager) -> None:
        self._manager = manager
        self._redirected: dict[object, _Exchange] = {}

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Sends one request, as `aiohttp` asks for. It asks once for each redirect."""
        own = _take_authorization(request)
        call = _call_of(request)
        try:
            exchange = self._redirected.get(call)
            if exchange is None:
                exchange = _Exchange(self._manager, request, own)
            response = await exchange.send(request, handler)
        except CodexAuthError as error:
            # What reports errors collects the variables of all frames of their tracebacks.
            del request, handler
            raise error.with_traceback(None)  # noqa: B904
        if response.status // 100 == 3:
            self._redirected[call] = exchange
            # The session keeps the response for as long as it follows redirects.
            finalize(response, self._redirected.pop, call, None)
        return response


class _Exchange:
    """One request with its redirects and repetitions, until its final response."""

    def __init__(
        self, manager: AuthManager | AsyncManager, request: ClientRequest, own: str | None
    ) -> None:
        self._origin = _origin_of(request)
        self._authorization = manager.authorize(self._origin, own)
        self._auth: CodexAuth | None = None

    async def send(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Sends the request, or the one that it is redirected to."""
        if _origin_of(request) != self._origin or _goes_through_proxy(request):
            self._authorization = None
        # A redirect may name a user, which makes a header.
        if self._authorization is None or "Authorization" in request.headers:
            return await handler(request)
        if self._auth is None:
            self._auth = await resolve(self._authorization.begin_auth())
        while True:
            response = await _send_with(self._auth, request, handler)
            if response.status != _UNAUTHORIZED:
                return response
            try:
                again = await resolve(
                    self._authorization.begin_retry_auth(self._auth, response.status)
                )
            except CodexAuthError as error:
                # A response frees its connection once its body is read.
                await response.read()
                error.response = response
                raise
            except BaseException:
                response.close()
                raise
            if again is None or not _can_be_sent_again(request.body):
                return response
            self._auth = again
            # This also ends what is still being sent of the body.
            response.release()
            # A server that expects no body yet is waited for again.
            request.update_expect_continue()


async def _send_with(
    auth: CodexAuth, request: ClientRequest, handler: ClientHandlerType
) -> ClientResponse:
    # No variable has a token: what fails below may be reported with this frame.
    names = [*auth.headers()]
    request.headers.update(auth.headers())
    try:
        return await handler(request)
    finally:
        for name in names:
            request.headers.popall(name, None)


def _call_of(request: Any) -> object:
    """Returns what the requests of one call of a session have in common: what times them all.

    `aiohttp` makes a new request for each redirect, and says nowhere else where it comes from.
    """
    return request._timer


def _origin_of(request: ClientRequest) -> str:
    # The handshake of a WebSocket is a request by HTTP.
    return str(request.url.origin().with_scheme("https" if request.is_ssl() else "http"))


def _take_authorization(request: ClientRequest) -> str | None:
    """Returns the `Authorization` of `request`, from which all placeholders are removed."""
    headers, own = request.headers, request.headers.get("Authorization")
    placeholders = [header for header in headers.items() if is_placeholder(header[1])]
    if placeholders:
        kept = [header for header in headers.items() if header not in placeholders]
        headers.clear()
        headers.extend(kept)
    return authorization_to_replace(own, placeholders)


def _goes_through_proxy(request: ClientRequest) -> bool:
    """Returns whether a proxy of the environment would get the token in clear, and says so."""
    proxy = request.proxy
    if proxy is None or request.is_ssl() or not is_of_environment(proxy.host or "", proxy.port):
        return False
    warn_of_proxy(_origin_of(request))
    return True


def _can_be_sent_again(body: Any) -> bool:
    # Before 3.14, a form does not say that one of its parts is used up.
    if isinstance(body, MultipartWriter):
        return all(_can_be_sent_again(part) for part, *_ in body)
    # 3.12.0 does not go back to where a file began.
    return isinstance(body, (bytes, BytesPayload)) or not getattr(body, "consumed", True)
