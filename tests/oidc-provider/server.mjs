// An authorization server that is not ours: oidc-provider, with rotation and with reuse detection
// that revokes the whole grant, with its own pages to sign in, to agree and to type in a device's
// code, and an API that asks it what a token is worth. Like test-issuer it listens on a free port of 127.0.0.1, says so in one line, `{"port": N}`, and ends with its
// standard input; its control calls are those of that issuer that make sense here.

import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';

import Provider from 'oidc-provider';

const CLIENT_ID = 'codex';
const SCOPE = 'openid offline_access';

const server = createServer().listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address();
const url = `http://127.0.0.1:${port}`;

// Standard output is for one line, and the pages are said not to be for production.
console.info = console.warn;

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const key = newKey();
const provider = new Provider(url, {
  clients: [{
    client_id: CLIENT_ID,
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: [
      'authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code',
    ],
    redirect_uris: ['http://localhost/auth/callback'],
    id_token_signed_response_alg: 'ES256',
  }],
  claims: { profile: ['name'], email: ['email'] },
  // The claims of a scope belong into the id token, which is all that the login keeps.
  conformIdTokenClaims: false,
  cookies: { keys: [randomBytes(16).toString('hex')] },
  features: { deviceFlow: { enabled: true } },
  findAccount: (_, sub) => ({
    accountId: sub, claims: () => ({ sub, name: sub, email: `${sub}@example.com` }),
  }),
  jwks: { keys: [key.export({ format: 'jwk' })] },
  rotateRefreshToken: true,
  routes: { token: '/oauth/token' },
  ttl: { AccessToken: 3600, Grant: 86_400, IdToken: 3600, RefreshToken: 86_400 },
});

/** What the server itself says has happened. */
const stats = { consumed: 0, saved: 0, revoked: 0, refused: [] };
provider.on('refresh_token.consumed', () => { stats.consumed += 1; });
provider.on('refresh_token.saved', () => { stats.saved += 1; });
provider.on('grant.revoked', () => { stats.revoked += 1; });
provider.on('grant.error', (_, error) => { stats.refused.push(error.error_detail ?? error.message); });

/** The access tokens that nobody has killed yet. */
const accessTokens = [];
provider.on('access_token.saved', (token) => { accessTokens.push(token); });

const deviceCodes = [];
provider.on('device_code.saved', (code) => { deviceCodes.push(code); });

/** What is wrong with the id tokens from now on: `claims` that replace theirs, `key` that signs. */
let forgery;

/** How many of the next questions of devices come too soon. */
let hurries = 0;

/** `token` with the forgery in it. */
function forged(token) {
  const [header, payload] = token.split('.');
  const claims = { ...JSON.parse(Buffer.from(payload, 'base64url')), ...forgery.claims };
  const signed = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
  const signature = sign('sha256', signed, { key: forgery.key, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}

const CONTROL = {
  /** The token endpoint's reply for a grant that the user `name` has just given. */
  async login({ name }) {
    const client = await provider.Client.find(CLIENT_ID);
    const grant = new provider.Grant({ clientId: CLIENT_ID, accountId: name });
    grant.addOIDCScope(SCOPE);
    const refreshToken = new provider.RefreshToken({
      accountId: name, client, grantId: await grant.save(), gty: 'authorization_code', scope: SCOPE,
    });
    const reply = await fetch(`${url}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        client_id: CLIENT_ID, grant_type: 'refresh_token', refresh_token: await refreshToken.save(),
      }),
    });
    return reply.json();
  },

  /** Ends all access tokens, as their age would. */
  async kill_access() {
    await Promise.all(accessTokens.splice(0).map((token) => token.destroy()));
    return {};
  },

  /** Whether a refresh token would be granted. */
  async live({ refresh_token }) {
    const token = await provider.RefreshToken.find(refresh_token);
    return { refresh: Boolean(token?.isValid && await provider.Grant.find(token.grantId)) };
  },

  /** Id tokens say `claims` from now on, and are signed by a key that nobody knows if `strange`. */
  forge({ claims, strange }) {
    forgery = { claims, key: strange ? newKey() : key };
    return {};
  },

  /** The next `times` questions of devices come too soon (RFC 8628, section 3.5). */
  hurry({ times }) {
    hurries = times;
    return {};
  },

  /** The codes of all devices are too old. */
  async expire_devices() {
    await Promise.all(deviceCodes.splice(0).map(async (code) => {
      const { payload } = await code.getValueAndPayload();
      await code.adapter.upsert(code.jti, { ...payload, exp: payload.iat }, 3600);
    }));
    return {};
  },

  stats: () => stats,
};

provider.use(async (ctx, next) => {
  const control = ctx.path.match(/^\/control\/(\w+)$/)?.[1];
  if (control !== undefined) {
    ctx.body = await CONTROL[control](await json(ctx.req));
  } else if (ctx.path === '/api/me') {
    const bearer = ctx.get('authorization').replace('Bearer ', '');
    const token = await provider.AccessToken.find(bearer);
    ctx.status = token === undefined ? 401 : 200;
    ctx.body = { user: token?.accountId ?? null };
  } else if (ctx.path === '/oauth/token' && hurries > 0) {
    hurries -= 1;
    ctx.status = 400;
    ctx.body = { error: 'slow_down' };
  } else {
    await next();
    if (forgery && ctx.body?.id_token) {
      ctx.body.id_token = forged(ctx.body.id_token);
    }
  }
});

server.on('request', provider.callback());
process.stdin.resume().on('end', () => process.exit());
console.log(JSON.stringify({ port, url }));
