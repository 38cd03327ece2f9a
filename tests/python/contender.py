"""One of many processes that share a login.

On every line of standard input it makes one request of the protected API, recovers from 401 if it
must, and says how that went in one line of JSON. On the line `read` it reads the login again and
again instead, on `close` it waits until all is saved, on `logout` it signs out.
Usage: contender.py CODEX_HOME ISSUER_URL CLIENT [OPTIONS]; `OPTIONS` is a JSON object of options of
the manager (see `tests/README.md`).
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from typing import Any

from codex_auth_sdk import AuthManager, CodexAuth, CodexAuthError, UnauthorizedRecoveryDecision

#: Rounds of readings for one line.
READS = 100


def main() -> None:
    home, url, client, *more = sys.argv[1:]
    options: dict[str, Any] = {"token_url": f"{url}/oauth/token"}
    options |= json.loads(more[0]) if more else {}
    try:
        manager = AuthManager(codex_home=home, originator=client, **options)
    except CodexAuthError as error:
        say(failure(error))
        return
    say({"ready": True})
    for line in sys.stdin:
        try:
            answer = ANSWERS.get(line.strip(), request)(manager, url)
        except CodexAuthError as error:
            answer = failure(error)
        say(answer | {"pending_save": manager.pending_save})


def request(manager: AuthManager, url: str) -> dict[str, Any]:
    """One request, with at most two retries."""
    recovery = manager.unauthorized_recovery()
    unauthorized = 0
    while auth := manager.fresh_auth():
        status = call_api(auth, url)
        if status != 401:
            return {"status": status, "unauthorized": unauthorized}
        unauthorized += 1
        decision = manager.recover_from_unauthorized(auth, recovery)
        if decision is not UnauthorizedRecoveryDecision.RETRY:
            return {"error": str(recovery.give_up_reason)}
    return {"error": "logged_out"}


def close(manager: AuthManager, _url: str) -> dict[str, Any]:
    return {"closed": manager.close(timeout=60)}


def logout(manager: AuthManager, _url: str) -> dict[str, Any]:
    outcome = manager.logout(revoke=True)
    return {"removed": outcome.removed, "revoked": outcome.revoked}


def failure(error: CodexAuthError) -> dict[str, Any]:
    return {"error": error.code, "message": str(error)}


def read(manager: AuthManager, _url: str) -> dict[str, Any]:
    """Many readings of the store, of every kind, until one does not find the login."""
    for _ in range(READS):
        manager.reload()
        auth = manager.fresh_auth()
        if auth is None:
            return {"error": "logged_out"}
        kind = manager.sync_from_storage(auth).kind
        if kind != "applied":
            return {"error": kind}
    return {"reads": 2 * READS}


def call_api(auth: CodexAuth, url: str) -> int:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"{url}/api/me", headers=auth.headers())
        ) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


ANSWERS = {"read": read, "close": close, "logout": logout}

if __name__ == "__main__":
    main()
