// Workers that are terminated and signals that abort at random instants lose nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AuthManager } from '../../bindings-node/dist/index.mjs';
import { TIMES, worlds } from './chaos.mjs';
import { child, refreshToken, signedIn, within } from './support.mjs';

const LIMIT_MS = 60_000 * TIMES;

/** Runs a program on one world; it must end by itself, well, and in silence. */
async function play(code, { options, seed }) {
  const { process: running, ended } = child(code, { args: [JSON.stringify(options), `${seed}`] });
  try {
    const end = await within(LIMIT_MS, `the end of the process (seed ${seed})`, ended);
    assert.deepEqual(end, { code: 0, signal: null, stdout: 'done\n', stderr: '' }, `seed ${seed}`);
  } finally {
    running.kill('SIGKILL');
  }
}

const START = `
  import { setImmediate } from 'node:timers/promises';
  import { Worker } from 'node:worker_threads';
  import { AuthManager } from './dist/index.mjs';
  import { KILLS, chance, someCall } from '../tests/node/chaos.mjs';
  const [options, seed] = process.argv.slice(1).map((text) => JSON.parse(text));
  const random = chance(seed);
  let kills = KILLS;
  const kill = async () => {
    if (kills > 0 && random() < 0.4) {
      kills -= 1;
      await fetch(options.issuer + '/control/kill_access', { method: 'POST', body: '{}' });
    }
  };
  /** The event loop stands still meanwhile. */
  const block = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
`;

const TERMINATED = `${START}
  import { once } from 'node:events';
  const code = \`
    const { parentPort, workerData: [options, seed] } = require('node:worker_threads');
    (async () => {
      const { AuthManager } = await import('./dist/index.mjs');
      const { chance, someCall } = await import('../tests/node/chaos.mjs');
      const random = chance(seed);
      const manager = new AuthManager(options);
      parentPort.postMessage('ready');
      for (;;) await Promise.all([1, 2, 3].map(() => someCall(options, manager, random)));
    })();
  \`;
  for (let round = 0; round < 2; round += 1) {
    const workers = Array.from({ length: 5 }, (_, number) => new Worker(code, {
      eval: true, execArgv: [], workerData: [options, seed * 100 + round * 10 + number],
    }));
    await Promise.all(workers.map((worker) => once(worker, 'message')));
    await kill();
    for (const worker of workers) {
      block(random() * 8);
      await setImmediate();
      await kill();
      await worker.terminate();
    }
  }
  console.log('done');
`;

test('workers that are terminated at random lose nothing', async () => {
  for await (const world of worlds('workers that are terminated at random', 2)) {
    await play(TERMINATED, world);
  }
});

const ABORTED = `${START}
  const manager = new AuthManager(options);
  /** A signal that aborts sooner or later, in one of the ways there are. */
  const aborting = () => {
    const ms = Math.floor(random() * 10);
    if (random() < 0.3) return AbortSignal.timeout(ms);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), ms);
    if (random() < 0.5 || !AbortSignal.any) return controller.signal;
    return AbortSignal.any([controller.signal, AbortSignal.timeout(ms)]);
  };
  const names = ['AbortError', 'TimeoutError'];
  for (let round = 0; round < 15; round += 1) {
    const calls = Array.from({ length: 6 }, () =>
      someCall(options, manager, random, { signal: aborting() }));
    if (random() < 0.5) block(random() * 8);
    for (const { reason } of await Promise.allSettled(calls)) {
      if (reason && !names.includes(reason.name)) throw reason;
    }
    await kill();
  }
  if (!(await manager.close({ timeoutMs: 60_000 }))) throw new Error('a refresh does not end');
  console.log('done');
`;

test('signals that abort at random lose nothing', async () => {
  for await (const world of worlds('signals that abort at random', 2)) {
    await play(ABORTED, world);
  }
});

const REFRESHING = {
  freshAuth: (manager, signal) => manager.freshAuth({ signal }),
  refreshToken: (manager, signal) => manager.refreshToken(manager.auth(), { signal }),
  recoverFromUnauthorized: (manager, signal) =>
    manager.recoverFromUnauthorized(manager.auth(), manager.unauthorizedRecovery(), { signal }),
};

for (const at of ['arrival', 'reply']) {
  for (const [name, call] of Object.entries(REFRESHING)) {
    test(`${name} is aborted while the issuer holds the ${at}`, async () => {
      const { issuer, options, stored } = await signedIn({ logins: { a: { access_age_s: 7200 } } });
      const manager = new AuthManager(options);
      await issuer.call('hold', { at });
      const controller = new AbortController();
      const leaving = call(manager, controller.signal);
      const staying = call(manager);
      await issuer.wait({ held: 1 });
      controller.abort();
      await assert.rejects(leaving, { name: 'AbortError' });
      await issuer.call('release');
      assert.ok(await within(LIMIT_MS, 'the answer', staying));
      assert.equal(await refreshToken(issuer, stored()), 'refresh:a1');
      assert.equal((await issuer.stats()).requests, 1);
    });
  }
}
