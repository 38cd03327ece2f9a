import sys

import httpx2
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from codex_auth_sdk import MANAGED_API_KEY, AuthManager, HttpxAuth

base_url, *origins = sys.argv[1:]
manager = AuthManager(allowed_origins=origins)
auth = HttpxAuth(manager)

provider = OpenAIProvider(api_key=MANAGED_API_KEY, base_url=base_url, http_client=httpx2.AsyncClient(auth=auth))

agent = Agent(OpenAIResponsesModel("gpt-5", provider=provider))
print(agent.run_stream_sync("hello", model_settings={"openai_store": False}).get_output())
