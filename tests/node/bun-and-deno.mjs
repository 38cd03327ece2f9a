// Bun and Deno, with the packages as npm installs them, beside Node. `OTHER_RUNTIMES` is a folder in
// which `npm install` has put both and the packages: see `bindings-node/scripts/test-runtimes`.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

import { ROOT, codexHome, refreshToken, signedIn, within } from './support.mjs';

const FOLDER = process.env.OTHER_RUNTIMES;

const [BUN, DENO] = ['bun', 'deno'].map((name) => join(FOLDER, 'node_modules/.bin', name));

/** How each of them runs the program that follows. */
const RUNTIMES = {
  Node: [process.execPath],
  Bun: [BUN],
  // What `bindings-node/README.md` names, and the network, which these programs need themselves.
  Deno: [DENO, 'run', '--no-prompt', '--allow-ffi', '--allow-env', '--allow-read', '--allow-net'],
};

const OTHERS = Object.entries(RUNTIMES).filter(([name]) => name !== 'Node');

let programs = 0;

/** Writes a program beside the packages. */
function program(code) {
  const path = join(FOLDER, `program-${process.pid}-${(programs += 1)}.mjs`);
  writeFileSync(path, code);
  return path;
}

/** Starts a program of a runtime. */
function start([command, ...first], path, args = [], options = {}) {
  const running = spawn(command, [...first, path, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...options,
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    running[name].setEncoding('utf8').on('data', (text) => (output[name] += text));
  }
  const ended = once(running, 'close').then(([code, signal]) => ({ code, signal, ...output }));
  return { running, ended: within(60_000, 'the end of the program', ended) };
}

/** Runs a program of a runtime; what it printed. */
async function printed(runtime, path, args, options) {
  const { stdout, ...end } = await start(runtime, path, args, options).ended;
  assert.deepEqual(end, { code: 0, signal: null, stderr: '' });
  return stdout.trim();
}

/** The contender of these tests, as a program that has installed the packages. */
function contender() {
  const [folder, name] = [join(ROOT, 'tests/node'), 'contender.mjs'];
  const code = readFileSync(join(folder, name), 'utf8');
  const installed = code.replace('../../bindings-node/dist/index.mjs', 'codex-auth-sdk');
  assert.notEqual(installed, code);
  copyFileSync(join(folder, 'options.mjs'), join(FOLDER, 'options.mjs'));
  return program(installed);
}

test('all runtimes share one login, which is redeemed once', async () => {
  const { issuer, home } = await signedIn();
  await issuer.call('kill_access');
  const path = contender();
  const contenders = Object.entries(RUNTIMES).map(([name, runtime]) => {
    const { running, ended } = start(runtime, path, [home, issuer.url, name]);
    const lines = createInterface({ input: running.stdout })[Symbol.asyncIterator]();
    const answer = async () => JSON.parse((await within(60_000, name, lines.next())).value);
    return { name, running, ended, answer };
  });
  for (const { name, answer } of contenders) assert.deepEqual(await answer(), { ready: true }, name);
  for (const { running } of contenders) running.stdin.end('\n');
  for (const { name, answer, ended } of contenders) {
    const { status, ...others } = await answer();
    assert.equal(status, 200, `${name}: ${JSON.stringify(others)}`);
    const { code, stderr } = await ended;
    assert.deepEqual([code, stderr], [0, ''], name);
  }
  const { grants, refused } = await issuer.stats();
  assert.deepEqual([grants, refused], [1, 0]);
});

for (const [name, runtime] of OTHERS) {
  test(`${name}: fetch with a login recovers from a 401, and events tell`, async () => {
    const { issuer, home, stored } = await signedIn();
    await issuer.call('kill_access');
    const path = program(`
      import { AuthManager, createAuthFetch } from 'codex-auth-sdk';
      process.env.CODEX_HOME = process.argv[2];
      const url = process.argv[3];
      const tokenUrl = url + '/oauth/token';
      const manager = await AuthManager.open({ tokenUrl, allowedOrigins: [new URL(url).origin] });
      const kinds = [];
      manager.subscribe().on('refreshed', () => kinds.push('refreshed'));
      const response = await createAuthFetch(manager)(url + '/api/me');
      await manager.close();
      console.log(response.status, kinds.join());
    `);
    assert.equal(await printed(runtime, path, [home, issuer.url]), '200 refreshed');
    assert.equal(await refreshToken(issuer, stored()), 'refresh:a1');
  });

  test(`${name}: what a program is about to save is saved when it ends`, async () => {
    const { issuer, options, stored } = await signedIn();
    await issuer.call('hold', { at: 'reply' });
    const path = program(`
      import { AuthManager } from 'codex-auth-sdk';
      const manager = await AuthManager.open(JSON.parse(process.argv[2]));
      manager.refreshToken(manager.auth());
      const body = '{"until": {"held": 1}}';
      await fetch(process.argv[3] + '/control/wait', { method: 'POST', body });
      console.log('ending');
      process.exit(7);
    `);
    const { running, ended } = start(runtime, path, [JSON.stringify(options), issuer.url]);
    await within(60_000, 'the end', once(running.stdout, 'data'));
    await issuer.call('release');
    assert.deepEqual(await ended, { code: 7, signal: null, stdout: 'ending\n', stderr: '' });
    assert.equal(await refreshToken(issuer, stored()), 'refresh:a1');
  });
}

test('Bun: a variable of its .env file is found, by programs and by the command', async () => {
  const { CODEX_HOME, ...env } = process.env;
  const place = codexHome('{"OPENAI_API_KEY": "sk-stored"}');
  const cwd = codexHome();
  writeFileSync(join(cwd, '.env'), `CODEX_HOME=${place}\n`);
  const path = program(`
    import { AuthManager } from 'codex-auth-sdk';
    console.log((await AuthManager.open()).auth()?.mode);
  `);
  assert.equal(await printed(RUNTIMES.Bun, path, [], { cwd, env }), 'api_key');
  const command = join(FOLDER, 'node_modules/codex-auth-sdk/dist/command.js');
  const status = await printed(RUNTIMES.Bun, command, ['status', '--json'], { cwd, env });
  assert.equal(JSON.parse(status).description.store.location, join(place, 'auth.json'));
});
