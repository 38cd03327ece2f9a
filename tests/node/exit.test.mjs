// However a process ends on its own account, a rotated pair is saved first.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { child, refreshToken, signedIn, within } from './support.mjs';

const START = `
  const options = JSON.parse(process.argv[1]);
  const url = process.argv[2];
  const held = () => fetch(url + '/control/wait', { method: 'POST', body: '{"until": {"held": 1}}' });
`;

/** Runs `code`, lets the server's reply go once `code` has ended, as far as it can, and waits. */
async function endsWhileHeld(code, more = {}) {
  const { issuer, options, stored } = await signedIn();
  await issuer.call('hold', { at: 'reply' });
  const args = [JSON.stringify({ ...options, ...more }), issuer.url];
  const { process: running, ended } = child(START + code, { args });
  await issuer.wait({ held: 1, marks: { ending: 1 } });
  // An end that waited for nothing would come at once.
  assert.equal(await Promise.race([ended, setTimeout(1_000, 'it waits')]), 'it waits');
  await issuer.call('release');
  const end = await within(20_000, 'the end of the process', ended);
  assert.equal(running.signalCode, null);
  return { ...end, saved: await refreshToken(issuer, stored()) };
}

const MARK = `
  await held();
  await fetch(url + '/control/mark', { method: 'POST', body: '{"name": "ending"}' });
`;

test('process.exit during an exchange', async () => {
  const end = await endsWhileHeld(`
    const { AuthManager } = await import('./dist/index.mjs');
    const manager = new AuthManager(options);
    manager.refreshToken(manager.auth());
    ${MARK}
    process.exit(7);
  `);
  assert.deepEqual([end.code, end.stderr, end.saved], [7, '', 'refresh:a1']);
});

// What the README recommends: by itself Node ends at once, also by a second signal where the handler
// is one for the first.
test('SIGTERM with a handler during an exchange', async () => {
  const end = await endsWhileHeld(`
    const { spawn } = await import('node:child_process');
    const { AuthManager } = await import('./dist/index.mjs');
    const manager = new AuthManager(options);
    process.on('SIGTERM', () => {
      spawn('sh', ['-c', 'sleep 0.2; kill -s TERM ' + process.pid], { stdio: 'ignore' });
      process.exit(143);
    });
    manager.refreshToken(manager.auth());
    ${MARK}
    process.kill(process.pid, 'SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  `);
  assert.deepEqual([end.code, end.stderr, end.saved], [143, '', 'refresh:a1']);
});

// How test runners and other pools end their children.
for (const [way, end] of Object.entries({
  SIGTERM: (running) => running.kill('SIGTERM'),
  disconnect: (running) => running.disconnect(),
})) {
  test(`${way} of a child by its parent during an exchange`, async () => {
    const { issuer, options, stored } = await signedIn();
    await issuer.call('hold', { at: 'reply' });
    const code = `${START}
      const { AuthManager } = await import('./dist/index.mjs');
      process.on('message', () => {});
      const manager = new AuthManager(options);
      const waiting = new AbortController();
      manager.refreshToken(manager.auth(), { signal: waiting.signal }).catch(() => {});
      await held();
      waiting.abort();
      ${MARK}
    `;
    const args = [JSON.stringify(options), issuer.url];
    const stdio = ['ignore', 'pipe', 'pipe', 'ipc'];
    const { process: running } = child(code, { args, stdio });
    const ended = once(running, 'exit');
    await issuer.wait({ held: 1, marks: { ending: 1 } });
    end(running);
    assert.equal(await Promise.race([ended, setTimeout(1_000, 'it waits')]), 'it waits');
    await issuer.call('release');
    const [, signal] = await within(20_000, 'the end of the process', ended);
    assert.equal(signal, way === 'SIGTERM' ? way : null);
    assert.equal(await refreshToken(issuer, stored()), 'refresh:a1');
  });
}

// The pool of jest kills its children soon after it has asked them to end.
test('a child that its parent may kill at once waits for a refresh that is due', async () => {
  const { issuer, options, stored } = await signedIn();
  const code = `${START}
    const { AuthManager } = await import('./dist/index.mjs');
    const manager = new AuthManager(options);
    if (manager.freshAuthIfReady() !== null) throw new Error('it does not wait');
    await manager.freshAuth();
    process.kill(process.pid, 'SIGKILL');
  `;
  const args = [JSON.stringify({ ...options, refreshWindowMs: 3_500_000 }), issuer.url];
  const { ended } = child(code, { args, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const end = await within(20_000, 'the end of the process', ended);
  assert.deepEqual([end.signal, end.stderr], ['SIGKILL', '']);
  assert.equal(await refreshToken(issuer, stored()), 'refresh:a1');
});

test('an exception that nobody catches during an exchange', async () => {
  const end = await endsWhileHeld(`
    const { AuthManager } = await import('./dist/index.mjs');
    const manager = new AuthManager(options);
    manager.refreshToken(manager.auth());
    ${MARK}
    throw new Error('on purpose');
  `);
  assert.deepEqual([end.code, end.saved], [1, 'refresh:a1']);
  assert.match(end.stderr, /on purpose/);
});

test('a rejection that nobody catches during an exchange', async () => {
  const end = await endsWhileHeld(`
    const { AuthManager } = await import('./dist/index.mjs');
    const manager = new AuthManager(options);
    manager.refreshToken(manager.auth());
    ${MARK}
    Promise.reject(new Error('on purpose'));
    await new Promise(() => {});
  `);
  assert.deepEqual([end.code, end.saved], [1, 'refresh:a1']);
});

test('process.exit of a program of which only a worker has used the package', async () => {
  const end = await endsWhileHeld(`
    const { Worker } = await import('node:worker_threads');
    const code = "const { AuthManager } = require('./dist/index.js');"
      + "const manager = new AuthManager(require('node:worker_threads').workerData);"
      + "manager.refreshToken(manager.auth());";
    new Worker(code, { eval: true, execArgv: [], workerData: options });
    ${MARK}
    process.exit(7);
  `);
  assert.deepEqual([end.code, end.stderr, end.saved], [7, '', 'refresh:a1']);
});

test('an end while a refresh runs in the background', async () => {
  const end = await endsWhileHeld(
    `
    const { AuthManager } = await import('./dist/index.mjs');
    const manager = new AuthManager(options);
    if (manager.freshAuthIfReady() === null) throw new Error('it is still valid');
    ${MARK}
    `,
    { refreshWindowMs: 3_500_000 },
  );
  assert.deepEqual([end.code, end.stderr, end.saved], [0, '', 'refresh:a1']);
});

test('a promise that is waited for keeps the process', async () => {
  const end = await endsWhileHeld(`
    const { AuthManager } = await import('./dist/index.mjs');
    const manager = new AuthManager(options);
    manager.refreshToken(manager.auth()).then((auth) => console.log(auth === manager.auth()));
    ${MARK}
  `);
  assert.deepEqual([end.code, end.stdout, end.saved], [0, 'true\n', 'refresh:a1']);
});

test('a process with nothing to do ends by itself', async () => {
  const { issuer, options, stored } = await signedIn();
  const code = `${START}
    const { AuthManager } = await import('./dist/index.mjs');
    const manager = await AuthManager.open(options);
    await manager.refreshToken(await manager.freshAuth());
    await manager.reload();
  `;
  const { process: running, ended } = child(code, { args: [JSON.stringify(options), issuer.url] });
  try {
    const end = await within(20_000, 'the end of the process', ended);
    assert.deepEqual([end.code, end.stderr], [0, '']);
  } finally {
    running.kill('SIGKILL');
  }
  assert.equal(await refreshToken(issuer, stored()), 'refresh:a1');
});
