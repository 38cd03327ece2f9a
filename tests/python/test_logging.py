"""What the package does, as `logging` shows it."""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests

from codex_auth_sdk import (
    AuthManager,
    EphemeralStorage,
    Event,
    OriginNotAllowed,
    RefreshTokenInvalidated,
    RequestsAuth,
    enable_logging,
)
from support import WATCHDOG_S, Child, Realm, script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEPS = ["lock_wait", "redemption", "commit", "refresh", "recovery"]

# What a program does that logs with plain means.
START = """
import logging
import codex_auth_sdk
logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
manager = AuthManager(**realm.options(codex_home=home))
"""


class Log(logging.Handler):
    """Keeps all records."""

    def __init__(self) -> None:
        super().__init__()
        self._arrived: queue.Queue[logging.LogRecord] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self._arrived.put(record)

    def until(self, message: str) -> list[logging.LogRecord]:
        """The next records up to one that begins with `message`."""
        records = [self._arrived.get(timeout=WATCHDOG_S)]
        while not records[-1].getMessage().startswith(message):
            records.append(self._arrived.get(timeout=WATCHDOG_S))
        return records

    def replaced(self) -> Log:
        """Another one in its place, for a child: its parent's may be in a record, for ever."""
        logger = logging.getLogger("codex_auth_sdk")
        logger.removeHandler(self)
        own = Log()
        logger.addHandler(own)
        return own


@pytest.fixture
def log() -> Iterator[Log]:
    logger = logging.getLogger("codex_auth_sdk")
    handler = Log()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    # What pytest catches logs with is not made for children of a fork.
    logger.propagate = False
    enable_logging()
    yield handler
    logger.propagate = True
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def recover(manager: AuthManager) -> None:
    auth = manager.auth()
    assert auth is not None
    manager.recover_from_unauthorized(auth, manager.unauthorized_recovery())


def said(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = vars(record)["codex_auth"]
    return fields


def run(realm: Realm, home: Path, body: str) -> tuple[str, str]:
    program = script(realm, home, START + body)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=WATCHDOG_S,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, ended.stderr


def test_a_recovery_is_logged_step_by_step(realm: Realm, home: Path, log: Log) -> None:
    with AuthManager(**realm.options(codex_home=home)) as manager:
        recover(manager)
    records = log.until("codex_auth.recovery")
    steps = {record.getMessage().split()[0]: said(record) for record in records}
    assert list(steps) == [f"codex_auth.{step}" for step in STEPS]
    outcomes = [fields["outcome"] for fields in steps.values()]
    assert outcomes == ["locked", "granted", "saved", "fresh", "retry"]
    assert steps["codex_auth.refresh"]["purpose"] == "rejected"
    assert all(fields["duration"] >= 0 for fields in steps.values())
    assert {record.levelno for record in records} == {logging.INFO}
    message = records[-1].getMessage()
    duration = said(records[-1])["duration"]
    assert message == f"codex_auth.recovery outcome=retry duration={duration}"


def test_what_goes_wrong_is_a_warning_and_the_level_of_the_logger_counts(
    realm: Realm, home: Path, log: Log
) -> None:
    realm.call("invalidate_refresh", token="a0")
    logging.getLogger("codex_auth_sdk").setLevel(logging.WARNING)
    manager = AuthManager(**realm.options(codex_home=home))
    with pytest.raises(RefreshTokenInvalidated):
        recover(manager)
    warning, *others = log.until("the refresh token is refused")
    assert (warning.levelno, said(warning)["reason"]) == (logging.WARNING, "invalidated")
    assert others == []


def test_each_manager_is_described_when_it_is_opened(realm: Realm, home: Path, log: Log) -> None:
    logging.getLogger("codex_auth_sdk").setLevel(logging.DEBUG)
    with AuthManager(**realm.options(codex_home=home)) as manager:
        described = manager.describe()
    (record,) = log.until("a manager was opened")
    assert record.levelno == logging.DEBUG
    logged = json.loads(said(record)["description"])
    assert logged["places"] == described["places"]
    assert described["login"] is not None
    assert described["login"]["account_id"] == "acct-a"
    assert logged["login"]["account_id"] is None, "the log names no account"
    assert realm.call("leaks", text=f"{described}{vars(record)}") == {"leaks": []}
    assert "example.com" not in f"{described}{vars(record)}"


def test_an_origin_that_gets_no_credential_is_told_of_once(
    realm: Realm, home: Path, log: Log
) -> None:
    heard: queue.Queue[Event] = queue.Queue()
    with AuthManager(**realm.options(codex_home=home)) as manager:
        subscription = manager.subscribe(heard.put)
        for _ in range(2):
            response = requests.get(f"{realm.url}/api/me", auth=RequestsAuth(manager), timeout=60)
            assert response.status_code == 401
        event = heard.get(timeout=WATCHDOG_S)
        recover(manager)
        after = heard.get(timeout=WATCHDOG_S)
        subscription.stop()
    assert [event.kind, after.kind] == ["credential_left_out", "refreshed"]
    assert isinstance(event.error, OriginNotAllowed)
    warnings = [
        record.getMessage()
        for record in log.until("codex_auth.recovery")
        if record.levelno == logging.WARNING
    ]
    assert warnings == [str(event.error)]
    assert f"{realm.origin} is" in warnings[0]
    assert "allowed_origins" in warnings[0]


def test_no_record_shows_a_token(realm: Realm, home: Path, log: Log) -> None:
    tokens = (home / "auth.json").read_text()
    with AuthManager(**realm.options(codex_home=home)) as manager:
        recover(manager)
        tokens += (home / "auth.json").read_text()
        realm.call("invalidate_refresh", token="a1")
        with pytest.raises(RefreshTokenInvalidated):
            recover(manager)
    records = log.until("codex_auth.recovery") + log.until("codex_auth.recovery")
    text = "\n".join(f"{record.getMessage()} {vars(record)}" for record in records)
    assert "refresh_token_invalidated" in text
    assert realm.call("leaks", text=text) == {"leaks": []}
    assert len(realm.call("leaks", text=tokens)["leaks"]) == 6
    assert "acct-a" not in text


def test_what_a_filter_raises_goes_to_the_hook(
    realm: Realm, home: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: queue.Queue[Any] = queue.Queue()

    def hook(unraisable: Any) -> None:
        raised.put(unraisable.exc_type)

    def fail(record: logging.LogRecord) -> bool:
        if "lock_wait" in record.getMessage():
            raise LookupError
        return True

    monkeypatch.setattr("sys.unraisablehook", hook)
    log.addFilter(fail)
    with AuthManager(**realm.options(codex_home=home)) as manager:
        recover(manager)
    rest = [record.getMessage().split()[0] for record in log.until("codex_auth.recovery")]
    assert rest == [f"codex_auth.{step}" for step in STEPS[1:]], "the others come all the same"
    assert raised.get(timeout=WATCHDOG_S) is LookupError


def test_nothing_is_logged_and_no_thread_started_before_it_is_asked_for(
    realm: Realm, home: Path
) -> None:
    body = """
codex_auth_sdk.enable_logging()
assert not os.path.isdir("/proc/self/task") or len(os.listdir("/proc/self/task")) == 1
"""
    assert run(realm, home, body) == ("", "")
    body = "manager.recover_from_unauthorized(manager.auth(), manager.unauthorized_recovery())"
    assert run(realm, home, body) == ("", "")


ENDS = {"end": "", "sys.exit": "sys.exit()", "thread": "threading.Thread(target=recover).start()"}


@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_the_process_logs_what_is_left(realm: Realm, home: Path, end: str) -> None:
    body = f"""
codex_auth_sdk.enable_logging()
def recover():
    manager.recover_from_unauthorized(manager.auth(), manager.unauthorized_recovery())
recover()
{ENDS[end]}
"""
    stdout, stderr = run(realm, home, body)
    steps = [line.split()[1] for line in stderr.splitlines()]
    assert steps[: len(STEPS)] == [f"codex_auth.{step}" for step in STEPS], stderr
    assert steps[-1] == "codex_auth.recovery"
    assert stdout == ""


def test_an_end_during_an_exchange_logs_it(realm: Realm, home: Path) -> None:
    realm.call("hold", at="reply")
    body = """
codex_auth_sdk.enable_logging()
import atexit
atexit.register(realm.call, "release")
threading.Thread(target=manager.refresh_token, args=(manager.auth(),), daemon=True).start()
realm.wait(held=1)
"""
    _, stderr = run(realm, home, body)
    steps = [line.split()[1] for line in stderr.splitlines()]
    assert steps == [f"codex_auth.{step}" for step in STEPS[:-1]]


def test_the_end_waits_for_a_record_that_is_being_logged(realm: Realm, home: Path) -> None:
    # `logging` itself waits for handlers, but not for filters.
    body = """
codex_auth_sdk.enable_logging()
import atexit
def slow(record):
    if record.getMessage().startswith("codex_auth.recovery"):
        realm.call("mark", name="logging")
        realm.wait(marks={"ending": 1})
        realm.call("mark", name="late")
    return True
logging.getLogger("codex_auth_sdk").addFilter(slow)
atexit.register(realm.call, "mark", name="ending")
manager.recover_from_unauthorized(manager.auth(), manager.unauthorized_recovery())
realm.wait(marks={"logging": 1})
"""
    _, stderr = run(realm, home, body)
    steps = [line.split()[1] for line in stderr.splitlines()]
    assert steps == [f"codex_auth.{step}" for step in STEPS]


def test_a_forked_child_logs_what_it_does_itself(realm: Realm, home: Path, log: Log) -> None:
    manager = AuthManager(**realm.options(codex_home=home))
    recover(manager)
    log.until("codex_auth.recovery")

    def child() -> list[str]:
        own = log.replaced()
        recover(manager)
        return [record.getMessage().split()[0] for record in own.until("codex_auth.recovery")]

    assert Child(child).result() == [f"codex_auth.{step}" for step in STEPS]
    recover(manager)
    outcomes = [said(record)["outcome"] for record in log.until("codex_auth.recovery")]
    assert outcomes == ["retry"], "the parent adopts what its child got, and logs no more"


def test_forks_in_the_middle_of_logging_hang_no_child(log: Log, realm: Realm) -> None:
    """What is given up at once is logged without any request."""
    login = realm.logins["a"]["text"]
    auth = AuthManager(store=EphemeralStorage(login)).auth()
    assert auth is not None
    manager = AuthManager(store=EphemeralStorage())
    is_over = threading.Event()

    def give_up() -> None:
        manager.recover_from_unauthorized(auth, manager.unauthorized_recovery())

    def give_up_all_the_time() -> None:
        while not is_over.is_set():
            give_up()

    def child() -> str:
        own = log.replaced()
        give_up()
        return str(said(own.until("codex_auth.recovery")[0])["outcome"])

    threads = [threading.Thread(target=give_up_all_the_time) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert [Child(child).result() for _ in range(40)] == ["logged_out"] * 40
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
