// A web service whose users each have a login of their own, in PostgreSQL, for all its replicas.
//
// A user signs in by a code (`POST /login`, then `GET /login?sign_in=ID` at any replica until that is
// done), calls the API at any replica (`GET /me`), and signs out (`DELETE /login`). The header
// `X-User` names the user: a proxy that knows its users sets it, and no other client may reach the
// replicas.
// Usage: many-users.mjs PORT STORE URL [ISSUER [ALLOWED_ORIGIN...]]; port 0 is any free one.

import Fastify from 'fastify';

import { AuthManager, CodexAuthError, createAuthFetch, enableLogging } from 'codex-auth-sdk';

const MOST_MANAGERS = 1000;

const [port, store, url, issuer, ...allowedOrigins] = process.argv.slice(2);

/** What is open for users, in the order of its last use. */
const opened = new Map();
/** The sign-ins for which this replica waits. */
const signIns = new Map();

/** The manager of the user's login. */
function managerOf(user) {
  const found = opened.get(user) ?? open(user);
  opened.delete(user);
  opened.set(user, found);
  if (opened.size > MOST_MANAGERS) {
    const [[oldest, { following }]] = opened;
    following.stop();
    opened.delete(oldest);
  }
  return found.manager;
}

/** The manager reads the login at the first use, and adopts what other replicas store. */
function open(user) {
  const manager = AuthManager.openUnread({ store, login: user, issuer, allowedOrigins });
  return { manager, following: manager.followStore() };
}

const app = Fastify({ logger: { level: 'warn', stream: process.stderr } });
enableLogging(({ level, message, fields }) => app.log[level](fields, message));

app.addHook('onRequest', async ({ headers }, reply) => {
  if (!headers['x-user']) return reply.code(400).send({ error: 'X-User is missing' });
});

app.get('/me', async ({ headers }, reply) => {
  const response = await createAuthFetch(managerOf(headers['x-user']))(url);
  reply.code(response.status).type(response.headers.get('content-type') ?? 'text/plain');
  return Buffer.from(await response.arrayBuffer());
});

app.post('/login', async ({ headers }) => {
  const user = headers['x-user'];
  const login = await managerOf(user).loginWithDeviceCode();
  signIns.get(user)?.cancel();
  finish(user, login);
  const code = { user_code: login.userCode, verification_uri: login.verificationUri };
  return { sign_in: login.id, ...code };
});

/** Waits for the user in the background. If this replica ends first, another one goes on. */
function finish(user, login) {
  signIns.set(user, login);
  login
    .wait()
    .catch((error) => app.log.warn(error, 'a sign-in failed'))
    .finally(() => signIns.get(user) === login && signIns.delete(user));
}

/** Another replica has begun the sign-in, and may have ended. If the sign-in has ended, it may be done. */
async function resume(user, signIn) {
  try {
    finish(user, await managerOf(user).resumeLoginWithDeviceCode(signIn));
  } catch (error) {
    if (error.code !== 'login_cancelled') throw error;
  }
}

app.get('/login', async ({ headers, query }) => {
  const user = headers['x-user'];
  const manager = managerOf(user);
  if (query.sign_in && !signIns.has(user)) await resume(user, query.sign_in);
  await manager.reload();
  return signIns.has(user) ? 'pending' : manager.auth() ? 'signed_in' : 'signed_out';
});

app.delete('/login', async ({ headers }, reply) => {
  const user = headers['x-user'];
  signIns.get(user)?.cancel();
  await managerOf(user).logout({ anyAccount: true });
  return reply.code(204).send();
});

/** Tells the user the kind of error only: the message is for those who run the service. */
app.setErrorHandler((error, _, reply) => {
  if (!(error instanceof CodexAuthError)) throw error;
  const isSignedOut = /^(login_required|refresh_token_)/.test(error.code);
  if (!isSignedOut) app.log.warn(error);
  return reply.code(isSignedOut ? 401 : 503).send({ error: error.code });
});

process.once('SIGTERM', async () => {
  await app.close();
  process.exit(); // It waits until new tokens are saved.
});
console.log(await app.listen({ port: Number(port), host: '127.0.0.1' }));
