"""The public surface: names, documentation, what an import costs, what never shows."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import pickle
import pydoc
import subprocess
import sys
import typing
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import codex_auth_sdk
from codex_auth_sdk import (
    AsyncAuthManager,
    AsyncBrowserLogin,
    AsyncDeviceLogin,
    AuthManager,
    BrowserLogin,
    CodexAuth,
    CustomStore,
    DeviceLogin,
    EphemeralStorage,
    UnauthorizedRecovery,
    UnauthorizedRecoveryDecision,
    aio,
)
from codex_auth_sdk._options import BrowserLoginOptions, DeviceLoginOptions, ManagerOptions

if TYPE_CHECKING:
    from support import Realm

MEMBERS = [getattr(codex_auth_sdk, name) for name in codex_auth_sdk.__all__]
CLASSES: list[type[object]] = [member for member in MEMBERS if isinstance(member, type)]

BOTH = {
    "describe",
    "follow_store",
    "keep_fresh",
    "stats",
    "subscribe",
    "auth",
    "authorize",
    "fresh_auth",
    "fresh_auth_if_ready",
    "login_with_access_token",
    "login_with_api_key",
    "login_with_browser",
    "login_with_device_code",
    "logout",
    "open_unread",
    "pending_save",
    "recover_from_unauthorized",
    "refresh_token",
    "reload",
    "resume_login_with_browser",
    "resume_login_with_device_code",
    "store_holder",
    "sync_from_storage",
    "unauthorized_recovery",
}


def public(of: object) -> set[str]:
    return {name for name in dir(of) if not name.startswith("_")}


def test_the_managers_have_the_same_methods() -> None:
    assert public(AuthManager) == BOTH | {"close"}
    assert public(AsyncAuthManager) == BOTH | {"open", "aclose"}
    awaited = {
        "describe",
        "fresh_auth",
        "logout",
        "recover_from_unauthorized",
        "refresh_token",
        "reload",
    }
    awaited |= {"sync_from_storage", "open", "aclose"}
    awaited |= {name for name in BOTH if "login_with_" in name}
    assert {
        name
        for name in public(AsyncAuthManager)
        if inspect.iscoroutinefunction(getattr(AsyncAuthManager, name))
    } == awaited


def test_sign_ins_have_the_same_methods() -> None:
    for blocking, awaited in [(BrowserLogin, AsyncBrowserLogin), (DeviceLogin, AsyncDeviceLogin)]:
        begun = {name for name in public(blocking) if name.startswith("begin_")}
        assert public(blocking) - begun == public(awaited)
        assert {
            name for name in public(awaited) if inspect.iscoroutinefunction(getattr(awaited, name))
        } == {name.removeprefix("begin_") for name in begun}


def test_the_options_of_logins_are_the_same_everywhere() -> None:
    ways: list[tuple[Any, type[object]]] = [
        (AuthManager.login_with_browser, BrowserLoginOptions),
        (AuthManager.login_with_device_code, DeviceLoginOptions),
    ]
    for way, typed in ways:
        _, *parameters = inspect.signature(way).parameters.values()
        options = set(typing.get_type_hints(typed, localns=_types()))
        assert {parameter.name for parameter in parameters} == options
        assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters)


def test_all_names_are_there_and_documented() -> None:
    assert set(codex_auth_sdk.__all__) <= set(dir(codex_auth_sdk))
    for member in CLASSES:
        assert member.__module__ == "codex_auth_sdk"
        assert member.__doc__
        if not issubclass(member, BaseException):
            for name in public(member):
                assert getattr(member, name).__doc__, f"{member.__name__}.{name}"
    with pytest.raises(AttributeError, match="no attribute"):
        _ = codex_auth_sdk.no_such_name


def test_the_version_is_that_of_the_package() -> None:
    manifest = Path(__file__).parents[2] / "Cargo.toml"
    assert f'version = "{codex_auth_sdk.__version__}"' in manifest.read_text().splitlines()


def test_help_reads_as_documentation() -> None:
    text = pydoc.plain(pydoc.render_doc(codex_auth_sdk))
    for words in ["seconds", "Ctrl-C", "Raises", "Example", "threads", "class AsyncAuthManager"]:
        assert words in text
    assert "logout(self, /, *, revoke=True, any_account=False)" in text


def test_the_options_are_the_same_everywhere() -> None:
    options = set(typing.get_type_hints(ManagerOptions, localns=vars(aio) | _types()))
    parameters = inspect.signature(AuthManager).parameters.values()
    assert {parameter.name for parameter in parameters} == options
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters)
    defaults: dict[str, Any] = {**dict.fromkeys(options), "store": EphemeralStorage()}
    makers: list[type[AuthManager | AsyncAuthManager]] = [AuthManager, AsyncAuthManager]
    for make in makers:
        assert make(**defaults).auth() is None


def _types() -> dict[str, Any]:
    from collections.abc import Sequence
    from os import PathLike

    return {
        "Sequence": Sequence,
        "PathLike": PathLike,
        "timedelta": timedelta,
        "EphemeralStorage": EphemeralStorage,
        "CustomStore": CustomStore,
    }


def test_decisions_have_the_names_of_every_language() -> None:
    assert [decision.value for decision in UnauthorizedRecoveryDecision] == ["retry", "give_up"]
    assert pickle.loads(pickle.dumps(UnauthorizedRecoveryDecision.RETRY)) is (  # noqa: S301
        UnauthorizedRecoveryDecision.RETRY
    )


def test_an_import_is_quiet_and_starts_nothing() -> None:
    program = """
import json, logging, os, sys, threading
before = set(sys.modules)
import codex_auth_sdk
print(json.dumps({
    "modules": sorted(set(sys.modules) - before),
    "threads": len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1,
    "python_threads": threading.active_count(),
    "handlers": len(logging.root.handlers),
}))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    seen = json.loads(ended.stdout)
    assert ended.stderr == ""
    assert (seen["threads"], seen["python_threads"], seen["handlers"]) == (1, 1, 0)
    assert not {"asyncio", "typing", "datetime", "dataclasses", "inspect"} & set(seen["modules"])


def test_what_needs_no_network_starts_no_thread(home: Path) -> None:
    program = """
import os, sys
from codex_auth_sdk import AuthManager
manager = AuthManager(codex_home=sys.argv[1])
auth = manager.fresh_auth()
manager.sync_from_storage(auth), manager.reload(), manager.close()
print(len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1)
"""
    command = [sys.executable, "-c", program, str(home)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "1\n"


@pytest.fixture
def auth(home: Path) -> CodexAuth:
    found = AuthManager(codex_home=home).auth()
    assert found is not None
    return found


def test_a_snapshot_shows_what_it_may(auth: CodexAuth, realm: Realm) -> None:
    record = realm.logins["a"]["record"]
    assert auth.mode == "chatgpt"
    assert auth.access_token == record["tokens"]["access_token"]
    assert (auth.account_id, auth.user_id) == ("acct-a", "user-a")
    assert (auth.email, auth.plan_type, auth.is_fedramp) == ("a@example.com", "plus", False)
    assert auth.base_url == "https://chatgpt.com/backend-api/codex"
    assert auth.expires_at is not None
    assert auth.last_refresh is not None
    assert auth.expires_at.tzinfo is auth.last_refresh.tzinfo is timezone.utc
    assert timedelta(0) < auth.expires_at - auth.last_refresh <= timedelta(seconds=3601)
    headers = auth.headers()
    assert headers["Authorization"] == f"Bearer {auth.access_token}"
    assert headers["ChatGPT-Account-ID"] == "acct-a"
    assert auth.headers() is not headers


def test_nothing_shows_a_token(auth: CodexAuth, realm: Realm, home: Path) -> None:
    manager = AuthManager(codex_home=home)
    storage = EphemeralStorage(realm.logins["a"]["text"])
    things = [auth, manager, AsyncAuthManager(codex_home=home), storage]
    things += [manager.unauthorized_recovery(), manager.sync_from_storage(auth)]
    shown = "\n".join(f"{thing!r} {thing}" for thing in things)
    assert "acct-a" in shown
    assert realm.call("leaks", text=shown)["leaks"] == []


def test_nothing_with_a_token_is_pickled_by_accident(auth: CodexAuth, home: Path) -> None:
    with pytest.raises(TypeError, match="holds a token"):
        pickle.dumps(auth)
    for thing in [AuthManager(codex_home=home), AsyncAuthManager(codex_home=home)]:
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(thing)
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(EphemeralStorage())


def test_a_copy_of_a_snapshot_is_the_snapshot(auth: CodexAuth) -> None:
    assert copy.copy(auth) is auth
    assert copy.deepcopy({"auth": auth})["auth"] is auth


def test_objects_are_frozen(auth: CodexAuth, home: Path) -> None:
    for thing, name in [(auth, "access_token"), (auth, "new"), (AuthManager(codex_home=home), "x")]:
        with pytest.raises(AttributeError):
            setattr(thing, name, "x")
    with pytest.raises(TypeError):
        UnauthorizedRecovery()


def test_outcomes_compare_by_value(realm: Realm, home: Path) -> None:
    manager = AuthManager(codex_home=home)
    auth = manager.auth()
    assert auth is not None
    first, second = manager.sync_from_storage(auth), manager.sync_from_storage(auth)
    assert first == second
    assert hash(first) == hash(second)
    assert repr(first) == "SyncOutcome(kind='applied', changed=False)"
    assert realm.call("stats")["requests"] == 0
    assert repr(manager.logout(revoke=False)) == "LogoutOutcome(removed=True, revoked=False)"


def test_an_ephemeral_store_holds_one_login_for_many(realm: Realm) -> None:
    storage = EphemeralStorage(realm.logins["a"]["text"].encode())
    one, other = (AuthManager(**realm.options(store=storage)) for _ in range(2))
    auth = one.auth()
    assert auth is not None
    assert one.refresh_token(auth) is not None
    assert realm.stored(storage.record()) == "refresh:a1"
    assert other.reload() is True
    storage.replace(None)
    assert other.reload() is True
    assert other.auth() is None
    assert storage.record() is None


def test_threads_may_share_everything(realm: Realm, home: Path) -> None:
    manager = AuthManager(**realm.options(codex_home=home))
    auth = manager.auth()
    assert auth is not None
    recovery = manager.unauthorized_recovery()

    def use(number: int) -> object:
        if number % 4 == 0:
            return manager.recover_from_unauthorized(auth, recovery)
        return [manager.reload(), manager.fresh_auth(), auth.headers(), recovery.give_up_reason]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(64), timeout=60))
    assert realm.call("stats")["requests"] == 1


def test_context_managers_give_the_manager(home: Path) -> None:
    async def main() -> None:
        async with AsyncAuthManager(codex_home=home) as manager:
            assert manager.auth() is not None
            assert manager.pending_save is False

    asyncio.run(main())
    with AuthManager(codex_home=home) as manager:
        assert manager.pending_save is False
        assert manager.close(timedelta(seconds=1)) is True
