// What a manager tells, counts and does while nobody asks.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { on, once } from 'node:events';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';

import {
  AuthEvents, AuthManager, CodexAuthError, EphemeralStorage,
} from '../../bindings-node/dist/index.mjs';
import {
  EVENT_KINDS, KeyringItem, child, codexHome, collected, enterSession, realm, refreshToken, signedIn, within,
} from './support.mjs';

const refresh = (manager) => manager.refreshToken(manager.auth());

const next = (events, kind) => within(20_000, kind, once(events, kind));

/** The kinds that are emitted, in order. */
function heard(events) {
  const kinds = [];
  for (const kind of EVENT_KINDS) events.on(kind, () => kinds.push(kind));
  return kinds;
}

test('listeners get every event in order, with what belongs to it', async () => {
  const { issuer, options } = await signedIn();
  const manager = new AuthManager(options);
  const events = manager.subscribe();
  assert.ok(events instanceof AuthEvents);
  const kinds = heard(events);
  const refreshed = next(events, 'refreshed');
  await refresh(manager);
  assert.deepEqual(await refreshed, []);
  await issuer.call('invalidate_refresh', { token: 'a1' });
  const failed = next(events, 'refresh_failed');
  const thrown = await refresh(manager).catch((error) => error);
  const [error] = await failed;
  assert.ok(error instanceof CodexAuthError);
  assert.deepEqual([error.code, error.message], ['refresh_token_invalidated', thrown.message]);
  const gone = next(events, 'logged_out');
  await manager.logout({ revoke: false });
  await gone;
  events.stop();
  assert.deepEqual(kinds, ['refreshed', 'refresh_failed', 'logged_out']);
  const { lockWaitMs, ...stats } = manager.stats();
  const counted = { adoptions: 0, redemptions: 1, recoveries: 0, waits: 0, failures: 1 };
  assert.deepEqual(stats, counted);
  assert.ok(lockWaitMs >= 0);
});

test('a switched workspace and another login are told apart', async () => {
  const issuer = await realm({ logins: { a: {}, b: { user_id: 'user-a' }, c: {} } });
  const home = codexHome(issuer.logins.a.text);
  const manager = new AuthManager({ ...issuer.options, codexHome: home });
  const set = { '/tokens/account_id': 'acct-b', '/tokens/access_token': 'access:b0' };
  const switched = await issuer.call('store_text', { record: 'a0', set });
  const events = manager.subscribe();
  const kinds = heard(events);
  for (const [text, kind, accountId] of [
    [switched.text, 'workspace_changed', 'acct-b'],
    [issuer.logins.a.text, 'workspace_changed', 'acct-a'],
    [issuer.logins.c.text, 'identity_changed', 'acct-c'],
  ]) {
    const changed = next(events, kind);
    writeFileSync(join(home, 'auth.json'), text);
    assert.equal(await manager.reload(), true);
    assert.deepEqual([await changed, manager.auth().accountId], [[], accountId]);
  }
  const told = Promise.all([next(events, 'identity_changed'), next(events, 'logged_in')]);
  await manager.loginWithApiKey('sk-new');
  await told;
  events.stop();
  const last = kinds.splice(3).sort();
  assert.deepEqual(kinds, ['workspace_changed', 'workspace_changed', 'identity_changed']);
  assert.deepEqual(last, ['identity_changed', 'logged_in']);
});

const hasKeyring = await enterSession();
const skip = !hasKeyring && 'install gnome-keyring, dbus and libsecret-tools';

test('a store that chooses tells where the login is now', { skip }, async () => {
  const { options, home, stored } = await signedIn();
  const manager = await AuthManager.open({ ...options, store: 'auto' });
  assert.equal(manager.storeHolder.kind, 'file');
  const events = manager.subscribe();
  const changed = next(events, 'store_changed');
  new KeyringItem(home).write(stored());
  await manager.reload();
  const [holder] = await changed;
  assert.deepEqual(holder, { kind: 'keyring', reason: null });
  assert.deepEqual(holder, manager.storeHolder);
  events.stop();
});

test('a kind can be iterated until it is stopped', async () => {
  const { issuer, options } = await signedIn();
  const manager = new AuthManager(options);
  const events = manager.subscribe();
  const kinds = [];
  const iterate = async () => {
    for await (const args of on(events, 'refreshed', { close: ['close'] })) kinds.push(args);
  };
  const iterated = iterate();
  for (let count = 0; count < 2; count += 1) {
    const told = next(events, 'refreshed');
    await refresh(manager);
    await told;
  }
  events.stop();
  events.stop();
  await within(20_000, 'the end of the iteration', iterated);
  assert.deepEqual(kinds, [[], []]);
  await refresh(manager);
  await setImmediate();
  assert.equal(events.listenerCount('refreshed'), 0);
  assert.equal((await issuer.stats()).grants, 3);
});

test('nothing comes after a stop, not even what was on its way', async () => {
  const { options, stored } = await signedIn();
  const storage = new EphemeralStorage(stored());
  const manager = new AuthManager({ ...options, store: storage });
  const [stopped, going] = [manager.subscribe(), manager.subscribe()];
  const [kinds, others] = [heard(stopped), heard(going)];
  storage.replace(null);
  void manager.reload();
  // The event comes while the event loop is busy.
  spawnSync(process.execPath, ['--eval', '']);
  stopped.stop();
  const changed = next(going, 'identity_changed');
  storage.replace(stored());
  await manager.reload();
  await changed;
  assert.deepEqual([kinds, others], [[], ['logged_out', 'identity_changed']]);
  going.stop();
});

test('what a listener throws is an uncaught exception, and the next event comes', async () => {
  const { options } = await signedIn();
  const code = `
    const { AuthManager } = await import('./dist/index.mjs');
    const manager = new AuthManager(JSON.parse(process.argv[1]));
    const events = manager.subscribe();
    process.on('uncaughtException', (error, origin) => console.log(error.message, origin));
    events.on('refreshed', () => { throw new Error('on purpose'); });
    events.on('logged_out', () => { console.log('logged out'); clearInterval(alive); });
    const alive = setInterval(() => {}, 1_000);
    await manager.refreshToken(manager.auth());
    await manager.logout({ revoke: false });
  `;
  const { ended } = child(code, { args: [JSON.stringify(options)] });
  const end = await within(20_000, 'the end of the process', ended);
  const stdout = 'on purpose uncaughtException\nlogged out\n';
  assert.deepEqual(end, { code: 0, signal: null, stdout, stderr: '' });
});

test('a failure that nobody listens for ends no process', async () => {
  const { issuer, options } = await signedIn();
  await issuer.call('invalidate_refresh', { token: 'a0' });
  const code = `
    const { once } = await import('node:events');
    const { AuthManager } = await import('./dist/index.mjs');
    const manager = new AuthManager(JSON.parse(process.argv[1]));
    const [unheard, events] = [manager.subscribe(), manager.subscribe()];
    const failed = once(events, 'refresh_failed');
    const alive = setInterval(() => {}, 1_000);
    await manager.refreshToken(manager.auth()).catch(() => {});
    await failed;
    clearInterval(alive);
    unheard.stop();
  `;
  const { ended } = child(code, { args: [JSON.stringify(options)] });
  const end = await within(20_000, 'the end of the process', ended);
  assert.deepEqual(end, { code: 0, signal: null, stdout: '', stderr: '' });
});

test('a busy event loop is told what it missed', async () => {
  const issuer = await realm({ logins: { a: {}, b: {} } });
  const home = codexHome(issuer.logins.a.text);
  const manager = await AuthManager.open({ ...issuer.options, codexHome: home });
  const events = manager.subscribe();
  const missed = next(events, 'missed');
  // Reading the store needs no event loop.
  for (let count = 0; count < 40; count += 1) {
    for (const login of [issuer.logins.b, issuer.logins.a]) {
      writeFileSync(join(home, 'auth.json'), login.text);
      void manager.reload();
    }
  }
  const [count] = await missed;
  assert.ok(count > 0, String(count));
  events.stop();
});

test('the guardian refreshes without anybody asking', async () => {
  const issuer = await realm({ logins: { a: { access_age_s: 3590 } } });
  const home = codexHome(issuer.logins.a.text);
  const manager = new AuthManager({ ...issuer.options, codexHome: home });
  const events = manager.subscribe();
  const refreshed = next(events, 'refreshed');
  const guardian = manager.keepFresh();
  await refreshed;
  guardian.stop();
  events.stop();
  const stored = readFileSync(join(home, 'auth.json'), 'utf8');
  assert.equal(await refreshToken(issuer, stored), 'refresh:a1');
});

test('what goes on in the background needs nobody to hold it', async () => {
  const end = await collected(`
    const start = () => {
      const manager = new AuthManager(JSON.parse(options));
      manager.followStore();
      manager.subscribe().on('adopted', () => {
        console.log('adopted');
        clearInterval(collecting);
      });
      return gone(manager);
    };
    await start();
    for (let round = 0; round < 5; round += 1) await gone({});
    const body = '{"token": "a0"}';
    const rotated = await fetch(url + '/control/rotate', { method: 'POST', body });
    writeFileSync(JSON.parse(options).codexHome + '/auth.json', (await rotated.json()).text);
  `);
  assert.deepEqual(end, { code: 0, signal: null, stdout: 'adopted\n', stderr: '' });
});

test('a manager that is gone leaves no subscription behind', async () => {
  const end = await collected(`
    const start = () => {
      const manager = new AuthManager(JSON.parse(options));
      manager.followStore().stop();
      return gone(manager.subscribe());
    };
    await start();
    clearInterval(collecting);
  `);
  assert.deepEqual(end, { code: 0, signal: null, stdout: '', stderr: '' });
});

test('the store is followed until that is stopped', async () => {
  const { issuer, options, home } = await signedIn();
  const manager = new AuthManager(options);
  const events = manager.subscribe();
  const following = manager.followStore();
  const adopted = next(events, 'adopted');
  const { text } = await issuer.call('rotate', { token: 'a0' });
  writeFileSync(join(home, 'foreign'), text, { mode: 0o600 });
  renameSync(join(home, 'foreign'), join(home, 'auth.json'));
  await adopted;
  assert.equal(manager.stats().adoptions, 1);
  const gone = next(events, 'logged_out');
  rmSync(join(home, 'auth.json'));
  await gone;
  assert.equal(manager.auth(), null);
  following.stop();
  following.stop();
  events.stop();
});

/** Everything at once, of a manager whose store changes all the time. */
const BUSY = `
  const storage = new EphemeralStorage(login);
  const manager = new AuthManager({ store: storage, refresh: 'never' });
  const events = manager.subscribe();
  const told = new Promise((resolve) => events.once('logged_out', resolve));
  manager.keepFresh();
  manager.followStore();
  enableLogging(() => {});
  const change = async () => {
    const auth = manager.auth();
    storage.replace(null);
    await manager.recoverFromUnauthorized(auth, manager.unauthorizedRecovery());
    storage.replace(login);
    await manager.reload();
    setImmediate(change);
  };
`;

test('none of it keeps a process alive', async () => {
  const { stored } = await signedIn();
  const code = `
    import { AuthManager, EphemeralStorage, enableLogging } from './dist/index.mjs';
    const login = process.argv[1];
    ${BUSY}
    console.log('done');
  `;
  const { ended } = child(code, { args: [stored()] });
  const end = await within(20_000, 'the end of the process', ended);
  assert.deepEqual(end, { code: 0, signal: null, stdout: 'done\n', stderr: '' });
});

for (const [name, leave] of [['are terminated', ''], ['end', 'process.exit(0);']]) {
  test(`workers that ${name} in the middle of it crash nothing`, async () => {
    const { stored } = await signedIn();
    const worker = `
      const { parentPort, workerData: login } = require('node:worker_threads');
      const { AuthManager, EphemeralStorage, enableLogging } = require('./dist/index.js');
      ${BUSY}
      change();
      told.then(() => {
        parentPort.postMessage('told');
        ${leave}
      });
    `;
    const code = `
      const { once } = await import('node:events');
      const { Worker } = await import('node:worker_threads');
      const [code, workerData] = process.argv.slice(1);
      const options = { eval: true, execArgv: [], workerData };
      for (let count = 0; count < 10; count += 1) {
        const workers = Array.from({ length: 4 }, () => new Worker(code, options));
        await Promise.all(workers.map((worker) => once(worker, 'message')));
        await Promise.all(workers.map((worker) => worker.terminate()));
      }
      console.log('done');
    `;
    const { process: running, ended } = child(code, { args: [worker, stored()] });
    try {
      const end = await within(60_000, 'the end of the process', ended);
      assert.deepEqual(end, { code: 0, signal: null, stdout: 'done\n', stderr: '' });
    } finally {
      running.kill('SIGKILL');
    }
  });
}

test('process.exit in the middle of it crashes nothing', async () => {
  const { stored } = await signedIn();
  const code = `
    import { AuthManager, EphemeralStorage, enableLogging } from './dist/index.mjs';
    const login = process.argv[1];
    ${BUSY}
    change();
    events.on('logged_out', () => process.exit(3));
  `;
  const { process: running, ended } = child(code, { args: [stored()] });
  try {
    const end = await within(20_000, 'the end of the process', ended);
    assert.deepEqual(end, { code: 3, signal: null, stdout: '', stderr: '' });
  } finally {
    running.kill('SIGKILL');
  }
});
