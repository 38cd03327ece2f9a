// Signing in and out: what the binding could break of it. The test issuer agrees at once to whoever
// goes to the authorization URL.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { format, inspect } from 'node:util';

import {
  AuthManager, BrowserLogin, CodexAuthError, DeviceLogin,
} from '../../bindings-node/dist/index.mjs';
import { isDenied, withDatabase } from './postgres.mjs';
import { codexHome, realm, refreshToken, signedIn, within } from './support.mjs';

const ANY_PORT = { ports: [0] };

/** A manager of the login `a`. */
async function scene(config = {}) {
  const { issuer, options, ...rest } = await signedIn();
  await issuer.call('configure', config);
  return { issuer, ...rest, manager: new AuthManager(options) };
}

const soon = (what, promise) => within(20_000, what, promise);

const next = (events, kind) => soon(kind, once(events, kind));

/** The browser of a user who agrees; the page that it ends up at. */
const visit = (login) => fetch(login.authorizationUrl);

/** The address that a browser elsewhere would end up at. */
async function redirected(login) {
  const answer = await fetch(login.authorizationUrl, { redirect: 'manual' });
  return answer.headers.get('location');
}

const portOf = (login) => Number(new URL(login.redirectUri).port);

const refused = (promise, code) =>
  assert.rejects(promise, (error) => error instanceof CodexAuthError && error.code === code);

test('with a browser', async () => {
  const { issuer, manager, stored } = await scene();
  const events = manager.subscribe();
  const told = Promise.all([next(events, 'identity_changed'), next(events, 'logged_in')]);
  const login = await manager.loginWithBrowser(ANY_PORT);
  assert.ok(login instanceof BrowserLogin);
  const waiting = login.wait();
  const page = await visit(login);
  assert.equal(page.status, 200);
  assert.match(await page.text(), /Signed in/);
  const auth = await soon('the login', waiting);
  assert.equal(auth.accountId, 'acct-device');
  assert.equal(manager.auth(), auth);
  assert.equal(await login.wait(), auth);
  assert.equal(await refreshToken(issuer, stored()), 'refresh:sign_in_0_0');
  assert.deepEqual((await issuer.stats()).revocations, []);
  assert.deepEqual(await told, [[], []]);
  events.stop();
});

test('what was replaced is revoked if asked for', async () => {
  const { issuer, manager } = await scene();
  const login = await manager.loginWithBrowser({ ...ANY_PORT, revokeReplaced: true });
  await visit(login);
  await login.wait();
  assert.deepEqual((await issuer.stats()).revocations, ['refresh:a0']);
});

test("the user's browser is opened", async (context) => {
  const { manager } = await scene();
  const login = await manager.loginWithBrowser(ANY_PORT);
  const { PATH, BROWSER } = process.env;
  context.after(() => {
    process.env.PATH = PATH;
    BROWSER === undefined ? delete process.env.BROWSER : (process.env.BROWSER = BROWSER);
  });
  delete process.env.BROWSER;
  process.env.PATH = '';
  assert.throws(() => login.openBrowser(), { code: 'login_not_supported' });
  process.env.PATH = PATH;
  const browser = join(codexHome(), 'browser');
  // Other users see how it is called, so it gets a page in a file, which leads to the address.
  const visit = `
    const page = require("fs").readFileSync(new URL(process.argv[1]), "utf8");
    fetch(page.match(/href="([^"]+)"/)[1].replaceAll("&amp;", "&"));
  `;
  writeFileSync(browser, `#!/bin/sh\nexec '${process.execPath}' -e '${visit}' "$1"\n`);
  chmodSync(browser, 0o755);
  process.env.BROWSER = browser;
  login.openBrowser();
  assert.equal((await soon('the login', login.wait())).accountId, 'acct-device');
});

test('with an address that is pasted', async () => {
  const { manager } = await scene();
  const login = await manager.loginWithBrowser({ manual: true });
  assert.equal(login.redirectUri, 'http://127.0.0.1:1455/auth/callback');
  const address = await redirected(login);
  await refused(login.complete(address.replace('state=', 'state=x')), 'login_state_mismatch');
  await refused(login.complete('hello'), 'login_failed');
  await assert.rejects(login.complete(new URL(address)), TypeError);
  const auth = await soon('the login', login.complete(` ${address} `));
  assert.equal(auth.accountId, 'acct-device');
});

test('begun by another manager', { skip: isDenied() }, async () => {
  const issuer = await realm();
  await withDatabase(async (store) => {
    const storeKey = Buffer.alloc(32).toString('base64');
    const open = () => AuthManager.open({ store, login: 'a', storeKey, issuer: issuer.url });
    const begun = await (await open()).loginWithBrowser({ manual: true });
    const address = await redirected(begun);
    begun.leave();
    await refused(begun.wait(), 'login_cancelled');
    const manager = await open();
    const login = await manager.resumeLoginWithBrowser(begun.id);
    assert.ok(login instanceof BrowserLogin);
    assert.deepEqual([login.id, login.authorizationUrl], [begun.id, begun.authorizationUrl]);
    assert.equal((await soon('the login', login.complete(address))).accountId, 'acct-device');
    await refused(manager.resumeLoginWithBrowser(begun.id), 'login_cancelled');
    const device = await manager.loginWithDeviceCode();
    const resumed = await manager.resumeLoginWithDeviceCode(device.id);
    assert.ok(resumed instanceof DeviceLogin);
    assert.deepEqual([resumed.id, resumed.userCode], [device.id, device.userCode]);
    resumed.leave();
    device.cancel();
    await assert.rejects(manager.resumeLoginWithBrowser(1), TypeError);
  });
  const { manager } = await scene();
  const begun = await manager.loginWithBrowser({ manual: true });
  assert.equal(begun.id, null);
  await refused(manager.resumeLoginWithDeviceCode('x'), 'not_supported_by_store');
});

test('with a device code', async () => {
  const { issuer, manager, stored } = await scene({ device_pending_polls: 1 });
  const events = manager.subscribe();
  const told = Promise.all([next(events, 'login_pending'), next(events, 'logged_in')]);
  const login = await manager.loginWithDeviceCode();
  assert.ok(login instanceof DeviceLogin);
  const { userCode, verificationUri, verificationUriComplete, expiresInMs } = login;
  assert.deepEqual(
    { userCode, verificationUri, verificationUriComplete, expiresInMs },
    {
      userCode: 'TEST-CODE',
      verificationUri: `${issuer.url}/codex/device`,
      verificationUriComplete: null,
      expiresInMs: 900_000,
    },
  );
  const auth = await soon('the login', login.wait());
  assert.equal(manager.auth(), auth);
  assert.equal(await refreshToken(issuer, stored()), 'refresh:sign_in_0_0');
  assert.deepEqual(await told, [[], []]);
  events.stop();
});

test('a user who declines changes nothing', async () => {
  const { manager, stored } = await scene({ sign_in_error: 'access_denied' });
  const [before, events] = [stored(), manager.subscribe()];
  const told = next(events, 'login_failed');
  const login = await manager.loginWithBrowser(ANY_PORT);
  assert.equal((await visit(login)).status, 400);
  await refused(login.wait(), 'login_denied');
  const [error] = await told;
  assert.deepEqual([error.name, error.code], ['CodexAuthError', 'login_denied']);
  assert.equal(stored(), before);
  assert.equal(manager.auth().accountId, 'acct-a');
  events.stop();
});

test('cancelling ends what waits, and frees the port', async () => {
  const { manager, stored } = await scene();
  const before = stored();
  const login = await manager.loginWithBrowser(ANY_PORT);
  const onIt = { ports: [portOf(login)] };
  await refused(manager.loginWithBrowser(onIt), 'login_port_busy');
  const waiting = [login.wait(), login.wait()];
  login.cancel();
  // All at once: a rejection that is heard late counts as unhandled.
  await Promise.all(waiting.map((each) => refused(soon('the end', each), 'login_cancelled')));
  const another = await manager.loginWithBrowser(onIt);
  assert.equal(portOf(another), portOf(login));
  another.cancel();
  another.cancel();
  const device = await manager.loginWithDeviceCode();
  const ended = device.wait();
  device.cancel();
  await refused(soon('the end', ended), 'login_cancelled');
  assert.equal(stored(), before);
});

const hasDispose = Symbol.dispose !== undefined;

test('what is disposed of is cancelled', { skip: !hasDispose && 'no Symbol.dispose' }, async () => {
  const { manager } = await scene();
  const logins = [await manager.loginWithBrowser(ANY_PORT), await manager.loginWithDeviceCode()];
  for (const login of logins) {
    login[Symbol.dispose]();
    await refused(login.wait(), 'login_cancelled');
  }
});

test('nobody is waited for for ever', async () => {
  const { manager } = await scene();
  const short = { ...ANY_PORT, timeoutMs: 1 };
  await refused((await manager.loginWithBrowser(short)).wait(), 'login_timeout');
  const device = await manager.loginWithDeviceCode({ timeoutMs: 1 });
  assert.ok(device.expiresInMs <= 1, String(device.expiresInMs));
  await refused(device.wait(), 'login_timeout');
});

test('a signal ends the waiting, and the sign-in goes on', async () => {
  const { manager } = await scene();
  const { signal } = new AbortController();
  const login = await manager.loginWithBrowser({ ...ANY_PORT, signal });
  const abort = new AbortController();
  const waiting = login.wait({ signal: abort.signal });
  abort.abort(new Error('enough'));
  await assert.rejects(soon('the end of the waiting', waiting), { message: 'enough' });
  await assert.rejects(login.wait({ signal: abort.signal }), { message: 'enough' });
  await visit(login);
  assert.equal((await soon('the login', login.wait())).accountId, 'acct-device');
});

test('a signal that ends the beginning leaves nothing behind', async () => {
  const { options } = await signedIn();
  // A server whose metadata are late: until then the sign-in has not begun.
  const server = createServer();
  after(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const endpoints = { authorization_endpoint: `${issuer}/a`, token_endpoint: `${issuer}/t` };
  const tokenUrl = endpoints.token_endpoint;
  const manager = new AuthManager({ ...options, issuer, tokenUrl, tokenEncoding: 'form' });
  const free = await manager.loginWithBrowser(ANY_PORT);
  const onIt = { ports: [portOf(free)], protocol: 'standard' };
  free.cancel();
  await refused(free.wait(), 'login_cancelled');
  const [events, abort] = [manager.subscribe(), new AbortController()];
  const told = next(events, 'login_failed');
  const asked = soon('the request for the metadata', once(server, 'request'));
  const beginning = manager.loginWithBrowser({ ...onIt, signal: abort.signal });
  const [, response] = await asked;
  abort.abort(new Error('enough'));
  await assert.rejects(beginning, { message: 'enough' });
  response.end(JSON.stringify({ issuer, ...endpoints }));
  const [error] = await told;
  assert.equal(error.code, 'login_cancelled');
  (await manager.loginWithBrowser(onIt)).cancel();
  await assert.rejects(
    manager.loginWithDeviceCode({ signal: abort.signal }),
    { message: 'enough' },
  );
  events.stop();
});

test('a login of another workspace is refused', async () => {
  const { manager, stored } = await scene();
  const before = stored();
  const login = await manager.loginWithBrowser({ ...ANY_PORT, allowedWorkspaces: ['acct-x'] });
  assert.match(login.authorizationUrl, /allowed_workspace_id=acct-x/);
  await visit(login);
  await refused(login.wait(), 'login_workspace_not_allowed');
  assert.equal(stored(), before);
});

test('the options are those of the core', async () => {
  const { manager } = await scene();
  const checked = await manager.loginWithBrowser({ ...ANY_PORT, idTokenValidation: 'required' });
  await visit(checked);
  await refused(checked.wait(), 'login_failed');
  const scoped = await manager.loginWithBrowser({ ...ANY_PORT, scope: 'openid x' });
  assert.equal(new URL(scoped.authorizationUrl).searchParams.get('scope'), 'openid x');
  // The test issuer publishes no metadata.
  await refused(manager.loginWithDeviceCode({ protocol: 'standard' }), 'login_failed');
  for (const [options, message] of [
    [{ protocol: 'saml' }, /protocol is "saml", which is unknown; use codex or standard/],
    [{ idTokenValidation: 'no' }, /idTokenValidation is "no", which is unknown/],
    [{ timeoutMs: -1 }, /timeoutMs is -1/],
    [{ timeoutMs: 0 }, /timeout is 0ns/],
    [{ scope: '' }, /scope is ""/],
    [{ manual: true, ports: [] }, /ports is empty/],
  ]) {
    const error = await manager.loginWithBrowser(options).catch((error) => error);
    assert.ok(error instanceof CodexAuthError, String(error));
    assert.equal(error.code, 'invalid_option');
    assert.match(error.message, message);
  }
  for (const options of [
    { port: 1 }, { ports: 1455 }, { ports: ['1455'] }, { ports: [65_536] }, { ports: [-1] },
    { ports: [0.5] }, { allowedWorkspaces: 'acct-x' }, { manual: 'yes' }, { signal: {} }, null,
  ]) {
    for (const begin of ['loginWithBrowser', 'loginWithDeviceCode']) {
      await assert.rejects(manager[begin](options), { name: 'TypeError', code: 'invalid_option' });
    }
  }
});

test('an API key or access token is stored as it is', async () => {
  const { manager } = await scene();
  const key = await manager.loginWithApiKey('sk-new');
  assert.deepEqual([key.mode, key.accessToken, manager.auth()], ['api_key', 'sk-new', key]);
  const token = await manager.loginWithAccessToken('at-new');
  assert.deepEqual([token.mode, manager.auth()], ['personal_access_token', token]);
  const error = await manager.loginWithApiKey('no key').catch((error) => error);
  assert.equal(error.code, 'login_invalid_credential');
  assert.doesNotMatch(inspect(error), /no key/);
  await refused(manager.loginWithAccessToken('no token'), 'login_invalid_credential');
  await assert.rejects(manager.loginWithApiKey(undefined), TypeError);
  await assert.rejects(manager.loginWithAccessToken(null), TypeError);
  await assert.rejects(manager.loginWithApiKey('sk-2', { signal: AbortSignal.abort() }), {
    name: 'AbortError',
  });
  assert.equal(manager.auth(), token);
});

test('a sign-in over a file that is no login needs a manager that has not read it', async () => {
  const home = codexHome('no login');
  await refused(AuthManager.open({ codexHome: home }), 'store_corrupt');
  const manager = AuthManager.openUnread({ codexHome: home });
  assert.equal(manager.auth(), null);
  assert.throws(() => AuthManager.openUnread({ codexHome: home, store: 'paper' }), {
    code: 'invalid_option',
  });
  await manager.loginWithApiKey('sk-new');
  assert.equal(manager.auth().accessToken, 'sk-new');
  assert.equal((await AuthManager.open({ codexHome: home })).auth().accessToken, 'sk-new');
  const [kept] = readdirSync(home).filter((name) => name.startsWith('auth.json.broken-'));
  assert.equal(readFileSync(join(home, kept), 'utf8'), 'no login');
});

test('another account is signed out only if that is said', async () => {
  const { issuer, manager, home } = await scene();
  const { text } = await issuer.call('login', { name: 'b' });
  writeFileSync(join(home, 'auth.json'), text);
  await refused(manager.logout(), 'identity_mismatch');
  assert.deepEqual((await issuer.stats()).revocations, []);
  const outcome = await manager.logout({ anyAccount: true });
  assert.deepEqual(outcome, { removed: true, revoked: true });
  assert.deepEqual((await issuer.stats()).revocations, ['refresh:b0']);
  assert.equal(existsSync(join(home, 'auth.json')), false);
  await assert.rejects(manager.logout({ anyAccount: 'yes' }), TypeError);
});

test('no way to print a sign-in or its errors shows what belongs to it alone', async () => {
  const { issuer, manager, stored } = await scene();
  const browser = await manager.loginWithBrowser({ manual: true });
  const device = await manager.loginWithDeviceCode();
  const address = await redirected(browser);
  const caught = (promise) => promise.catch((error) => error);
  const errors = [
    await caught(browser.complete(address.replace('state=', 'state=x'))),
    await caught(browser.complete(`${address}x`)),
  ];
  for (const { code } of errors) assert.equal(code, 'login_state_mismatch');
  const auth = await browser.complete(address);
  device.cancel();
  errors.push(await caught(device.wait()), await caught(browser.complete(address.slice(1))));
  const shown = [browser, device, auth, ...errors].flatMap((value) => [
    inspect(value, { depth: null, showHidden: true }),
    inspect(value, { depth: null, showHidden: true, customInspect: false }),
    format('%s %o %O %j', value, value, value, value),
    JSON.stringify(value),
    `${value} ${Object.keys(value)} ${Object.entries(value)}`,
  ]);
  const text = shown.join('\n');
  assert.deepEqual(await issuer.call('leaks', { text }), { leaks: [] });
  const { leaks } = await issuer.call('leaks', { text: stored() });
  assert.equal(leaks.length, 3);
  const asked = new URL(browser.authorizationUrl).searchParams;
  const secrets = [asked.get('state'), asked.get('code_challenge'), device.userCode];
  for (const secret of [...secrets, new URL(address).searchParams.get('code')]) {
    assert.ok(secret.length > 8);
    assert.ok(!text.includes(secret));
  }
  assert.match(text, /BrowserLogin \{ redirectUri: 'http:\/\/127.0.0.1:1455/);
  assert.match(text, /DeviceLogin \{\s+verificationUri: /);
});
