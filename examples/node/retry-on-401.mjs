// One request with the Codex login of this machine, recovering from 401.
// Usage: retry-on-401.mjs URL

import { AuthManager } from 'codex-auth-sdk';

const url = process.argv[2];

const manager = await AuthManager.open();
const recovery = manager.unauthorizedRecovery();
for (;;) {
  const auth = await manager.freshAuth();
  if (auth === null) throw new Error('please sign in');
  const reply = await fetch(url, { headers: auth.headers() });
  if (reply.status !== 401) {
    console.log(reply.status);
    break;
  }
  if ((await manager.recoverFromUnauthorized(auth, recovery)) !== 'retry') {
    throw new Error(`please sign in again: ${recovery.giveUpReason}`);
  }
}
