// A WebSocket with the Codex login of this machine, whose handshake recovers from 401.
// Usage: websocket.mjs URL TEXT: says TEXT, and prints the answer.

import { once } from 'node:events';

import { WebSocket } from 'ws';

import { AuthManager } from 'codex-auth-sdk';

const [url, text] = process.argv.slice(2);

/** The open socket; null where the handshake was answered with 401. */
async function handshake(headers) {
  const socket = new WebSocket(url, { headers });
  const refused = once(socket, 'unexpected-response').then(([request, { statusCode }]) => {
    request.destroy();
    if (statusCode !== 401) throw new Error(`the handshake was answered with ${statusCode}`);
    return null;
  });
  return Promise.race([once(socket, 'open').then(() => socket), refused]);
}

async function connected(manager) {
  const recovery = manager.unauthorizedRecovery();
  for (;;) {
    const auth = await manager.freshAuth();
    if (auth === null) throw new Error('please sign in');
    const socket = await handshake(auth.headers());
    if (socket !== null) return socket;
    if ((await manager.recoverFromUnauthorized(auth, recovery)) !== 'retry') {
      throw new Error(`please sign in again: ${recovery.giveUpReason}`);
    }
  }
}

const socket = await connected(await AuthManager.open());
socket.send(text);
const [answer] = await once(socket, 'message');
console.log(String(answer));
socket.close();
