"""Keeps the credential of an `httpx` or `httpx2` request from what its auth flow cannot see.

A client follows redirects, and chooses a proxy, after its auth flow has set the headers. The one
hook that runs late enough is the trace extension of a request, which is called before the headers
are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codex_auth_sdk._environment_proxy import is_of_environment, warn_of_proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

_HEADERS_EVENT = ".send_request_headers.started"

_CREDENTIAL_HEADERS = frozenset(
    (b"authorization", b"chatgpt-account-id", b"x-openai-fedramp", b"originator")
)
"""The headers that carry a credential."""


class Confinement(dict[str, Any]):
    """Removes the headers of a credential from a request that is redirected to another origin.

    This object is the extensions of the first request. A redirected request gets a copy of them,
    which a client makes by `keys` and `[]`: the copy has this object as its trace as well. A
    transport reads the extensions by `get`, which shows no trace, so the first request does not
    pay for one, unless it is sent without TLS: then a proxy of the environment could read the
    token, and gets none.

    A chain of redirects that has left the origin gets no credential any more, even if it comes
    back: the other origin has chosen what is asked for.
    """

    __slots__ = ("_bearer", "_trace", "_url", "has_left")

    _trace: Any

    def __init__(self, request: Any) -> None:
        super().__init__(request.extensions)
        self._url = request.url
        self._bearer: str | None = None
        self.has_left = False
        # A redirect or an earlier flow may have left its confinement here: the trace of the caller,
        # if any, is in there.
        trace = self.pop("trace", None)
        self._trace = trace._trace if isinstance(trace, Confinement) else trace
        if self._url.scheme == "http":
            self["trace"] = self
        elif self._trace is not None:
            self["trace"] = self._trace
        request.extensions = self

    def keys(self) -> Any:
        return {**dict.fromkeys(super().keys()), "trace": None}.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __getitem__(self, key: str) -> Any:
        return self if key == "trace" else super().__getitem__(key)

    def put_headers(self, request: Any, headers: list[tuple[bytes, bytes]], bearer: str) -> None:
        """Replaces the credential headers of `request` by `headers`."""
        # To replace all headers at once is ten times as fast as to assign them one by one.
        request.headers = type(request.headers)(_without_credential(request.headers.raw) + headers)
        self._bearer = bearer

    def has_stayed(self, response: Any) -> bool:
        """Returns whether no redirect on the way to `response` has left the first origin."""
        if not self.has_left:
            home = origin_of(self._url)
            hops = (*response.history, response)
            self.has_left = any(origin_of(hop.request.url) != home for hop in hops)
        return not self.has_left

    def release(self, request: Any) -> None:
        """Removes the headers that `put_headers` gave to `request`, if they are still there.

        A client that follows a redirect removes `Authorization` alone.
        """
        if request.headers.get("Authorization") in (None, self._bearer):
            request.headers = type(request.headers)(_without_credential(request.headers.raw))

    def _strip(self, sent: Any) -> None:
        # A request to a proxy asks for a tunnel (CONNECT), or has a whole URL as its target.
        if sent.method == b"CONNECT":
            return
        url: Callable[..., Any] = sent.url.__class__
        is_proxied = not sent.url.target.startswith(b"/")
        target = url(sent.url.target) if is_proxied else sent.url
        home = self._url
        first = url(scheme=home.raw_scheme, host=home.raw_host, port=home.port, target=b"/")
        is_away = target.origin != first.origin
        if not (is_away or self.has_left) and is_proxied:
            is_away = is_of_environment(sent.url.host.decode(), sent.url.port)
            if is_away:
                warn_of_proxy(origin_of(home))
        if is_away or self.has_left:
            self.has_left = True
            sent.headers[:] = _without_credential(sent.headers)

    def __call__(self, event: str, info: Any) -> Any:
        """Handles a trace event of a transport, and passes it on to the caller's own trace."""
        if event.endswith(_HEADERS_EVENT):
            self._strip(info["request"])
        if self._trace is not None:
            self._trace(event, info)


class AsyncConfinement(Confinement):
    """A `Confinement` for the requests of an `AsyncClient`, whose trace is a coroutine."""

    __slots__ = ()

    async def __call__(self, event: str, info: Any) -> None:
        """Handles a trace event of a transport, and passes it on to the caller's own trace."""
        if event.endswith(_HEADERS_EVENT):
            self._strip(info["request"])
        if self._trace is not None:
            await self._trace(event, info)


def release(request: Any) -> None:
    """Removes the credential from a request that was sent before, or from a copy of one."""
    own = request.extensions
    confinement = own if isinstance(own, Confinement) else redirected_from(request)
    if confinement is not None:
        confinement.release(request)


def forget_credential(response: Any) -> None:
    """Removes the credential from the requests that led to `response`, which an error carries."""
    for hop in (*response.history, response):
        hop.request.headers = type(hop.request.headers)(
            _without_credential(hop.request.headers.raw)
        )


def redirected_from(request: Any) -> Confinement | None:
    """Returns the confinement of the request that led to `request` by a redirect.

    A program that follows redirects itself sends such a request like any other.
    """
    trace = request.extensions.get("trace")
    is_other = isinstance(trace, Confinement) and trace is not request.extensions
    return trace if is_other else None


def can_confine(module: ModuleType) -> bool:
    """Returns whether `module` copies the extensions for a redirect, as httpx does since 0.28."""
    request = module.Request("GET", "")
    confinement = Confinement(request)
    copy = module.Request("GET", "", extensions=request.extensions)
    return copy.extensions.get("trace") is confinement


def _without_credential(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [header for header in headers if header[0].lower() not in _CREDENTIAL_HEADERS]


def origin_of(url: Any) -> str:
    """Returns the origin of `url` as its client understands it, which another parser may not."""
    return f"{url.scheme}://{url.netloc.decode()}"
