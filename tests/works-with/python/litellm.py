import sys

import httpx
import litellm
from litellm.llms.custom_httpx.http_handler import HTTPHandler

from codex_auth_sdk import MANAGED_API_KEY, AuthManager, HttpxAuth

base_url, *origins = sys.argv[1:]
manager = AuthManager(allowed_origins=origins)
auth = HttpxAuth(manager)

openai = {"api_key": MANAGED_API_KEY, "api_base": base_url, "client": HTTPHandler(client=httpx.Client(auth=auth))}

for event in litellm.responses(model="openai/gpt-5", input="hello", stream=True, store=False, **openai):
    print(event)
