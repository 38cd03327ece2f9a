import sys

from openai import DefaultHttpxClient, OpenAI

from codex_auth_sdk import MANAGED_API_KEY, AuthManager, HttpxAuth

base_url, *origins = sys.argv[1:]
manager = AuthManager(allowed_origins=origins)
auth = HttpxAuth(manager)

client = OpenAI(api_key=MANAGED_API_KEY, base_url=base_url, http_client=DefaultHttpxClient(auth=auth))

for event in client.responses.create(model="gpt-5", input="hello", stream=True, store=False):
    print(event)
