import { OpenAI } from 'openai';

import { AuthManager, MANAGED_API_KEY, createAuthFetch } from 'codex-auth-sdk';

const [baseURL, ...allowedOrigins] = process.argv.slice(2);
const manager = await AuthManager.open({ allowedOrigins });
const fetch = createAuthFetch(manager);

const client = new OpenAI({ apiKey: MANAGED_API_KEY, baseURL, fetch });

const question = { model: 'gpt-5', input: 'hello', stream: true, store: false };
for await (const event of await client.responses.create(question)) {
  console.log(JSON.stringify(event));
}
