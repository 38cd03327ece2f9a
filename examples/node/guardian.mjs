// Keeps the Codex login of this machine fresh, so that no Codex CLI on it has to refresh: leave it
// running. It can be started before anybody signs in, prints what happens to the login, and ends on
// SIGTERM or Ctrl-C.
// Usage: guardian.mjs [--refresh-window SECONDS]

import { parseArgs } from 'node:util';

import { AuthManager } from 'codex-auth-sdk';

const KINDS = [
  'adopted', 'refreshed', 'logged_in', 'logged_out', 'identity_changed', 'workspace_changed',
  'refresh_failed', 'save_failed', 'save_recovered', 'store_changed', 'missed',
];

const say = (what) => console.log(`${new Date().toISOString()} ${what}`);

const { values } = parseArgs({ options: { 'refresh-window': { type: 'string' } } });
const window = values['refresh-window'];

const stopped = new Promise((stop) => {
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, stop);
});
const manager = await AuthManager.open({ refreshWindowMs: window && Number(window) * 1000 });
const events = manager.subscribe();
for (const kind of KINDS) {
  events.on(kind, (detail) => say(detail instanceof Error ? `${kind}: ${detail.message}` : kind));
}
// The second tells of logins and logouts at once; the first looks every half a minute.
const background = [manager.keepFresh(), manager.followStore()];
say(manager.auth() ? 'watching' : 'watching; nobody is signed in');
// None of these keeps a process alive, nor does a listener for signals.
const alive = setInterval(() => {}, 2 ** 30);
await stopped;
say('stopping');
clearInterval(alive);
background.forEach((one) => one.stop());
// A refresh in flight has spent its token: what it got must be saved.
if (!(await manager.close({ timeoutMs: 60_000 }))) {
  console.error('not all is saved');
  process.exitCode = 1;
}
