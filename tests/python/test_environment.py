"""Credentials that environment variables bring, in the Codex CLI's order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from codex_auth_sdk import (
    AsyncAuthManager,
    AuthManager,
    StoreReadOnly,
    UnauthorizedRecoveryDecision,
    UnsupportedMode,
)

if TYPE_CHECKING:
    from pathlib import Path

    from codex_auth_sdk import CodexAuth

PERSONAL = "at-from-the-environment"
KEY = "sk-from-the-environment"


def signed_in(**options: Any) -> CodexAuth:
    auth = AuthManager(**options).auth()
    assert auth is not None
    return auth


def test_a_personal_access_token_takes_the_place_of_the_stored_login(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_ACCESS_TOKEN", f"  {PERSONAL}\n")
    auth = signed_in(codex_home=home)
    assert auth.mode == "personal_access_token"
    assert auth.headers()["Authorization"] == f"Bearer {PERSONAL}"
    assert PERSONAL not in repr(auth)
    assert signed_in(codex_home=home, store="file").mode == "chatgpt", "an option comes first"
    monkeypatch.setenv("CODEX_ACCESS_TOKEN", " ")
    assert signed_in(codex_home=home).mode == "chatgpt", "an empty variable counts as unset"


def test_the_token_of_an_agent_is_recognised_and_not_sent_as_a_bearer(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_ACCESS_TOKEN", "header.payload.signature")
    auth = signed_in(codex_home=home)
    assert auth.mode == "agent_identity"
    with pytest.raises(UnsupportedMode):
        auth.headers()


def test_an_api_key_comes_first_and_only_where_it_is_enabled(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_API_KEY", KEY)
    assert signed_in(codex_home=home).mode == "chatgpt"
    monkeypatch.setenv("CODEX_ACCESS_TOKEN", PERSONAL)
    assert signed_in(codex_home=home).mode == "personal_access_token"
    auth = signed_in(codex_home=home, enable_codex_api_key_env=True)
    assert (auth.mode, auth.access_token) == ("api_key", KEY)


def test_what_the_environment_brings_is_neither_refreshed_nor_removed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = (home / "auth.json").read_bytes()
    monkeypatch.setenv("CODEX_ACCESS_TOKEN", PERSONAL)
    manager = AuthManager(codex_home=home)
    auth = manager.auth()
    assert auth is not None
    recovery = manager.unauthorized_recovery()
    decision = manager.recover_from_unauthorized(auth, recovery)
    assert decision is UnauthorizedRecoveryDecision.GIVE_UP
    assert recovery.give_up_reason == "not_refreshable"
    with pytest.raises(StoreReadOnly, match="CODEX_ACCESS_TOKEN"):
        manager.logout()
    assert (home / "auth.json").read_bytes() == stored


def test_asyncio_finds_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEX_API_KEY", KEY)

    async def main() -> str:
        manager = await AsyncAuthManager.open(codex_home=home, enable_codex_api_key_env=True)
        auth = await manager.fresh_auth()
        assert auth is not None
        return auth.mode

    assert asyncio.run(main()) == "api_key"


def test_a_flag_is_a_bool(home: Path) -> None:
    options: dict[str, Any] = {"enable_codex_api_key_env": "yes"}
    with pytest.raises(TypeError, match="enable_codex_api_key_env must be a bool, not str"):
        AuthManager(codex_home=home, **options)
