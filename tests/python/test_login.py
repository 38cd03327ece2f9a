"""Signing in and out, with a user who agrees at once, or does not."""

from __future__ import annotations

import asyncio
import base64
import queue
import socket
import urllib.parse
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import postgres
from codex_auth_sdk import (
    AsyncAuthManager,
    AuthManager,
    Event,
    IdentityMismatch,
    InvalidOption,
    LoginCancelled,
    LoginDenied,
    LoginFailed,
    LoginInvalidCredential,
    LoginNotSupported,
    LoginPortBusy,
    LoginStateMismatch,
    LoginWorkspaceNotAllowed,
    LogoutOutcome,
    NotSupportedByStore,
    StoreCorrupt,
    StoreUnavailable,
)
from sign_in import (
    ANY_PORT,
    async_manager_of,
    is_free,
    manager_of,
    options_of,
    port_of,
    redirect_of,
    visit,
)
from support import WATCHDOG_S, browser

if TYPE_CHECKING:
    from pathlib import Path

    from support import Realm


def test_a_browser_login_is_stored(realm: Realm, home: Path) -> None:
    events: queue.Queue[Event] = queue.Queue()
    manager = manager_of(realm, home)
    subscription = manager.subscribe(events.put)
    with manager.login_with_browser(ports=ANY_PORT) as login:
        assert visit(login.authorization_url) == 200
        auth = login.wait()
        assert login.wait() == auth
    assert (auth.mode, auth.account_id) == ("chatgpt", "acct-device")
    assert manager.auth() == auth
    assert realm.stored((home / "auth.json").read_text()) == "refresh:sign_in_0_0"
    kinds = [events.get(timeout=WATCHDOG_S).kind for _ in range(2)]
    assert kinds == ["identity_changed", "logged_in"]
    assert is_free(port_of(login.redirect_uri))
    assert realm.call("stats")["revocations"] == []
    # And the login is one that can be used.
    realm.call("kill_access")
    assert manager.refresh_token(auth) is not None
    subscription.stop()


def test_asyncio_signs_in_with_a_browser(realm: Realm, home: Path) -> None:
    async def main() -> None:
        manager = async_manager_of(realm, home)
        options: Any = {"revoke_replaced": True, "timeout": timedelta(minutes=1)}
        async with await manager.login_with_browser(ports=[0], **options) as login:
            waiting = [asyncio.create_task(login.wait()) for _ in range(2)]
            assert await asyncio.to_thread(visit, login.authorization_url) == 200
            one, other = await asyncio.gather(*waiting)
            assert one == other == manager.auth()
            assert one.account_id == "acct-device"
            assert await login.wait() == one

    asyncio.run(main())
    # After the save: the revocation is a part of the sign-in that was waited for.
    assert realm.call("stats")["revocations"] == ["refresh:a0"]


def test_the_browser_is_opened(
    realm: Realm, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", str(browser(tmp_path)))
    login = manager_of(realm, home).login_with_browser(ports=ANY_PORT)
    login.open_browser()
    assert login.wait().account_id == "acct-device"
    monkeypatch.setenv("BROWSER", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LoginNotSupported):
        login.open_browser()


def test_an_address_that_is_pasted(realm: Realm, home: Path) -> None:
    login = manager_of(realm, home).login_with_browser(manual=True)
    assert login.redirect_uri == "http://127.0.0.1:1455/auth/callback"
    address = redirect_of(login.authorization_url)
    with pytest.raises(LoginStateMismatch):
        login.complete(address.replace("state=", "state=x"))
    with pytest.raises(LoginFailed):
        login.complete("hello")
    assert login.complete(f" {address} ").account_id == "acct-device"


def test_asyncio_takes_an_address_that_is_pasted(realm: Realm, home: Path) -> None:
    async def main() -> None:
        login = await async_manager_of(realm, home).login_with_browser(manual=True, ports=[1457])
        assert login.redirect_uri == "http://127.0.0.1:1457/auth/callback"
        address = await asyncio.to_thread(redirect_of, login.authorization_url)
        with pytest.raises(LoginStateMismatch):
            await login.complete(address.replace("state=", "state=x"))
        assert (await login.complete(address)).account_id == "acct-device"

    asyncio.run(main())


def test_another_manager_finishes_a_sign_in_that_is_kept(realm: Realm) -> None:
    with postgres.running() as store:
        key = base64.b64encode(bytes(32)).decode()
        options: dict[str, Any] = {"store": store, "login": "a", "store_key": key}
        options["issuer"] = realm.url
        begun = AuthManager(**options).login_with_browser(manual=True)
        address = redirect_of(begun.authorization_url)
        assert begun.id
        begun.leave()
        with pytest.raises(LoginCancelled):
            begun.wait()
        manager = AuthManager(**options)
        login = manager.resume_login_with_browser(begun.id)
        assert (login.id, login.authorization_url) == (begun.id, begun.authorization_url)
        assert login.complete(address).account_id == "acct-device"
        with pytest.raises(LoginCancelled):
            manager.resume_login_with_browser(begun.id)
        device = manager.login_with_device_code()
        assert device.id
        resumed = manager.resume_login_with_device_code(device.id)
        assert (resumed.id, resumed.user_code) == (device.id, device.user_code)
        resumed.leave()
        device.cancel()

        async def main() -> None:
            begun = await (await AsyncAuthManager.open(**options)).login_with_browser(manual=True)
            address = await asyncio.to_thread(redirect_of, begun.authorization_url)
            assert begun.id
            begun.leave()
            other = await AsyncAuthManager.open(**options)
            login = await other.resume_login_with_browser(begun.id)
            assert (await login.complete(address)).account_id == "acct-device"
            with pytest.raises(LoginCancelled):
                await other.resume_login_with_device_code(begun.id)

        asyncio.run(main())


def test_a_file_keeps_no_sign_ins(realm: Realm, home: Path) -> None:
    manager = manager_of(realm, home)
    assert manager.login_with_browser(manual=True).id is None
    with pytest.raises(NotSupportedByStore, match="only the process that began one"):
        manager.resume_login_with_browser("x")


def test_a_device_login_tells_that_it_waits(realm: Realm, home: Path) -> None:
    realm.call("configure", device_pending_polls=1)
    events: queue.Queue[Event] = queue.Queue()
    manager = manager_of(realm, home)
    subscription = manager.subscribe(events.put)
    with manager.login_with_device_code() as login:
        assert login.user_code == "TEST-CODE"
        assert login.verification_uri == f"{realm.url}/codex/device"
        assert login.verification_uri_complete is None
        assert login.expires_in == 900.0
        assert login.wait().account_id == "acct-device"
    kinds = [events.get(timeout=WATCHDOG_S).kind for _ in range(3)]
    assert kinds == ["login_pending", "identity_changed", "logged_in"]
    subscription.stop()


def test_asyncio_signs_in_by_device_code(realm: Realm, home: Path) -> None:
    realm.call("configure", device_pending_polls=1)

    async def main() -> list[str]:
        manager = async_manager_of(realm, home)
        events = manager.subscribe()
        async with await manager.login_with_device_code(timeout=60) as login:
            assert (login.user_code, login.expires_in) == ("TEST-CODE", 60.0)
            assert login.verification_uri.endswith("/codex/device")
            assert login.verification_uri_complete is None
            assert (await login.wait()) == manager.auth()
        kinds: list[str] = [
            (await asyncio.wait_for(anext(events), WATCHDOG_S)).kind for _ in range(3)
        ]
        events.stop()
        return kinds

    assert asyncio.run(main()) == ["login_pending", "identity_changed", "logged_in"]


def test_a_user_who_declines_changes_nothing(realm: Realm, home: Path) -> None:
    realm.call("configure", sign_in_error="access_denied")
    before = (home / "auth.json").read_text()
    events: queue.Queue[Event] = queue.Queue()
    manager = manager_of(realm, home)
    subscription = manager.subscribe(events.put)
    login = manager.login_with_browser(ports=ANY_PORT)
    assert visit(login.authorization_url) == 400
    with pytest.raises(LoginDenied) as caught:
        login.wait()
    assert (caught.value.code, caught.value.is_transient) == ("login_denied", False)
    failed = events.get(timeout=WATCHDOG_S)
    assert (failed.kind, type(failed.error)) == ("login_failed", LoginDenied)
    assert (home / "auth.json").read_text() == before
    subscription.stop()


def test_a_busy_port_gives_way_to_the_next(realm: Realm, home: Path) -> None:
    manager = manager_of(realm, home)
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = other.getsockname()[1]
        with pytest.raises(LoginPortBusy) as caught:
            manager.login_with_browser(ports=[busy])
        assert caught.value.is_transient
        assert str(busy) in str(caught.value)
        with manager.login_with_browser(ports=[busy, 0]) as login:
            assert port_of(login.redirect_uri) != busy


def test_a_login_of_another_workspace_is_refused(realm: Realm, home: Path) -> None:
    before = (home / "auth.json").read_text()
    pinned = manager_of(realm, home, account_id="acct-a").login_with_browser(ports=ANY_PORT)
    manager = manager_of(realm, home)
    named = manager.login_with_browser(ports=ANY_PORT, allowed_workspaces=["acct-x"])
    assert "allowed_workspace_id=acct-x" in named.authorization_url
    for login in [pinned, named]:
        assert visit(login.authorization_url) == 400
        with pytest.raises(LoginWorkspaceNotAllowed):
            login.wait()
        assert (home / "auth.json").read_text() == before
    device = manager.login_with_device_code(allowed_workspaces=("acct-device",))
    assert device.wait().account_id == "acct-device"


def test_nobody_is_asked_to_sign_in_for_nothing(realm: Realm, home: Path) -> None:
    manager = manager_of(realm, home)
    (home / "auth.json").unlink()
    (home / "auth.json").mkdir()
    with pytest.raises(StoreUnavailable):
        manager.login_with_browser(ports=ANY_PORT)
    with pytest.raises(StoreUnavailable):
        manager.login_with_device_code()


@pytest.mark.parametrize("manager", [AuthManager, AsyncAuthManager])
def test_options_are_checked(manager: Any, realm: Realm, home: Path) -> None:
    made = manager(**options_of(realm, home))

    def begin(way: str, **options: Any) -> None:
        begun = getattr(made, way)(**options)
        if asyncio.iscoroutine(begun):
            asyncio.run(begun)

    for way in ["login_with_browser", "login_with_device_code"]:
        with pytest.raises(InvalidOption, match="use codex or standard"):
            begin(way, protocol="saml")
        with pytest.raises(InvalidOption, match="where_published, required or off"):
            begin(way, id_token_validation="perhaps")
        with pytest.raises(InvalidOption, match="timeout is -1"):
            begin(way, timeout=-1)
        with pytest.raises(InvalidOption, match=r"timeout is 0ns, .*; name one from 1ms"):
            begin(way, timeout=0)
        with pytest.raises(InvalidOption, match='scope is ""'):
            begin(way, scope="")
        with pytest.raises(TypeError, match="allowed_workspaces must be a list of str, not str"):
            begin(way, allowed_workspaces="acct-a")
        with pytest.raises(TypeError, match="no option"):
            begin(way, no_such_option=1)
    with pytest.raises(TypeError, match="ports must be a list of int"):
        begin("login_with_browser", ports=[65536])
    with pytest.raises(TypeError, match="no option"):
        begin("login_with_device_code", manual=True)


def test_a_key_or_token_is_stored_as_it_is(realm: Realm, home: Path) -> None:
    manager = manager_of(realm, home)
    auth = manager.login_with_api_key("sk-new")
    assert (auth.mode, auth.access_token) == ("api_key", "sk-new")
    assert manager.auth() == auth
    auth = manager.login_with_access_token("at-new")
    assert auth.mode == "personal_access_token"
    for login in [manager.login_with_api_key, manager.login_with_access_token]:
        with pytest.raises(LoginInvalidCredential) as caught:
            login("sesame open")
        assert "sesame" not in f"{caught.value!r}"
        with pytest.raises(TypeError) as wrong:
            login("sesame\udcff")
        assert "sesame" not in f"{wrong.value!r}"
    assert manager.auth() == auth
    assert "at-new" in (home / "auth.json").read_text()

    async def main() -> None:
        manager = async_manager_of(realm, home)
        assert (await manager.login_with_api_key("sk-1")).mode == "api_key"
        assert (await manager.login_with_access_token("at-1")).mode == "personal_access_token"
        with pytest.raises(LoginInvalidCredential):
            await manager.login_with_api_key("")

    asyncio.run(main())


@pytest.mark.parametrize("kind", [AuthManager, AsyncAuthManager])
def test_a_sign_in_over_a_file_that_is_no_login_needs_a_manager_that_has_not_read_it(
    kind: type[AuthManager | AsyncAuthManager], home: Path
) -> None:
    (home / "auth.json").write_text("no login")
    with pytest.raises(StoreCorrupt):
        AuthManager(codex_home=home)
    with pytest.raises(InvalidOption):
        kind.open_unread(codex_home=home, token_url="nowhere")
    manager = kind.open_unread(codex_home=home)
    assert manager.auth() is None
    if isinstance(manager, AuthManager):
        auth = manager.login_with_api_key("sk-new")
    else:
        auth = asyncio.run(manager.login_with_api_key("sk-new"))
    assert manager.auth() == auth
    stored = AuthManager(codex_home=home).auth()
    assert stored is not None
    assert (stored.mode, stored.access_token) == ("api_key", "sk-new")
    (kept,) = home.glob("auth.json.broken-*")
    assert kept.read_text() == "no login"


def test_another_accounts_login_is_removed_only_if_that_is_said(realm: Realm, home: Path) -> None:
    other = realm.call("login", name="b")["text"]
    manager, async_manager = manager_of(realm, home), async_manager_of(realm, home)

    def log_out(**options: Any) -> LogoutOutcome:
        return asyncio.run(async_manager.logout(**options))

    for logout in [manager.logout, log_out]:
        (home / "auth.json").write_text(other)
        with pytest.raises(IdentityMismatch):
            logout()
        assert (home / "auth.json").exists()
        outcome = logout(any_account=True)
        assert (outcome.removed, outcome.revoked) == (True, True)
        assert not (home / "auth.json").exists()


def test_nothing_shows_what_is_secret(realm: Realm, home: Path) -> None:
    realm.call("configure", device_pending_polls=1000)
    manager = manager_of(realm, home)
    login = manager.login_with_browser(ports=ANY_PORT)
    device = manager.login_with_device_code()
    manual = manager.login_with_browser(manual=True)
    address = redirect_of(manual.authorization_url)
    secrets = [device.user_code]
    for url in [login.authorization_url, address]:
        fields = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        secrets += [fields[name] for name in ("state", "code", "code_challenge") if name in fields]
    shown = [repr(login), repr(device), repr(manual)]
    for paste in [address.replace("state=", "state=x"), "x"]:
        with pytest.raises((LoginStateMismatch, LoginFailed)) as caught:
            manual.complete(paste)
        shown += [repr(caught.value), str(caught.value), repr(caught.value.__cause__)]
    auth = manual.complete(address)
    shown += [repr(auth), repr(manual)]

    async def main() -> None:
        manager = async_manager_of(realm, home)
        login = await manager.login_with_browser(ports=ANY_PORT)
        device = await manager.login_with_device_code()
        shown.extend([repr(login), repr(device)])

    asyncio.run(main())
    text = "\n".join(shown)
    assert "redirect_uri" in text
    assert "verification_uri" in text
    assert [secret for secret in secrets if secret in text] == []
    assert realm.call("leaks", text=text)["leaks"] == []
