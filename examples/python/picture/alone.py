"""A program that calls a protected API in a loop, and refreshes a login that it shares by itself.

On a 401 it looks whether another program has stored new tokens, and redeems the refresh token if
none has. If that is refused it looks once more, and then its user has to sign in again. It takes
what `frontend.py` takes, and prints the same tally.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass
class Tally:
    requests: int = 0
    recovered: int = 0
    logouts: int = 0


class Program:
    """One that runs, with the login that it found when it started."""

    def __init__(self, home: str, url: str, name: str) -> None:
        self.path = Path(home) / "auth.json"
        self.url = url
        self.name = name
        self.record = self.stored()
        self.tally = Tally()

    def turn(self) -> None:
        """One request, with the refresh that it takes."""
        if self.is_authorized():
            return
        if self.adopts() or self.redeems() or self.adopts():
            self.tally.recovered += 1
        else:
            self.tally.logouts += 1

    def is_authorized(self) -> bool:
        self.tally.requests += 1
        token = self.record["tokens"]["access_token"]
        try:
            self.request("/api/me", {"authorization": f"Bearer {token}"})
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            return False
        return True

    def adopts(self) -> bool:
        """Takes what is stored. Whether that is new, and good."""
        before, self.record = self.record, self.stored()
        return self.record["tokens"] != before["tokens"] and self.is_authorized()

    def redeems(self) -> bool:
        """Redeems the refresh token that it has. Whether that was granted, and stored."""
        grant = {
            "client_id": "app_EMoamEEZ73f0CkXaXp7hrann",
            "grant_type": "refresh_token",
            "refresh_token": self.record["tokens"]["refresh_token"],
        }
        headers = {"content-type": "application/json"}
        try:
            granted = self.request("/oauth/token", headers, json.dumps(grant).encode())
        except urllib.error.HTTPError:
            return False
        for token in ("id_token", "access_token", "refresh_token"):
            self.record["tokens"][token] = granted[token]
        new = self.path.with_name(f"auth.json.{self.name}")
        new.write_text(json.dumps(self.record))
        new.replace(self.path)
        return True

    def stored(self) -> Any:
        return json.loads(self.path.read_text())

    def request(self, path: str, headers: dict[str, str], body: bytes | None = None) -> Any:
        headers["x-test-client"] = self.name
        request = urllib.request.Request(self.url + path, body, headers)
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)


def main() -> None:
    program = Program(*sys.argv[1:])
    stopped = threading.Event()

    def stop_with_input() -> None:
        sys.stdin.read()
        stopped.set()

    threading.Thread(target=stop_with_input, daemon=True).start()
    reported = 0.0
    while not stopped.wait(0.01):
        if program.tally.logouts == 0:
            program.turn()
        if time.monotonic() - reported > 0.25:
            print(json.dumps(asdict(program.tally)), flush=True)
            reported = time.monotonic()


if __name__ == "__main__":
    main()
