// Variables as JavaScript sees them: a worker may have others than its process.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

import { PACKAGE, codexHome } from './support.mjs';

const LOGIN = '{"OPENAI_API_KEY": "sk-stored"}';

/** Where each way to make a manager finds the login, in a worker with these variables. */
async function found(variables) {
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    const { AuthManager } = require(workerData);
    (async () => {
      const managers = [new AuthManager(), await AuthManager.open(), AuthManager.openUnread()];
      const places = managers.map(async (manager) => (await manager.describe()).store.location);
      parentPort.postMessage(await Promise.all(places));
    })();
  `;
  const worker = new Worker(code, { eval: true, execArgv: [], env: variables, workerData: PACKAGE });
  return (await once(worker, 'message'))[0];
}

test('a manager in a worker finds its folder by the variables of the worker', async (context) => {
  const [ofProcess, ofWorker] = [codexHome(LOGIN), codexHome(LOGIN)];
  process.env.CODEX_HOME = ofProcess;
  context.after(() => delete process.env.CODEX_HOME);
  for (const [variables, home] of [
    [{ ...process.env, CODEX_HOME: ofWorker }, ofWorker],
    [{ ...process.env }, ofProcess],
  ]) {
    assert.deepEqual(await found(variables), Array(3).fill(join(home, 'auth.json')));
  }
});

test('a variable that is no text, as a test may leave it, is none', async (context) => {
  const { AuthManager } = await import('../../bindings-node/dist/index.mjs');
  const variables = process.env;
  context.after(() => (process.env = variables));
  const place = codexHome(LOGIN);
  process.env = { ...variables, CODEX_HOME: place, CODEX_AUTH_AGENT: undefined };
  assert.equal((await new AuthManager().describe()).store.location, join(place, 'auth.json'));
});
