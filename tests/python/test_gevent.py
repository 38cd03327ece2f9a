"""gevent: a greenlet that waits for a refresh does not stop the others."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from support import script

if TYPE_CHECKING:
    from pathlib import Path

    from support import Realm

pytestmark = pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")

# The greenlet that lets the reply go runs only if the one that waits for it lets it.
CALLS = {
    "refresh_token": "manager.refresh_token(auth)",
    "recover": "manager.recover_from_unauthorized(auth, manager.unauthorized_recovery())",
    "requests": """
realm.call("kill_access")
url = f"{realm.url}/api/echo"
assert requests.get(url, auth=RequestsAuth(manager), timeout=60).status_code == 200
""",
    "httpx": """
realm.call("kill_access")
with httpx.Client(auth=HttpxAuth(manager), trust_env=False) as client:
    assert client.get(f"{realm.url}/api/echo").status_code == 200
""",
}


@pytest.mark.parametrize("store", ["file", "custom"])
@pytest.mark.parametrize("call", CALLS)
def test_other_greenlets_run_while_one_waits_for_a_refresh(
    call: str, store: str, realm: Realm, home: Path
) -> None:
    indented = CALLS[call].strip().replace("\n", "\n    ")
    body = f"""
import httpx, requests
from codex_auth_sdk import HttpxAuth, RequestsAuth
options = realm.options(codex_home=home, allowed_origins=[realm.origin])
if {store!r} == "custom":
    row = RowStore(home / "login.db")
    row.write((home / "auth.json").read_text())
    options["store"] = row
manager = AuthManager(**options)
auth = manager.auth()
def refresh():
    {indented}
def let_go():
    realm.call("wait", until={{"held": 1}}, timeout_ms=30_000)
    realm.call("release")
realm.call("hold", at="reply")
gevent.joinall([gevent.spawn(refresh), gevent.spawn(let_go)], timeout=40, raise_error=True)
assert realm.call("stats")["requests"] == 1
manager.close()
"""
    first = "import gevent.monkey; gevent.monkey.patch_all()\nimport gevent\n"
    ended = subprocess.run(
        [sys.executable, "-c", first + script(realm, home, body)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
