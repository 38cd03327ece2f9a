"""One request with the Codex login of this machine, recovering from 401.

Usage: retry_on_401.py URL
"""

import sys

import requests

from codex_auth_sdk import AuthManager, UnauthorizedRecoveryDecision

url = sys.argv[1]

manager = AuthManager()
recovery = manager.unauthorized_recovery()
while auth := manager.fresh_auth():
    reply = requests.get(url, headers=auth.headers(), timeout=30)
    if reply.status_code != 401:
        print(reply.status_code)
        break
    decision = manager.recover_from_unauthorized(auth, recovery)
    if decision is not UnauthorizedRecoveryDecision.RETRY:
        sys.exit(f"please sign in again: {recovery.give_up_reason}")
else:
    sys.exit("please sign in")
