import sys

import httpx2

from codex_auth_sdk import AuthManager, HttpxAuth

base_url, *origins = sys.argv[1:]
manager = AuthManager(allowed_origins=origins)
auth = HttpxAuth(manager)

client = httpx2.Client(auth=auth)

print(client.post(f"{base_url}/responses", json={"input": "hello"}).text)
