// The example programs do what they say, and recover from a 401 in between.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
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
