"""Stores written in Python: what one is, and the thread that calls it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable

    from codex_auth_sdk._native import StoreCalls

# A second after the core has given the call up.
PATIENCE_S = 16.0


class CustomStore(Protocol):
    """An object that keeps a login in a place of your own, such as a row of a database.

    Hand it to a manager as its `store`. The methods may be functions or coroutine functions. A
    record is JSON text of which a store knows nothing; it holds tokens. A version is any `str`, and
    another one after every save. `expected` is the version that `load` returned, `None` for
    "nothing is stored". Comparing it and writing must be one step, so that no other writer comes
    in between, in whatever process.

    A store may also have a lock that excludes all other processes, as two more methods:
    `try_lock()` takes it if it is free and returns whether it did; `unlock()` gives it back, and
    is no error where it is not held. The lock must last until then, or for `refresh_deadline` at
    least, and end with its process. Without a lock, one redemption of a refresh token is
    guaranteed within one process only.

    All methods of one store are called in a thread of its own, one after the other, so that a
    connection that `load` opens serves all calls; coroutines run on an event loop in that thread,
    never on yours. A forked child gets another thread, and has to open connections of its own. A
    method must not call a manager that uses the store.

    What a method raises arrives as the `__cause__` of a `StoreUnavailable`, and so does a return
    value of a wrong type. A call that takes more than 15 seconds is given up (`StoreUnavailable`,
    too); a coroutine is cancelled then, and the next call waits for a function that hangs.

    Example:
        class Row:
            def __init__(self, path):
                self._path = path

            def load(self):
                query = "SELECT record, version FROM login"
                return self._run(lambda db: db.execute(query).fetchone())

            def save(self, record, expected):
                row = (record, secrets.token_hex(8))
                if expected is None:
                    insert = "INSERT INTO login (id, record, version) VALUES (1, ?, ?)"
                    return self._write(f"{insert} ON CONFLICT DO NOTHING", row)
                update = "UPDATE login SET record = ?, version = ? WHERE version = ?"
                return self._write(update, (*row, expected))

            def delete(self, expected):
                if expected is None:
                    return self.load() is None
                return self._write("DELETE FROM login WHERE version = ?", (expected,))

            def _write(self, statement, values):
                return self._run(lambda db: db.execute(statement, values).rowcount == 1)

            def _run(self, work):
                with contextlib.closing(sqlite3.connect(self._path)) as db, db:
                    table = "login (id INTEGER PRIMARY KEY, record TEXT, version TEXT)"
                    db.execute(f"CREATE TABLE IF NOT EXISTS {table}")
                    return work(db)

        manager = AuthManager(store=Row("login.db"))

    """

    def load(self) -> tuple[str, str] | Awaitable[tuple[str, str] | None] | None:
        """The record and its version; `None` for nothing."""
        ...

    def save(self, record: str, expected: str | None, /) -> bool | Awaitable[bool]:
        """Stores `record` if the store still has version `expected`; whether it did."""
        ...

    def delete(self, expected: str | None, /) -> bool | Awaitable[bool]:
        """Removes the record if the store still has version `expected`; whether it did."""
        ...


CustomStore.__module__ = "codex_auth_sdk"


def start(store: object, calls: StoreCalls) -> None:
    """Starts the thread that makes the `calls` for `store`, until there are no more."""
    # The interpreter does not wait for it: what is to be saved is waited for by itself.
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
    """Makes one call; false if there are no more. Nothing of a login stays after it."""
    call = calls.next()
    if call is None:
        return False
    method, arguments, reply = call
    try:
        value = getattr(store, method)(*arguments)
        if hasattr(value, "__await__"):
            value = loop.run(value)
    except BaseException as error:
        reply.raised(error)
    else:
        reply.returned(value)
    return True


class _Loop:
    """The event loop of a store whose methods are coroutines, made when it is needed."""

    _loop: asyncio.AbstractEventLoop | None = None

    def run(self, value: Awaitable[object]) -> object:
        import asyncio

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)

        async def within_patience() -> object:
            return await asyncio.wait_for(value, PATIENCE_S)

        return self._loop.run_until_complete(within_patience())

    def close(self) -> None:
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
