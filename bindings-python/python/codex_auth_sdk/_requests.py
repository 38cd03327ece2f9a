"""The integration with `requests`. `codex_auth_sdk` exports `RequestsAuth`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from requests import Session
from requests.auth import AuthBase
from requests.utils import get_environ_proxies, select_proxy
from urllib3.util import parse_url

from codex_auth_sdk._environment_proxy import warn_of_proxy
from codex_auth_sdk._errors import CodexAuthError
from codex_auth_sdk._placeholder import authorization_to_replace, is_placeholder
from codex_auth_sdk.aio import native_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest, Response

    from codex_auth_sdk._native import AsyncManager, AuthManager, CodexAuth, RequestAuthorization
    from codex_auth_sdk.aio import AsyncAuthManager


class RequestsAuth(AuthBase):
    """Authorizes the requests of the library `requests` with the login of a manager.

        session = requests.Session()
        session.auth = RequestsAuth(manager)

    Each request is sent with a fresh snapshot. After a 401 response the login is recovered and the
    request is repeated, at most twice. A request whose body cannot be sent again, such as a
    generator, is not repeated: its 401 is returned once the login is recovered. The caller always
    gets the server's own response, a final 401 too.

    A request gets the credential only if its origin is that of the ChatGPT backend or the OpenAI
    API, or one of the manager's `allowed_origins`. A redirect to another origin loses the
    credential, also for all redirects that follow. A request that has an `Authorization` header of
    its own is left alone, unless that is `MANAGED_API_KEY`. An object of this class may be shared
    between sessions and threads.

    Raises `LoginRequired`, `OriginNotAllowed`, and the errors of `recover_from_unauthorized`, which
    have the 401 as their `response`.
    """

    __module__ = "codex_auth_sdk"

    def __init__(self, manager: AuthManager | AsyncAuthManager) -> None:
        self._manager = native_of(manager)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Authorizes a request before it is sent, as `requests` asks for."""
        try:
            exchange = _Exchange.of(self._manager, request)
            if exchange is not None:
                exchange.begin(request)
        except CodexAuthError as error:
            # What reports errors collects the variables of all frames of their tracebacks.
            del request
            raise error.with_traceback(None)  # noqa: B904
        return request


class _Exchange:
    """One request with its redirects and repetitions, until its final response."""

    def __init__(
        self,
        start: Callable[[], RequestAuthorization | None],
        authorization: RequestAuthorization,
        request: PreparedRequest,
    ) -> None:
        self._start = start
        self._authorization: RequestAuthorization | None = authorization
        self._auth: CodexAuth = authorization.auth()
        self._sent: dict[str, str] = {}
        self._body = _Body(request.body)

    @classmethod
    def of(cls, manager: AuthManager | AsyncManager, request: PreparedRequest) -> _Exchange | None:
        """Returns the exchange of `request`, or `None` if the manager does not authorize it."""
        start = partial(manager.authorize, request.url or "", _take_authorization(request))
        authorization = start()
        if authorization is None or _goes_through_proxy(request):
            return None
        return cls(start, authorization, request)

    def __reduce__(self) -> tuple[type[_FinishedExchange], tuple[()]]:
        # A pickled response contains the hooks of its request, and so this object.
        return _FinishedExchange, ()

    def begin(self, request: PreparedRequest) -> None:
        self._put_headers(request)
        request.hooks["response"].append(self)

    def _put_headers(self, request: PreparedRequest) -> None:
        self._sent = self._auth.headers()
        request.headers.update(self._sent)

    def __call__(self, response: Response, **sending: Any) -> Response:
        """Returns the response that the caller gets, as a response hook of `requests`."""
        if self._authorization is None:
            self._authorization = self._start()
        while self._authorization is not None and self._is_ours(response.request):
            try:
                again = self._authorization.retry_auth(self._auth, response.status_code)
            except CodexAuthError as error:
                # A response frees its connection once its body is read.
                response.content  # noqa: B018
                self._forget_credential(response)
                error.response = response
                del response, sending
                raise error.with_traceback(None)  # noqa: B904
            if again is None or not self._body.rewind():
                break
            self._auth = again
            response = self._send_again(response, sending)
        if response.is_redirect:
            self._drop_credential_at_redirect(response)
        else:
            self._authorization = None
        return response

    def _is_ours(self, request: PreparedRequest) -> bool:
        # A redirect to another origin has removed it.
        return request.headers.get("Authorization") == self._sent["Authorization"]

    def _send_again(self, response: Response, sending: dict[str, Any]) -> Response:
        # A response frees its connection once its body is read.
        response.content  # noqa: B018
        response.close()
        request = response.request
        # The request object itself is sent again, because `requests` builds redirects from it.
        self._put_headers(request)
        connection: Any = response.connection
        again: Response = connection.send(request, **sending)
        again.history.append(response)
        again.request = request
        return again

    def _drop_credential_at_redirect(self, response: Response) -> None:
        if not _stays_at_origin(response):
            self._forget_credential(response)

    def _forget_credential(self, response: Response) -> None:
        for hop in (*response.history, response):
            for name in self._sent:
                hop.request.headers.pop(name, None)


def _take_authorization(request: PreparedRequest) -> str | None:
    """Returns the `Authorization` of `request`, from which all placeholders are removed."""
    own: Any = request.headers.get("Authorization")
    own = own.decode("latin-1") if isinstance(own, bytes) else own
    placeholders = [name for name, value in request.headers.items() if is_placeholder(value)]
    for name in placeholders:
        del request.headers[name]
    return authorization_to_replace(own, placeholders)


class _FinishedExchange:
    """Stands for an exchange in a pickled copy of its response. It does nothing."""

    def __call__(self, response: Response, **_: Any) -> Response:
        return response


class _Body:
    """A request body, which may be a file or a stream."""

    def __init__(self, body: Any) -> None:
        self._file = None if body is None or isinstance(body, (bytes, str)) else body
        self._start = self._tell()

    def _tell(self) -> int | None:
        try:
            return self._file.tell() if self._file is not None else 0
        except (AttributeError, OSError):
            return None

    def rewind(self) -> bool:
        """Goes back to the start of the body. Returns whether the body can be sent again."""
        if self._file is None or self._start is None:
            return self._start is not None
        try:
            self._file.seek(self._start)
        except (AttributeError, OSError):
            return False
        return True


def _goes_through_proxy(request: PreparedRequest) -> bool:
    """Returns whether a proxy of the environment would get the token in clear, and says so.

    No hook of `requests` sees the proxies of the session, nor whether it uses the environment's.
    """
    url = request.url or ""
    if urlsplit(url).scheme != "http" or select_proxy(url, get_environ_proxies(url)) is None:
        return False
    warn_of_proxy(f"http://{urlsplit(url).netloc.rpartition('@')[2]}")
    return True


def _stays_at_origin(response: Response) -> bool:
    """Returns whether a redirect leads to the origin that it comes from."""
    history = response.history
    try:
        # Only `requests` itself knows where it goes: there are many ways to read a `Location`.
        with Session() as asked:
            asked.trust_env = False
            # Its types lack what this asks of it.
            session: Any = asked
            redirects = session.resolve_redirects(response, response.request, yield_requests=True)
            target = next(redirects)
        return _origins(target.url) == _origins(response.request.url or "")
    except Exception:  # `requests` raises it again, if it follows the redirect at all.
        return False
    finally:
        response.history = history


def _origins(url: str) -> list[tuple[str | None, str | None, int | None]]:
    """Returns the origin of `url` by each of the parsers that `requests` has connected by."""
    parts, parsed = urlsplit(url), parse_url(url)
    read = [
        (parts.scheme, parts.hostname, parts.port),
        (parsed.scheme, parsed.hostname, parsed.port),
    ]
    standard = {"http": 80, "https": 443}
    return [(scheme, host, port or standard.get(scheme or "")) for scheme, host, port in read]
