"""Prints what the HTTP integrations add to a request that needs no recovery.

Each beside its bare client with the same headers, in turns, on loopback. Build with
`maturin develop --release` first.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import requests
from bench import signed_in, write

from codex_auth_sdk import AuthManager, HttpxAuth, RequestsAuth

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TURNS = 5_000
WARM_UP = 200
BODY = b'{"model": "m", "input": "hello"}'


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    # The server runs in another process, which has its own interpreter lock.
    server = multiprocessing.get_context("fork").Process(target=serve, args=(listener,))
    server.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), 0)
            measure(AuthManager(codex_home=folder, allowed_origins=[url]), url)
    finally:
        server.terminate()
        server.join()


def measure(manager: AuthManager, url: str) -> None:
    """On one connection each: two may be served by processors that are not alike."""
    headers = signed_in(manager.auth()).headers()
    with requests.Session() as session:
        session.trust_env = False
        requests_auth = RequestsAuth(manager)
        report(
            "RequestsAuth, beyond requests",
            compare(
                lambda: session.post(url, BODY, headers=headers),
                lambda: session.post(url, BODY, auth=requests_auth),
            ),
        )
    with httpx.Client(trust_env=False) as client:
        httpx_auth = HttpxAuth(manager)
        report(
            "HttpxAuth, beyond httpx",
            compare(
                lambda: client.post(url, content=BODY, headers=headers),
                lambda: client.post(url, content=BODY, auth=httpx_auth),
            ),
        )
    report("HttpxAuth, beyond httpx, async", asyncio.run(measure_async(manager, url)))


async def measure_async(manager: AuthManager, url: str) -> tuple[float, float]:
    headers = signed_in(manager.auth()).headers()
    auth = HttpxAuth(manager)
    async with httpx.AsyncClient(trust_env=False) as client:
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: client.post(url, content=BODY, headers=headers),
            lambda: client.post(url, content=BODY, auth=auth),
        ]
        times: list[list[float]] = [[], []]
        for turn in range(TURNS + WARM_UP):
            for taken, call in zip(times, calls, strict=True):
                start = time.perf_counter_ns()
                await call()
                if turn >= WARM_UP:
                    taken.append((time.perf_counter_ns() - start) / 1_000)
    return statistics.median(times[0]), statistics.median(times[1])


def compare(*calls: Callable[[], object]) -> tuple[float, float]:
    """The medians of two calls, in microseconds."""
    times: list[list[float]] = [[], []]
    for turn in range(TURNS + WARM_UP):
        for taken, call in zip(times, calls, strict=True):
            start = time.perf_counter_ns()
            call()
            if turn >= WARM_UP:
                taken.append((time.perf_counter_ns() - start) / 1_000)
    return statistics.median(times[0]), statistics.median(times[1])


def report(what: str, medians: tuple[float, float]) -> None:
    bare, ours = medians
    print(f"{what:<32}{ours - bare:10.1f} us ({bare:.1f} and {ours:.1f})")


def serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection: socket.socket) -> None:
    """Answers every request with the same, on a connection that stays open."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    while data := connection.recv(65_536):
        received += data
        if received.endswith(BODY):
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            received = b""


if __name__ == "__main__":
    main()
