"""Awaits answers of the compiled half of the package, under asyncio and under Trio."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Generic, TypeVar, cast

from codex_auth_sdk._native import Pending

T = TypeVar("T")


async def resolve(outcome: T | Pending[T]) -> T:
    """Returns the answer of a native call, which is ready or a `Pending`."""
    if isinstance(outcome, Pending):
        return await _wait(cast("Pending[T]", outcome))
    return outcome


async def _wait(pending: Pending[T]) -> T:
    answer: Answer[T] = Answer()
    pending.start(answer.deliver)
    return await answer.wait()


class Answer(Generic[T]):
    """An answer that a task awaits, and any thread delivers. The task creates it."""

    def __init__(self) -> None:
        self._sleep = _TrioSleep() if _is_trio() else _AsyncioSleep()
        self._delivered: list[tuple[T, BaseException | None]] = []

    def deliver(self, value: T, error: BaseException | None = None) -> None:
        """Wakes the task. Only the first answer counts."""
        self._delivered.append((value, error))
        self._sleep.end()

    async def wait(self) -> T:
        """Returns the answer, or raises it. After a cancellation it may be waited for again."""
        await self._sleep.wait()
        value, error = self._delivered[0]
        if error is not None:
            raise error
        return value


def _is_trio() -> bool:
    # Trio needs sniffio, which tells Trio and asyncio from each other where both run in a thread.
    sniffio = sys.modules.get("sniffio")
    if sniffio is None or "trio" not in sys.modules:
        return False
    return bool(sniffio.current_async_library() == "trio")


class _AsyncioSleep:
    """The sleep of an asyncio task, which any thread may end."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()

    def end(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._end)
        except RuntimeError:
            # No task waits once the event loop is closed.
            if not self._loop.is_closed():
                raise

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    async def wait(self) -> None:
        await asyncio.shield(self._ended)


class _TrioSleep:
    """The sleep of a task of Trio, which any thread may end."""

    def __init__(self) -> None:
        import trio

        self._token = trio.lowlevel.current_trio_token()
        self._ended = trio.Event()
        self._is_over = trio.RunFinishedError

    def end(self) -> None:
        with suppress(self._is_over):  # No task waits then.
            self._token.run_sync_soon(self._ended.set)

    async def wait(self) -> None:
        await self._ended.wait()
