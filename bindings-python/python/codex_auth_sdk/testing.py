"""For those who write a store of their own: the suite that every store must pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_auth_sdk import _native

if TYPE_CHECKING:
    from codex_auth_sdk._store import CustomStore

__all__ = ["check_store"]


def check_store(store: CustomStore) -> None:
    """Runs the suite on `store`, which must be empty at first and is empty again at the end.

    It blocks, and calls the methods of the store as a manager does. Raises `AssertionError` that
    says what is broken; then something may be left in the store.
    """
    broken = _native.broken_by(store)
    if broken is not None:
        raise AssertionError(broken)
