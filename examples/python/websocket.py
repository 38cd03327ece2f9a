"""A WebSocket with the Codex login of this machine, whose handshake recovers from 401.

Usage: websocket.py URL TEXT: says TEXT, and prints the answer.
"""

import sys

from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from codex_auth_sdk import AuthManager, UnauthorizedRecoveryDecision

url, text = sys.argv[1:]


def connected(manager: AuthManager) -> ClientConnection:
    recovery = manager.unauthorized_recovery()
    while auth := manager.fresh_auth():
        try:
            return connect(url, additional_headers=auth.headers())
        except InvalidStatus as error:
            if error.response.status_code != 401:
                raise
        decision = manager.recover_from_unauthorized(auth, recovery)
        if decision is not UnauthorizedRecoveryDecision.RETRY:
            sys.exit(f"please sign in again: {recovery.give_up_reason}")
    sys.exit("please sign in")


with connected(AuthManager()) as connection:
    connection.send(text)
    print(connection.recv())
