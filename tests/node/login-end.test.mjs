// A sign-in that waits for its user ends with the process, the worker or the object that it is of.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

import { AuthManager } from '../../bindings-node/dist/index.mjs';
import { PACKAGE, child, collected, signedIn, within } from './support.mjs';

/** Less than the end of a process waits for what has to be saved. */
const AT_ONCE = 9_000;

const soon = (what, promise) => within(20_000, what, promise);

const START = `
  const { AuthManager } = await import('./dist/index.mjs');
  const manager = new AuthManager(JSON.parse(process.argv[1]));
  const login = await manager.loginWithBrowser({ ports: [0] });
  console.log(login.authorizationUrl);
`;

/** A process that has begun to sign in, and where its user is to go. */
async function begun(code) {
  const { options } = await signedIn();
  const { process: running, ended } = child(START + code, { args: [JSON.stringify(options)] });
  const [url] = await soon('the URL', once(running.stdout, 'data'));
  return { running, ended, url: url.trim() };
}

test('a sign-in that is waited for keeps the process', async () => {
  const { ended, url } = await begun('login.wait().then((auth) => console.log(auth.accountId));');
  await fetch(url);
  const end = await soon('the end of the process', ended);
  assert.deepEqual([end.code, end.stdout, end.stderr], [0, `${url}\nacct-device\n`, '']);
});

for (const [name, leave, status] of [
  ['process.exit', 'login.wait(); setImmediate(() => process.exit(3));', 3],
  ['an exception', "login.wait(); setImmediate(() => { throw new Error('on purpose'); });", 1],
  ['a process where nothing else does', '', 0],
]) {
  test(`${name} waits for no user`, async () => {
    const { running, ended } = await begun(leave);
    try {
      const end = await within(AT_ONCE, 'the end of the process', ended);
      assert.deepEqual([end.code, end.signal], [status, null]);
      assert.match(end.stderr, status === 1 ? /on purpose/ : /^$/);
    } finally {
      running.kill('SIGKILL');
    }
  });
}

for (const [name, leave] of [
  ['is terminated', (worker) => worker.terminate()],
  ['ends itself', (worker) => (worker.postMessage('exit'), once(worker, 'exit'))],
]) {
  test(`a worker that ${name} takes its sign-ins with it, and waits for no user`, async () => {
    const { options } = await signedIn();
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      const { AuthManager } = require(${JSON.stringify(`${PACKAGE}/dist/index.js`)});
      const manager = new AuthManager(workerData);
      parentPort.once('message', () => process.exit(0));
      const begin = () => manager.loginWithBrowser({ ports: [0] });
      Promise.all([begin(), begin()]).then(([waited, left]) => {
        waited.wait();
        waited.complete('http://localhost/').catch(() => {});
        parentPort.postMessage([waited.redirectUri, left.redirectUri]);
      });
    `;
    const worker = new Worker(code, { eval: true, execArgv: [], workerData: options });
    const [uris] = await soon('the sign-ins', once(worker, 'message'));
    await within(AT_ONCE, 'the end of the worker', leave(worker));
    const manager = new AuthManager(options);
    for (const redirectUri of uris) {
      (await manager.loginWithBrowser({ ports: [Number(new URL(redirectUri).port)] })).cancel();
    }
  });
}

test('a sign-in that nobody holds is cancelled', async () => {
  const end = await collected(`
    const manager = new AuthManager(JSON.parse(options));
    const begin = async () => void (await manager.loginWithBrowser({ ports: [0] }));
    manager.subscribe().on('login_failed', ({ code }) => {
      console.log(code);
      clearInterval(collecting);
    });
    await begin();
  `);
  assert.deepEqual(end, { code: 0, signal: null, stdout: 'login_cancelled\n', stderr: '' });
});

test('a sign-in that is waited for needs nobody to hold it', async () => {
  const end = await collected(`
    const begin = async () => {
      const manager = new AuthManager(JSON.parse(options));
      const login = await manager.loginWithBrowser({ ports: [0] });
      login.wait().then(({ accountId }) => {
        console.log(accountId);
        clearInterval(collecting);
      });
      return login.authorizationUrl;
    };
    const authorizationUrl = await begin();
    for (let round = 0; round < 5; round += 1) await gone({});
    await fetch(authorizationUrl);
  `);
  assert.deepEqual(end, { code: 0, signal: null, stdout: 'acct-device\n', stderr: '' });
});
