// Runs the shared cases: see tests/README.md. Knows nothing about tokens; the issuer compares.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setImmediate, setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';

import { AuthManager, CodexAuthError, enableLogging } from '../../bindings-node/dist/index.mjs';
import { nodeOptions } from './options.mjs';
import { EVENT_KINDS, Store, enterSession, realm, within } from './support.mjs';

const CASES = new URL('../cases/', import.meta.url);
const FIELDS = fields('name doc stores needs options issuer logins faults store open steps expect');
const LONGEST = 60_000;

/** What all cases have logged. */
const logged = [];
enableLogging((record) => logged.push(inspect(record)));

/** Each kind of step: its fields, and how it is done. */
const STEPS = {
  open: ['manager options unread', async (run, { manager, options, unread }) =>
    run.open(manager, options, unread)],
  auth: ['manager as', async (run, step) => run.keep(step, run.manager(step).auth())],
  fresh_auth: ['manager as', async (run, step) => run.keep(step, await run.manager(step).freshAuth())],
  reload: ['manager', async (run, step) => ({ changed: await run.manager(step).reload() })],
  sync: ['manager auth', (run, step) => run.manager(step).syncFromStorage(run.named(step.auth))],
  recovery: ['manager as', async (run, step) => {
    run.names.set(step.as, run.manager(step).unauthorizedRecovery());
    return { give_up_reason: run.named(step.as).giveUpReason };
  }],
  recover: ['manager auth recovery', (run, step) => run.recover(step)],
  refresh: ['manager auth as', async (run, step) =>
    run.keep(step, await run.manager(step).refreshToken(run.named(step.auth)))],
  request: ['auth', (run, step) => run.request(run.named(step.auth))],
  logout: ['manager revoke', (run, step) =>
    run.manager(step).logout('revoke' in step ? { revoke: step.revoke } : {})],
  describe: ['manager', async (run, step) => run.described(await run.manager(step).describe())],
  close: ['manager', async (run, step) => (await run.manager(step).close({ timeoutMs: 30_000 }), {})],
  write_store: ['store in_place heal_after_ms', (run, step) => run.writeStore(step)],
  edit_store: ['set remove', async (run, { set, remove }) => {
    const edit = { json: JSON.parse(run.store.read()), ...(set && { set }), ...(remove && { remove }) };
    return run.writeStore({ store: edit });
  }],
  delete_store: ['', async (run) => (run.store.write(null), {})],
  store: ['', async (run) => ({ text: run.store.read() })],
  control: ['call args', (run, { call, args }) => run.issuer.call(call, args)],
  wait: ['until timeout_ms', (run, { until, timeout_ms }) => run.issuer.wait(until, timeout_ms)],
  stats: ['', (run) => run.issuer.stats()],
  in_background: ['as step', async (run, { as, step }) => (run.names.set(as, run.observe(step)), {})],
  join: ['of', (run, { of }) => run.named(of)],
};

class Run {
  constructor(kase, store) {
    Object.assign(this, { kase, names: new Map(), managers: new Map(), output: [], healing: [] });
    this.store = new Store(store);
    this.loggedBefore = logged.length;
  }

  async whole() {
    const { issuer: config = {}, logins = {}, faults = [], store, open, steps, expect = {} } = this.kase;
    this.issuer = await realm({ config, logins, faults });
    await this.writeStore({ store: store ?? {} });
    if (open !== false) {
      assert.equal((await this.open()).error, undefined);
    }
    for (const [number, step] of steps.entries()) {
      const title = `step ${number + 1}: ${JSON.stringify(step)}`;
      const actual = await within(LONGEST, title, this.observe(step, ['expect']));
      const [call, found] = step.do === 'store' ? ['check_store', actual] : ['check', { actual }];
      const { mismatches } = await this.issuer.call(call, { ...found, expect: step.expect ?? {} });
      assert.deepEqual(mismatches, [], title);
    }
    await Promise.all(this.healing);
    for (const manager of this.managers.values()) {
      await manager.close({ timeoutMs: 30_000 });
      this.output.push(inspect(manager, { depth: 9, showHidden: true }), JSON.stringify(manager));
    }
    // What was traced by now is delivered by then.
    await setImmediate();
    this.output.push(...logged.slice(this.loggedBefore));
    const end = { text: this.store.read(), output: this.output.join('\n'), expect };
    const { mismatches, stats } = await this.issuer.call('finish', end);
    assert.deepEqual(mismatches, [], inspect(stats, { depth: 9 }));
  }

  async observe(step, more = []) {
    const [known, perform] = STEPS[step.do] ?? assert.fail(`unknown step ${step.do}`);
    const allowed = new Set(['do', ...more, ...fields(known)]);
    assert.deepEqual(Object.keys(step).filter((field) => !allowed.has(field)), []);
    try {
      return await perform(this, step);
    } catch (error) {
      this.output.push(inspect(error), String(error), error.stack, JSON.stringify(error));
      if (!(error instanceof CodexAuthError)) {
        throw error;
      }
      const { code, reason, isTransient: is_transient, retryAfterMs } = error;
      const retry_after = retryAfterMs === null ? null : retryAfterMs / 1000;
      return { error: { code, reason, is_transient, retry_after } };
    }
  }

  async open(name = 'main', more = {}, unread = false) {
    const given = Object.entries(nodeOptions({ ...this.kase.options, ...more }));
    const filled = ([option, value]) => [option, typeof value === 'string' ? this.filled(value) : value];
    const options = { ...this.store.options, ...this.issuer.options, ...Object.fromEntries(given.map(filled)) };
    const manager = unread ? AuthManager.openUnread(options) : await AuthManager.open(options);
    this.managers.set(name, manager);
    const events = manager.subscribe();
    for (const kind of EVENT_KINDS) events.on(kind, (detail) => this.output.push(inspect(detail)));
    return this.keep({}, manager.auth());
  }

  filled(text) {
    return text.replaceAll('{url}', this.issuer.url).replaceAll('{origin}', this.issuer.origin);
  }

  manager({ manager = 'main' }) {
    return this.managers.get(manager) ?? assert.fail(`no manager ${manager}`);
  }

  named(name) {
    return this.names.has(name) ? this.names.get(name) : assert.fail(`nothing is called ${name}`);
  }

  keep({ as }, auth) {
    if (as !== undefined) this.names.set(as, auth);
    if (auth === null) return { auth };
    this.output.push(inspect(auth, { showHidden: true }), JSON.stringify(auth), String(auth));
    const { mode, accountId, userId, email, planType, isFedramp } = auth;
    const ids = { account_id: accountId, user_id: userId, email, plan_type: planType };
    const times = { expires_at: auth.expiresAt, last_refresh: auth.lastRefresh };
    return { auth: { mode, access_token: auth.accessToken, ...ids, is_fedramp: isFedramp, ...times } };
  }

  described(description) {
    this.output.push(inspect(description, { depth: 9 }), JSON.stringify(description));
    return JSON.parse(JSON.stringify(description), (_, value) => inSnakeCase(value));
  }

  async recover(step) {
    const [auth, recovery] = [this.named(step.auth), this.named(step.recovery)];
    const decision = await this.manager(step).recoverFromUnauthorized(auth, recovery);
    return { decision, give_up_reason: recovery.giveUpReason };
  }

  async request(auth) {
    const response = await fetch(`${this.issuer.url}/api/me`, { headers: auth.headers() });
    return { status: response.status, body: await response.json().catch(() => null) };
  }

  async writeStore({ store, in_place, heal_after_ms }) {
    const { text } = await this.issuer.call('store_text', store);
    this.store.write(text, in_place);
    if (heal_after_ms !== undefined) {
      const { cut, ...whole } = store;
      const { text } = await this.issuer.call('store_text', whole);
      this.healing.push(delay(heal_after_ms).then(() => this.store.write(text, true)));
    }
    return {};
  }
}

function inSnakeCase(value) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const name = (key) => key.replace(/[A-Z]/g, (found) => `_${found.toLowerCase()}`);
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [name(key), part]));
}

function fields(text) {
  return new Set(text.split(' ').filter(Boolean));
}

/** Makes a test of each case on each of `kinds` of stores. */
export async function run(kinds = ['file', 'keyring', 'ephemeral', 'custom']) {
  const hasKeyring = kinds.includes('keyring') && (await enterSession());
  for (const file of readdirSync(CASES).filter((name) => name.endsWith('.json')).sort()) {
    describe(file, { concurrency: 8 }, () => {
      for (const kase of JSON.parse(readFileSync(new URL(file, CASES), 'utf8'))) {
        assert.deepEqual(Object.keys(kase).filter((field) => !FIELDS.has(field)), [], kase.name);
        const needs = kase.needs?.length > 0 && `needs ${kase.needs.join(', ')}`;
        for (const store of kinds.filter((kind) => kase.stores?.includes(kind) ?? true)) {
          const noKeyring = 'install gnome-keyring, dbus and libsecret-tools';
          const skip = needs || (store === 'keyring' && !hasKeyring && noKeyring);
          test(`${kase.name} (${store})`, { skip }, () => new Run(kase, store).whole());
        }
      }
    });
  }
}
