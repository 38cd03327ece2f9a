"""Errors: one tree, data on the exception, and texts that say what to do."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import queue
import shutil
import tempfile
import traceback
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import requests

import codex_auth_sdk
from codex_auth_sdk import (
    AsyncAuthManager,
    AuthManager,
    CodexAuthError,
    EphemeralStorage,
    Event,
    HttpxAuth,
    InvalidOption,
    KeyringLocked,
    KeyringTooLong,
    KeyringUnavailable,
    LockTimeout,
    LoginError,
    LoginPortBusy,
    LoginTransient,
    RefreshTokenError,
    RefreshTokenExpired,
    RefreshTokenInvalidated,
    RefreshTokenRejected,
    RefreshTokenReused,
    RefreshTransient,
    RequestsAuth,
    SaveFailed,
    StoreCorrupt,
    StoreError,
    StoreReadOnly,
    StoreUnavailable,
    TransientError,
    UnsupportedMode,
    aiohttp_middleware,
)
from http_support import AIOHTTP, send_by_aiohttp, status_of
from support import AsyncRowStore, Child, Realm, RowStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def is_exception(member: object) -> bool:
    return isinstance(member, type) and issubclass(member, Exception)


MEMBERS = [getattr(codex_auth_sdk, name) for name in codex_auth_sdk.__all__]
EXCEPTIONS: list[type[CodexAuthError]] = [member for member in MEMBERS if is_exception(member)]

NOBODY = 65534


def raised(call: Callable[[], object]) -> CodexAuthError:
    with pytest.raises(CodexAuthError) as caught:
        call()
    return caught.value


def test_every_error_is_a_codex_auth_error_of_this_module() -> None:
    assert len(EXCEPTIONS) == 34
    for exception in EXCEPTIONS:
        assert issubclass(exception, CodexAuthError)
        assert exception.__module__ == "codex_auth_sdk"
        assert exception.__doc__


def test_kinds_that_are_handled_alike_have_a_common_parent() -> None:
    leaves = [
        RefreshTokenExpired,
        RefreshTokenInvalidated,
        RefreshTokenRejected,
        RefreshTokenReused,
    ]
    assert all(issubclass(leaf, RefreshTokenError) for leaf in leaves)
    assert all(
        issubclass(leaf, StoreError) for leaf in [StoreCorrupt, StoreReadOnly, KeyringTooLong]
    )
    for leaf in [StoreUnavailable, KeyringUnavailable, KeyringLocked]:
        assert issubclass(leaf, StoreError)
        assert issubclass(leaf, TransientError)
    assert all(issubclass(leaf, LoginError) for leaf in [LoginPortBusy, LoginTransient, SaveFailed])
    transient = [RefreshTransient, LockTimeout, LoginPortBusy, LoginTransient]
    assert all(issubclass(leaf, TransientError) for leaf in transient)
    assert issubclass(InvalidOption, ValueError)


def test_codes_are_unique() -> None:
    codes = [exception.code for exception in EXCEPTIONS if "code" in vars(exception)]
    assert len(codes) == len(set(codes)) == 30


@pytest.mark.parametrize("exception", EXCEPTIONS)
def test_errors_survive_pickle_and_copy(exception: type[CodexAuthError]) -> None:
    error = exception("what happened")
    error.reason = "why"
    error.retry_after = 1.5
    for twin in [pickle.loads(pickle.dumps(error)), copy.copy(error)]:  # noqa: S301
        assert type(twin) is exception
        assert str(twin) == "what happened"
        seen = (twin.code, twin.reason, twin.is_transient, twin.retry_after)
        assert seen == (exception.code, "why", exception.is_transient, 1.5)


def test_a_refusal_carries_its_code_and_reason(realm: Realm, home: Path) -> None:
    manager = AuthManager(**realm.options(codex_home=home))
    auth = manager.auth()
    assert auth is not None
    realm.call("invalidate_refresh", token="a0")
    error = raised(lambda: manager.refresh_token(auth))
    assert type(error) is RefreshTokenInvalidated
    assert (error.code, error.reason) == ("refresh_token_invalidated", "invalidated")
    assert (error.is_transient, error.retry_after) == (False, None)
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(twin), twin.reason) == (str(error), error.reason)
    assert realm.call("leaks", text=f"{error!r} {error} {error.__cause__!r}")["leaks"] == []


def variables(error: BaseException | None) -> Iterator[object]:
    """The variables of the package's frames in the traceback of an error and of its causes."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if Path(frame.f_code.co_filename).parent.name == "codex_auth_sdk":
                yield from frame.f_locals.values()
        error = error.__cause__


def send(client: str, manager: AuthManager, url: str) -> object:
    if client == "requests":
        return requests.get(url, auth=RequestsAuth(manager), timeout=60)
    if client == "httpx":
        with httpx.Client(auth=HttpxAuth(manager), trust_env=False, follow_redirects=True) as http:
            return http.get(url)

    if client == "aiohttp":
        return asyncio.run(send_by_aiohttp(manager, "GET", url))

    async def send_async() -> object:
        settings: dict[str, Any] = {"trust_env": False, "follow_redirects": True}
        async with httpx.AsyncClient(auth=HttpxAuth(manager), **settings) as http:
            return await http.get(url)

    return asyncio.run(send_async())


@pytest.mark.parametrize("client", ["requests", "httpx", "httpx-async", *AIOHTTP])
def test_g9_the_error_of_a_request_can_be_pickled_and_reported(
    client: str, realm: Realm, home: Path
) -> None:
    settings = realm.options(codex_home=home, allowed_origins=[realm.origin])
    with AuthManager(**settings) as manager:
        realm.call("kill_access")
        realm.call("expire_refresh", token="a0")
        error = raised(lambda: send(client, manager, f"{realm.url}/api/redirect?to=/api/echo"))
        manager.logout(revoke=False)
        unsent = raised(lambda: send(client, manager, f"{realm.url}/api/echo"))
    response: Any = error.response
    assert status_of(response) == 401
    for hop in (*response.history, response):
        request = hop.request_info if client == "aiohttp" else hop.request
        assert "Authorization" not in request.headers
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(twin), twin.code, twin.response) == (str(error), "refresh_token_expired", None)
    for value in [*variables(error), *variables(unsent)]:
        assert not isinstance(value, (requests.PreparedRequest, requests.Response))
        assert not isinstance(value, (httpx.Request, httpx.Response, dict))
        assert not type(value).__module__.startswith(("aiohttp.client", "multidict"))


@pytest.mark.parametrize(
    "integration", [HttpxAuth, RequestsAuth, *([aiohttp_middleware] if AIOHTTP else [])]
)
def test_an_integration_refuses_what_is_no_manager_at_once(integration: Any) -> None:
    for wrong in ("x", None, AuthManager):
        with pytest.raises(TypeError, match="manager must be an AuthManager"):
            integration(wrong)
    opening = AsyncAuthManager.open()
    with pytest.raises(TypeError, match="did you forget await"):
        integration(opening)
    opening.close()


class Full(RowStore):
    """A store whose disk is full."""

    full = True

    def save(self, record: str, expected: str | None) -> bool:
        return refuse() if self.full else super().save(record, expected)


class AsyncFull(AsyncRowStore):
    full = True

    async def save(self, record: str, expected: str | None) -> bool:
        return refuse() if self.full else await super().save(record, expected)


def refuse() -> bool:
    raise OSError("the disk is full")


@pytest.mark.parametrize("kind", [Full, AsyncFull])
def test_g9_the_error_of_a_store_has_no_record_in_a_frame_of_the_package(
    kind: type[Full | AsyncFull], realm: Realm, tmp_path: Path
) -> None:
    store = kind(tmp_path / "login.db")
    store.write(realm.logins["a"]["text"])
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    with AuthManager(**realm.options(store=store)) as manager:
        subscription = manager.subscribe(events.put)
        auth = manager.auth()
        assert auth is not None
        manager.refresh_token(auth)
        while (event := events.get(timeout=60)).kind != "save_failed":
            pass
        subscription.stop()
        store.full = False
    assert event.error is not None
    cause = event.error.__cause__
    assert isinstance(cause, OSError)
    assert traceback.extract_tb(cause.__traceback__)[-1].name == "refuse"
    shown = repr([*variables(event.error)])
    assert realm.call("leaks", text=shown)["leaks"] == []


def test_g9_the_error_of_a_sign_in_has_no_credential_in_a_frame_of_the_package(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        manager = AsyncAuthManager(codex_home=tmp_path)
        for call in (manager.login_with_api_key, manager.login_with_access_token):
            with pytest.raises(CodexAuthError) as caught:
                await call("sk secret key")
            assert "secret" not in repr([*variables(caught.value)])

    asyncio.run(main())


def test_a_transient_error_says_when_to_try_again(realm: Realm, home: Path) -> None:
    fault = {"kind": "status", "status": 429, "retry_after": {"seconds": 3600}, "forever": True}
    realm.call("faults", fault)
    manager = AuthManager(**realm.options(codex_home=home))
    auth = manager.auth()
    assert auth is not None
    error = raised(lambda: manager.refresh_token(auth))
    assert isinstance(error, TransientError)
    assert error.is_transient
    assert error.retry_after is not None
    # No server puts a program off for longer than five minutes.
    assert 200 < error.retry_after <= 300
    assert realm.call("live", label="a0")["refresh"] is True


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"store": "floppy"}, ["floppy", "file", "ephemeral"]),
        ({"refresh": "sometimes"}, ["sometimes", "auto", "never"]),
        ({"token_encoding": "xml"}, ["xml", "json", "form"]),
        ({"refresh_window": -1}, ["refresh_window", "-1"]),
        ({"winner_wait": timedelta(seconds=-2)}, ["winner_wait", "-2"]),
        ({"request_timeout": float("nan")}, ["request_timeout"]),
        ({"request_timeout": 1e300}, ["request_timeout"]),
        ({"request_timeout": 10**400}, ["request_timeout is inf", "name zero or a positive"]),
        ({"request_timeout": 0}, ["request_timeout is 0ns", "name one from 1ms"]),
        ({"refresh_deadline": timedelta()}, ["refresh_deadline is 0ns", "name one from 1ms"]),
        ({"refresh_deadline": float("-inf")}, ["refresh_deadline is -inf"]),
        ({"lock_timeout": timedelta.max}, ["lock_timeout is 86400000000000s", "to 86400s"]),
        ({"lock_timeout": 1}, ["lock_timeout is 1s", "refresh_deadline, 45s", "name a longer one"]),
        ({"account_id": ""}, ['account_id is ""', "correct it, or leave it out"]),
        ({"client_id": ""}, ['client_id is ""']),
        ({"originator": " "}, ['originator is " "']),
        ({"token_url": ""}, ['token_url is ""', "name one"]),
        ({"token_url": "https://user:secret@x/"}, ["token_url is a URL (not shown)"]),
        ({"revoke_url": "https://x/#part"}, ["revoke_url", "fragment", "leave it out"]),
        ({"issuer": "https://x/?tenant=1"}, ["issuer", "query", "leave it out"]),
        ({"allowed_origins": [""]}, ['allowed_origins is ""', "https://host"]),
        ({"token_url": "not a url"}, ["token_url", "not a url"]),
        ({"token_url": "http://example.com/token"}, ["token_url", "https"]),
        ({"issuer": "ftp://example.com"}, ["https"]),
        ({"user_agent": "a\nb"}, ["user_agent"]),
        ({"proxy": "ftp://proxy"}, ["proxy", "http"]),
    ],
)
def test_bad_values_are_named(options: dict[str, Any], words: list[str], home: Path) -> None:
    makers: list[Callable[..., object]] = [AuthManager, AsyncAuthManager, opened]
    for make in makers:
        error = raised(partial(make, codex_home=home, **options))
        assert error.code == "invalid_option"
        assert all(word in str(error) for word in words), str(error)


def opened(**options: Any) -> AsyncAuthManager:
    return asyncio.run(AsyncAuthManager.open(**options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"codex_home": 1}, ["codex_home", "str", "int"]),
        ({"store": 1.5}, ["store", "EphemeralStorage", "load, save and delete", "float"]),
        ({"refresh": True}, ["refresh", "str", "bool"]),
        ({"lock_timeout": "60"}, ["lock_timeout", "timedelta", "str"]),
        ({"client_id": b"x"}, ["client_id", "str", "bytes"]),
        ({"client_id": "\ud800"}, ["client_id", "str without surrogates"]),
        ({"no_such_option": None}, ["no_such_option"]),
    ],
)
def test_wrong_types_are_type_errors(options: dict[str, Any], words: list[str]) -> None:
    for make in [AuthManager, AsyncAuthManager]:
        with pytest.raises(TypeError) as caught:
            make(**options)
        assert all(word in str(caught.value) for word in words), str(caught.value)


def test_arguments_of_wrong_types_are_type_errors(home: Path) -> None:
    manager = AuthManager(codex_home=home)
    calls: list[Callable[..., object]] = [manager.refresh_token, manager.sync_from_storage]
    for call in calls:
        with pytest.raises(TypeError, match="CodexAuth"):
            call(None)
    with pytest.raises(TypeError):
        manager.logout(False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="timeout must be"):
        manager.close("soon")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert raised(lambda: manager.close(-1)).code == "invalid_option"


@pytest.mark.parametrize("record", ["", "[]", "{", b"\xff", {"tokens": 1}, {"tokens": {}}])
def test_a_bad_record_changes_nothing(record: Any) -> None:
    assert raised(lambda: EphemeralStorage(record)).code == "invalid_option"
    storage = EphemeralStorage({"OPENAI_API_KEY": "sk-1"})
    before = storage.record()
    assert raised(lambda: storage.replace(record)).code == "invalid_option"
    assert storage.record() == before
    with pytest.raises(TypeError, match="record must be"):
        EphemeralStorage(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_an_empty_codex_home() -> None:
    assert str(raised(lambda: AuthManager(codex_home=""))).startswith('codex_home is "", ')


def test_a_codex_home_that_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    error = raised(lambda: AuthManager(codex_home=missing))
    assert error.code == "invalid_option"
    assert str(missing) in str(error)
    assert not missing.exists()


@pytest.mark.parametrize("content", ["not JSON", '{"tokens": "x"}', '{"tokens": {"access_'])
def test_a_file_that_is_no_login_is_left_alone(content: str, tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text(content)
    error = raised(lambda: AuthManager(codex_home=tmp_path))
    assert error.code == "store_corrupt"
    assert str(path) in str(error)
    assert "sign in again" in str(error)
    assert path.read_text() == content


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.mkdir()
    error = raised(lambda: AuthManager(codex_home=tmp_path))
    assert error.code == "store_unavailable"
    assert str(path) in str(error)
    assert path.is_dir()


def test_a_credential_that_cannot_be_sent() -> None:
    storage = EphemeralStorage({"auth_mode": "agentIdentity", "agent_identity": {"id": "x"}})
    auth = AuthManager(store=storage).auth()
    assert auth is not None
    error = raised(auth.headers)
    assert isinstance(error, UnsupportedMode)
    assert "agent_identity" in str(error)


@pytest.fixture
def foreign_home(realm: Realm) -> Iterator[Path]:
    """A CODEX_HOME of somebody who is not root, whom file modes stop."""
    home = Path(tempfile.mkdtemp())
    (home / "auth.json").write_text(realm.logins["a"]["text"])
    if os.geteuid() == 0:
        for path in [home, home / "auth.json"]:
            os.chown(path, NOBODY, NOBODY)
    yield home
    home.chmod(0o700)
    shutil.rmtree(home)


def as_nobody(work: Callable[[], object]) -> Any:
    return Child(work, NOBODY if os.geteuid() == 0 else None).result()


def told(error: CodexAuthError) -> list[str]:
    return [error.code, str(error)]


def test_a_file_that_may_not_be_read(foreign_home: Path) -> None:
    path = foreign_home / "auth.json"
    path.chmod(0o000)
    code, text = as_nobody(lambda: told(raised(lambda: AuthManager(codex_home=foreign_home))))
    assert code == "store_unavailable"
    assert str(path) in text


def test_a_folder_that_may_not_be_written_costs_no_token(realm: Realm, foreign_home: Path) -> None:
    def refresh() -> list[str]:
        manager = AuthManager(**realm.options(codex_home=foreign_home))
        auth = manager.auth()
        assert auth is not None
        return told(raised(lambda: manager.refresh_token(auth)))

    before = (foreign_home / "auth.json").read_text()
    foreign_home.chmod(0o500)
    code, text = as_nobody(refresh)
    assert code == "store_read_only"
    assert str(foreign_home) in text
    assert (foreign_home / "auth.json").read_text() == before
    assert realm.call("stats")["requests"] == 0
    assert realm.call("live", label="a0")["refresh"] is True


def test_a_file_that_may_not_be_written_costs_no_token(realm: Realm, home: Path) -> None:
    (home / "auth.json").chmod(0o400)
    manager = AuthManager(**realm.options(codex_home=home))
    auth = manager.auth()
    assert auth is not None
    error = raised(lambda: manager.refresh_token(auth))
    assert error.code == "store_read_only"
    assert str(home / "auth.json") in str(error)
    assert realm.call("stats")["requests"] == 0


def test_nobody_is_signed_in(tmp_path: Path) -> None:
    with AuthManager(codex_home=tmp_path) as manager:
        assert manager.auth() is None
        assert manager.fresh_auth() is None
        assert json.loads(json.dumps(manager.reload())) is False
    assert list(tmp_path.iterdir()) == []
