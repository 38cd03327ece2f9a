// What all tests share: the issuer, one realm for each test, and folders that go away.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

import { EphemeralStorage } from '../../bindings-node/dist/index.mjs';
import { AsyncRowStore } from './row-store.mjs';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export const PACKAGE = join(ROOT, 'bindings-node');

/** The kinds of events, of which `rust/lists.rs` checks that none is missing. */
export const EVENT_KINDS = [
  'adopted', 'refreshed', 'logged_out', 'identity_changed', 'workspace_changed', 'refresh_failed',
  'save_failed', 'save_recovered', 'store_changed', 'credential_left_out', 'logged_in',
  'login_pending', 'login_failed', 'missed',
];

/** The versions of undici that run here, by their names. undici 8 needs Node 22.19. */
export const UNDICIS = undicis();

// No test depends on the login of whoever runs it.
for (const name of Object.keys(process.env).filter((name) => name.startsWith('CODEX_'))) {
  delete process.env[name];
}

let issuer;
let realms = 0;

function undicis() {
  const require = createRequire(join(PACKAGE, 'package.json'));
  const [major, minor] = process.versions.node.split('.').map(Number);
  const takes8 = major > 22 || (major === 22 && minor >= 19);
  return { 'undici 7': require('undici'), ...(takes8 && { 'undici 8': require('undici-8') }) };
}

/** A realm of its own: see tests/README.md. */
export async function realm(start = {}) {
  issuer ??= startProgram(issuerPath());
  const { url: origin } = await issuer;
  const name = `n${process.pid}x${(realms += 1)}`;
  const made = await post(`${origin}/control/realms`, { name, ...start });
  return { ...realmAt(made.url), logins: made.logins };
}

/** A realm that another process has made. */
export function realmAt(url) {
  const call = (name, args = {}) => post(`${url}/control/${name}`, args);
  return {
    url,
    origin: new URL(url).origin,
    call,
    stats: () => call('stats'),
    wait: (until, timeout_ms = 20_000) => call('wait', { until, timeout_ms }),
    options: { tokenUrl: `${url}/oauth/token`, revokeUrl: `${url}/oauth/revoke`, issuer: url },
  };
}

/** A CODEX_HOME, removed after the tests of the file. */
export function codexHome(text) {
  const home = mkdtempSync(join(tmpdir(), 'codex-auth-sdk-'));
  after(() => rmSync(home, { recursive: true, force: true }));
  if (text !== undefined) {
    writeFileSync(join(home, 'auth.json'), text, { mode: 0o600 });
  }
  return home;
}

let copied;

/** The package in a folder that every user may enter: the one of the clone may be in root's home. */
export function packageForAll() {
  if (copied === undefined) {
    copied = mkdtempSync(join(tmpdir(), 'codex-auth-sdk-package-'));
    process.once('exit', () => rmSync(copied, { recursive: true, force: true }));
    chmodSync(copied, 0o755);
    for (const name of readdirSync(PACKAGE).filter((name) => /^(dist|native\.js|package\.json|.*\.node)$/.test(name))) {
      cpSync(join(PACKAGE, name), join(copied, name), { recursive: true });
    }
  }
  return copied;
}

let session;

/** Starts a session with a keyring, which this process finds; false where there can be none. */
export async function enterSession() {
  session ??= startProgram(join(dirname(issuerPath()), 'test-keyring'));
  const variables = await session;
  Object.assign(process.env, variables);
  return variables !== null;
}

/** An item of the session's keyring, as a foreign program sees it. */
export class KeyringItem {
  #account;

  constructor(home) {
    const digest = createHash('sha256').update(realpathSync(home)).digest('hex');
    this.#account = `cli|${digest.slice(0, 16)}`;
  }

  read() {
    const { status, stdout } = this.#ask('lookup');
    return status === 0 ? stdout : null;
  }

  write(text) {
    if (text === null) return void this.#ask('clear');
    const more = ['target', 'default', 'application', 'rust-keyring', '--label', 'a login'];
    assert.equal(this.#ask('store', more, text).status, 0);
  }

  #ask(what, more = [], input = '') {
    const item = [what, 'service', 'Codex Auth', 'username', this.#account];
    return spawnSync('secret-tool', [...item, ...more], { input, encoding: 'utf8' });
  }
}

/** A store of any kind that a test can read and write, as a foreign program would. */
export class Store {
  #memory;
  #row;
  #path;

  constructor(kind) {
    const home = codexHome();
    this.#path = join(home, 'auth.json');
    this.#memory = kind === 'ephemeral' ? new EphemeralStorage() : null;
    const custom = kind === 'custom' ? new AsyncRowStore(home) : null;
    this.#row = kind === 'keyring' ? new KeyringItem(home) : custom;
    /** What a manager of this store is opened with. */
    this.options = { codexHome: home, store: this.#memory ?? custom ?? kind };
  }

  /** What is stored; null for nothing. */
  read() {
    if (this.#memory) return this.#memory.record();
    if (this.#row) return this.#row.read();
    return existsSync(this.#path) ? readFileSync(this.#path, 'utf8') : null;
  }

  /** Replaces the file, or truncates it and writes in place; null removes it. */
  write(text, inPlace = false) {
    if (this.#memory) return this.#memory.replace(text);
    if (this.#row) return this.#row.write(text);
    if (text === null) return rmSync(this.#path, { force: true });
    if (inPlace) return writeFileSync(this.#path, text, { mode: 0o600 });
    writeFileSync(`${this.#path}.foreign`, text, { mode: 0o600 });
    renameSync(`${this.#path}.foreign`, this.#path);
  }
}

/** A realm with the login `a` and a CODEX_HOME that holds it. */
export async function signedIn(start = {}) {
  const issuer = await realm({ logins: { a: {} }, ...start });
  const home = codexHome(issuer.logins.a.text);
  const stored = () => readFileSync(join(home, 'auth.json'), 'utf8');
  const options = { ...issuer.options, codexHome: home, winnerWaitMs: 300 };
  return { issuer, home, stored, options };
}

/** The refresh token's name in a store's text, such as `refresh:a1`. */
export async function refreshToken(issuer, text) {
  const { record } = await issuer.call('inspect', { text });
  return record.tokens.refresh_token;
}

/** Runs `code` (a module unless `type` says otherwise) in a process of its own; what became of it. */
export function child(code, { args = [], cwd, env, type = 'module', ...options } = {}) {
  const process_ = spawn(process.execPath, [`--input-type=${type}`, '-e', code, ...args], {
    cwd: cwd ?? PACKAGE,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    process_[name].setEncoding('utf8').on('data', (text) => (output[name] += text));
  }
  const ended = once(process_, 'close').then(([code, signal]) => ({ code, signal, ...output }));
  return { process: process_, ended };
}

/** Runs `code`, in which garbage is collected until `collecting` is cleared. */
export async function collected(code) {
  const { issuer, options } = await signedIn();
  const start = `
    import { writeFileSync } from 'node:fs';
    import v8 from 'node:v8';
    import vm from 'node:vm';
    import { AuthManager } from './dist/index.mjs';
    v8.setFlagsFromString('--expose-gc');
    const collecting = setInterval(vm.runInNewContext('gc'), 10);
    const [options, url] = process.argv.slice(1);
    let registry;
    const gone = (what) => new Promise((resolve) => {
      registry = new FinalizationRegistry(resolve);
      registry.register(what, '');
    });
  `;
  const { ended } = child(start + code, { args: [JSON.stringify(options), issuer.url] });
  return within(60_000, 'the end of the process', ended);
}

/** `promise`, or a failure that says what was waited for. */
export async function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no end within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function post(url, body) {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
  const answer = await response.json();
  if (response.status !== 200) {
    throw new Error(`${url}: ${JSON.stringify(answer)}`);
  }
  return answer;
}

/** Starts a program of the tests; its first line. */
async function startProgram(path) {
  const program = spawn(path, [], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(program.stdout), 'line');
  // It ends when its standard input does, and must not keep the tests from ending.
  for (const handle of [program, program.stdin, program.stdout]) {
    handle.unref();
  }
  return JSON.parse(line);
}

function issuerPath() {
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
  const folders = ['', ...readdirSync(target)];
  const name = process.platform === 'win32' ? 'test-issuer.exe' : 'test-issuer';
  const built = folders
    .flatMap((folder) => ['debug', 'release'].map((profile) => join(target, folder, profile, name)))
    .filter((path) => existsSync(path))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  const path = process.env.TEST_ISSUER ?? built[0];
  if (path === undefined) {
    throw new Error('build the issuer: cargo build -p codex-auth-tests --bin test-issuer');
  }
  return path;
}
