// One of many processes that share a login: on every line of standard input it makes one request
// of the protected API, recovers from 401 if it must, and says how that went in one line of JSON.
// On the line `read` it reads the login again and again instead, on `close` it waits until all is
// saved, on `logout` it signs out.
// Usage: contender.mjs CODEX_HOME ISSUER_URL CLIENT [OPTIONS]; `OPTIONS` is a JSON object of options
// of the manager (see tests/README.md).

import { createInterface } from 'node:readline';

import { AuthManager } from '../../bindings-node/dist/index.mjs';
import { nodeOptions } from './options.mjs';

const [codexHome, url, originator, options = '{}'] = process.argv.slice(2);
const tokenUrl = `${url}/oauth/token`;
const failure = (error) => ({ error: error.code ?? String(error), message: error.message });
const say = (answer) => console.log(JSON.stringify(answer));

async function open() {
  try {
    const given = nodeOptions(JSON.parse(options));
    return await AuthManager.open({ codexHome, tokenUrl, originator, ...given });
  } catch (error) {
    say(failure(error));
    process.exit();
  }
}

const manager = await open();

/** One request, with at most two retries. */
async function request() {
  const recovery = manager.unauthorizedRecovery();
  for (let unauthorized = 0; ; unauthorized += 1) {
    const auth = await manager.freshAuth();
    if (auth === null) return { error: 'logged_out' };
    const { status } = await fetch(`${url}/api/me`, { headers: auth.headers() });
    if (status !== 401) return { status, unauthorized };
    const decision = await manager.recoverFromUnauthorized(auth, recovery);
    if (decision !== 'retry') return { error: recovery.giveUpReason };
  }
}

async function close() {
  return { closed: await manager.close({ timeoutMs: 60_000 }) };
}

function logout() {
  return manager.logout({ revoke: true });
}

/** Rounds of readings for one line. */
const READS = 100;

/** Many readings of the store, of every kind, until one does not find the login. */
async function read() {
  for (let round = 0; round < READS; round += 1) {
    await manager.reload();
    const auth = await manager.freshAuth();
    if (auth === null) return { error: 'logged_out' };
    const { kind } = await manager.syncFromStorage(auth);
    if (kind !== 'applied') return { error: kind };
  }
  return { reads: 2 * READS };
}

const ANSWERS = { read, close, logout };

say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await (ANSWERS[line] ?? request)().catch(failure);
  say({ ...answer, pending_save: manager.pendingSave });
}
