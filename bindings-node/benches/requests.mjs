// Prints what the HTTP integrations add to a request that needs no recovery: each beside its bare
// client, in turns, on loopback, with the same headers. Build in release mode first: npm run build.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { performance } from 'node:perf_hooks';

import undici from 'undici';

import { AuthManager, EphemeralStorage, createAuthFetch, createAuthInterceptor } from '../dist/index.mjs';
import { record } from './record.mjs';

const TURNS = 20_000;
const WARM_UP = 2_000;

const server = createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${server.address().port}`;

try {
  await main();
} finally {
  server.close();
  server.closeAllConnections();
}

async function main() {
  const storage = new EphemeralStorage(record(0));
  const manager = new AuthManager({ store: storage, allowedOrigins: [url] });
  const own = { 'content-type': 'application/json' };
  const all = { ...own, ...manager.auth().headers() };
  const body = JSON.stringify({ model: 'm', input: 'hello' });

  const authFetch = createAuthFetch(manager);
  await compare('createAuthFetch, beyond fetch', [
    async () => (await fetch(url, { method: 'POST', headers: all, body })).text(),
    async () => (await authFetch(url, { method: 'POST', headers: own, body })).text(),
  ]);

  const agent = new undici.Agent();
  const composed = agent.compose(createAuthInterceptor(manager));
  const request = async (dispatcher, headers) => {
    const response = await undici.request(url, { method: 'POST', headers, body, dispatcher });
    return response.body.text();
  };
  await compare('createAuthInterceptor, beyond request', [
    () => request(agent, all),
    () => request(composed, own),
  ]);
  await agent.close();
}

async function compare(what, calls) {
  const times = calls.map(() => []);
  for (let turn = 0; turn < TURNS + WARM_UP; turn += 1) {
    for (const [which, call] of calls.entries()) {
      const start = performance.now();
      await call();
      if (turn >= WARM_UP) times[which].push((performance.now() - start) * 1e3);
    }
  }
  const [bare, ours] = times.map((each) => each.sort((a, b) => a - b)[each.length >> 1]);
  const figures = `${(ours - bare).toFixed(1).padStart(8)} us (${bare.toFixed(1)} and ${ours.toFixed(1)})`;
  console.log(`${what.padEnd(48)} ${figures}`);
}
