"""What a manager says of itself for a bug report. `codex_auth_sdk` exports `Description`.

Times are RFC 3339 texts, and what is unknown is `None`.
"""

from __future__ import annotations

from typing import Literal, TypedDict


class Program(TypedDict):
    """A process: its number, and the name of its program's file."""

    pid: int
    name: str | None


class StoreDescription(TypedDict):
    """Which store keeps the login, and what has chosen it."""

    kind: Literal[
        "file",
        "keyring",
        "auto",
        "encrypted",
        "ephemeral",
        "agent",
        "postgres",
        "environment",
        "custom",
    ]
    chosen_by: Literal["option", "environment", "memory", "config", "default"]
    location: str
    holder: Literal["file", "keyring", "encrypted"] | None
    holder_reason: str | None


class Place(TypedDict):
    """A file or a folder: as it was named, and behind all links."""

    path: str
    resolved: str
    is_there: bool
    is_link: bool
    is_mount_point: bool
    mode: str | None
    owner: int | None
    group: int | None


class KeyringPlace(TypedDict):
    """An item of the keyring. The user is not asked to unlock the keyring for it."""

    service: str
    account: str
    is_reached: bool
    is_there: bool
    problem: str | None


class LockPlace(TypedDict):
    """A file whose lock guards the login. Only Linux tells which process holds it."""

    path: str
    purpose: Literal["refresh", "save"]
    holder: Program | None


class StorePlaces(TypedDict):
    """Where the store keeps its login, and which locks guard it."""

    home: Place | None
    auth_json: Place | None
    encrypted_file: Place | None
    keyring: KeyringPlace | None
    ledger: str | None
    locks: list[LockPlace]
    problem: str | None


class LedgerDescription(TypedDict):
    """What is known of the refresh token."""

    refreshed_at: str | None
    refreshed_by: Program | None
    state: Literal["good", "in_doubt", "resting", "spent", "refused"]
    refused: str | None
    not_before: str | None


class LoginDescription(TypedDict):
    """The login in memory, without its tokens and without the email address."""

    mode: str
    account_id: str | None
    user_id: str | None
    plan_type: str | None
    expires_at: str | None
    is_expired: bool
    due_at: str | None
    last_refresh: str | None
    ledger: LedgerDescription | None


class Description(TypedDict):
    """What a manager says of itself for a bug report, by `AuthManager.describe`.

    It has no token, no key and no email address.
    """

    version: int
    library: str
    described_at: str
    store: StoreDescription
    places: StorePlaces
    login: LoginDescription | None
    refresh: Literal["auto", "never"]
    pinned_account_id: str | None
    clock_ahead_seconds: int | None
    pending_save: bool


Description.__module__ = "codex_auth_sdk"
