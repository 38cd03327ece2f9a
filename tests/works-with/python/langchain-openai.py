import sys

from langchain_openai import ChatOpenAI
from openai import DefaultAsyncHttpxClient, DefaultHttpxClient

from codex_auth_sdk import MANAGED_API_KEY, AuthManager, HttpxAuth

base_url, *origins = sys.argv[1:]
manager = AuthManager(allowed_origins=origins)
auth = HttpxAuth(manager)

llm = ChatOpenAI(model="gpt-5", api_key=MANAGED_API_KEY, base_url=base_url, use_responses_api=True, http_client=DefaultHttpxClient(auth=auth), http_async_client=DefaultAsyncHttpxClient(auth=auth))

for chunk in llm.stream("hello", store=False):
    print(chunk)
