"""Fixtures: one issuer for all tests, one realm and one CODEX_HOME for each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support import Issuer, Realm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def issuer() -> Iterator[Issuer]:
    """The issuer process."""
    started = Issuer()
    yield started
    started.stop()


@pytest.fixture
def realm(issuer: Issuer) -> Realm:
    """A realm with one login, `a`."""
    return issuer.realm(logins={"a": {}})


@pytest.fixture
def home(tmp_path: Path, realm: Realm) -> Path:
    """A CODEX_HOME that holds the first record of `a`."""
    (tmp_path / "auth.json").write_text(realm.logins["a"]["text"])
    return tmp_path


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CODEX_")]:
        monkeypatch.delenv(name)
