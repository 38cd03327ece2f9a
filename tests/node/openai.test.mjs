// The official OpenAI client, with a manager's login instead of a key.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';

import {
  AuthManager,
  CodexAuthError,
  MANAGED_API_KEY,
  createAuthFetch,
} from '../../bindings-node/dist/index.mjs';
import { PACKAGE, signedIn } from './support.mjs';

const { OpenAI } = createRequire(join(PACKAGE, 'package.json'))('openai');
const HELLO = { model: 'gpt-test', input: 'hello' };

async function client(start) {
  const { issuer, options } = await signedIn(start);
  const manager = new AuthManager({ ...options, allowedOrigins: [issuer.origin] });
  const fetch = createAuthFetch(manager);
  const openai = new OpenAI({ apiKey: MANAGED_API_KEY, fetch, baseURL: `${issuer.url}/v1` });
  return { issuer, openai };
}

/** How often the API was asked, and how often it refused; and how often a token was redeemed. */
async function counted(issuer) {
  const { api_ok, api_unauthorized, requests } = await issuer.stats();
  return { api_ok, api_unauthorized, requests };
}

test('a stream is recovered, and read to its end', async () => {
  const { issuer, openai } = await client();
  await issuer.call('kill_access');
  const types = [];
  for await (const event of await openai.responses.create({ ...HELLO, stream: true })) {
    types.push(event.type);
  }
  assert.deepEqual(types, ['response.created', 'response.output_item.done', 'response.completed']);
  assert.deepEqual(await counted(issuer), { api_ok: 1, api_unauthorized: 1, requests: 1 });
});

test('calls at once share one refresh', async () => {
  const { issuer, openai } = await client();
  await issuer.call('kill_access');
  const calls = Array.from({ length: 8 }, () => openai.models.list());
  await Promise.all(calls);
  const { api_ok, requests } = await counted(issuer);
  assert.deepEqual([api_ok, requests], [8, 1]);
});

test('a stream can be left', async () => {
  const { issuer, openai } = await client();
  const stream = await openai.responses.create({ ...HELLO, stream: true });
  for await (const event of stream) {
    assert.equal(event.type, 'response.created');
    break;
  }
  assert.equal(stream.controller.signal.aborted, true);
  assert.deepEqual(await counted(issuer), { api_ok: 1, api_unauthorized: 0, requests: 0 });
});

test('the client adds no retries to those of a 401', async () => {
  const { issuer, openai } = await client({ config: { api_reject_all: true } });
  await assert.rejects(openai.responses.create(HELLO), { name: 'Error', status: 401 });
  assert.deepEqual(await counted(issuer), { api_ok: 0, api_unauthorized: 2, requests: 1 });
});

test('a dead login is the cause of what the client says', async () => {
  const { issuer, openai } = await client();
  await issuer.call('kill_access');
  await issuer.call('expire_refresh', { token: 'a0' });
  const error = await openai.responses.create(HELLO).catch((error) => error);
  assert.ok(error instanceof OpenAI.APIConnectionError);
  assert.ok(error.cause instanceof CodexAuthError);
  assert.deepEqual([error.cause.code, error.cause.response.status], ['refresh_token_expired', 401]);
  // It sends again whatever a fetch throws, twice; that costs no further redemption.
  assert.deepEqual(await counted(issuer), { api_ok: 0, api_unauthorized: 3, requests: 1 });
});
