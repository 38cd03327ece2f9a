// Prints how fast the hot paths are. Build in release mode first: npm run build.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';

import { AuthManager } from '../dist/index.mjs';
import { record } from './record.mjs';

const ROUNDS = 15;
const home = mkdtempSync(join(tmpdir(), 'codex-auth-sdk-bench-'));
const path = join(home, 'auth.json');

try {
  await main();
} finally {
  rmSync(home, { recursive: true, force: true });
}

async function main() {
  const records = [record(0), record(1)];
  writeFileSync(path, records[0]);
  const manager = new AuthManager({ codexHome: home, store: 'file' });
  const auth = manager.auth();
  let length = 0;

  print('require, beyond bare node', requireTime(), 'ms');
  print('auth().accessToken', each(200_000, () => (length += manager.auth().accessToken.length)), 'ns');
  print('freshAuthIfReady()', each(200_000, () => (length += manager.freshAuthIfReady() === auth)), 'ns');
  print('await freshAuth()', await eachAwaited(50_000, () => manager.freshAuth()), 'ns');
  print(
    'await syncFromStorage(auth), unchanged, 4 KiB',
    await eachAwaited(2_000, () => manager.syncFromStorage(auth)),
    'ns',
  );
  let turn = 0;
  print(
    'await syncFromStorage(auth), changed, 4 KiB',
    await eachPrepared(
      1_000,
      () => writeFileSync(path, records[(turn += 1) % 2]),
      () => manager.syncFromStorage(auth),
      ({ changed }) => changed,
    ),
    'ns',
  );
  if (length === 0) throw new Error('nothing was read');
}

/** Returns the best of some rounds: other programs on this machine can only add time. */
function each(count, call) {
  return Math.min(
    ...Array.from({ length: ROUNDS }, () => {
      const start = performance.now();
      for (let index = 0; index < count; index += 1) call();
      return ((performance.now() - start) * 1e6) / count;
    }),
  );
}

async function eachAwaited(count, call) {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = performance.now();
    for (let index = 0; index < count; index += 1) await call();
    best = Math.min(best, ((performance.now() - start) * 1e6) / count);
  }
  return best;
}

/** Measures only `call`, not what is done before it, and checks each answer. */
async function eachPrepared(count, prepare, call, isRight) {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round += 1) {
    let spent = 0;
    for (let index = 0; index < count; index += 1) {
      prepare();
      const start = performance.now();
      const answer = await call();
      spent += performance.now() - start;
      if (!isRight(answer)) throw new Error('not the answer that is measured');
    }
    best = Math.min(best, (spent * 1e6) / count);
  }
  return best;
}

/** Measures in new processes, so that no cache but the file system's is warm. */
function requireTime() {
  const package_ = JSON.stringify(new URL('..', import.meta.url).pathname);
  const time = (code) => {
    const start = performance.now();
    execFileSync(process.execPath, ['-e', code]);
    return performance.now() - start;
  };
  const median = (code) => Array.from({ length: ROUNDS }, () => time(code)).sort((a, b) => a - b)[ROUNDS >> 1];
  return median(`require(${package_})`) - median('');
}

function print(what, value, unit) {
  console.log(`${what.padEnd(48)} ${value.toFixed(unit === 'ms' ? 1 : 0).padStart(8)} ${unit}`);
}
