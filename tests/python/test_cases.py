"""The shared cases of `tests/cases`, for both managers; `tests/README.md` is their reference."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from codex_auth_sdk import (
    AsyncAuthManager,
    AuthManager,
    CodexAuth,
    CodexAuthError,
    Event,
    Subscription,
    enable_logging,
)
from support import (
    ROOT,
    WATCHDOG_S,
    AsyncRowStore,
    Child,
    FileStore,
    Issuer,
    KeyringStore,
    MemoryStore,
    Realm,
    RowStore,
)

if TYPE_CHECKING:
    from pathlib import Path

CASES = [
    case
    for path in sorted((ROOT / "tests" / "cases").glob("*.json"))
    for case in json.loads(path.read_text())
]
CASE_FIELDS = {"name", "doc", "stores", "needs", "options", "issuer", "logins", "faults"} | {
    *("store", "open", "steps", "expect")
}
Store = FileStore | KeyringStore | MemoryStore | RowStore | AsyncRowStore
CAPABILITIES = {"fork"}
SNAPSHOT = ["mode", "access_token", "account_id", "user_id", "email", "plan_type", "is_fedramp"]


def runs() -> list[Any]:
    """Every case with each of its stores and each manager."""
    return [
        pytest.param(case, store, manager, id=f"{case['name']}-{store}-{manager}")
        for case in CASES
        for store in case.get("stores", ["file", "keyring", "ephemeral", "custom"])
        for manager in ["blocking", "asyncio"]
    ]


@pytest.mark.parametrize(("case", "store", "manager"), runs())
def test_case(
    case: dict[str, Any],
    store: str,
    manager: str,
    issuer: Issuer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
) -> None:
    enable_logging()
    caplog.set_level(logging.NOTSET + 1, "codex_auth_sdk")
    assert set(case) <= CASE_FIELDS
    if store == "keyring":
        request.getfixturevalue("keyring")
    if missing := set(case.get("needs", [])) - CAPABILITIES:
        pytest.skip(f"this runner has no {missing}")
    start = {
        "config": case.get("issuer"),
        "logins": case.get("logins"),
        "faults": case.get("faults"),
    }
    realm = issuer.realm(**{name: value for name, value in start.items() if value is not None})
    text = realm.call("store_text", case["store"])["text"] if "store" in case else None
    runner = Runner(case, store_of(store, manager, tmp_path), manager, realm)
    runner.store.write(text)
    if case.get("open", True):
        runner.do_open()
    for step in case["steps"]:
        runner.run(step)
    for name in runner.managers:
        runner.do_close(manager=name)
    logged = [repr(vars(record)) for record in caplog.records]
    output = "\n".join([*runner.output, *capfd.readouterr(), *logged])
    expect = case.get("expect", {})
    ended = realm.call("finish", text=runner.store.read(), output=output, expect=expect)
    assert ended["mismatches"] == [], ended


def store_of(kind: str, manager: str, home: Path) -> Store:
    if kind == "file":
        return FileStore(home)
    if kind == "keyring":
        return KeyringStore(home)
    if kind == "ephemeral":
        return MemoryStore()
    row = home / "login.db"
    return RowStore(row) if manager == "blocking" else AsyncRowStore(row)


class Runner:
    """One run of one case. Each `do_` method is a step; its parameters are the step's fields."""

    def __init__(self, case: dict[str, Any], store: Store, manager: str, realm: Realm) -> None:
        self.store = store
        self.realm = realm
        self.managers: dict[str, Any] = {}
        self.output: list[str] = []
        self._kind: Any = AuthManager if manager == "blocking" else AsyncAuthManager
        self._open: Any = AuthManager if manager == "blocking" else AsyncAuthManager.open
        self._close = "close" if manager == "blocking" else "aclose"
        self._names: dict[str, Any] = {}
        self._threads = ThreadPoolExecutor(8)
        self._subscriptions: list[Subscription] = []
        usual = {"token_url": "{url}/oauth/token", "revoke_url": "{url}/oauth/revoke"}
        self._options = {**usual, "issuer": "{url}", **case.get("options", {})}

    def run(self, step: dict[str, Any]) -> None:
        """Takes a step, and fails if what is observed is not what the step expects."""
        fields = dict(step)
        expect = fields.pop("expect", {})
        seen = self.observe(fields)
        judge = "check_store" if step["do"] == "store" else "check"
        mismatches = self.realm.call(judge, **seen, expect=expect)["mismatches"]
        assert mismatches == [], (step, seen, self.output)

    def observe(self, step: dict[str, Any]) -> dict[str, Any]:
        fields = {"name" if name == "as" else name: value for name, value in step.items()}
        do = fields.pop("do")
        try:
            seen = getattr(self, f"do_{do}")(**fields)
        except CodexAuthError as error:
            self.output += [str(error), repr(error), repr(error.__cause__)]
            names = ["code", "reason", "is_transient", "retry_after"]
            seen = {"error": {name: getattr(error, name) for name in names}}
        return seen if do == "store" else {"actual": seen}

    def do_open(
        self, *, manager: str = "main", options: dict[str, Any] | None = None, unread: bool = False
    ) -> Any:
        given = {**self._options, **(options or {})}
        url, origin = self.realm.url, self.realm.origin
        for name, value in given.items():
            if isinstance(value, str):
                given[name] = value.replace("{url}", url).replace("{origin}", origin)
        way = self._kind.open_unread if unread else self._open
        opened = _answer(way(**self.store.options, **given))
        self.managers[manager] = opened
        self.output.append(repr(opened))
        if isinstance(opened, AuthManager):
            self._subscriptions.append(opened.subscribe(self._hear))
        return self._seen(opened.auth())

    def do_auth(self, *, name: str, manager: str = "main") -> Any:
        return self._kept(name, self.managers[manager].auth())

    def do_fresh_auth(self, *, name: str, manager: str = "main") -> Any:
        return self._kept(name, _answer(self.managers[manager].fresh_auth()))

    def do_reload(self, *, manager: str = "main") -> Any:
        return {"changed": _answer(self.managers[manager].reload())}

    def do_sync(self, *, auth: str, manager: str = "main") -> Any:
        outcome = _answer(self.managers[manager].sync_from_storage(self._names[auth]))
        return {"kind": outcome.kind, "changed": outcome.changed}

    def do_recovery(self, *, name: str, manager: str = "main") -> Any:
        recovery = self._names[name] = self.managers[manager].unauthorized_recovery()
        return {"give_up_reason": recovery.give_up_reason}

    def do_recover(self, *, auth: str, recovery: str, manager: str = "main") -> Any:
        state = self._names[recovery]
        call = self.managers[manager].recover_from_unauthorized(self._names[auth], state)
        return {"decision": _answer(call).value, "give_up_reason": state.give_up_reason}

    def do_refresh(self, *, auth: str, name: str | None = None, manager: str = "main") -> Any:
        return self._kept(name, _answer(self.managers[manager].refresh_token(self._names[auth])))

    def do_request(self, *, auth: str) -> Any:
        status, body = self.realm.get("/api/me", self._names[auth].headers())
        return {"status": status, "body": body}

    def do_logout(self, *, revoke: bool, manager: str = "main") -> Any:
        outcome = _answer(self.managers[manager].logout(revoke=revoke))
        return {"removed": outcome.removed, "revoked": outcome.revoked}

    def do_describe(self, *, manager: str = "main") -> Any:
        description = _answer(self.managers[manager].describe())
        self.output.append(repr(description))
        return description

    def do_close(self, *, manager: str = "main") -> Any:
        _answer(getattr(self.managers[manager], self._close)(30))
        return {}

    def do_write_store(
        self, *, store: dict[str, Any], in_place: bool = False, heal_after_ms: int | None = None
    ) -> Any:
        self.store.write(self.realm.call("store_text", store)["text"], in_place=in_place)
        if heal_after_ms is not None:
            whole = {name: value for name, value in store.items() if name != "cut"}
            text = self.realm.call("store_text", whole)["text"]
            heal = threading.Timer(
                heal_after_ms / 1000, self.store.write, [text], {"in_place": True}
            )
            heal.start()
        return {}

    def do_edit_store(self, *, set: Any = None, remove: Any = None) -> Any:  # noqa: A002
        edit: dict[str, Any] = {"json": json.loads(self.store.read() or "null")}
        edit |= {"set": set} if set is not None else {}
        edit |= {"remove": remove} if remove is not None else {}
        self.store.write(self.realm.call("store_text", edit)["text"])
        return {}

    def do_delete_store(self) -> Any:
        self.store.write(None)
        return {}

    def do_store(self) -> Any:
        return {"text": self.store.read()}

    def do_control(self, *, call: str, args: Any = None) -> Any:
        return self.realm.call(call, {} if args is None else args)

    def do_wait(self, *, until: Any, timeout_ms: int = 10_000) -> Any:
        return self.realm.call("wait", until=until, timeout_ms=timeout_ms)

    def do_stats(self) -> Any:
        return self.realm.call("stats", {})

    def do_in_background(self, *, name: str, step: dict[str, Any]) -> Any:
        self._names[name] = self._threads.submit(self.observe, step)
        return {}

    def do_join(self, *, of: str) -> Any:
        joined: Future[dict[str, Any]] | Child = self._names[of]
        return joined.result() if isinstance(joined, Child) else joined.result(WATCHDOG_S)["actual"]

    def do_fork(self, *, name: str, steps: list[dict[str, Any]]) -> Any:
        def work() -> dict[str, Any]:
            for step in steps:
                self.run(step)
            return {}

        self._names[name] = Child(work)
        return {}

    def _hear(self, event: Event) -> None:
        self.output += [repr(event), repr(event.error), repr(event.store_holder)]

    def _kept(self, name: str | None, auth: CodexAuth | None) -> Any:
        if name is not None:
            self._names[name] = auth
        return self._seen(auth)

    def _seen(self, auth: CodexAuth | None) -> Any:
        self.output.append(repr(auth))
        if auth is None:
            return {"auth": None}
        times = {"expires_at": auth.expires_at, "last_refresh": auth.last_refresh}
        written = {name: time and time.isoformat() for name, time in times.items()}
        return {"auth": {**{name: getattr(auth, name) for name in SNAPSHOT}, **written}}


def _answer(value: Any) -> Any:
    """What a call comes to; a coroutine gets an event loop of its own."""
    return asyncio.run(value) if inspect.iscoroutine(value) else value
