// Runs the shared cases of HTTP integrations (`requests.json`) with every client, over real sockets:
// see tests/README.md. Knows nothing about tokens; the issuer compares.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import {
  AuthManager,
  CodexAuthError,
  MANAGED_API_KEY,
  createAuthFetch,
  createAuthInterceptor,
} from '../../bindings-node/dist/index.mjs';
import { UNDICIS, codexHome, realm } from './support.mjs';

const CASES = JSON.parse(readFileSync(new URL('../requests.json', import.meta.url), 'utf8'));

/** Where the body of an undici `fetch` is on its way, it is a stream, whatever it was made of. */
const BODY_IS_A_STREAM = {
  a_401_is_recovered_from_and_the_body_sent_again: {
    status: 401,
    seen: [{ authorization: 'access:a0', body: 'hello' }],
    stats: { requests: 1, grants: 1 },
  },
  an_api_that_rejects_everything_is_not_asked_for_ever_and_its_401_comes_back: {
    status: 401,
    text: { $contains: 'token_rejected' },
    seen: [{ authorization: 'access:a0' }],
    stats: { requests: 1 },
  },
};

/** An undici `fetch` sends what follows a redirect like a request of its own: it is refused. */
const REDIRECTS_ARE_REQUESTS = {
  g9_no_credential_comes_back_with_a_redirect_by_way_of_another_origin: {
    error: { code: 'origin_not_allowed' },
    leaked: 0,
    stats: { requests: 0, api_ok: 0 },
  },
  g9_a_request_to_another_origin_gets_no_credential_where_it_is_redirected_to: {
    error: { code: 'origin_not_allowed' },
    leaked: 0,
    stats: { requests: 0, api_ok: 0 },
  },
};

/** The clients of one version of undici: how each sends, and what it cannot do otherwise by its nature. */
function clientsOf([name, undici]) {
  const fetching = { sender: (manager) => createAuthFetch(manager, { fetch: undici.fetch }) };
  const fetchingThrough = {
    sender: (manager) => {
      const dispatcher = new undici.Agent().compose(createAuthInterceptor(manager));
      return (url, init) => undici.fetch(url, { ...init, dispatcher }).catch(unwrapped);
    },
    differs: { ...BODY_IS_A_STREAM, ...REDIRECTS_ARE_REQUESTS },
  };
  const requesting = {
    sender: (manager) => {
      const { redirect } = undici.interceptors;
      const chain = [createAuthInterceptor(manager), redirect({ maxRedirections: 20 })];
      const dispatcher = new undici.Agent().compose(...chain);
      return async (url, { duplex, ...options }) => {
        const { statusCode, body } = await undici.request(url, { ...options, dispatcher });
        return { status: statusCode, text: () => body.text() };
      };
    },
  };
  return {
    [`fetch of ${name}`]: fetching,
    [`fetch of ${name} through the interceptor`]: fetchingThrough,
    [`request of ${name} through the interceptor`]: requesting,
  };
}

const CLIENTS = {
  'fetch of the platform': { sender: (manager) => createAuthFetch(manager) },
  ...Object.assign({}, ...Object.entries(UNDICIS).map(clientsOf)),
};

for (const [client, { sender, differs = {} }] of Object.entries(CLIENTS)) {
  describe(client, { concurrency: 4 }, () => {
    for (const kase of CASES) {
      test(kase.name, () => run({ ...kase, expect: differs[kase.name] ?? kase.expect }, sender));
    }
  });
}

async function run(kase, sender) {
  const issuer = await prepare(kase);
  const manager = new AuthManager({
    ...issuer.options,
    codexHome: codexHome(issuer.logins.a?.text),
    allowedOrigins: [issuer.origin],
  });
  const send = sender(manager);
  if (kase.first) {
    await observed(() => send(...request(issuer, kase.first)));
  }
  const { output, ...actual } = await observed(() => send(...request(issuer, kase.request)));
  const { leaks } = await issuer.call('leaks', { text: `${output} ${inspect(manager)}` });
  assert.deepEqual(leaks, []);
  const checked = await issuer.call('check_request', { actual, expect: kase.expect });
  assert.deepEqual(checked.mismatches, [], inspect(checked.actual, { depth: 9 }));
}

/** A realm as the case wants it. */
async function prepare({ issuer: config = {}, login = {}, before = [] }) {
  const made = await realm({ config, logins: login === null ? {} : { a: login } });
  for (const { call, ...args } of before) {
    await made.call(call, args);
  }
  return made;
}

/** What is sent: the URL, and the rest. */
function request({ url }, { path, method = 'GET', host = '127.0.0.1', ...wanted }) {
  const authorization = wanted.authorization?.replace('{placeholder}', MANAGED_API_KEY);
  const init = { method, headers: authorization === undefined ? {} : { authorization } };
  if (wanted.body !== undefined) {
    init.body = wanted.streamed ? streaming(wanted.body) : wanted.body;
    init.duplex = 'half';
  }
  return [url.replace('127.0.0.1', host) + path, init];
}

/** A body that can be sent once only. */
async function* streaming(text) {
  yield Buffer.from(text);
}

async function observed(send) {
  try {
    const response = await send();
    const { status } = response;
    return { output: inspect(response, { depth: 9 }), status, text: await response.text() };
  } catch (error) {
    const output = [inspect(error, { depth: 9, showHidden: true }), JSON.stringify(error)].join();
    if (!(error instanceof CodexAuthError)) {
      return { output, error: { code: `${error} ${inspect(error.cause)}` } };
    }
    return { output, error: { code: error.code }, error_status: error.response?.status ?? null };
  }
}

/** undici's `fetch` makes a cause of whatever a dispatcher says. */
function unwrapped(error) {
  throw error.cause ?? error;
}
