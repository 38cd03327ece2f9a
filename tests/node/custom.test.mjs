// Stores written in JavaScript: they conform, fail clearly, hang nothing, and lose nothing.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

import { AuthManager, CodexAuthError, checkStore } from '../../bindings-node/dist/index.mjs';
import { AsyncRowStore, RowStore } from './row-store.mjs';
import { ROOT, child, codexHome, realm, refreshToken, within } from './support.mjs';

const ROW_STORE = new URL('row-store.mjs', import.meta.url).href;
const PACKAGE = new URL('../../bindings-node/dist/index.mjs', import.meta.url).href;

/** A realm with the login `a`, and a store that holds it. */
async function signedInRow(Kind = RowStore, login = {}) {
  const issuer = await realm({ logins: { a: login } });
  const folder = codexHome();
  const store = new Kind(folder);
  store.write(issuer.logins.a.text);
  return { issuer, folder, store, options: { ...issuer.options, store, winnerWaitMs: 300 } };
}

function lockable(store, { locked = new Set(), pause = async (value) => value } = {}) {
  return Object.assign(store, {
    tryLock: () => pause(locked.size === 0 && Boolean(locked.add('this'))),
    unlock: () => pause().then(() => locked.delete('this')),
  });
}

describe('conformance', () => {
  for (const Kind of [RowStore, AsyncRowStore]) {
    test(`a ${Kind.name} conforms`, () => checkStore(new Kind(codexHome())));
    test(`a ${Kind.name} with a lock conforms`, async () => {
      const locked = new Set();
      const pause = async (value) => (await new Promise(setImmediate), value);
      await checkStore(lockable(new Kind(codexHome()), { locked, pause }));
      await within(20_000, 'unlocked', (async () => {
        while (locked.size > 0) await delay(5);
      })());
    });
  }

  test('a store that overwrites does not conform', async () => {
    const store = new RowStore(codexHome());
    store.save = (record) => (store.write(record), true);
    await assert.rejects(checkStore(store), { name: 'AssertionError', message: /Conflict/ });
    await assert.rejects(checkStore({}), TypeError);
  });
});

describe('failures', () => {
  test('what a method throws is the cause, and shows nowhere else', async () => {
    const sesame = new RangeError('the password is sesame');
    for (const load of [() => { throw sesame; }, () => Promise.reject(sesame)]) {
      class Broken extends RowStore {}
      const store = Object.assign(new Broken(codexHome()), { load });
      const error = await AuthManager.open({ store }).catch((error) => error);
      assert.ok(error instanceof CodexAuthError);
      assert.deepEqual([error.code, error.isTransient], ['store_unavailable', true]);
      assert.equal(error.cause, sesame);
      assert.match(error.message, /Broken/);
      assert.doesNotMatch(error.message, /sesame/);
    }
    for (const thrown of [undefined, null, 'text']) {
      const store = Object.assign(new RowStore(codexHome()), { load: () => Promise.reject(thrown) });
      const error = await AuthManager.open({ store }).catch((error) => error);
      assert.equal(error.code, 'store_unavailable');
      assert.equal(error.cause, thrown);
    }
  });

  test('a wrong answer is unavailable and says what is wrong', async () => {
    const wrong = [3, 'x', {}, { record: null }, { record: '{}' }, { record: '{}', version: 1 }];
    for (const answer of wrong) {
      const store = Object.assign(new RowStore(codexHome()), { load: () => answer });
      const error = await AuthManager.open({ store }).catch((error) => error);
      assert.equal(error.code, 'store_unavailable');
      assert.ok(error.cause instanceof TypeError);
      assert.match(error.cause.message, /what load returns must/);
    }
    const corrupt = Object.assign(new RowStore(codexHome()), {
      load: () => ({ record: '<html>', version: '1' }),
    });
    await assert.rejects(AuthManager.open({ store: corrupt }), { code: 'store_corrupt' });
  });

  test('nothing is stored', async () => {
    for (const nothing of [null, undefined]) {
      const store = Object.assign(new RowStore(codexHome()), { load: () => nothing });
      assert.equal((await AuthManager.open({ store })).auth(), null);
    }
  });

  test('only open reads a custom store, and a lock is two methods', async () => {
    const { store, options } = await signedInRow();
    assert.throws(() => new AuthManager(options), { code: 'store_unavailable', message: /open/ });
    const manager = await AuthManager.open(options);
    assert.equal(manager.auth().mode, 'chatgpt');
    assert.equal(manager.storeHolder, null);
    const half = Object.assign(new RowStore(codexHome()), { tryLock: () => true });
    await assert.rejects(AuthManager.open({ store: half }), /both tryLock and unlock/);
    assert.equal(store.read() !== null, true);
    const endless = Object.assign(lockable(new RowStore(codexHome())), { leaseMs: 60_000 });
    await assert.rejects(AuthManager.open({ store: endless }), /leaseMs and renew together/);
    Object.assign(endless, { renew: () => true, leaseMs: Number.NaN });
    await assert.rejects(AuthManager.open({ store: endless }), /leaseMs must be a positive number/);
  });

  test('g8 a store that never answers is given up', async () => {
    const { store, options } = await signedInRow();
    const manager = await AuthManager.open(options);
    const { load } = store;
    store.load = () => new Promise(() => {});
    const error = await within(60_000, 'the answer', manager.reload().catch((error) => error));
    assert.equal(error.code, 'store_unavailable');
    assert.match(error.message, /has not answered/);
    store.load = load;
    assert.equal(await manager.reload(), false);
  });
});

describe('refreshes', () => {
  test('g1 managers of one store are one refresh', async () => {
    const { issuer, store, options } = await signedInRow(AsyncRowStore);
    const managers = await Promise.all([1, 2, 3, 4].map(() => AuthManager.open(options)));
    const all = managers.map((manager) => manager.refreshToken(manager.auth()));
    assert.ok((await Promise.all(all)).every((auth) => auth !== null));
    assert.equal((await issuer.stats()).requests, 1);
    assert.equal(await refreshToken(issuer, store.read()), 'refresh:a1');
  });

  test('g1 nothing is redeemed while another process has the lock', async () => {
    const { issuer, store, options } = await signedInRow();
    const locked = new Set(['another']);
    lockable(store, { locked });
    const short = { ...options, refreshDeadlineMs: 200, lockTimeoutMs: 500 };
    const manager = await AuthManager.open(short);
    await assert.rejects(manager.refreshToken(manager.auth()), { code: 'lock_timeout' });
    assert.equal((await issuer.stats()).requests, 0);
    locked.clear();
    const patient = await AuthManager.open(options);
    assert.notEqual(await patient.refreshToken(patient.auth()), null);
    // Asked for after the unlock, and answered after it.
    await patient.reload();
    assert.equal(locked.size, 0);
  });

  test('g1 nothing is redeemed under a lease that may end before the answer', async () => {
    for (const [leaseMs, isEnough] of [[1000, false], [60_000, true]]) {
      const { issuer, store, options } = await signedInRow();
      Object.assign(lockable(store), { leaseMs, renew: () => true });
      const manager = await AuthManager.open({ ...options, requestTimeoutMs: 5000 });
      const refreshed = manager.refreshToken(manager.auth());
      if (isEnough) {
        assert.notEqual(await refreshed, null);
      } else {
        await assert.rejects(refreshed, { code: 'refresh_transient', message: /lock may end/ });
      }
      assert.equal((await issuer.stats()).requests, Number(isEnough));
    }
  });

  test('g4 a lease is renewed while a pair is unsaved', async () => {
    const { issuer, store, options } = await signedInRow();
    let isRenewed = false;
    const renew = () => (isRenewed = true);
    Object.assign(lockable(store), { leaseMs: 8000, renew });
    const { save } = store;
    store.save = (record, expected) => {
      if (!isRenewed) throw new Error('the disk is full');
      return save.call(store, record, expected);
    };
    const manager = await AuthManager.open({ ...options, requestTimeoutMs: 5000 });
    assert.notEqual(await manager.refreshToken(manager.auth()), null);
    await within(60_000, 'renewed', (async () => {
      while (!isRenewed) await delay(5);
    })());
    assert.equal(await manager.close(), true);
    assert.equal(await refreshToken(issuer, store.read()), 'refresh:a1');
  });

  test('g4 a save that fails keeps the pair and is tried again', async () => {
    const { issuer, store, options } = await signedInRow();
    const manager = await AuthManager.open(options);
    let failures = 2;
    store.save = (...call) => {
      if (failures > 0) throw new Error(`${(failures -= 1)} left`);
      return RowStore.prototype.save.apply(store, call);
    };
    assert.notEqual(await manager.refreshToken(manager.auth()), null);
    assert.equal(await manager.close({ timeoutMs: 30_000 }), true);
    assert.equal(await refreshToken(issuer, store.read()), 'refresh:a1');
    assert.equal((await issuer.stats()).requests, 1);
  });
});

describe('ends', () => {
  const START = `
    import { AuthManager } from '${PACKAGE}';
    import * as stores from '${ROW_STORE}';
    const [kind, folder, given] = process.argv.slice(1);
    const options = JSON.parse(given);
    const store = new stores[kind](folder);
    const manager = await AuthManager.open({ ...options, store });
  `;

  async function ended(code, { issuer, folder, options }, kind) {
    const { store: _, ...given } = options;
    const args = [kind, folder, JSON.stringify(given)];
    const { ended } = child(START + code, { args });
    await issuer.wait({ held: 1 });
    setTimeout(() => issuer.call('release'), 200);
    return within(60_000, 'the end of the process', ended);
  }

  for (const Kind of [RowStore, AsyncRowStore]) {
    test(`g4 a process ends once a ${Kind.name} has the pair of a refresh in the background`, async () => {
      const row = await signedInRow(Kind, { access_age_s: 3300 });
      await row.issuer.call('hold', { at: 'reply' });
      const end = await ended('manager.freshAuthIfReady();', row, Kind.name);
      assert.deepEqual(end, { code: 0, signal: null, stdout: '', stderr: '' });
      assert.equal(await refreshToken(row.issuer, row.store.read()), 'refresh:a1');
    });
  }

  test('g4 process.exit waits until a store without promises has the pair', async () => {
    const row = await signedInRow();
    await row.issuer.call('hold', { at: 'reply' });
    const code = `
      manager.refreshToken(manager.auth());
      const held = { method: 'POST', body: '{"until": {"held": 1}}' };
      await fetch(options.issuer + '/control/wait', held);
      process.exit(3);
    `;
    const end = await ended(code, row, 'RowStore');
    assert.deepEqual(end, { code: 3, signal: null, stdout: '', stderr: '' });
    assert.equal(await refreshToken(row.issuer, row.store.read()), 'refresh:a1');
  });

  test('a process ends by itself, and so does one whose store hangs', async () => {
    const { folder } = await signedInRow();
    for (const code of ['', 'store.load = () => new Promise(() => {});']) {
      const { ended } = child(START + code, { args: ['RowStore', folder, '{}'] });
      const end = await within(60_000, 'the end of the process', ended);
      assert.deepEqual(end, { code: 0, signal: null, stdout: '', stderr: '' });
    }
  });

  test('a worker is terminated while its store is asked', async () => {
    const { folder } = await signedInRow();
    const code = `
      import { parentPort, workerData } from 'node:worker_threads';
      import { AuthManager } from '${PACKAGE}';
      import { RowStore } from '${ROW_STORE}';
      const store = new RowStore(workerData);
      const manager = await AuthManager.open({ store });
      store.load = () => (parentPort.postMessage('asked'), new Promise(() => {}));
      manager.reload();
    `;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
      workerData: folder,
    });
    await within(20_000, 'the call', once(worker, 'message'));
    // Sooner than an end that waits for the store in vain, which takes 10 s.
    await within(9_000, 'the end of the worker', worker.terminate());
  });
});

test('a store and its managers are collected', async () => {
  const code = `
    import { AuthManager } from '${PACKAGE}';
    import { RowStore } from '${ROW_STORE}';
    const gone = [];
    const registry = new FinalizationRegistry((name) => gone.push(name));
    for (let count = 0; count < 3; count += 1) {
      const store = new RowStore(process.argv[1]);
      registry.register(store, count);
      await AuthManager.open({ store });
    }
    for (let tries = 0; tries < 500 && gone.length < 2; tries += 1) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    console.log(gone.length >= 2);
  `;
  const { ended } = child(`import v8 from 'node:v8'; v8.setFlagsFromString('--expose-gc');
    import vm from 'node:vm'; globalThis.gc = vm.runInNewContext('gc'); ${code}`, { args: [codexHome()] });
  const { stdout, stderr } = await within(60_000, 'the end of the process', ended);
  assert.deepEqual([stdout, stderr], ['true\n', '']);
});

const sqlite = await import('node:sqlite').catch(() => null);

test('the store of the examples conforms', { skip: sqlite === null }, async () => {
  const example = readFileSync(join(ROOT, 'examples/node/custom-store.mjs'), 'utf8');
  const row = example.slice(example.indexOf('class Row'), example.indexOf('\nif (process.argv'));
  const make = new Function('DatabaseSync', 'randomUUID', `${row}; return new Row(':memory:');`);
  await checkStore(make(sqlite.DatabaseSync, randomUUID));
});
