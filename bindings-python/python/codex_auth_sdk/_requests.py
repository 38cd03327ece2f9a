"""Authorization for `requests`. `RequestsAuth` is what `codex_auth_sdk` exports from here."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from requests.auth import AuthBase

from codex_auth_sdk._errors import CodexAuthError
from codex_auth_sdk.aio import native_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest, Response

    from codex_auth_sdk._native import AsyncManager, AuthManager, CodexAuth, RequestAuthorization
    from codex_auth_sdk.aio import AsyncAuthManager


class RequestsAuth(AuthBase):
    """Sends the requests of `requests` with a manager's credential.

        session = requests.Session()
        session.auth = RequestsAuth(manager)

    Each request is sent with a fresh snapshot. After a 401 it is sent again, at most twice, if its
    body can be; the 401 to a body that cannot (a generator) comes back after the tokens were
    recovered. The final response is the server's own, also where it is a 401.

    Only requests to the origins of the credential, and to the manager's `allowed_origins`, get it,
    and it does not go along a redirect to another origin. A request with an `Authorization` of its
    own is left alone, unless that is `MANAGED_API_KEY`.

    Raises `LoginRequired`, `OriginNotAllowed`, and what `recover_from_unauthorized` raises, then
    with the 401 as `response`. May be shared between sessions and threads.
    """

    __module__ = "codex_auth_sdk"

    def __init__(self, manager: AuthManager | AsyncAuthManager) -> None:
        self._manager = native_of(manager)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Prepares a request, as `requests` asks for."""
        exchange = _Exchange.of(self._manager, request)
        if exchange is not None:
            exchange.begin(request)
        return request


class _Exchange:
    """One request until its final response, and once more if it is sent again after that."""

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
        """That of a request which the manager authorizes."""
        own: Any = request.headers.get("Authorization")
        own = own.decode("latin-1") if isinstance(own, bytes) else own
        start = partial(manager.authorize, request.url or "", own)
        authorization = start()
        return None if authorization is None else cls(start, authorization, request)

    def __reduce__(self) -> tuple[type[_Ended], tuple[()]]:
        # A response brings the hooks of its request along.
        return _Ended, ()

    def begin(self, request: PreparedRequest) -> None:
        self._put_headers(request)
        request.hooks["response"].append(self)

    def _put_headers(self, request: PreparedRequest) -> None:
        self._sent = self._auth.headers()
        request.headers.update(self._sent)

    def __call__(self, response: Response, **sending: Any) -> Response:
        """Takes a response, as a hook: the one that the caller gets."""
        if self._authorization is None:
            self._authorization = self._start()
        while self._authorization is not None and self._is_ours(response.request):
            try:
                again = self._authorization.retry_auth(self._auth, response.status_code)
            except CodexAuthError as error:
                error.response = response
                raise
            if again is None or not self._body.rewind():
                break
            self._auth = again
            response = self._send_again(response, sending)
        if response.is_redirect:
            self._leave_at_border(response)
        else:
            self._authorization = None
        return response

    def _is_ours(self, request: PreparedRequest) -> bool:
        # A redirect to another origin has left it behind.
        return request.headers.get("Authorization") == self._sent["Authorization"]

    def _send_again(self, response: Response, sending: dict[str, Any]) -> Response:
        # Its connection is free once it is read.
        response.content  # noqa: B018
        response.close()
        request = response.request
        # The request itself: a redirect goes on from it.
        self._put_headers(request)
        connection: Any = response.connection
        again: Response = connection.send(request, **sending)
        again.history.append(response)
        again.request = request
        return again

    def _leave_at_border(self, response: Response) -> None:
        target = urljoin(response.url, response.headers["Location"])
        if _origin(target) != _origin(response.url):
            for name in self._sent:
                response.request.headers.pop(name, None)


class _Ended:
    """What is left of an exchange in a copy of its response."""

    def __call__(self, response: Response, **_: Any) -> Response:
        return response


class _Body:
    """A request's body, which may be one that can be read once."""

    def __init__(self, body: Any) -> None:
        self._file = None if body is None or isinstance(body, (bytes, str)) else body
        self._start = self._tell()

    def _tell(self) -> int | None:
        try:
            return self._file.tell() if self._file is not None else 0
        except (AttributeError, OSError):
            return None

    def rewind(self) -> bool:
        """Goes back to where it began; whether it can be sent again."""
        if self._file is None or self._start is None:
            return self._start is not None
        try:
            self._file.seek(self._start)
        except (AttributeError, OSError):
            return False
        return True


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    standard = {"http": 80, "https": 443}.get(parts.scheme)
    try:
        return parts.scheme, parts.hostname, parts.port or standard
    except ValueError:
        # One that nobody can go to.
        return parts.scheme, parts.hostname, None
