"""Finds `MANAGED_API_KEY` in the headers of a request, wherever a client has put it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_auth_sdk._native import MANAGED_API_KEY

if TYPE_CHECKING:
    from collections.abc import Collection

_KEY = MANAGED_API_KEY.encode()


def is_placeholder(value: str | bytes) -> bool:
    """Returns whether a header with this value must never be sent.

    A client may write the key in a way of its own, or in a header such as `api-key`.
    """
    return _KEY in value if isinstance(value, bytes) else MANAGED_API_KEY in value


def authorization_to_replace(own: str | None, placeholders: Collection[object]) -> str | None:
    """Returns the `Authorization` by which a manager is asked to authorize a request.

    `own` is what the request has, and `placeholders` are its headers with the placeholder.
    """
    if own is None or is_placeholder(own):
        return f"Bearer {MANAGED_API_KEY}" if placeholders else own
    return own
