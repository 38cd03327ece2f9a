"""The thread that calls the methods of a store that is written in Python."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable

    from codex_auth_sdk._native import StoreCalls

# The core gives a call up after 15 seconds. A coroutine is cancelled one second later.
CALL_TIMEOUT_S = 16.0


def start(store: object, calls: StoreCalls) -> None:
    """Starts the thread that makes the `calls` for `store`, until no manager uses the store."""
    if "gevent.monkey" in sys.modules:
        from codex_auth_sdk import _gevent

        if _gevent.is_patched_in():
            _gevent.start_thread(_serve, store, calls)
            return
    # It is a daemon, so that a store that hangs does not keep the interpreter from ending. The exit
    # hook of the package waits for what is still to be saved.
    arguments = (store, calls)
    threading.Thread(
        target=_serve, args=arguments, name="codex-auth-sdk-store", daemon=True
    ).start()


def _serve(store: object, calls: StoreCalls) -> None:
    loop = _Loop()
    while _serve_next(store, calls, loop):
        pass
    loop.close()


def _serve_next(store: object, calls: StoreCalls, loop: _Loop) -> bool:
    """Makes one call. Returns whether there was one.

    It is a function of its own so that no variable holds a record while the thread waits.
    """
    call = calls.next()
    if call is None:
        return False
    method, arguments, reply = call
    try:
        value = getattr(store, method)(*arguments)
        if hasattr(value, "__await__"):
            value = loop.run(value)
    except BaseException as error:
        # The traceback begins in the store: the variables of this frame, which what reports errors
        # collects, hold a record.
        traceback = error.__traceback__
        reply.raised(error.with_traceback(traceback and traceback.tb_next))
    else:
        reply.returned(value)
    return True


class _Loop:
    """The event loop of a store whose methods are coroutines. The first coroutine creates it."""

    _loop: asyncio.AbstractEventLoop | None = None

    def run(self, value: Awaitable[object]) -> object:
        import asyncio

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)

        async def within_timeout() -> object:
            return await asyncio.wait_for(value, CALL_TIMEOUT_S)

        return self._loop.run_until_complete(within_timeout())

    def close(self) -> None:
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
