"""The keyword options of managers and sign-ins, for type checkers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from os import PathLike

    from codex_auth_sdk._native import EphemeralStorage
    from codex_auth_sdk._store import CustomStore


class ManagerOptions(TypedDict, total=False):
    """The keyword options of managers. `AuthManager` documents them."""

    codex_home: str | PathLike[str] | None
    store: (
        Literal["codex", "file", "keyring", "auto", "encrypted", "ephemeral", "agent"]
        | str
        | EphemeralStorage
        | CustomStore
        | None
    )
    login: str | None
    store_key: str | None
    refresh: Literal["auto", "never"] | None
    account_id: str | None
    refresh_window: float | timedelta | None
    winner_wait: float | timedelta | None
    refresh_deadline: float | timedelta | None
    request_timeout: float | timedelta | None
    lock_timeout: float | timedelta | None
    token_url: str | None
    revoke_url: str | None
    issuer: str | None
    client_id: str | None
    originator: str | None
    user_agent: str | None
    proxy: str | None
    token_encoding: Literal["json", "form"] | None
    enable_codex_api_key_env: bool | None
    allowed_origins: Sequence[str] | None


class DeviceLoginOptions(TypedDict, total=False):
    """The keyword options of a sign-in with a device code.

    `AuthManager.login_with_browser` documents them.
    """

    allowed_workspaces: Sequence[str] | None
    revoke_replaced: bool | None
    timeout: float | timedelta | None
    protocol: Literal["codex", "standard"] | None
    scope: str | None
    id_token_validation: Literal["where_published", "required", "off"] | None


class BrowserLoginOptions(DeviceLoginOptions, total=False):
    """The keyword options of a sign-in with a browser.

    `AuthManager.login_with_browser` documents them.
    """

    ports: Sequence[int] | None
    manual: bool | None
