// Gets URLs through a proxy by one client, and prints their statuses in a line of JSON.
// Usage: through-proxy.mjs CLIENT CODEX_HOME PROXY CA_FILE URL...; the client is `fetch` or `request`.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import {
  AuthManager,
  createAuthFetch,
  createAuthInterceptor,
} from '../../bindings-node/dist/index.mjs';
import { PACKAGE } from './support.mjs';

const undici = createRequire(`${PACKAGE}/package.json`)('undici');
const [client, codexHome, uri, authority, ...urls] = process.argv.slice(2);
const allowedOrigins = urls.map((url) => new URL(url).origin);
const manager = new AuthManager({ codexHome, allowedOrigins });
const proxy = new undici.ProxyAgent({ uri, requestTls: { ca: readFileSync(authority) } });

const CLIENTS = {
  fetch() {
    const fetch = (input, init) => undici.fetch(input, { ...init, dispatcher: proxy });
    const authFetch = createAuthFetch(manager, { fetch });
    return async (url) => {
      const response = await authFetch(url);
      await response.text();
      return response.status;
    };
  },
  request() {
    const redirect = undici.interceptors.redirect({ maxRedirections: 20 });
    const dispatcher = proxy.compose(createAuthInterceptor(manager), redirect);
    return async (url) => {
      const { statusCode, body } = await undici.request(url, { dispatcher });
      await body.dump();
      return statusCode;
    };
  },
};

const get = CLIENTS[client]();
const statuses = [];
for (const url of urls) {
  statuses.push(await get(url));
}
console.log(JSON.stringify(statuses));
await proxy.close();
