"""Fixtures: one issuer for all tests, one realm and one CODEX_HOME for each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from chaos import SEED, TIMES, World, report
from support import Issuer, Realm, SessionKeyring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def issuer() -> Iterator[Issuer]:
    """The issuer process."""
    started = Issuer()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def session_keyring() -> Iterator[SessionKeyring]:
    """A session that all tests share."""
    started = SessionKeyring()
    yield started
    started.stop()


@pytest.fixture
def keyring(session_keyring: SessionKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the test find the session."""
    if session_keyring.variables is None:
        pytest.skip("install gnome-keyring, dbus and libsecret-tools")
    for name, value in session_keyring.variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def realm(issuer: Issuer) -> Realm:
    """A realm with one login, `a`."""
    return issuer.realm(logins={"a": {}})


@pytest.fixture
def home(tmp_path: Path, realm: Realm) -> Path:
    """A CODEX_HOME that holds the first record of `a`."""
    (tmp_path / "auth.json").write_text(realm.logins["a"]["text"])
    return tmp_path


@pytest.fixture
def worlds(
    issuer: Issuer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> Iterator[Callable[[int], Iterator[World]]]:
    """Makes so many worlds to play with, and more for torture. Each is judged after its play."""
    tried = 0

    def make(count: int) -> Iterator[World]:
        nonlocal tried
        for number in range(count * TIMES):
            world = World(issuer, tmp_path / f"world{number}", SEED + number)
            yield world
            world.judge()
            tried += 1

    yield make
    assert capfd.readouterr().err == ""
    report(request.node.name, tried)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CODEX_")]:
        monkeypatch.delenv(name)
