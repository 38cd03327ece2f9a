// A streamed answer through the official client of OpenAI, with the Codex login of this machine.
// Usage: openai-stream.mjs BASE_URL [ALLOWED_ORIGIN...]

import { OpenAI } from 'openai';

import { AuthManager, MANAGED_API_KEY, createAuthFetch } from 'codex-auth-sdk';

const [baseURL, ...allowedOrigins] = process.argv.slice(2);

const manager = await AuthManager.open({ allowedOrigins });
const client = new OpenAI({ apiKey: MANAGED_API_KEY, baseURL, fetch: createAuthFetch(manager) });
const options = { model: 'gpt-5', input: 'hello', stream: true, store: false };
for await (const event of await client.responses.create(options)) {
  console.log(event.type);
}
