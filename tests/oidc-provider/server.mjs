// An authorization server that is not ours: oidc-provider, with rotation and with reuse detection
// that revokes the whole grant, and an API that asks it what a token is worth. Like test-issuer it
// listens on a free port of 127.0.0.1, says so in one line, `{"port": N}`, and ends with its
// standard input; its control calls are those of that issuer that make sense here.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
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

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const provider = new Provider(url, {
  clients: [{
    client_id: CLIENT_ID,
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: ['http://127.0.0.1/callback'],
    id_token_signed_response_alg: 'ES256',
  }],
  cookies: { keys: [randomBytes(16).toString('hex')] },
  features: { devInteractions: { enabled: false } },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  jwks: { keys: [privateKey.export({ format: 'jwk' })] },
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
  } else {
    await next();
  }
});

server.on('request', provider.callback());
process.stdin.resume().on('end', () => process.exit());
console.log(JSON.stringify({ port, url }));
