import sys

import niquests

from codex_auth_sdk import AuthManager, RequestsAuth

base_url, *origins = sys.argv[1:]
manager = AuthManager(allowed_origins=origins)
auth = RequestsAuth(manager)

session = niquests.Session(auth=auth)

print(session.post(f"{base_url}/responses", json={"input": "hello"}, timeout=30).text)
