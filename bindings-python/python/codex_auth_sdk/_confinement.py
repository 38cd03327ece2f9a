"""Keeps the credential of a request of `httpx` or `httpx2` with the origin that it is for.

A client follows redirects beneath its authorization, and takes headers along. The one place to stop
that is the trace of a request, which is told of it before its headers are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import ModuleType

_EVENT = ".send_request_headers.started"

NAMES = frozenset((b"authorization", b"chatgpt-account-id", b"x-openai-fedramp", b"originator"))
"""The headers of a credential."""


def confine(request: Any) -> None:
    """Has the headers of a credential not follow `request` to another origin."""
    request.extensions = _Extensions(request, _confined)


def confine_async(request: Any) -> None:
    """`confine` for the request of an `AsyncClient`."""
    request.extensions = _Extensions(request, _confined_async)


def can_confine(module: ModuleType) -> bool:
    """Whether `module` copies a request's extensions for a redirect; httpx does since 0.28."""
    request = module.Request("GET", "")
    confine(request)
    return "trace" in module.Request("GET", "", extensions=request.extensions).extensions


class _Extensions(dict[str, Any]):
    """The extensions of a request, whose copies have a trace besides.

    A redirect gets a copy, which is made by `keys` and `[]`. A transport asks by `get`, so that the
    request itself is spared the trace: most lead to no redirect.
    """

    def __init__(self, request: Any, confined: Callable[[Any, Any], object]) -> None:
        super().__init__(request.extensions)
        self._url = request.url
        self._confined = confined

    def keys(self) -> Any:
        return {**dict.fromkeys(super().keys()), "trace": None}.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __getitem__(self, key: str) -> Any:
        if key == "trace":
            return self._confined(self._url, self.get("trace"))
        return super().__getitem__(key)


def _confined(url: Any, traced: Callable[[str, Any], None] | None) -> Callable[[str, Any], None]:
    def trace(event: str, info: Any) -> None:
        if event.endswith(_EVENT):
            _strip(info["request"], url)
        if traced is not None:
            traced(event, info)

    return trace


def _confined_async(
    url: Any, traced: Callable[[str, Any], Awaitable[None]] | None
) -> Callable[[str, Any], Awaitable[None]]:
    async def trace(event: str, info: Any) -> None:
        if event.endswith(_EVENT):
            _strip(info["request"], url)
        if traced is not None:
            await traced(event, info)

    return trace


def _strip(sent: Any, url: Any) -> None:
    """Takes the credential from what is sent to another origin than that of `url`."""
    # A proxy is asked for a tunnel first, or is sent whole URLs.
    if sent.method == b"CONNECT":
        return
    parse: Callable[[Any], Any] = sent.url.__class__
    target = sent.url if sent.url.target.startswith(b"/") else parse(sent.url.target)
    if target.origin != parse(str(url)).origin:
        sent.headers[:] = [header for header in sent.headers if header[0].lower() not in NAMES]
