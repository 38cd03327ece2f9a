"""One request with the Codex login of this machine.

Usage: quickstart.py URL [ALLOWED_ORIGIN...]
"""

import sys

import requests

from codex_auth_sdk import AuthManager, RequestsAuth

url, *origins = sys.argv[1:]

manager = AuthManager(allowed_origins=origins)
response = requests.get(url, auth=RequestsAuth(manager), timeout=30)
print(response.status_code)
