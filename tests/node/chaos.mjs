// What the chaos tests share: chance that repeats, calls at random, and the issuer's verdict.

import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';

import { AuthManager } from '../../bindings-node/dist/index.mjs';
import { signedIn } from './support.mjs';

/** `make torture` plays more rounds, with other seeds. */
export const TIMES = Number(process.env.TORTURE ?? 1);
export const SEED = Number(process.env.TORTURE_SEED ?? 1);

/**
 * Access tokens that the server kills in one world: more rotations of young tokens than this are
 * put off by design.
 */
export const KILLS = 4;

/** Numbers from 0 to below 1 that look random and repeat by their seed. */
export function chance(seed) {
  let state = BigInt(seed) + 1n;
  return () => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
    return Number(state >> 33n) / 2 ** 31;
  };
}

/** So many worlds of their own, each with a login whose token has expired; more for torture. */
export async function* worlds(what, count) {
  for (let number = 0; number < count * TIMES; number += 1) {
    const logins = { a: { access_age_s: 7200 } };
    const world = await signedIn({ logins, config: { grant_latency_ms: 5 } });
    yield { ...world, seed: SEED + number };
    await judge(world, `${what}, seed ${SEED + number}`);
  }
  if (process.env.TORTURE_REPORT) {
    const line = JSON.stringify({ what, tried: count * TIMES });
    appendFileSync(process.env.TORTURE_REPORT, `${line}\n`);
  }
}

/** What the issuer's records say of a login that must still be good. */
async function judge({ issuer, options, stored }, what) {
  const manager = new AuthManager(options);
  assert.equal(await request(options.issuer, manager), true, what);
  const stats = await issuer.stats();
  const live = await issuer.call('live', { text: stored() });
  const verdict = [live.refresh, stats.replays, stats.refused, stats.max_redemptions];
  assert.deepEqual(verdict, [true, 0, 0, 1], `${what}: ${JSON.stringify(stats)}`);
}

/** Whether the protected API takes this snapshot. */
export async function isWelcome(url, auth) {
  const { status } = await fetch(`${url}/api/me`, { headers: auth.headers() });
  return status === 200;
}

/** One request, with at most two retries; whether it came through. */
export async function request(url, manager) {
  const recovery = manager.unauthorizedRecovery();
  for (;;) {
    const auth = await manager.freshAuth();
    if (await isWelcome(url, auth)) return true;
    if ((await manager.recoverFromUnauthorized(auth, recovery)) !== 'retry') return false;
  }
}

/** A call of a random method. A login that the API takes is not rotated. */
export async function someCall(options, manager, random, waiting = {}) {
  const auth = manager.auth();
  const calls = [
    () => manager.freshAuth(waiting),
    () => manager.reload(waiting),
    () => manager.syncFromStorage(auth, waiting),
    () => AuthManager.open(options, waiting),
    () => manager.close({ timeoutMs: 2 }),
  ];
  if (!(await isWelcome(options.issuer, auth))) {
    const recovery = manager.unauthorizedRecovery();
    for (let count = 0; count < 3; count += 1) {
      calls.push(() => manager.refreshToken(auth, waiting));
      calls.push(() => manager.recoverFromUnauthorized(auth, recovery, waiting));
    }
  }
  return calls[Math.floor(random() * calls.length)]();
}
