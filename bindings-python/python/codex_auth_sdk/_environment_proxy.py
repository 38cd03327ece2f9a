"""Proxies of the environment, which could read the token of a request that is sent without TLS.

Only an origin on this machine gets the credential without TLS. A proxy is no such origin, and the
variables that name it are often set for the whole machine, by programs that know nothing of this.
"""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies

from codex_auth_sdk._logging import warn_once


def is_of_environment(host: str, port: int | None) -> bool:
    """Returns whether the environment names a proxy at `host` and `port`."""
    named = (urlsplit(url if "://" in url else f"http://{url}") for url in getproxies().values())
    return any((proxy.hostname, proxy.port or 80) == (host, port or 80) for proxy in named)


def warn_of_proxy(origin: str) -> None:
    """Says why a request to `origin` was sent without the credential."""
    warn_once(
        f"a request to {origin} was sent without the credential: a proxy of the environment would"
        " get the token in clear; set NO_PROXY to 127.0.0.1,localhost,::1"
    )
