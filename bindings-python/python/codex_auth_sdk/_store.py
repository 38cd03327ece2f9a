"""The interface of stores that are written in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable


class CustomStore(Protocol):
    """An object that keeps a login in a place of the program's choice, such as a database row.

    Pass it to a manager as its `store`. Its methods may be functions or coroutine functions. A
    record is JSON text with tokens; the store does not interpret it. A version is a `str` that
    changes with every save. `expected` is the version that `load` returned, or `None` if nothing
    was stored. A method must compare it and write in one atomic step, so that no other process
    writes in between.

    A store may have two more methods, for a lock that excludes all other processes. `try_lock()`
    takes the lock if it is free, and returns whether it did. `unlock()` releases it, and does
    nothing if it is not held. The lock must last until `unlock`, or for `refresh_deadline` at
    least, and must be released when its process ends. Without these methods, managers redeem a
    refresh token once per process, not once on the whole.

    A lock that ends by itself, such as a row with an end, needs two more members: `lease`, the
    seconds (or a `timedelta`) that it lasts, and `renew()`, which makes the lock last so long again
    if this process still holds it, and returns whether it does. `renew` is called after each
    quarter of the lease while the lock is needed. A refresh token is redeemed only if the lock is
    sure to last for a `request_timeout`, so a lease must exceed that.

    A thread of the package calls all methods of one store, one after the other, so one database
    connection can serve all calls. Coroutines run on an event loop in that thread, never on an
    event loop of the program. A forked child gets another thread, and must open connections of its
    own. A method must not call a manager that uses the store.

    If a method raises, or returns a value of a wrong type, the manager raises `StoreUnavailable`
    with the exception as its `__cause__`. A call that takes more than 15 seconds is given up with
    `StoreUnavailable`. A coroutine is then cancelled; a function that hangs delays the next call.

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
        """Returns the stored record and its version, or `None` if nothing is stored."""
        ...

    def save(self, record: str, expected: str | None, /) -> bool | Awaitable[bool]:
        """Stores `record` if the store still has the version `expected`; returns whether so.

        It gives the record a new version.
        """
        ...

    def delete(self, expected: str | None, /) -> bool | Awaitable[bool]:
        """Removes the record if the store still has the version `expected`; returns whether so."""
        ...


CustomStore.__module__ = "codex_auth_sdk"
