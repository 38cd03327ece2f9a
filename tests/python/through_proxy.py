"""Gets URLs through a proxy by one client, and prints their statuses in a line of JSON.

Usage: through_proxy.py CLIENT CODEX_HOME PROXY CA_FILE URL...; the client is `requests`,
`aiohttp`, or `httpx` or `httpx2` and `-sync` or `-async`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import requests
from requests.adapters import HTTPAdapter

from codex_auth_sdk import AuthManager, HttpxAuth, RequestsAuth, aiohttp_middleware
from support import WATCHDOG_S


class Anew(HTTPAdapter):
    """Asks the proxy anew for each request: it may be about to close the last connection."""

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        self.close()
        return super().send(*args, **kwargs)


def main() -> None:
    client, home, proxy, authority, *urls = sys.argv[1:]
    origins = {f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, urls)}
    with AuthManager(codex_home=home, allowed_origins=sorted(origins)) as manager:
        print(json.dumps(get(client, manager, proxy, authority, urls)))


def get(
    client: str, manager: AuthManager, proxy: str, authority: str, urls: list[str]
) -> list[int]:
    if client == "requests":
        with requests.Session() as session:
            session.trust_env = False
            session.auth = RequestsAuth(manager)
            session.proxies = {"http": proxy, "https": proxy}
            session.verify = authority
            for scheme in ("http://", "https://"):
                session.mount(scheme, Anew())
            return [session.get(url, timeout=WATCHDOG_S).status_code for url in urls]
    if client == "aiohttp":
        return asyncio.run(get_by_aiohttp(manager, proxy, authority, urls))
    name, _, way = client.partition("-")
    module: Any = import_module(name)
    settings: dict[str, Any] = {
        "auth": HttpxAuth(manager),
        "proxy": proxy,
        "verify": ssl.create_default_context(cafile=authority),
        "trust_env": False,
        "follow_redirects": True,
        "timeout": WATCHDOG_S,
        # Each request asks the proxy anew.
        "limits": module.Limits(max_keepalive_connections=0),
    }
    if way == "async":
        return asyncio.run(get_async(module.AsyncClient(**settings), urls))
    with module.Client(**settings) as http:
        return [http.get(url).status_code for url in urls]


async def get_by_aiohttp(
    manager: AuthManager, proxy: str, authority: str, urls: list[str]
) -> list[int]:
    tls = ssl.create_default_context(cafile=authority)
    async with aiohttp.ClientSession(
        middlewares=[aiohttp_middleware(manager)],
        proxy=proxy,
        # Each request asks the proxy anew.
        connector=aiohttp.TCPConnector(ssl=tls, force_close=True),
    ) as session:
        statuses: list[int] = []
        for url in urls:
            async with session.get(url) as response:
                statuses.append(response.status)
        return statuses


async def get_async(http: Any, urls: list[str]) -> list[int]:
    async with http:
        return [(await http.get(url)).status_code for url in urls]


if __name__ == "__main__":
    main()
