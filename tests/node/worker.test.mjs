// Worker threads: each has managers of its own, and none can lose a login by ending.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

import { AuthManager } from '../../bindings-node/dist/index.mjs';
import { PACKAGE, child, refreshToken, signedIn, within } from './support.mjs';

const START = `
  const { parentPort, workerData: options } = require('node:worker_threads');
  const { AuthManager } = require(${JSON.stringify(`${PACKAGE}/dist/index.js`)});
  const manager = new AuthManager(options);
`;

function start(code, options) {
  return new Worker(START + code, { eval: true, execArgv: [], workerData: options });
}

test('workers share one redemption', async () => {
  const { issuer, options } = await signedIn();
  const code = `
    const auth = manager.auth();
    parentPort.on('message', async () => {
      const recovery = manager.unauthorizedRecovery();
      const decision = await manager.recoverFromUnauthorized(auth, recovery);
      const { status } = await fetch(options.issuer + '/api/me', { headers: manager.auth().headers() });
      parentPort.postMessage([decision, status]);
    });
    parentPort.postMessage('ready');
  `;
  const workers = Array.from({ length: 4 }, () => start(code, options));
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  await issuer.call('kill_access');
  const answers = workers.map((worker) => once(worker, 'message'));
  workers.forEach((worker) => worker.postMessage('go'));
  assert.deepEqual((await Promise.all(answers)).flat(), Array(4).fill(['retry', 200]));
  assert.equal((await issuer.stats()).requests, 1);
  await Promise.all(workers.map((worker) => worker.terminate()));
});

test('a worker that is terminated during an exchange loses nothing', async () => {
  const { issuer, options, stored } = await signedIn();
  await issuer.call('hold', { at: 'reply' });
  const worker = start('manager.refreshToken(manager.auth());', options);
  await issuer.wait({ held: 1 });
  const terminated = worker.terminate();
  await issuer.call('release');
  await within(20_000, 'the end of the worker', terminated);
  assert.equal(await refreshToken(issuer, stored()), 'refresh:a1');
  const manager = new AuthManager(options);
  assert.equal(await manager.freshAuth(), manager.auth());
});

test('a worker that ends itself during an exchange loses nothing', async () => {
  const { issuer, options, stored } = await signedIn();
  await issuer.call('hold', { at: 'reply' });
  const code = `
    manager.refreshToken(manager.auth());
    parentPort.once('message', () => process.exit(3));
  `;
  const worker = start(code, options);
  await issuer.wait({ held: 1 });
  const exited = once(worker, 'exit');
  worker.postMessage('exit');
  await issuer.call('release');
  assert.deepEqual(await within(20_000, 'the end of the worker', exited), [3]);
  assert.equal(await refreshToken(issuer, stored()), 'refresh:a1');
});

test('forty workers that are terminated with promises pending crash nothing', async () => {
  const { issuer, options, stored } = await signedIn();
  await issuer.call('hold', { at: 'reply' });
  const code = `
    import { once } from 'node:events';
    import { Worker } from 'node:worker_threads';
    const [code, options, url] = process.argv.slice(1);
    const workerData = JSON.parse(options);
    const call = (name, body) => fetch(url + '/control/' + name, { method: 'POST', body });
    const workers = Array.from({ length: 40 }, () =>
      new Worker(code, { eval: true, execArgv: [], workerData }));
    await Promise.all(workers.map((worker) => once(worker, 'message')));
    await call('wait', '{"until": {"held": 1}}');
    const terminated = workers.map((worker) => worker.terminate());
    await call('release', '{}');
    await Promise.all(terminated);
    console.log('done');
  `;
  const pending = `${START}
    for (let count = 0; count < 50; count += 1) {
      manager.refreshToken(manager.auth());
      manager.recoverFromUnauthorized(manager.auth(), manager.unauthorizedRecovery());
      manager.close({ timeoutMs: 60_000 });
    }
    parentPort.postMessage('started');
  `;
  const { ended } = child(code, { args: [pending, JSON.stringify(options), issuer.url] });
  const end = await within(60_000, 'the end of the process', ended);
  assert.deepEqual(end, { code: 0, signal: null, stdout: 'done\n', stderr: '' });
  assert.equal(await refreshToken(issuer, stored()), 'refresh:a1');
  assert.equal((await issuer.stats()).requests, 1);
});

test('forty workers, one after the other', async () => {
  const { issuer, options } = await signedIn();
  const code = `
    import { once } from 'node:events';
    import { Worker } from 'node:worker_threads';
    const [code, options] = process.argv.slice(1);
    for (let count = 0; count < 40; count += 1) {
      const worker = new Worker(code, { eval: true, execArgv: [], workerData: JSON.parse(options) });
      await once(worker, 'message');
      await worker.terminate();
    }
    console.log('done');
  `;
  const pending = `${START}
    for (let count = 0; count < 50; count += 1) manager.logout({ revoke: false });
    parentPort.postMessage('started');
  `;
  const { ended } = child(code, { args: [pending, JSON.stringify(options), issuer.url] });
  const end = await within(60_000, 'the end of the process', ended);
  assert.deepEqual(end, { code: 0, signal: null, stdout: 'done\n', stderr: '' });
});
