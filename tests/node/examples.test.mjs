// The example programs do what they say, and recover from a 401 in between.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { isDenied, withDatabase } from './postgres.mjs';
import { PACKAGE, codexHome, realm, refreshToken, signedIn, within } from './support.mjs';

// Those of a copy, with the packages as they are installed, where EXAMPLES names it.
const EXAMPLES =
  process.env.EXAMPLES ?? fileURLToPath(new URL('../../examples/node/', import.meta.url));
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

/** Runs an example that serves until `use`, which gets its URL, is done. */
async function serving(name, args, env, use) {
  const program = start(name, args, env);
  const ended = once(program, 'close');
  try {
    const [url] = await within(60_000, name, once(createInterface(program.stdout), 'line'));
    await use(url);
  } finally {
    program.kill();
  }
  const [code] = await within(20_000, `the end of ${name}`, ended);
  assert.equal(code, 0);
}

/** One refresh of each login was all. */
async function assertRefreshedOnce(issuer, logins = 1) {
  const { requests, grants, max_redemptions: most } = await issuer.stats();
  assert.deepEqual({ requests, grants, most }, { requests: logins, grants: logins, most: 1 });
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
  await serving('server.mjs', ['0', `${issuer.url}/api/me`, issuer.origin], env, async (url) => {
    const answers = await Promise.all([fetch(url), fetch(url)].map(async (answer) => (await answer).text()));
    assert.deepEqual(answers, ['20 of 20', '20 of 20']);
    await assertRefreshedOnce(issuer);
  });
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
  const env = {
    CODEX_HOME: home,
    CODEX_REVOKE_TOKEN_URL_OVERRIDE: `${issuer.url}/oauth/revoke`,
  };
  const shown = (url, expected) => within(20_000, String(expected), shows(url, expected));
  await serving('login-server.mjs', ['0', issuer.url], env, async (url) => {
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
  });
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

/** What the service of many users answers to a user: the status, and the text. */
async function ask(replica, user, path = '/me', method = 'GET') {
  const response = await fetch(replica + path, { method, headers: { 'x-user': user } });
  return [response.status, await response.text()];
}

async function until(what, holds) {
  const held = async () => {
    while (!(await holds()));
  };
  await within(60_000, what, held());
}

/** Each of the requests, all at once, is sent with the login of its user. */
async function assertServed(requests) {
  const answers = await Promise.all(requests.map(([replica, user]) => ask(replica, user)));
  for (const [index, [, user]] of requests.entries()) {
    const [status, text] = answers[index];
    assert.equal(status, 200, text);
    const { user_id: id, account_header: account } = JSON.parse(text);
    assert.deepEqual({ id, account }, { id: `user-${user}`, account: `acct-${user}` });
  }
}

const USERS = ['alice', 'bob'];

test('many users', { skip: isDenied() }, async () => {
  const issuer = await realm();
  const env = { CODEX_AUTH_STORE_KEY: Buffer.alloc(32).toString('base64') };
  await withDatabase(async (store) => {
    const migrate = [join(PACKAGE, 'dist', 'command.js'), 'migrate', store];
    assert.equal(spawnSync(process.execPath, migrate).status, 0, 'migrate');
    const args = ['0', store, `${issuer.url}/api/me`, issuer.url, issuer.origin];
    const replica = (use) => serving('many-users.mjs', args, env, use);
    await replica((first) => replica((second) => useReplicas(issuer, first, second)));
    await outlive(issuer, start('many-users.mjs', args, env), replica);
  });
});

/** A sign-in outlives the replica that began it. */
async function outlive(issuer, killed, replica) {
  await issuer.call('configure', { device_pending_polls: 3 });
  const [url] = await within(60_000, 'a replica', once(createInterface(killed.stdout), 'line'));
  const { sign_in: signIn } = JSON.parse((await ask(url, 'carol', '/login', 'POST'))[1]);
  killed.kill('SIGKILL');
  await within(20_000, 'its end', once(killed, 'close'));
  await replica(async (heir) => {
    const path = `/login?sign_in=${signIn}`;
    assert.deepEqual(await ask(heir, 'dave', path), [200, 'signed_out']);
    assert.deepEqual(await ask(heir, 'carol', path), [200, 'pending']);
    await until('signed in', async () => (await ask(heir, 'carol', path))[1] === 'signed_in');
    assert.equal((await ask(heir, 'carol'))[0], 200);
  });
}

async function useReplicas(issuer, first, second) {
  for (const user of USERS) {
    assert.deepEqual(await ask(second, user), [401, '{"error":"login_required"}']);
    await signIn(issuer, user, first, second);
  }
  const everywhere = [second, first].flatMap((replica) => USERS.map((user) => [replica, user]));
  await assertServed(everywhere);
  await issuer.call('kill_access');
  await assertServed([...everywhere, ...everywhere, ...everywhere]);
  await assertRefreshedOnce(issuer, 2);

  // The tokens stay good, so that no 401 of the API tells the other replica.
  await issuer.call('configure', { revoke: 'fail' });
  assert.deepEqual(await ask(first, 'alice', '/login', 'DELETE'), [204, '']);
  await until('signed out', async () => (await ask(second, 'alice'))[0] === 401);
  assert.deepEqual(await ask(second, 'alice', '/login'), [200, 'signed_out']);
  await assertServed([[first, 'bob'], [second, 'bob']]);
}

/** Signs in at one replica to an account of the user's, until the other one knows the login. */
async function signIn(issuer, user, at, noticedBy) {
  const account = { account_id: `acct-${user}`, user_id: `user-${user}`, email: `${user}@example.com` };
  await issuer.call('configure', { account });
  const [status, text] = await ask(at, user, '/login', 'POST');
  const code = { user_code: 'TEST-CODE', verification_uri: `${issuer.url}/codex/device` };
  const { sign_in: signIn, ...shown } = JSON.parse(text);
  assert.deepEqual([status, shown, typeof signIn], [200, code, 'string']);
  await until('signed in', async () => (await ask(noticedBy, user, '/login'))[1] === 'signed_in');
}
