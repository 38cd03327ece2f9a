import asyncio
import sys

from agents import Agent, ModelSettings, Runner, set_default_openai_client
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from codex_auth_sdk import MANAGED_API_KEY, AuthManager, HttpxAuth

base_url, *origins = sys.argv[1:]
manager = AuthManager(allowed_origins=origins)
auth = HttpxAuth(manager)

set_default_openai_client(AsyncOpenAI(api_key=MANAGED_API_KEY, base_url=base_url, http_client=DefaultAsyncHttpxClient(auth=auth)), use_for_tracing=False)


async def main() -> None:
    agent = Agent("assistant", model="gpt-5", model_settings=ModelSettings(store=False))
    answer = Runner.run_streamed(agent, "hello")
    async for event in answer.stream_events():
        print(event)


asyncio.run(main())
