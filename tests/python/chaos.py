"""What the chaos tests share: logins of their own, seeds, and the issuer's verdict."""

from __future__ import annotations

import json
import os
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codex_auth_sdk import AuthManager, UnauthorizedRecoveryDecision

if TYPE_CHECKING:
    from collections.abc import Callable

    from codex_auth_sdk import AsyncAuthManager, CodexAuth
    from support import Issuer, Realm

# `make torture` plays more worlds, with other seeds, and reads how many.
TIMES = int(os.environ.get("TORTURE", "1"))
SEED = int(os.environ.get("TORTURE_SEED", "1"))

# Access tokens that the server kills in one world: more rotations of young tokens than this are
# put off by design.
KILLS = 4


class World:
    """A login whose access token has expired, and what the issuer knows of it."""

    def __init__(self, issuer: Issuer, home: Path, seed: int) -> None:
        login = {"access_age_s": 7200}
        self.realm = issuer.realm(logins={"a": login}, config={"grant_latency_ms": 5})
        self.home = home
        self.random = random.Random(seed)
        self._seed = seed
        self._kills = KILLS
        self._lock = threading.Lock()
        home.mkdir()
        (home / "auth.json").write_text(self.realm.logins["a"]["text"])

    def options(self) -> dict[str, Any]:
        """Options of a manager."""
        return self.realm.options(codex_home=str(self.home))

    def chance(self) -> random.Random:
        """Chance for one of many threads."""
        return random.Random(self.random.random())

    def kill(self, one_in: int, chance: random.Random) -> None:
        """Perhaps kills all access tokens."""
        if chance.randrange(one_in):
            return
        with self._lock:
            may_kill = self._kills > 0
            self._kills -= may_kill
        if may_kill:
            self.realm.call("kill_access")

    def stats(self) -> Any:
        return self.realm.call("stats")

    def judge(self) -> None:
        """What the issuer's records say of a login that must still be good."""
        close(AuthManager(**self.options()))
        stats = self.stats()
        text = (self.home / "auth.json").read_text()
        live = self.realm.call("live", text=text)
        lost = not live["refresh"] or stats["max_redemptions"] > 1 or stats["replays"]
        assert not lost, f"seed {self._seed}: {live}, {stats}"
        assert not stats["refused"], f"seed {self._seed}: {stats}"


def is_welcome(realm: Realm, auth: CodexAuth) -> bool:
    """Whether the protected API takes this snapshot."""
    return realm.get("/api/me", auth.headers())[0] == 200


def close(manager: AuthManager) -> None:
    """Waits for what is in flight in any process: the lock is free when nothing is."""
    assert manager.close(60)


def signed_in(manager: AuthManager | AsyncAuthManager) -> CodexAuth:
    auth = manager.auth()
    assert auth is not None
    return auth


def request(realm: Realm, manager: AuthManager) -> bool:
    """One request, with at most two retries; whether it came through."""
    recovery = manager.unauthorized_recovery()
    while auth := manager.fresh_auth():
        if is_welcome(realm, auth):
            return True
        decision = manager.recover_from_unauthorized(auth, recovery)
        if decision is not UnauthorizedRecoveryDecision.RETRY:
            break
    return False


async def request_async(realm: Realm, manager: AsyncAuthManager) -> bool:
    """The same without blocking, but for the API."""
    recovery = manager.unauthorized_recovery()
    while auth := await manager.fresh_auth():
        if is_welcome(realm, auth):
            return True
        decision = await manager.recover_from_unauthorized(auth, recovery)
        if decision is not UnauthorizedRecoveryDecision.RETRY:
            break
    return False


def some_call(realm: Realm, manager: AuthManager, chance: random.Random) -> Callable[[], object]:
    """A random method, to be called. A login that the API takes is not rotated."""
    auth = signed_in(manager)
    calls: list[Callable[[], object]] = [
        manager.reload,
        manager.fresh_auth,
        lambda: manager.sync_from_storage(auth),
        lambda: manager.close(0.002),
        lambda: repr((manager.fresh_auth_if_ready(), manager.pending_save, auth.headers())),
    ]
    if not is_welcome(realm, auth):
        recovery = manager.unauthorized_recovery()
        calls += [
            lambda: manager.refresh_token(auth),
            lambda: manager.recover_from_unauthorized(auth, recovery),
        ] * 3
    return chance.choice(calls)


def report(what: str, tried: int) -> None:
    """Tells `make torture` what was tried, and how often."""
    if path := os.environ.get("TORTURE_REPORT"):
        with Path(path).open("a") as lines:
            lines.write(json.dumps({"what": what, "tried": tried}) + "\n")
