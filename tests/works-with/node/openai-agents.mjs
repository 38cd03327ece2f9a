import { Agent, run, setDefaultOpenAIClient } from '@openai/agents';
import { OpenAI } from 'openai';

import { AuthManager, MANAGED_API_KEY, createAuthFetch } from 'codex-auth-sdk';

const [baseURL, ...allowedOrigins] = process.argv.slice(2);
const manager = await AuthManager.open({ allowedOrigins });
const fetch = createAuthFetch(manager);

setDefaultOpenAIClient(new OpenAI({ apiKey: MANAGED_API_KEY, baseURL, fetch }));

const agent = new Agent({ name: 'assistant', model: 'gpt-5', modelSettings: { store: false } });
const answer = await run(agent, 'hello', { stream: true });
await answer.completed;
console.log(answer.finalOutput);
