// What the package does, as a listener of its log hears it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { inspect } from 'node:util';

import { AuthManager, createAuthFetch, enableLogging } from '../../bindings-node/dist/index.mjs';
import { child, signedIn, within } from './support.mjs';

const STEPS = ['lock_wait', 'redemption', 'commit', 'refresh', 'recovery'];

const recover = (manager) =>
  manager.recoverFromUnauthorized(manager.auth(), manager.unauthorizedRecovery());

/** What is logged, and a promise of the next records up to one that says `message`. */
function log() {
  const records = [];
  let arrived = () => {};
  const logging = enableLogging((record) => {
    if (record.level !== 'debug') records.push(record);
    arrived();
  });
  const until = async (message) => {
    for (;;) {
      const end = records.findIndex((record) => record.message === message);
      if (end !== -1) return records.splice(0, end + 1);
      await within(20_000, message, new Promise((resolve) => (arrived = resolve)));
    }
  };
  return { logging, until, records };
}

test('a recovery is logged step by step, until that is stopped', async () => {
  const { options } = await signedIn();
  const { logging, until, records } = log();
  const manager = new AuthManager(options);
  await recover(manager);
  const steps = await until('codex_auth.recovery');
  assert.deepEqual(steps.map(({ message }) => message), STEPS.map((step) => `codex_auth.${step}`));
  const outcomes = steps.map(({ fields }) => fields.outcome);
  assert.deepEqual(outcomes, ['locked', 'granted', 'saved', 'fresh', 'retry']);
  assert.equal(steps[3].fields.purpose, 'rejected');
  for (const { level, target, durationMs } of steps) {
    assert.deepEqual([level, target, durationMs >= 0], ['info', 'codex_auth_sdk', true]);
  }
  const later = log();
  logging.stop();
  logging.stop();
  await recover(manager);
  await later.until('codex_auth.recovery');
  assert.deepEqual(records, []);
  later.logging.stop();
});

test('what goes wrong is a warning, and no record shows a token', async () => {
  const { issuer, home, options, stored } = await signedIn();
  const { logging, until } = log();
  const tokens = [stored()];
  const manager = new AuthManager(options);
  await recover(manager);
  tokens.push(stored());
  await issuer.call('invalidate_refresh', { token: 'a1' });
  await assert.rejects(recover(manager), { code: 'refresh_token_invalidated' });
  const records = [...(await until('codex_auth.recovery')), ...(await until('codex_auth.recovery'))];
  logging.stop();
  const warning = records.find(({ level }) => level === 'warn');
  assert.equal(warning.message, 'the refresh token is refused; sign in again');
  const answer = '127.0.0.1 answered the error refresh_token_invalidated (HTTP 401)';
  const store = join(home, 'auth.json');
  assert.deepEqual(warning.fields, { answer, reason: 'invalidated', store });
  assert.equal(warning.durationMs, null);
  assert.equal(records.at(-1).fields.outcome, 'refresh_token_invalidated');
  const text = inspect(records, { depth: null });
  assert.deepEqual(await issuer.call('leaks', { text }), { leaks: [] });
  assert.doesNotMatch(text, /acct-a/);
  const { leaks } = await issuer.call('leaks', { text: tokens.join('\n') });
  assert.equal(leaks.length, 6);
});

test('each manager is described when it is opened', async () => {
  const { issuer, options } = await signedIn();
  const records = [];
  const logging = enableLogging((record) => records.push(record));
  const manager = new AuthManager(options);
  const described = await manager.describe();
  await within(20_000, 'the record', (async () => {
    while (records.length === 0) await setImmediate();
  })());
  logging.stop();
  const [{ level, message, fields }] = records;
  assert.deepEqual([level, message], ['debug', 'a manager was opened']);
  const logged = JSON.parse(fields.description);
  assert.equal(logged.places.home.path, described.places.home.path);
  assert.equal(described.login.accountId, 'acct-a');
  assert.equal(logged.login.account_id, null, 'the log names no account');
  const text = inspect([records, described], { depth: null });
  assert.deepEqual(await issuer.call('leaks', { text }), { leaks: [] });
  assert.doesNotMatch(text, /example\.com/);
});

test('an origin that gets no credential is told of once, with the name of the option', async () => {
  const { issuer, options } = await signedIn();
  const { logging, until } = log();
  const manager = new AuthManager(options);
  const events = manager.subscribe();
  const told = [];
  events.on('credential_left_out', (error) => told.push(error));
  const fetch = createAuthFetch(manager);
  for (let count = 0; count < 2; count += 1) {
    assert.equal((await fetch(`${issuer.url}/api/me`)).status, 401);
  }
  const refreshed = once(events, 'refreshed');
  await recover(manager);
  await within(20_000, 'the event', refreshed);
  const records = await until('codex_auth.recovery');
  logging.stop();
  events.stop();
  assert.deepEqual(told.map(({ code }) => code), ['origin_not_allowed']);
  const [{ message }] = told;
  const warnings = records.filter(({ level }) => level === 'warn');
  assert.deepEqual(warnings.map((warning) => warning.message), [message]);
  assert.ok(message.includes(`${issuer.origin} is`) && message.includes('allowedOrigins'), message);
});

test('a listener is a function', () => {
  assert.throws(() => enableLogging(), { name: 'TypeError', code: 'invalid_option' });
});

const START = `
  const { AuthManager, enableLogging } = await import('./dist/index.mjs');
  const [options, url] = process.argv.slice(1);
  const manager = new AuthManager(JSON.parse(options));
  const recover = () =>
    manager.recoverFromUnauthorized(manager.auth(), manager.unauthorizedRecovery());
  const call = (name, body) => fetch(url + '/control/' + name, { method: 'POST', body });
`;

async function run(code, meanwhile = () => {}) {
  const { issuer, options } = await signedIn();
  const { ended } = child(START + code, { args: [JSON.stringify(options), issuer.url] });
  await meanwhile(issuer);
  return within(20_000, 'the end of the process', ended);
}

const lines = (steps) => steps.map((step) => `codex_auth.${step}\n`).join('');

test('what a listener throws is an uncaught exception, and the next record comes', async () => {
  const end = await run(`
    process.on('uncaughtException', (error, origin) => console.log(error.message, origin));
    enableLogging(({ message }) => { if (message.endsWith('commit')) throw new Error(message); });
    enableLogging(({ message }) => console.log(message));
    await recover();
    await new Promise((resolve) => setTimeout(resolve, 0));
  `);
  const thrown = 'codex_auth.commit uncaughtException\n';
  assert.deepEqual([end.code, end.stderr], [0, '']);
  assert.equal(end.stdout.replace(thrown, ''), lines(STEPS));
  assert.ok(end.stdout.includes(thrown));
});

for (const [name, code] of [['the end', ''], ['process.exit', 'process.exit();']]) {
  test(`${name} of a process delivers what is left`, async () => {
    const end = await run(`
      enableLogging(({ message }) => console.log(message));
      await recover();
      ${code}
    `);
    assert.deepEqual(end, { code: 0, signal: null, stdout: lines(STEPS), stderr: '' });
  });
}

test('process.exit during an exchange delivers what it came to', async () => {
  const end = await run(`
    enableLogging(({ message }) => console.log(message));
    await call('hold', '{"at": "reply"}');
    manager.refreshToken(manager.auth());
    await call('wait', '{"until": {"held": 1}}');
    await call('mark', '{"name": "ending"}');
    process.exit();
  `, async (issuer) => {
    await issuer.wait({ marks: { ending: 1 } });
    await issuer.call('release');
  });
  assert.deepEqual(end, { code: 0, signal: null, stdout: lines(STEPS.slice(0, -1)), stderr: '' });
});

test('a worker logs what happens in all threads while it is there', async () => {
  const end = await run(`
    const { once } = await import('node:events');
    const { Worker } = await import('node:worker_threads');
    const code = \`
      const { enableLogging } = require('./dist/index.js');
      const { parentPort } = require('node:worker_threads');
      enableLogging(({ message }) => parentPort.postMessage(message));
      parentPort.on('message', () => {});
      parentPort.postMessage('ready');
    \`;
    const worker = new Worker(code, { eval: true, execArgv: [] });
    await once(worker, 'message');
    const messages = [];
    const done = new Promise((resolve) => worker.on('message', (message) => {
      messages.push(message);
      if (message === 'codex_auth.recovery') resolve();
    }));
    await recover();
    await done;
    await worker.terminate();
    await recover();
    console.log(messages.join('\\n'));
  `);
  assert.deepEqual(end, { code: 0, signal: null, stdout: lines(STEPS), stderr: '' });
});
