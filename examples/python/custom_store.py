"""A request with a login that is kept in SQLite instead of the Codex CLI's files.

`custom_store.py import DATABASE RECORD` moves an `auth.json` into the database, so that nobody else
refreshes its login; `custom_store.py DATABASE URL [ALLOWED_ORIGIN...]` sends a request with it.

There is no lock that other processes see: one process at a time is to use the database.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from codex_auth_sdk import AuthManager, RequestsAuth

if TYPE_CHECKING:
    from collections.abc import Generator

TABLE = "CREATE TABLE IF NOT EXISTS login (id INTEGER PRIMARY KEY, record TEXT, version TEXT)"


class Row:
    def __init__(self, path: str) -> None:
        self._path = path

    def load(self) -> tuple[str, str] | None:
        with self._database() as db:
            row: tuple[str, str] | None = db.execute("SELECT record, version FROM login").fetchone()
            return row

    def save(self, record: str, expected: str | None) -> bool:
        row = (record, secrets.token_hex(8))
        if expected is None:
            return self._write("INSERT INTO login VALUES (1, ?, ?) ON CONFLICT DO NOTHING", *row)
        return self._write(
            "UPDATE login SET record = ?, version = ? WHERE version = ?", *row, expected
        )

    def delete(self, expected: str | None) -> bool:
        if expected is None:
            return self.load() is None
        return self._write("DELETE FROM login WHERE version = ?", expected)

    def _write(self, statement: str, *values: str) -> bool:
        with self._database() as db:
            return db.execute(statement, values).rowcount == 1

    @contextlib.contextmanager
    def _database(self) -> Generator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self._path)) as db, db:
            db.execute(TABLE)
            yield db


def main() -> None:
    match sys.argv[1:]:
        case ["import", database, record]:
            if not Row(database).save(Path(record).read_text(), None):
                sys.exit("the database has a login already")
            Path(record).unlink()
        case [database, url, *origins]:
            with AuthManager(store=Row(database), allowed_origins=origins) as manager:
                response = requests.get(url, auth=RequestsAuth(manager), timeout=30)
                print(response.status_code)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
