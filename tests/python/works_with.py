"""The HTTP clients and SDKs of docs/works-with.md, each in a program of its own.

`make test-works-with` installs them and runs this.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from codex_auth_sdk import MANAGED_API_KEY
from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from support import Realm

FOLDER = ROOT / "tests" / "works-with"
LIBRARIES = ROOT / "target" / "works-with"
ANSWER = (FOLDER / "answer.sse").read_bytes()
ANSWERED = "well received"

# A program is read from standard input: its own name must not hide the library's, and Node looks
# for libraries in the current folder.
RUNTIMES = {
    ".py": [str(LIBRARIES / "python" / "bin" / "python"), "-"],
    ".mjs": ["node", "--input-type=module", "-"],
}
PROGRAMS = sorted(path for path in FOLDER.glob("*/*") if path.suffix in RUNTIMES)


class Backend(ThreadingHTTPServer):
    """Answers like the Responses API to whoever the issuer knows, and notes what it was sent."""

    def __init__(self, realm: Realm) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.realm = realm
        self.origin = f"http://127.0.0.1:{self.server_port}"
        self.heads: list[str] = []
        self.bodies: list[bytes] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Backend)
        server.heads.append(self.headers.as_string())
        server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        sent = {name: self.headers[name] for name in ("Authorization", "ChatGPT-Account-ID")}
        known = {name: value for name, value in sent.items() if value is not None}
        status, _ = server.realm.get("/api/me", known)
        answer = ANSWER if status == 200 else b"{}"
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Prints nothing."""


@contextmanager
def backend(realm: Realm) -> Generator[Backend]:
    with Backend(realm) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(program: Path, base_url: str, origin: str) -> subprocess.CompletedProcess[str]:
    with program.open() as code:
        return subprocess.run(
            [*RUNTIMES[program.suffix], base_url, origin],
            cwd=LIBRARIES / program.parent.name,
            stdin=code,
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )


@pytest.fixture(autouse=True)
def _alone(realm: Realm, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login whose access token is dead, and no settings but those of the test."""
    realm.call("kill_access")
    for name in [name for name in os.environ if name.startswith("OPENAI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CODEX_HOME", str(home))
    monkeypatch.setenv("CODEX_REFRESH_TOKEN_URL_OVERRIDE", f"{realm.url}/oauth/token")
    # LiteLLM fetches its list of models otherwise.
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "true")


@pytest.fixture(params=PROGRAMS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def program(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_a_request_comes_through_after_one_refresh(program: Path, realm: Realm) -> None:
    with backend(realm) as api:
        ran = run(program, f"{api.origin}/v1", api.origin)
    assert ran.returncode == 0, ran.stderr
    assert ANSWERED in ran.stdout, ran.stdout + ran.stderr
    stats = realm.call("stats")
    counted = {name: stats[name] for name in ("api_unauthorized", "requests", "grants", "api_ok")}
    assert counted == {"api_unauthorized": 1, "requests": 1, "grants": 1, "api_ok": 1}
    first, again = api.bodies
    assert first == again != b""
    asked = json.loads(first)
    if "model" in asked:
        # The backend of ChatGPT takes no other request of an SDK.
        assert (asked["stream"], asked["store"]) == (True, False)
    assert not any(MANAGED_API_KEY in head for head in api.heads)


def test_another_origin_gets_no_credential_and_no_placeholder(program: Path, realm: Realm) -> None:
    with backend(realm) as api:
        ran = run(program, f"{api.origin}/v1", "https://api.example.com")
    # A request that names no key goes without the credential, one with the placeholder does not go.
    is_refused = re.search("allowed_?[Oo]rigins", ran.stderr) is not None
    assert is_refused != bool(api.heads), ran.stdout + ran.stderr
    assert not any("authorization" in head.lower() or MANAGED_API_KEY in head for head in api.heads)
