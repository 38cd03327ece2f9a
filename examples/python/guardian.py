"""Keeps the Codex login of this machine fresh, so that no Codex CLI on it has to refresh.

Leave it running. It can be started before anybody signs in, prints what happens to the login, and
ends on SIGTERM or Ctrl-C.
"""

import argparse
import signal
import sys
from datetime import datetime, timezone

from codex_auth_sdk import AuthManager, Event

# Blocked from here on in every thread, so that none ends the program, and waited for below.
STOP = {signal.SIGTERM, signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, STOP)


def say(what: str) -> None:
    print(datetime.now(timezone.utc).isoformat(timespec="seconds"), what, flush=True)


def report(event: Event) -> None:
    say(f"{event.kind}: {event.error}" if event.error else event.kind)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--refresh-window", type=float, metavar="SECONDS")
manager = AuthManager(refresh_window=parser.parse_args().refresh_window)
subscription = manager.subscribe(report)
guardian, follower = manager.keep_fresh(), manager.follow_store()
say("watching" if manager.auth() else "watching; nobody is signed in")
signal.sigwait(STOP)
say("stopping")
guardian.stop()
follower.stop()
# A refresh in flight has spent its token: what it got must be saved.
if not manager.close(timeout=60):
    sys.exit("not all is saved")
