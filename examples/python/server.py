"""A web service whose every answer takes many calls at once, with the Codex login of this machine.

It says how many of them succeeded. Usage: server.py PORT URL [ALLOWED_ORIGIN...]; port 0 is any
free one.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import TYPE_CHECKING

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from codex_auth_sdk import AsyncAuthManager, HttpxAuth

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

CALLS = 20

port, url, *origins = sys.argv[1:]


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    async with (
        await AsyncAuthManager.open(allowed_origins=origins) as manager,
        httpx.AsyncClient(auth=HttpxAuth(manager)) as client,
    ):
        yield {"client": client}


async def call_at_once(request: Request) -> PlainTextResponse:
    client: httpx.AsyncClient = request.state.client
    responses = await asyncio.gather(*(client.get(url) for _ in range(CALLS)))
    succeeded = sum(response.is_success for response in responses)
    return PlainTextResponse(f"{succeeded} of {CALLS}")


app = Starlette(routes=[Route("/", call_at_once)], lifespan=lifespan)
listener = socket.create_server(("127.0.0.1", int(port)))
print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
