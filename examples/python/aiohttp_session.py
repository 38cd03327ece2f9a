"""Many calls at once by aiohttp, with the Codex login of this machine.

It prints how many of them succeeded. Usage: aiohttp_session.py URL [ALLOWED_ORIGIN...].
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp

from codex_auth_sdk import AsyncAuthManager, aiohttp_middleware

CALLS = 20

url, *origins = sys.argv[1:]


async def call(session: aiohttp.ClientSession) -> bool:
    async with session.get(url) as response:
        return response.ok


async def main() -> None:
    async with (
        await AsyncAuthManager.open(allowed_origins=origins) as manager,
        aiohttp.ClientSession(middlewares=[aiohttp_middleware(manager)]) as session,
    ):
        succeeded = await asyncio.gather(*(call(session) for _ in range(CALLS)))
    print(f"{sum(succeeded)} of {CALLS}")


asyncio.run(main())
