import { createOpenAI } from '@ai-sdk/openai';
import { streamText } from 'ai';

import { AuthManager, MANAGED_API_KEY, createAuthFetch } from 'codex-auth-sdk';

const [baseURL, ...allowedOrigins] = process.argv.slice(2);
const manager = await AuthManager.open({ allowedOrigins });
const fetch = createAuthFetch(manager);

const openai = createOpenAI({ apiKey: MANAGED_API_KEY, baseURL, fetch });

const providerOptions = { openai: { store: false } };
const answer = streamText({ model: openai('gpt-5'), prompt: 'hello', providerOptions });
console.log(await answer.text);
