// Nothing that a person or a logger may print shows a token.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { format, inspect } from 'node:util';

import { AuthManager, EphemeralStorage } from '../../bindings-node/dist/index.mjs';
import { child, refreshToken, signedIn } from './support.mjs';

test('no way to print an object shows a token', async () => {
  const { issuer, options, stored } = await signedIn({
    faults: [{ kind: 'status', status: 401, code: 'refresh_token_expired', forever: true }],
  });
  const manager = new AuthManager(options);
  const auth = manager.auth();
  const storage = new EphemeralStorage(stored());
  const error = await manager.refreshToken(auth).catch((error) => error);
  assert.equal(error.code, 'refresh_token_expired');
  const shown = [auth, manager, storage, manager.unauthorizedRecovery(), error].flatMap((value) => [
    inspect(value, { depth: null, showHidden: true }),
    inspect(value, { depth: null, showHidden: true, customInspect: false }),
    inspect({ nested: [value] }, { depth: null }),
    format('%s %o %O %j', value, value, value, value),
    JSON.stringify(value),
    String(value),
    `${Object.keys(value)} ${Object.entries(value)}`,
    JSON.stringify(structuredClone(value === manager || value === error ? {} : value)),
  ]);
  const text = shown.join('\n');
  assert.deepEqual(await issuer.call('leaks', { text }), { leaks: [] });
  assert.match(text, /CodexAuth .*chatgpt.*acct-a/s);
  assert.match(text, /AuthManager/);
  const { leaks } = await issuer.call('leaks', { text: stored() });
  assert.deepEqual(leaks.sort(), ['access:a0', 'id:a0', 'refresh:a0']);
});

test('a snapshot cannot be changed', async () => {
  const { options } = await signedIn();
  const auth = new AuthManager(options).auth();
  assert.throws(() => (auth.accessToken = 'x'), TypeError);
  assert.throws(() => (auth.other = 'x'), TypeError);
  auth.expiresAt.setTime(0);
  assert.notEqual(auth.expiresAt.getTime(), 0);
  const headers = auth.headers();
  headers.Authorization = 'x';
  assert.equal(auth.headers().Authorization, `Bearer ${auth.accessToken}`);
});

test('a snapshot says what it is', async () => {
  const { options } = await signedIn({ logins: { a: { fedramp: true } } });
  const auth = new AuthManager({ ...options, originator: 'a_test' }).auth();
  assert.deepEqual(
    [auth.mode, auth.accountId, auth.userId, auth.email, auth.planType, auth.isFedramp],
    ['chatgpt', 'acct-a', 'user-a', 'a@example.com', 'plus', true],
  );
  assert.ok(auth.expiresAt > auth.lastRefresh);
  assert.deepEqual(auth.headers(), {
    Authorization: `Bearer ${auth.accessToken}`,
    'ChatGPT-Account-ID': 'acct-a',
    'X-OpenAI-Fedramp': 'true',
    originator: 'a_test',
  });
});

test('the same login is the same object', async () => {
  const { issuer, options, stored } = await signedIn();
  const manager = new AuthManager(options);
  const auth = manager.auth();
  assert.equal(manager.auth(), auth);
  assert.equal(manager.freshAuthIfReady(), auth);
  assert.equal(await manager.freshAuth(), auth);
  const next = await manager.refreshToken(auth);
  assert.notEqual(next, auth);
  assert.equal(manager.auth(), next);
  assert.equal(await refreshToken(issuer, stored()), 'refresh:a1');
});

test('nothing is printed, whatever happens', async () => {
  const { issuer, options } = await signedIn();
  const code = `
    const { AuthManager } = await import('./dist/index.mjs');
    const manager = new AuthManager(JSON.parse(process.argv[1]));
    await manager.refreshToken(manager.auth());
    await manager.logout();
    await AuthManager.open({ store: 'nonsense' }).catch(() => {});
  `;
  const env = { RUST_LOG: 'trace', RUST_BACKTRACE: '1' };
  const { ended } = child(code, { args: [JSON.stringify(options)], env });
  assert.deepEqual(await ended, { code: 0, signal: null, stdout: '', stderr: '' });
  assert.deepEqual((await issuer.stats()).revocations, ['refresh:a1']);
});
