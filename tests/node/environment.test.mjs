// Credentials that environment variables bring, in the Codex CLI's order.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { AuthManager } from '../../bindings-node/dist/index.mjs';
import { signedIn } from './support.mjs';

const TOKEN = 'at-from-the-environment';
const KEY = 'sk-from-the-environment';

afterEach(() => {
  delete process.env.CODEX_ACCESS_TOKEN;
  delete process.env.CODEX_API_KEY;
});

/** The mode of the login that a manager on the home of `options` finds. */
const mode = ({ codexHome }, more = {}) => new AuthManager({ codexHome, ...more }).auth().mode;

test('a personal access token takes the place of the stored login', async () => {
  const { options } = await signedIn();
  process.env.CODEX_ACCESS_TOKEN = TOKEN;
  const auth = new AuthManager({ codexHome: options.codexHome }).auth();
  assert.equal(auth.mode, 'personal_access_token');
  assert.equal(auth.headers().Authorization, `Bearer ${TOKEN}`);
  assert.equal(mode(options, { store: 'file' }), 'chatgpt');
});

test('an API key comes first and only where it is enabled', async () => {
  const { options } = await signedIn();
  process.env.CODEX_API_KEY = KEY;
  assert.equal(mode(options), 'chatgpt');
  process.env.CODEX_ACCESS_TOKEN = TOKEN;
  assert.equal(mode(options), 'personal_access_token');
  assert.equal(mode(options, { enableCodexApiKeyEnv: true }), 'api_key');
});

test('what the environment brings is neither refreshed nor removed', async () => {
  const { options } = await signedIn();
  process.env.CODEX_ACCESS_TOKEN = TOKEN;
  const manager = new AuthManager({ codexHome: options.codexHome });
  const recovery = manager.unauthorizedRecovery();
  assert.equal(await manager.recoverFromUnauthorized(manager.auth(), recovery), 'give_up');
  assert.equal(recovery.giveUpReason, 'not_refreshable');
  await assert.rejects(manager.logout(), { code: 'store_read_only', message: /CODEX_ACCESS_TOKEN/ });
});
