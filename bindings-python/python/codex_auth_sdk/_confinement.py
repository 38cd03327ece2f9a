"""Keeps the credential of a request of `httpx` or `httpx2` with the origin that it is for.

A client follows redirects beneath its authorization, and takes headers along. The one place to stop
that is the trace of a request, which is told of it before its headers are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

_EVENT = ".send_request_headers.started"

_NAMES = frozenset((b"authorization", b"chatgpt-account-id", b"x-openai-fedramp", b"originator"))
"""The headers of a credential."""


class Confinement(dict[str, Any]):
    """Has the headers of a credential not follow a request to another origin.

    It is the extensions of the request, whose copies have it as a trace besides. A redirect gets a
    copy, which is made by `keys` and `[]`. A transport asks by `get`, so that the request itself is
    spared the trace: most lead to no redirect.
    """

    __slots__ = ("_bearer", "_url")

    def __init__(self, request: Any) -> None:
        super().__init__(request.extensions)
        self._url = request.url
        self._bearer: str | None = None
        trace = self.get("trace")
        if isinstance(trace, Confinement):
            # Of a redirect, or of the same request: in its place the caller's own, if any.
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
        """Puts the headers of a credential in the place of what `request` has of one."""
        # All at once: ten times faster than by assignment.
        request.headers = type(request.headers)(_others(request.headers.raw) + headers)
        self._bearer = bearer

    def has(self, url: Any) -> bool:
        """Whether `url` is of the origin."""
        return _origin(url) == _origin(self._url)

    def release(self, request: Any) -> None:
        """Takes out of `request` what was put there when it was sent before."""
        bearer = request.headers.get("Authorization")
        if bearer is not None and bearer == self._bearer:
            request.headers = type(request.headers)(_others(request.headers.raw))

    def _strip(self, sent: Any) -> None:
        # A proxy is asked for a tunnel first, or is sent whole URLs.
        if sent.method == b"CONNECT":
            return
        parse: Callable[[Any], Any] = sent.url.__class__
        target = sent.url if sent.url.target.startswith(b"/") else parse(sent.url.target)
        if target.origin != parse(str(self._url)).origin:
            sent.headers[:] = _others(sent.headers)

    def __call__(self, event: str, info: Any) -> Any:
        """Is told what a transport does, and tells the caller's own trace."""
        if event.endswith(_EVENT):
            self._strip(info["request"])
        traced = self.get("trace")
        if traced is not None:
            traced(event, info)


class AsyncConfinement(Confinement):
    """The same for the requests of an `AsyncClient`."""

    __slots__ = ()

    async def __call__(self, event: str, info: Any) -> None:
        """Is told what a transport does, and tells the caller's own trace."""
        if event.endswith(_EVENT):
            self._strip(info["request"])
        traced = self.get("trace")
        if traced is not None:
            await traced(event, info)


def release(request: Any) -> None:
    """Takes the credential out of a request that was sent before, or of one made of such a one."""
    confinement = request.extensions
    if not isinstance(confinement, Confinement):
        confinement = confinement.get("trace")
    if isinstance(confinement, Confinement):
        confinement.release(request)


def can_confine(module: ModuleType) -> bool:
    """Whether `module` copies a request's extensions for a redirect; httpx does since 0.28."""
    request = module.Request("GET", "")
    confinement = Confinement(request)
    copy = module.Request("GET", "", extensions=request.extensions)
    return copy.extensions.get("trace") is confinement


def _others(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [header for header in headers if header[0].lower() not in _NAMES]


def _origin(url: Any) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
