"""Keeps the credential of an `httpx` or `httpx2` request from following a redirect elsewhere.

A client follows redirects after its auth flow has set the headers, and copies headers to the new
request. The one hook that runs late enough to stop that is the trace extension of a request, which
is called before the headers are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    pay for one.
    """

    __slots__ = ("_bearer", "_url")

    def __init__(self, request: Any) -> None:
        super().__init__(request.extensions)
        self._url = request.url
        self._bearer: str | None = None
        trace = self.get("trace")
        if isinstance(trace, Confinement):
            # A redirect or an earlier flow left it here: restore the trace of the caller, if any.
            self.pop("trace")
            self.update((key, value) for key, value in trace.items() if key == "trace")
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

    def is_same_origin(self, url: Any) -> bool:
        """Returns whether `url` has the origin of the first request."""
        return _origin(url) == _origin(self._url)

    def release(self, request: Any) -> None:
        """Removes the headers that `put_headers` gave to `request`, if they are still there."""
        bearer = request.headers.get("Authorization")
        if bearer is not None and bearer == self._bearer:
            request.headers = type(request.headers)(_without_credential(request.headers.raw))

    def _strip(self, sent: Any) -> None:
        # A request to a proxy asks for a tunnel (CONNECT), or has a whole URL as its target.
        if sent.method == b"CONNECT":
            return
        parse: Callable[[Any], Any] = sent.url.__class__
        target = sent.url if sent.url.target.startswith(b"/") else parse(sent.url.target)
        if target.origin != parse(str(self._url)).origin:
            sent.headers[:] = _without_credential(sent.headers)

    def __call__(self, event: str, info: Any) -> Any:
        """Handles a trace event of a transport, and passes it on to the caller's own trace."""
        if event.endswith(_HEADERS_EVENT):
            self._strip(info["request"])
        traced = self.get("trace")
        if traced is not None:
            traced(event, info)


class AsyncConfinement(Confinement):
    """A `Confinement` for the requests of an `AsyncClient`, whose trace is a coroutine."""

    __slots__ = ()

    async def __call__(self, event: str, info: Any) -> None:
        """Handles a trace event of a transport, and passes it on to the caller's own trace."""
        if event.endswith(_HEADERS_EVENT):
            self._strip(info["request"])
        traced = self.get("trace")
        if traced is not None:
            await traced(event, info)


def release(request: Any) -> None:
    """Removes the credential from a request that was sent before, or from a copy of one."""
    confinement = request.extensions
    if not isinstance(confinement, Confinement):
        confinement = confinement.get("trace")
    if isinstance(confinement, Confinement):
        confinement.release(request)


def can_confine(module: ModuleType) -> bool:
    """Returns whether `module` copies the extensions for a redirect, as httpx does since 0.28."""
    request = module.Request("GET", "")
    confinement = Confinement(request)
    copy = module.Request("GET", "", extensions=request.extensions)
    return copy.extensions.get("trace") is confinement


def _without_credential(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [header for header in headers if header[0].lower() not in _CREDENTIAL_HEADERS]


def _origin(url: Any) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
