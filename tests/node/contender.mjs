// One of many processes that share a login: on every line of standard input it makes one request
// of the protected API, recovers from 401 if it must, and says how that went in one line of JSON.
// Usage: contender.mjs CODEX_HOME ISSUER_URL CLIENT [OPTIONS]; `OPTIONS` is a JSON object of options
// of the manager (see tests/README.md).

import { createInterface } from 'node:readline';

import { AuthManager } from '../../bindings-node/dist/index.mjs';
import { nodeOptions } from './options.mjs';

const [codexHome, url, originator, options = '{}'] = process.argv.slice(2);
const tokenUrl = `${url}/oauth/token`;
const manager = new AuthManager({ codexHome, tokenUrl, originator, ...nodeOptions(JSON.parse(options)) });

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

console.log(JSON.stringify({ ready: true }));
for await (const _ of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await request().catch((error) => ({ error: error.code ?? String(error) }))));
}
