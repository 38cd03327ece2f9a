// A signal ends the waiting, never the exchange.

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';

import { AuthManager } from '../../bindings-node/dist/index.mjs';
import { refreshToken, signedIn } from './support.mjs';

/** Every method that takes a signal. */
const CALLS = {
  open: (manager, { options, signal }) => AuthManager.open(options, { signal }),
  freshAuth: (manager, { signal }) => manager.freshAuth({ signal }),
  reload: (manager, { signal }) => manager.reload({ signal }),
  syncFromStorage: (manager, { signal }) => manager.syncFromStorage(manager.auth(), { signal }),
  refreshToken: (manager, { signal }) => manager.refreshToken(manager.auth(), { signal }),
  recoverFromUnauthorized: (manager, { signal }) =>
    manager.recoverFromUnauthorized(manager.auth(), manager.unauthorizedRecovery(), { signal }),
  logout: (manager, { signal }) => manager.logout({ signal }),
};

test('an aborted signal starts nothing', async () => {
  const { issuer, options, stored } = await signedIn();
  const manager = new AuthManager(options);
  const before = stored();
  const reason = new Error('changed my mind');
  for (const [name, call] of Object.entries(CALLS)) {
    const signal = AbortSignal.abort(reason);
    await assert.rejects(call(manager, { options, signal }), (error) => error === reason, name);
  }
  assert.equal((await issuer.stats()).requests, 0);
  assert.equal(stored(), before);
});

test('an abort rejects with its reason, and the rotated pair is saved', async () => {
  const { issuer, options, stored } = await signedIn();
  const manager = new AuthManager(options);
  await issuer.call('hold', { at: 'reply' });
  const controller = new AbortController();
  const { signal } = controller;
  const refreshing = manager.refreshToken(manager.auth(), { signal });
  await issuer.wait({ held: 1 });
  controller.abort();
  await assert.rejects(refreshing, { name: 'AbortError' });
  await issuer.call('release');
  assert.equal(await manager.close(), true);
  assert.equal(await refreshToken(issuer, stored()), 'refresh:a1');
  assert.equal(manager.auth().accessToken, JSON.parse(stored()).tokens.access_token);
});

test('a time limit rejects with its reason', async () => {
  const { issuer, options } = await signedIn();
  const manager = new AuthManager(options);
  await issuer.call('hold', {});
  const refreshing = manager.refreshToken(manager.auth(), { signal: AbortSignal.timeout(1) });
  await assert.rejects(refreshing, { name: 'TimeoutError' });
  await issuer.call('release');
  await manager.close();
});

test('one caller that goes away takes nobody along', async () => {
  const { issuer, options } = await signedIn();
  const manager = new AuthManager(options);
  const auth = manager.auth();
  await issuer.call('hold', {});
  const controller = new AbortController();
  const leaving = manager.refreshToken(auth, { signal: controller.signal });
  const staying = manager.refreshToken(auth);
  await issuer.wait({ held: 1 });
  controller.abort();
  await assert.rejects(leaving, { name: 'AbortError' });
  await issuer.call('release');
  assert.equal(await staying, manager.auth());
  assert.equal((await issuer.stats()).requests, 1);
});

test('no listener stays behind', async () => {
  const { options } = await signedIn();
  const manager = new AuthManager(options);
  const { signal } = new AbortController();
  for (const [name, call] of Object.entries(CALLS)) {
    await call(manager, { options, signal });
    assert.deepEqual(getEventListeners(signal, 'abort'), [], name);
  }
});

test('what is no signal is a mistake', async () => {
  const { options } = await signedIn();
  const manager = new AuthManager(options);
  await assert.rejects(manager.freshAuth({ signal: {} }), TypeError);
  await assert.rejects(manager.freshAuth({ sigal: new AbortController().signal }), TypeError);
});
