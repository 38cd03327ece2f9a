"""Answers of the native half, awaited."""

from __future__ import annotations

import asyncio
from typing import TypeVar, cast

from codex_auth_sdk._native import Pending

T = TypeVar("T")


async def answer(outcome: T | Pending[T]) -> T:
    """What a native call answers, at once or later."""
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
            # Nobody waits any more once the loop is closed.
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
