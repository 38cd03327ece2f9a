// A web server whose user signs in from wherever their browser is, by a device code. It listens on
// this machine only, and is for one user: whoever comes by an SSH tunnel, say.
// Usage: login-server.mjs PORT [ISSUER]; port 0 is any free one.

import { createServer } from 'node:http';

import { AuthManager } from 'codex-auth-sdk';

const [port, issuer] = process.argv.slice(2);
const manager = await AuthManager.open({ issuer });
manager.followStore();

/** The sign-in that is under way, and why the last one failed. */
let login = null;
let failure = '';

async function signIn() {
  failure = '';
  login = await manager.loginWithDeviceCode();
  // Until its user has typed login.userCode in at login.verificationUri:
  login
    .wait()
    .catch((error) => (failure = error.message))
    .finally(() => (login = null));
}

function page() {
  if (login !== null) {
    const uri = escaped(login.verificationUri);
    return `<p>Open <a href="${uri}">${uri}</a> and type in:</p><h1>${escaped(login.userCode)}</h1>`;
  }
  const auth = manager.auth();
  const state = auth ? `Signed in as ${auth.email ?? auth.accountId}.` : 'Nobody is signed in.';
  return `<p>${escaped(failure)}</p><p>${escaped(state)}</p>
    <form method="post" action="/login"><button>Sign in</button></form>
    <form method="post" action="/logout"><button>Sign out</button></form>`;
}

const escaped = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.codePointAt(0)};`);

/** What is done for a form, one at a time. */
const actions = {
  '/login': async () => login ?? (await signIn()),
  '/logout': () => manager.logout(),
};
let last = Promise.resolve();

async function answer({ method, url, headers }, response) {
  // A name that leads here is not enough: it may be another site's (DNS rebinding).
  if (!hosts.has(headers.host)) {
    return response.writeHead(421).end();
  }
  if (method === 'GET') {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.setHeader('content-security-policy', "default-src 'none'; frame-ancestors 'none'");
    if (login !== null) response.setHeader('refresh', '2');
    return response.end(`<!doctype html><title>Sign in</title>${page()}`);
  }
  // A page of another site must not sign anybody in or out.
  const isOwn = method === 'POST' && headers.origin === `http://${headers.host}`;
  if (!isOwn || !Object.hasOwn(actions, url)) {
    return response.writeHead(403).end();
  }
  const done = last.then(actions[url]);
  last = done.catch(() => {});
  await done;
  return response.writeHead(303, { location: '/' }).end();
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    response.writeHead(502, { 'content-type': 'text/plain; charset=utf-8' }).end(error.message);
  });
});
const hosts = new Set();
server.listen(Number(port), '127.0.0.1', () => {
  const { port } = server.address();
  ['127.0.0.1', 'localhost'].forEach((name) => hosts.add(`${name}:${port}`));
  console.log(`http://127.0.0.1:${port}`);
});
process.once('SIGTERM', async () => {
  login?.cancel();
  server.close();
  server.closeIdleConnections();
  await manager.close();
});
