// What goes wrong is said clearly, with its code, and never costs a login.

import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { AuthManager, CodexAuthError, EphemeralStorage } from '../../bindings-node/dist/index.mjs';
import { child, codexHome, packageForAll, signedIn } from './support.mjs';

const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;

/** The error of `open`, and that the constructor says the same. */
async function refused(options) {
  const opened = await AuthManager.open(options).catch((error) => error);
  assert.throws(() => new AuthManager(options), {
    name: opened.name,
    code: opened.code,
    message: opened.message,
  });
  return opened;
}

/** What `code` prints as JSON when it runs as a user who may do nothing. */
async function asNobody(code, ...args) {
  const user = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const head = `
    const { AuthManager } = await import('./dist/index.mjs');
    const [options] = process.argv.slice(1).map((text) => JSON.parse(text));
    const said = ({ code, message, reason, isTransient }) => ({ code, message, reason, isTransient });
  `;
  const texts = args.map((value) => JSON.stringify(value));
  const cwd = packageForAll();
  const { code: status, stdout, stderr } = await child(head + code, { args: texts, cwd, ...user }).ended;
  assert.deepEqual([status, stderr], [0, '']);
  return JSON.parse(stdout);
}

function giveAway(home, ...names) {
  if (isRoot) {
    [home, ...names.map((name) => join(home, name))].forEach((path) => chownSync(path, NOBODY, NOBODY));
  }
}

test('errors carry code, reason, retry time, cause and a useful stack', async () => {
  const { issuer, options } = await signedIn({
    faults: [
      { kind: 'status', status: 503, retry_after: { seconds: 120 } },
      { kind: 'status', status: 401, code: 'refresh_token_expired' },
    ],
  });
  const manager = new AuthManager(options);
  const transient = await manager.refreshToken(manager.auth()).catch((error) => error);
  assert.ok(transient instanceof CodexAuthError && transient instanceof Error);
  assert.equal(transient.name, 'CodexAuthError');
  assert.equal(transient.code, 'refresh_transient');
  assert.equal(transient.isTransient, true);
  assert.ok(transient.retryAfterMs > 100_000 && transient.retryAfterMs <= 120_000);
  assert.match(transient.stack, /errors\.test\.mjs/);

  const other = new AuthManager({ ...options, store: new EphemeralStorage(issuer.logins.a.text) });
  const expired = await other.refreshToken(other.auth()).catch((error) => error);
  const { code, reason, isTransient, retryAfterMs } = expired;
  assert.deepEqual(
    { code, reason, isTransient, retryAfterMs },
    { code: 'refresh_token_expired', reason: 'expired', isTransient: false, retryAfterMs: null },
  );

  assert.throws(() => new EphemeralStorage('{'), (error) => {
    assert.equal(error.code, 'invalid_option');
    assert.match(error.cause.message, /not a JSON object/);
    return true;
  });
});

test('a CODEX_HOME that is not there', async () => {
  const codexHome_ = join(codexHome(), 'nowhere');
  const error = await refused({ codexHome: codexHome_ });
  assert.equal(error.code, 'invalid_option');
  assert.ok(error.message.includes(codexHome_));
  assert.match(error.message, /create it, or name another/);
});

test('an environment that names no folder', async () => {
  const code = `
    const error = await AuthManager.open().catch((error) => error);
    console.log(JSON.stringify(said(error)));
  `;
  process.env.CODEX_HOME = join(codexHome(), 'nowhere');
  try {
    const error = await asNobody(code);
    assert.equal(error.code, 'invalid_option');
    assert.ok(error.message.includes(process.env.CODEX_HOME));
  } finally {
    delete process.env.CODEX_HOME;
  }
});

test('a file that is not JSON', async () => {
  const { issuer, home, stored, options } = await signedIn();
  const manager = new AuthManager(options);
  const text = 'Liberté, égalité { "tokens"';
  writeFileSync(join(home, 'auth.json'), text);
  // A constructor cannot wait for a half-written file to become whole.
  assert.throws(() => new AuthManager(options), { code: 'store_unavailable', message: /open/ });
  for (const error of [
    await AuthManager.open(options).catch((error) => error),
    await manager.refreshToken(manager.auth()).catch((error) => error),
    await manager.reload().catch((error) => error),
  ]) {
    assert.equal(error.code, 'store_corrupt');
    assert.ok(error.message.includes(join(home, 'auth.json')), error.message);
  }
  assert.equal(stored(), text);
  assert.equal((await issuer.stats()).requests, 0);
});

test('a folder in the place of the file', async () => {
  const { issuer, home, options } = await signedIn();
  const manager = new AuthManager(options);
  rmSync(join(home, 'auth.json'));
  mkdirSync(join(home, 'auth.json'));
  for (const error of [
    await refused(options),
    await manager.refreshToken(manager.auth()).catch((error) => error),
  ]) {
    assert.equal(error.code, 'store_unavailable');
    assert.ok(error.message.includes(join(home, 'auth.json')), error.message);
  }
  assert.deepEqual(readdirSync(join(home, 'auth.json')), []);
  assert.equal((await issuer.stats()).requests, 0);
});

test('a file without permission to read it', async () => {
  const { issuer, home, stored, options } = await signedIn();
  const before = stored();
  giveAway(home, 'auth.json');
  chmodSync(join(home, 'auth.json'), 0o000);
  const error = await asNobody(
    `const error = await AuthManager.open(options).catch((error) => error);
    console.log(JSON.stringify(said(error)));`,
    options,
  );
  assert.equal(error.code, 'store_unavailable');
  assert.ok(error.message.includes(join(home, 'auth.json')), error.message);
  chmodSync(join(home, 'auth.json'), 0o600);
  assert.equal(stored(), before);
  assert.equal((await issuer.stats()).requests, 0);
});

test('a folder that cannot be written costs no token', async () => {
  const { issuer, home, stored, options } = await signedIn();
  const before = stored();
  giveAway(home, 'auth.json');
  chmodSync(home, 0o500);
  const error = await asNobody(
    `const manager = new AuthManager(options);
    const error = await manager.refreshToken(manager.auth()).catch((error) => error);
    console.log(JSON.stringify(said(error)));`,
    options,
  );
  chmodSync(home, 0o700);
  assert.equal(error.code, 'store_read_only');
  assert.ok(error.message.includes(home), error.message);
  assert.equal(stored(), before);
  assert.deepEqual(readdirSync(home), ['auth.json']);
  assert.equal((await issuer.stats()).requests, 0);
});

test('values that cannot be used', async () => {
  const base = { codexHome: codexHome() };
  const bad = [
    [{ store: 'vault' }, /vault.*file, keyring/],
    [{ refresh: 'sometimes' }, /sometimes.*auto or never/],
    [{ tokenEncoding: 'xml' }, /xml.*json or form/],
    [{ tokenUrl: 'not a url' }, /tokenUrl is "not a url", .*; name one/],
    [{ revokeUrl: '::' }, /revokeUrl is "::"/],
    [{ issuer: 'http://example.com' }, /use https/],
    [{ tokenUrl: 'http://example.com/token' }, /use https, or http on loopback/],
    [{ userAgent: 'a\nb' }, /userAgent/],
    [{ proxy: 'ftp://proxy' }, /proxy .*http, https/],
    [{ allowedOrigins: ['https://x/v1'] }, /^allowedOrigins is "https:..x.v1"/],
    [{ winnerWaitMs: -1 }, /winnerWaitMs is -1, .*; name zero or a positive number/],
    [{ refreshWindowMs: NaN }, /refreshWindowMs/],
    [{ requestTimeoutMs: Infinity }, /requestTimeoutMs/],
    [{ requestTimeoutMs: 0 }, /requestTimeoutMs is 0ns, .*; name one from 1ms/],
    [{ refreshDeadlineMs: 0 }, /refreshDeadlineMs is 0ns, .*; name one from 1ms/],
    [{ lockTimeoutMs: 1e12 }, /^lockTimeoutMs is 1000000000s, .*; name one from 1ms/],
    [{ lockTimeoutMs: 1000 }, /^lockTimeoutMs is 1s, which is no longer than refreshDeadlineMs, 45s;/],
    [{ lockTimeoutMs: Number.MAX_VALUE }, /lockTimeoutMs/],
    [{ winnerWaitMs: -Infinity }, /winnerWaitMs is -inf/],
    [{ codexHome: '' }, /^codexHome is ""/],
    [{ codexHome: '/client_id "codex_home"' }, /^codexHome is "\/client_id \\"codex_home\\"", which/],
    [{ accountId: '' }, /accountId is "", .*; correct it, or leave it out/],
    [{ clientId: '' }, /clientId is ""/],
    [{ originator: '\ud800' }, /originator is "\ufffd"/],
    [{ tokenUrl: '' }, /tokenUrl is ""/],
    [{ tokenUrl: 'https://user:secret@x/' }, /tokenUrl is a URL \(not shown\)/],
    [{ revokeUrl: 'https://x/#part' }, /revokeUrl is "https:..x.#part", which has a fragment/],
    [{ issuer: 'https://x/?tenant=1' }, /issuer is "https:..x..tenant=1", which has a query/],
  ];
  for (const [options, message] of bad) {
    const error = await refused({ ...base, ...options });
    assert.ok(error instanceof CodexAuthError);
    assert.equal(error.code, 'invalid_option', JSON.stringify(options));
    assert.match(error.message, message);
  }
  const manager = new AuthManager(base);
  await assert.rejects(manager.close({ timeoutMs: -1 }), { code: 'invalid_option' });
});

test('mistakes in names and types', async () => {
  const base = { codexHome: codexHome() };
  const bad = [
    [{ codexhome: 'x' }, /unknown option codexhome; known are codexHome, store/],
    [{ refresh_window: 1 }, /unknown option refresh_window/],
    [{ toString: 'x' }, /unknown option toString/],
    [{ codexHome: 1 }, /codexHome must be of type string, not number/],
    [{ codexHome: null }, /codexHome must be of type string, not null/],
    [{ store: {} }, /store must be of type string, EphemeralStorage or object with load, save and delete, not obj/],
    [{ winnerWaitMs: '1' }, /winnerWaitMs must be of type number, not string/],
    [{ allowedOrigins: 'https://x' }, /allowedOrigins must be of type array of strings, not string/],
    [{ allowedOrigins: [1] }, /allowedOrigins must be of type array of strings/],
    [{ winnerWaitMs: 1n }, /winnerWaitMs must be of type number, not bigint/],
  ];
  for (const [options, message] of bad) {
    const error = await refused({ ...base, ...options });
    assert.ok(error instanceof TypeError);
    assert.equal(error.code, 'invalid_option');
    assert.match(error.message, message);
  }
  for (const options of [null, 1, 'file']) {
    assert.ok((await refused(options)) instanceof TypeError);
  }
  const manager = new AuthManager({ ...base, store: undefined });
  const recovery = manager.unauthorizedRecovery();
  for (const wrong of [undefined, null, {}, 'token', Object.create(recovery)]) {
    await assert.rejects(manager.refreshToken(wrong), TypeError);
    await assert.rejects(manager.syncFromStorage(wrong), TypeError);
    await assert.rejects(manager.recoverFromUnauthorized(wrong, recovery), TypeError);
  }
  await assert.rejects(manager.logout({ revoke: 'yes' }), TypeError);
  await assert.rejects(manager.logout(true), TypeError);
  await assert.rejects(manager.close({ timeoutMs: '1' }), TypeError);
  assert.throws(() => new EphemeralStorage(1), TypeError);
});

test('a credential that is no bearer token has no headers', () => {
  const storage = new EphemeralStorage({ bedrock_api_key: { key: 'x' } });
  const auth = new AuthManager({ codexHome: codexHome(), store: storage }).auth();
  assert.equal(auth.mode, 'bedrock');
  assert.equal(auth.accessToken, null);
  assert.throws(() => auth.headers(), { code: 'unsupported_mode', name: 'CodexAuthError' });
});
