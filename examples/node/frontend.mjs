// A program that calls a protected API in a loop, shares its login with others, and recovers from
// 401. It ends when its standard input does, and prints its tally as a line of JSON now and then.
// Usage: frontend.mjs CODEX_HOME ISSUER_URL NAME

import { setTimeout as pause } from 'node:timers/promises';

import { AuthManager } from 'codex-auth-sdk';

const [codexHome, url, originator] = process.argv.slice(2);
const manager = new AuthManager({ codexHome, tokenUrl: `${url}/oauth/token`, originator });
const tally = { requests: 0, recovered: 0, logouts: 0, slowest_ms: 0, errors: [] };

/** One request, with as many retries as the recovery allows. */
async function request() {
  const recovery = manager.unauthorizedRecovery();
  for (;;) {
    const auth = manager.auth();
    if (auth === null) throw new Error('logged out');
    tally.requests += 1;
    const reply = await fetch(`${url}/api/me`, { headers: auth.headers() });
    await reply.arrayBuffer();
    if (reply.status !== 401) return;
    const start = performance.now();
    const decision = await manager.recoverFromUnauthorized(auth, recovery);
    tally.slowest_ms = Math.max(tally.slowest_ms, performance.now() - start);
    if (decision !== 'retry') {
      tally.logouts += 1;
      throw new Error(`gave up: ${recovery.giveUpReason}`);
    }
    tally.recovered += 1;
  }
}

let stopped = false;
process.stdin.resume().on('end', () => (stopped = true));
let reported = performance.now();
while (!stopped) {
  await request().catch((error) => tally.errors.push(String(error)));
  if (performance.now() - reported > 250) {
    console.log(JSON.stringify(tally));
    reported = performance.now();
  }
  await pause(10);
}
console.log(JSON.stringify(tally));
