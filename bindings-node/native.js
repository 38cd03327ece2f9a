// Loads the addon: the one that was built in this folder, else that of the npm package for this
// platform. Nothing in the environment says where it is.
'use strict';

const { closeSync, existsSync, openSync, readSync } = require('node:fs');
const { join } = require('node:path');

// The `targets` in package.json, as npm packages are named after them.
const PLATFORMS = [
  'linux-x64-gnu',
  'linux-arm64-gnu',
  'linux-x64-musl',
  'linux-arm64-musl',
  'darwin-x64',
  'darwin-arm64',
  'win32-x64-msvc',
];

/** The platform of this process. */
function platform() {
  const name = `${process.platform}-${process.arch}`;
  if (process.platform === 'linux') return `${name}-${usesMusl() ? 'musl' : 'gnu'}`;
  return process.platform === 'win32' ? `${name}-msvc` : name;
}

/** Whether the C library of this process is musl: a program names its loader in its first bytes. */
function usesMusl() {
  const start = Buffer.alloc(4096);
  const program = openSync(process.execPath, 'r');
  try {
    readSync(program, start, 0, start.length, 0);
  } finally {
    closeSync(program);
  }
  return start.includes('/ld-musl-');
}

function load(name) {
  if (!PLATFORMS.includes(name)) {
    throw new Error(`codex-auth-sdk does not support ${name}; it supports ${PLATFORMS.join(', ')}`);
  }
  const built = join(__dirname, `codex-auth-sdk.${name}.node`);
  if (existsSync(built)) return require(built);
  try {
    return requirePackage(name);
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
    const message =
      `codex-auth-sdk needs the npm package @codex-auth-sdk/native-${name} of the same version, ` +
      'which npm installs unless optional dependencies are left out or the lock file was made on ' +
      'another platform: remove node_modules and the lock file, and install again';
    throw new Error(message, { cause: error });
  }
}

/** Returns the package for a platform. Tools that copy what is required read the names here. */
function requirePackage(name) {
  switch (name) {
    case 'linux-x64-gnu':
      return require('@codex-auth-sdk/native-linux-x64-gnu');
    case 'linux-arm64-gnu':
      return require('@codex-auth-sdk/native-linux-arm64-gnu');
    case 'linux-x64-musl':
      return require('@codex-auth-sdk/native-linux-x64-musl');
    case 'linux-arm64-musl':
      return require('@codex-auth-sdk/native-linux-arm64-musl');
    case 'darwin-x64':
      return require('@codex-auth-sdk/native-darwin-x64');
    case 'darwin-arm64':
      return require('@codex-auth-sdk/native-darwin-arm64');
    case 'win32-x64-msvc':
      return require('@codex-auth-sdk/native-win32-x64-msvc');
  }
}

module.exports = load(platform());
