// A PostgreSQL of a test's own, on a Unix socket in a folder that goes away.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { within } from './support.mjs';

/** Who runs the server if this is root: it refuses to run as root. */
const USER = 'nobody';

/** No port, and no waiting for the disk: only a crash of the machine would show that. */
const SETTINGS = ['-c', 'listen_addresses=', '-c', 'fsync=off', '-c', 'shared_buffers=16MB'];

const MADE = ['--no-sync', '--no-locale', '--encoding=UTF8', '--auth=trust', '--username=owner'];

const isRoot = process.getuid?.() === 0;

/** Why there can be no server here; false where there can be one, which CI must have. */
export function isDenied() {
  const [command, ...args] = program('postgres');
  const works = spawnSync(command, [...args, '--version'], { cwd: '/' }).status === 0;
  assert.ok(works || process.env.CI !== 'true', 'PostgreSQL does not work');
  return !works && 'install postgresql and setpriv (util-linux)';
}

/** Lets `use` have the URL of an empty database, for its owner, and removes it when that is done. */
export async function withDatabase(use) {
  const folder = mkdtempSync(join(tmpdir(), 'codex-auth-sdk-'));
  try {
    if (isRoot) chownSync(folder, Number(spawnSync('id', ['-u', USER]).stdout), -1);
    const data = join(folder, 'data');
    const made = run('initdb', [...MADE, '--pgdata', data], 'ignore');
    assert.deepEqual(await once(made, 'close'), [0, null], 'initdb');
    const log = join(folder, 'log');
    const server = run('postgres', ['-D', data, '-k', folder, ...SETTINGS], openSync(log, 'w'));
    const ended = once(server, 'close');
    try {
      await within(60_000, 'the start of PostgreSQL', ready(server, data, log));
      return await use(`postgres:///postgres?host=${folder}&user=owner`);
    } finally {
      server.kill('SIGQUIT');
      await ended;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Waits until the last line of the server's file says that it is ready. */
async function ready(server, data, log) {
  const file = join(data, 'postmaster.pid');
  while (!existsSync(file) || !readFileSync(file, 'utf8').trimEnd().endsWith('ready')) {
    assert.equal(server.exitCode, null, readFileSync(log, 'utf8'));
    await pause(20);
  }
}

function run(name, args, output) {
  const [command, ...first] = program(name);
  return spawn(command, [...first, ...args], { cwd: '/', stdio: ['ignore', output, output] });
}

/** The command of one of PostgreSQL's programs, as an ordinary user, which ends with this process. */
function program(name) {
  const asUser = isRoot ? ['--reuid', USER, '--regid', 'nogroup', '--clear-groups'] : [];
  // Debian has each version in a folder of its own, which is not in PATH.
  const folder = '/usr/lib/postgresql';
  const versions = existsSync(folder) ? readdirSync(folder).sort((a, b) => b - a) : [];
  const found = versions.map((version) => join(folder, version, 'bin', name)).find(existsSync);
  return ['setpriv', '--pdeathsig', 'INT', ...asUser, found ?? name];
}
