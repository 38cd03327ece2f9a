import { ChatOpenAI } from '@langchain/openai';

import { AuthManager, MANAGED_API_KEY, createAuthFetch } from 'codex-auth-sdk';

const [baseURL, ...allowedOrigins] = process.argv.slice(2);
const manager = await AuthManager.open({ allowedOrigins });
const fetch = createAuthFetch(manager);

const llm = new ChatOpenAI({ model: 'gpt-5', apiKey: MANAGED_API_KEY, useResponsesApi: true, zdrEnabled: true, maxRetries: 2, configuration: { baseURL, fetch } });

for await (const chunk of await llm.stream('hello')) {
  console.log(chunk.text);
}
