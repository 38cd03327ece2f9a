// The example programs do what they say, and recover from a 401 in between.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { codexHome, refreshToken, signedIn, within } from './support.mjs';

const EXAMPLES = fileURLToPath(new URL('../../examples/node/', import.meta.url));
const EVENTS = ['response.created', 'response.output_item.done', 'response.completed'];

/** A login whose access token is dead, and what a program has to be told of it. */
async function rejected() {
  const { issuer, home, stored } = await signedIn();
  await issuer.call('kill_access');
  const env = {
    CODEX_HOME: home,
    CODEX_REFRESH_TOKEN_URL_OVERRIDE: `${issuer.url}/oauth/token`,
  };
  return { issuer, home, stored, env };
}

function start(name, args, env) {
  return spawn(process.execPath, [join(EXAMPLES, name), ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** Runs an example to its end: the lines that it printed. */
async function run(name, args, env) {
  const program = start(name, args, env);
  let printed = '';
  program.stdout.setEncoding('utf8').on('data', (text) => (printed += text));
  const [code] = await within(60_000, name, once(program, 'close'));
  assert.equal(code, 0, name);
  return printed.trimEnd().split('\n');
}

/** One refresh was all. */
async function assertRefreshedOnce(issuer) {
  const { requests, grants } = await issuer.stats();
  assert.deepEqual({ requests, grants }, { requests: 1, grants: 1 });
}

test('quickstart', async () => {
  const { issuer, env } = await rejected();
  assert.deepEqual(await run('quickstart.mjs', [`${issuer.url}/api/me`, issuer.origin], env), ['200']);
  await assertRefreshedOnce(issuer);
});

test('retry on 401', async () => {
  const { issuer, env } = await rejected();
  assert.deepEqual(await run('retry-on-401.mjs', [`${issuer.url}/api/me`], env), ['200']);
  await assertRefreshedOnce(issuer);
});

test('openai stream', async () => {
  const { issuer, env } = await rejected();
  const args = [`${issuer.url}/v1`, issuer.origin];
  assert.deepEqual(await run('openai-stream.mjs', args, env), EVENTS);
  await assertRefreshedOnce(issuer);
});

test('websocket', async () => {
  const { issuer, env } = await rejected();
  const url = `${issuer.url.replace('http:', 'ws:')}/api/socket`;
  assert.deepEqual(await run('websocket.mjs', [url, 'hello'], env), ['hello']);
  await assertRefreshedOnce(issuer);
});

test('server', async () => {
  const { issuer, env } = await rejected();
  const program = start('server.mjs', ['0', `${issuer.url}/api/me`, issuer.origin], env);
  const ended = once(program, 'close');
  try {
    const [url] = await once(createInterface(program.stdout), 'line');
    const answers = await Promise.all([fetch(url), fetch(url)].map(async (answer) => (await answer).text()));
    assert.deepEqual(answers, ['20 of 20', '20 of 20']);
    await assertRefreshedOnce(issuer);
  } finally {
    program.kill();
  }
  const [code] = await within(20_000, 'the end of server.mjs', ended);
  assert.equal(code, 0);
});

/** The page at `url`, once it shows what is expected. */
async function shows(url, expected) {
  for (;;) {
    const text = await (await fetch(url)).text();
    if (expected.test(text)) return text;
  }
}

test('login server', async () => {
  const { issuer, home, stored } = await signedIn();
  await issuer.call('configure', { device_pending_polls: 1 });
  const program = start('login-server.mjs', ['0', issuer.url], {
    CODEX_HOME: home,
    CODEX_REVOKE_TOKEN_URL_OVERRIDE: `${issuer.url}/oauth/revoke`,
  });
  const ended = once(program, 'close');
  const shown = (url, expected) => within(20_000, String(expected), shows(url, expected));
  try {
    const [url] = await once(createInterface(program.stdout), 'line');
    const submit = (path, origin = url) =>
      fetch(url + path, { method: 'POST', headers: { origin } });
    await shown(url, /Signed in as a@example.com/);
    for (const origin of ['http://example.com', 'null', `${url}.example.com`]) {
      assert.equal((await submit('/logout', origin)).status, 403);
    }
    assert.equal((await fetch(`${url}/logout`, { method: 'POST' })).status, 403);
    assert.equal((await submit('/toString')).status, 403);
    assert.equal(await statusWithHost(url, 'example.com'), 421);
    assert.match(await (await submit('/logout')).text(), /Nobody is signed in/);
    assert.deepEqual((await issuer.stats()).revocations, ['refresh:a0']);
    assert.match(await (await submit('/login')).text(), /codex\/device.*TEST-CODE/s);
    await shown(url, /Signed in as device@example.com/);
    assert.equal(await refreshToken(issuer, stored()), 'refresh:sign_in_0_0');
    await issuer.call('configure', { device_pending_polls: 1_000 });
    const pages = await Promise.all([submit('/login'), submit('/login')]);
    for (const page of pages) assert.match(await page.text(), /TEST-CODE/);
  } finally {
    program.kill();
  }
  const [code] = await within(20_000, 'the end of login-server.mjs', ended);
  assert.equal(code, 0);
});

/** What is answered to a request to `url` by another name; `fetch` would not say it. */
async function statusWithHost(url, host) {
  const [response] = await once(get(url, { headers: { host } }), 'response');
  response.resume();
  return response.statusCode;
}

const isOld = Number(process.versions.node.split('.')[0]) < 22;

test('custom store', { skip: isOld && 'node:sqlite is of Node 22' }, async () => {
  const { issuer, home, env } = await rejected();
  const [database, record] = [join(codexHome(), 'login.db'), join(home, 'auth.json')];
  await run('custom-store.mjs', ['import', database, record], env);
  assert.equal(existsSync(record), false);
  const args = [database, `${issuer.url}/api/me`, issuer.origin];
  assert.deepEqual(await run('custom-store.mjs', args, env), ['200']);
  await assertRefreshedOnce(issuer);
  const { DatabaseSync } = await import('node:sqlite');
  const row = new DatabaseSync(database).prepare('SELECT record FROM login').get();
  assert.equal(await refreshToken(issuer, row.record), 'refresh:a1');
});
