"""A streamed answer through the official client of OpenAI, with the Codex login of this machine.

Usage: openai_stream.py BASE_URL [ALLOWED_ORIGIN...]
"""

import sys

from openai import DefaultHttpxClient, OpenAI

from codex_auth_sdk import MANAGED_API_KEY, AuthManager, HttpxAuth

base_url, *origins = sys.argv[1:]

manager = AuthManager(allowed_origins=origins)
client = OpenAI(
    api_key=MANAGED_API_KEY,
    base_url=base_url,
    http_client=DefaultHttpxClient(auth=HttpxAuth(manager)),
)
for event in client.responses.create(model="gpt-5", input="hello", stream=True, store=False):
    print(event.type)
