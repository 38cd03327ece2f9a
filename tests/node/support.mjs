// What all tests share: the issuer, one realm for each test, and folders that go away.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export const PACKAGE = join(ROOT, 'bindings-node');
export const SUPPORT = import.meta.url;

// No test depends on the login of whoever runs it.
for (const name of Object.keys(process.env).filter((name) => name.startsWith('CODEX_'))) {
  delete process.env[name];
}

let issuer;
let realms = 0;

/** A realm of its own: see tests/README.md. */
export async function realm(start = {}) {
  issuer ??= startIssuer();
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

/** Runs `code` as a module in a process of its own; what became of it. */
export function child(code, { args = [], cwd, env, ...options } = {}) {
  const process_ = spawn(process.execPath, ['--input-type=module', '-e', code, ...args], {
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

async function startIssuer() {
  const program = spawn(issuerPath(), [], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(program.stdout), 'line');
  // It ends when its standard input does, and must not keep the tests from ending.
  for (const handle of [program, program.stdin, program.stdout]) {
    handle.unref();
  }
  return JSON.parse(line);
}

function issuerPath() {
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
  const triple = process.env.CARGO_BUILD_TARGET ?? '';
  const folders = [join(target, triple, 'debug'), join(target, triple, 'release'), join(target, 'debug')];
  const name = process.platform === 'win32' ? 'test-issuer.exe' : 'test-issuer';
  const found = [process.env.TEST_ISSUER, ...folders.map((folder) => join(folder, name))];
  const path = found.find((path) => path && existsSync(path));
  if (!path) {
    throw new Error('build the issuer: cargo build -p codex-auth-tests --bin test-issuer');
  }
  return path;
}
