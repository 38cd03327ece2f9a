"""Awaits answers of the compiled half of the package."""

from __future__ import annotations

import asyncio
from typing import TypeVar, cast

from codex_auth_sdk._native import Pending

T = TypeVar("T")


async def resolve(outcome: T | Pending[T]) -> T:
    """Returns the answer of a native call, which is ready or a `Pending`."""
    if isinstance(outcome, Pending):
        return await _wait(cast("Pending[T]", outcome))
    return outcome


async def _wait(pending: Pending[T]) -> T:
    loop = asyncio.get_running_loop()
    awaited: asyncio.Future[T] = loop.create_future()

    def deliver(value: T, error: BaseException | None) -> None:
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:
            # No task waits once the event loop is closed.
            if not loop.is_closed():
                raise

    def settle(value: T, error: BaseException | None) -> None:
        if awaited.done():
            return
        if error is None:
            awaited.set_result(value)
        else:
            awaited.set_exception(error)

    pending.start(deliver)
    return await awaited
