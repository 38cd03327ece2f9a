"""The conformance suite for programs that have a store of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_auth_sdk import _native

if TYPE_CHECKING:
    from codex_auth_sdk._store import CustomStore

__all__ = ["check_store"]


def check_store(store: CustomStore) -> None:
    """Runs the conformance suite, which every store must pass, on `store`.

    The store must be empty at first, and is empty again after the suite has passed. The suite calls
    the methods of the store like a manager, and blocks until it is done.

    Raises `AssertionError`, which says which rule the store breaks. Then the store may still hold a
    record.
    """
    broken = _native.broken_by(store)
    if broken is not None:
        raise AssertionError(broken)
