// The package as others load it.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { PACKAGE, child, codexHome } from './support.mjs';

const NAMES = [
  ...['AuthEvents', 'AuthManager', 'BrowserLogin', 'CodexAuth', 'CodexAuthError', 'DeviceLogin'],
  ...['EphemeralStorage', 'MANAGED_API_KEY', 'UnauthorizedRecovery', 'checkStore'],
  ...['createAuthFetch', 'createAuthInterceptor', 'enableLogging'],
];

/** Runs `code` in a project that has installed the package; what it prints as JSON. */
async function inProject(code, type) {
  const project = codexHome();
  mkdirSync(join(project, 'node_modules'));
  symlinkSync(PACKAGE, join(project, 'node_modules', 'codex-auth-sdk'));
  const end = await child(code, { cwd: project, type }).ended;
  assert.deepEqual([end.code, end.stderr], [0, '']);
  return JSON.parse(end.stdout);
}

test('require gives the public names and no others', async () => {
  const code = `console.log(JSON.stringify(Object.keys(require('codex-auth-sdk')).sort()));`;
  assert.deepEqual(await inProject(code, 'commonjs'), NAMES);
});

test('import gives the same names, and the very same classes', async () => {
  const code = `
    import { createRequire } from 'node:module';
    import * as imported from 'codex-auth-sdk';
    const required = createRequire(process.cwd() + '/')('codex-auth-sdk');
    const same = Object.keys(required).every((name) => imported[name] === required[name]);
    console.log(JSON.stringify([Object.keys(imported).sort(), same]));
  `;
  assert.deepEqual(await inProject(code, 'module'), [NAMES, true]);
});

test('nothing inside of the package is public', async () => {
  const code = `
    import('codex-auth-sdk/native.js').catch((error) => console.log(JSON.stringify(error.code)));
  `;
  assert.equal(await inProject(code, 'module'), 'ERR_PACKAGE_PATH_NOT_EXPORTED');
});

test('loading and a constructor start no thread', { skip: process.platform !== 'linux' }, async () => {
  const code = `
    const { readdirSync, readFileSync } = require('node:fs');
    const threads = () => readdirSync('/proc/self/task')
      .map((id) => readFileSync('/proc/self/task/' + id + '/comm', 'utf8').trim());
    const before = threads().length;
    const { AuthManager } = require('codex-auth-sdk');
    const manager = new AuthManager({ codexHome: process.cwd() });
    manager.auth();
    manager.freshAuthIfReady();
    manager.reload().then(() => {
      const after = threads();
      console.log(JSON.stringify([after.length - before, after.includes('codex-auth-sdk')]));
    });
  `;
  assert.deepEqual(await inProject(code, 'commonjs'), [0, false]);
});

test('await using closes', { skip: Symbol.asyncDispose === undefined }, async () => {
  const code = `
    const { AuthManager } = require('codex-auth-sdk');
    const manager = new AuthManager({ codexHome: process.cwd() });
    manager[Symbol.asyncDispose]().then((end) => console.log(JSON.stringify([end ?? null])));
  `;
  assert.deepEqual(await inProject(code, 'commonjs'), [null]);
});

test('the package names what it needs', () => {
  const { engines, types, dependencies } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'));
  assert.deepEqual(engines, { node: '>=20' });
  assert.equal(types, './dist/index.d.ts');
  assert.equal(dependencies, undefined);
});
