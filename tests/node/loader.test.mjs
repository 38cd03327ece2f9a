// How the package finds its addon. Nothing here needs one.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PACKAGE = fileURLToPath(new URL('../../bindings-node/', import.meta.url));
const { parseTriple } = createRequire(join(PACKAGE, 'package.json'))('@napi-rs/cli');
const { napi } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'));
const TARGETS = napi.targets.map(parseTriple);

const folder = mkdtempSync(join(tmpdir(), 'codex-auth-loader-'));
after(() => rmSync(folder, { recursive: true }));
copyFileSync(join(PACKAGE, 'native.js'), join(folder, 'native.js'));

/** A program file as the C library `abi` has it. */
function program(abi) {
  const path = join(folder, `node-${abi}`);
  const loader = abi === 'musl' ? '/lib/ld-musl-x86_64.so.1' : '/lib64/ld-linux-x86-64.so.2';
  writeFileSync(path, `\x7fELF${'\0'.repeat(800)}${loader}\0`);
  return path;
}

/** What the loader gives to a process of that platform, as JSON, or what it throws. */
function loaded({ platform, arch, abi = null }, env = {}) {
  const said = { platform, arch, execPath: program(abi) };
  const code = `
    for (const [name, value] of Object.entries(${JSON.stringify(said)}))
      Object.defineProperty(process, name, { value });
    try { console.log(JSON.stringify(require('./native.js'))); } catch (error) { console.log(error.message); }
  `;
  const options = { cwd: folder, encoding: 'utf8', env: { ...process.env, ...env } };
  return spawnSync(process.execPath, ['-e', code], options).stdout.trim();
}

/** Installs a package that says its name in the place of an addon. */
function install(name, code = `module.exports = ${JSON.stringify(name)};`) {
  const place = join(folder, 'node_modules', name);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'index.js'), code);
}

const nameOf = ({ platformArchABI }) => `${napi.packageName}-${platformArchABI}`;

test('each platform gets the addon of its own package', () => {
  for (const target of TARGETS) {
    assert.match(loaded(target), new RegExp(`needs the npm package ${nameOf(target)} `));
  }
  TARGETS.forEach((target) => install(nameOf(target)));
  for (const target of TARGETS) assert.equal(loaded(target), `"${nameOf(target)}"`);
});

test('another platform is told which are supported', () => {
  const text = loaded({ platform: 'linux', arch: 'ppc64', abi: 'gnu' });
  const names = TARGETS.map(({ platformArchABI }) => platformArchABI).join(', ');
  assert.equal(text, `codex-auth-sdk does not support linux-ppc64-gnu; it supports ${names}`);
});

test('what is wrong with an addon is said as it is', () => {
  const [target] = TARGETS;
  install(nameOf(target), 'throw new Error("GLIBC_2.99 not found");');
  assert.equal(loaded(target), 'GLIBC_2.99 not found');
});

test('neither the environment nor a package without the scope has a say', () => {
  const [target] = TARGETS;
  rmSync(join(folder, 'node_modules'), { recursive: true, force: true });
  install(`codex-auth-sdk-${target.platformArchABI}`);
  install('planted');
  const planted = { NAPI_RS_NATIVE_LIBRARY_PATH: join(folder, 'node_modules', 'planted') };
  assert.match(loaded(target, planted), /needs the npm package/);
});
