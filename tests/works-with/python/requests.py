import sys

import requests

from codex_auth_sdk import AuthManager, RequestsAuth

base_url, *origins = sys.argv[1:]
manager = AuthManager(allowed_origins=origins)
auth = RequestsAuth(manager)

session = requests.Session()
session.auth = auth

print(session.post(f"{base_url}/responses", json={"input": "hello"}, timeout=30).text)
