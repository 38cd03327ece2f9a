// What `createAuthFetch` and the interceptor must do beyond the shared cases of `requests.test.mjs`.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  AuthManager,
  MANAGED_API_KEY,
  createAuthFetch,
  createAuthInterceptor,
} from '../../bindings-node/dist/index.mjs';
import { UNDICIS, refreshToken, signedIn, within } from './support.mjs';

// The newest one: among all Nodes, each version.
const undici = Object.values(UNDICIS).at(-1);

/** A server that answers by `answer`, and what it was sent. */
async function server(answer) {
  const seen = [];
  const listening = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const { method, url, headers } = request;
      seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
      answer(request, response, seen);
    });
  });
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  after(() => {
    listening.close();
    listening.closeAllConnections();
  });
  const origin = `http://127.0.0.1:${listening.address().port}`;
  return { origin, other: origin.replace('127.0.0.1', 'localhost'), seen };
}

/** A server that leads where the query of a URL says, and echoes bodies. */
function leading() {
  return server((request, response) => {
    const query = new URL(request.url, 'http://x').searchParams;
    const [status = 200, to] = [query.get('status') ?? undefined, query.get('to')];
    response.writeHead(Number(status), to === null ? {} : { location: to });
    response.end('end');
  });
}

/** A manager with a login that may go to these servers, and its realm. */
async function managing(...servers) {
  const { issuer, options, stored } = await signedIn();
  const allowedOrigins = [issuer, ...servers].map(({ origin }) => origin);
  return { issuer, stored, manager: new AuthManager({ ...options, allowedOrigins }) };
}

describe('a URL that is asked again', () => {
  test('does not bring a token along that has expired since', async () => {
    // It expires in a second or two.
    const { issuer, options } = await signedIn({
      logins: { a: { access_ttl_ms: 61_000, access_age_s: 60 } },
    });
    const allowedOrigins = [issuer.origin];
    const manager = new AuthManager({ ...options, allowedOrigins, refreshWindowMs: 1 });
    const send = createAuthFetch(manager);
    const url = `${issuer.url}/api/echo`;
    assert.equal((await send(url)).status, 200);
    // On a slow machine it has expired before that, and this is the next one.
    const [{ expiresAt }, before] = [manager.auth(), await issuer.stats()];
    while (Date.now() <= expiresAt) await sleep(expiresAt - Date.now() + 1);
    assert.equal((await send(url)).status, 200);
    const { requests, api_unauthorized } = await issuer.stats();
    assert.equal(requests, before.requests + 1);
    assert.equal(api_unauthorized, before.api_unauthorized);
  });

  test('gets no credential that may not go there', async () => {
    const { manager } = await managing();
    const send = createAuthFetch(manager, { fetch: async () => new Response() });
    const url = 'https://chatgpt.com/backend-api/codex/models';
    assert.equal((await send(url)).status, 200);
    await manager.loginWithApiKey('sk-key');
    await assert.rejects(send(url), { code: 'origin_not_allowed' });
  });
});

describe('redirects', () => {
  const POST = { method: 'POST', body: 'hello', headers: { 'content-type': 'text/x', 'x-own': '1' } };

  test('301, 302 and 303 make a GET of a POST, without its body', async () => {
    const api = await leading();
    const send = createAuthFetch((await managing(api)).manager);
    for (const status of [301, 302, 303]) {
      await (await send(`${api.origin}/?status=${status}&to=/end`, POST)).text();
      const { method, body, headers } = api.seen.at(-1);
      assert.deepEqual([method, body], ['GET', ''], status);
      assert.deepEqual([headers['content-type'], headers['x-own']], [undefined, '1']);
      assert.match(headers.authorization, /^Bearer ./);
    }
    await (await send(`${api.origin}/?status=303&to=/end`, { ...POST, method: 'PUT' })).text();
    assert.equal(api.seen.at(-1).method, 'GET');
  });

  test('307 and 308 keep method and body, and so do others for a PUT', async () => {
    const api = await leading();
    const send = createAuthFetch((await managing(api)).manager);
    for (const [status, method] of [[307, 'POST'], [308, 'POST'], [301, 'PUT'], [302, 'PUT']]) {
      const url = `${api.origin}/?status=${status}&to=/end`;
      for (const input of [[url, { ...POST, method }], [new Request(url, { ...POST, method })]]) {
        await (await send(...input)).text();
        const { body, headers, ...sent } = api.seen.at(-1);
        assert.deepEqual([sent.method, sent.url, body], [method, '/end', 'hello']);
        assert.equal(headers['content-type'], 'text/x');
      }
    }
  });

  test('the response tells where it comes from', async () => {
    const api = await leading();
    const send = createAuthFetch((await managing(api)).manager);
    const response = await send(`${api.origin}/a?status=302&to=b%3Fx#part`);
    const bare = await fetch(`${api.origin}/a?status=302&to=b%3Fx#part`);
    assert.deepEqual([response.url, response.redirected], [bare.url, bare.redirected]);
    const straight = await send(`${api.origin}/end`);
    assert.equal(straight.redirected, false);
  });

  test('g9 nothing of the credential goes to another origin, nor comes back with it', async () => {
    const api = await leading();
    const { manager } = await managing(api, { origin: api.other });
    const back = encodeURIComponent(`${api.origin}/end`);
    const there = encodeURIComponent(`${api.other}/there?status=302&to=${back}`);
    const headers = { cookie: 'a=b', 'x-own': '1' };
    await (await createAuthFetch(manager)(`${api.origin}/?status=302&to=${there}`, { headers })).text();
    assert.equal(api.seen.length, 3);
    assert.match(api.seen[0].headers.authorization, /^Bearer ./);
    for (const { headers } of api.seen.slice(1)) {
      const ours = ['authorization', 'chatgpt-account-id', 'originator', 'cookie'];
      assert.deepEqual(ours.filter((name) => name in headers), []);
      assert.equal(headers['x-own'], '1');
    }
  });

  for (const [name, between] of Object.entries({
    'next to the interceptor': [],
    'beyond another one': [undici.interceptors.retry({ statusCodes: [503], minTimeout: 0 })],
  })) {
    test(`g9 the same goes for those that undici follows ${name}`, async () => {
      let unavailable = 1;
      const api = await server(({ url, headers }, response) => {
        const isHome = headers.host.startsWith('127.0.0.1');
        const status = url === '/end' ? (unavailable-- > 0 && between.length ? 503 : 200) : 307;
        const location = isHome ? `${api.other}/there` : `${api.origin}/end`;
        response.writeHead(status, status === 307 ? { location } : {}).end('end');
      });
      const { manager } = await managing(api);
      const chain = [createAuthInterceptor(manager), ...between];
      chain.push(undici.interceptors.redirect({ maxRedirections: 20 }));
      const dispatcher = new undici.Agent().compose(...chain);
      const { statusCode, body } = await undici.request(`${api.origin}/`, { dispatcher, method: 'DELETE' });
      assert.deepEqual([statusCode, await body.text()], [200, 'end']);
      assert.equal(api.seen.length, 3 + between.length);
      assert.match(api.seen[0].headers.authorization, /^Bearer ./);
      for (const { headers } of api.seen.slice(1)) {
        const ours = ['authorization', 'chatgpt-account-id', 'originator'];
        assert.deepEqual(ours.filter((name) => name in headers), []);
      }
      // The dispatcher is not spoilt for others.
      await (await undici.request(`${api.origin}/end`, { dispatcher })).body.text();
      assert.match(api.seen.at(-1).headers.authorization, /^Bearer ./);
    });
  }

  test('20 are followed, 21 are not', async () => {
    const api = await server(({ url }, response) => {
      const left = Number(url.slice(1));
      response.writeHead(left === 0 ? 200 : 302, { location: `/${left - 1}` }).end();
    });
    const send = createAuthFetch((await managing(api)).manager);
    assert.equal((await send(`${api.origin}/20`)).status, 200);
    await assert.rejects(send(`${api.origin}/21`), TypeError);
    assert.equal(api.seen.at(-1).url, '/1');
  });

  test('what the caller wants done about them is done', async () => {
    const api = await leading();
    const send = createAuthFetch((await managing(api)).manager);
    const url = `${api.origin}/?status=302&to=/end`;
    assert.equal((await send(url, { redirect: 'manual' })).status, 302);
    assert.equal((await send(new Request(url, { redirect: 'manual' }))).status, 302);
    await assert.rejects(send(url, { redirect: 'error' }), TypeError);
    for (const to of ['ftp://x', 'http://']) {
      await assert.rejects(send(`${api.origin}/?status=302&to=${encodeURIComponent(to)}`), TypeError);
    }
    assert.equal((await send(`${api.origin}/?status=302`)).status, 302);
    const body = new Blob(['hello']).stream();
    const streamed = { method: 'POST', body, duplex: 'half' };
    await assert.rejects(send(`${api.origin}/?status=307&to=/end`, streamed), TypeError);
  });
});

test('g9 the placeholder is never sent, wherever a client writes it', async () => {
  const KEY = MANAGED_API_KEY;
  const WRITTEN = [
    { authorization: `Bearer\t${KEY}` },
    { authorization: `Bearer Bearer ${KEY}` },
    [['authorization', `Bearer ${KEY}`], ['authorization', `Bearer ${KEY}`]],
    { authorization: KEY },
    { 'api-key': KEY },
    { 'X-Api-Key': KEY, authorization: `Bearer ${KEY}` },
  ];
  const api = await leading();
  const { manager } = await managing(api);
  const dispatcher = new undici.Agent().compose(createAuthInterceptor(manager));
  const send = createAuthFetch(manager);
  const CLIENTS = {
    fetch: send,
    'fetch of a Request': (url, init) => send(new Request(url, init)),
    interceptor: async (url, { headers }) => {
      const { body } = await undici.request(url, { headers, dispatcher });
      await body.text();
    },
  };
  for (const [name, client] of Object.entries(CLIENTS)) {
    for (const headers of WRITTEN) {
      await client(`${api.origin}/end`, { headers });
      assert.equal(api.seen.at(-1).headers['chatgpt-account-id'], 'acct-a', name);
      await assert.rejects(client(`${api.other}/end`, { headers }), { code: 'origin_not_allowed' });
      if (Array.isArray(headers)) continue;
      for (const origin of [api.origin, api.other]) {
        await client(`${origin}/end`, { headers: { ...headers, authorization: 'Bearer own' } });
        assert.equal(api.seen.at(-1).headers.authorization, 'Bearer own', name);
      }
    }
  }
  assert.doesNotMatch(JSON.stringify(api.seen), new RegExp(KEY));
});

for (const [version, { Agent, request }] of Object.entries(UNDICIS)) {
  test(`a 401 that ends with its connection, of ${version}`, async () => {
    const api = await server((_, response, seen) => {
      if (seen.length > 1) response.end('end');
      else response.socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n');
    });
    const { manager } = await managing(api);
    const dispatcher = new Agent().compose(createAuthInterceptor(manager));
    const { statusCode, body } = await request(`${api.origin}/`, { dispatcher });
    assert.deepEqual([statusCode, await body.text(), api.seen.length], [200, 'end', 2]);
  });
}

describe('bodies', () => {
  const form = () => {
    const data = new FormData();
    data.append('greeting', 'hello');
    return data;
  };
  const bytes = new TextEncoder().encode('hello');
  const stream = () => new Blob([bytes]).stream();
  const REPEATED = {
    text: () => 'hello',
    bytes: () => bytes,
    'an ArrayBuffer': () => bytes.buffer,
    'a Blob': () => new Blob([bytes]),
    parameters: () => new URLSearchParams({ greeting: 'hello' }),
    'a form': form,
  };

  for (const [name, body] of Object.entries(REPEATED)) {
    for (const asRequest of [false, true]) {
      test(`${name} is sent again${asRequest ? ' by a Request' : ''}`, async () => {
        const { issuer, manager } = await managing();
        await issuer.call('kill_access');
        const url = `${issuer.url}/api/echo`;
        const init = { method: 'PUT', body: body() };
        const send = createAuthFetch(manager);
        const response = await (asRequest ? send(new Request(url, init)) : send(url, init));
        assert.equal(response.status, 200);
        assert.match(await response.text(), /hello/);
      });
    }
  }

  test('a stream is not, not even in a Request, and its 401 comes back', async () => {
    for (const asRequest of [false, true]) {
      const { issuer, manager, stored } = await managing();
      await issuer.call('kill_access');
      const url = `${issuer.url}/api/echo`;
      const init = { method: 'POST', body: stream(), duplex: 'half' };
      const send = createAuthFetch(manager);
      const response = await (asRequest ? send(new Request(url, init)) : send(url, init));
      assert.equal(response.status, 401);
      assert.match(await response.text(), /token_/);
      assert.equal(await refreshToken(issuer, stored()), 'refresh:a1');
    }
  });

  test('headers of every form arrive', async () => {
    const api = await leading();
    const send = createAuthFetch((await managing(api)).manager);
    const forms = [
      { 'X-Own': 'me' },
      [['X-Own', 'me']],
      new Headers({ 'X-Own': 'me' }),
      new Map([['X-Own', 'me']]).entries(),
    ];
    const urls = [api.origin, api.other];
    for (const headers of forms.slice(0, 3)) {
      for (const url of urls) {
        await send(url, { headers });
        assert.equal(api.seen.at(-1).headers['x-own'], 'me');
      }
    }
    await send(api.other, { headers: forms[3] });
    assert.equal(api.seen.at(-1).headers['x-own'], 'me');
    // A Request is a dictionary, too.
    await send(`${api.origin}/x`, new Request(api.origin, { method: 'PUT', headers: forms[0] }));
    assert.deepEqual([api.seen.at(-1).method, api.seen.at(-1).headers['x-own']], ['PUT', 'me']);
  });
});

const LONGEST = 20_000;

/** The responses of `fetch`: one that is collected as garbage frees its connection, too. */
const kept = [];

/** Both clients, each as a function that gives the status. */
const CLIENTS = {
  fetch: (manager) => {
    const keeping = async (...request) => {
      const response = await fetch(...request);
      kept.push(response);
      return response;
    };
    const send = createAuthFetch(manager, { fetch: keeping });
    return async (url, init) => (await send(url, init)).status;
  },
  interceptor: (manager) => {
    const dispatcher = new undici.Agent({ connections: 1 }).compose(createAuthInterceptor(manager));
    return async (url, options) => {
      const { statusCode, body } = await undici.request(url, { ...options, dispatcher });
      await body.dump();
      return statusCode;
    };
  },
};

for (const [name, client] of Object.entries(CLIENTS)) {
  describe(`an abort of the ${name}`, () => {
    const reason = new Error('changed my mind');

    /** Sends, aborts once `begun` is over, and expects nothing but the reason. */
    async function aborted(manager, url, begun) {
      const controller = new AbortController();
      const { signal } = controller;
      const sending = client(manager)(url, { method: 'POST', body: 'hello', signal });
      sending.catch(() => undefined);
      await begun();
      controller.abort(reason);
      const ended = within(LONGEST, 'an aborted request', sending);
      await assert.rejects(ended, (error) => error === reason);
    }

    test('before it starts sends nothing', async () => {
      const { issuer, manager } = await managing();
      const signal = AbortSignal.abort(reason);
      const sending = client(manager)(`${issuer.url}/api/me`, { signal });
      await assert.rejects(sending, (error) => error === reason);
      assert.deepEqual((await issuer.stats()).api, {});
    });

    test('in flight ends the request', async () => {
      let arrived;
      const begun = new Promise((resolve) => (arrived = resolve));
      const api = await server(() => arrived());
      await aborted((await managing(api)).manager, api.origin, () => begun);
    });

    test('while an expired token is refreshed ends the waiting only', async () => {
      const { issuer, options, stored } = await signedIn({ logins: { a: { access_age_s: 4000 } } });
      const manager = new AuthManager({ ...options, allowedOrigins: [issuer.origin] });
      await issuer.call('hold', { at: 'reply' });
      await aborted(manager, `${issuer.url}/api/me`, () => issuer.wait({ held: 1 }));
      await issuer.call('release');
      assert.equal(await manager.close(), true);
      assert.equal(await refreshToken(issuer, stored()), 'refresh:a1');
      assert.deepEqual((await issuer.stats()).api, {});
    });

    test('while a 401 is recovered from ends the waiting only', async () => {
      const { issuer, manager, stored } = await managing();
      await issuer.call('kill_access');
      await issuer.call('hold', { at: 'reply' });
      await aborted(manager, `${issuer.url}/api/me`, () => issuer.wait({ held: 1 }));
      await issuer.call('release');
      assert.equal(await manager.close(), true);
      assert.equal(await refreshToken(issuer, stored()), 'refresh:a1');
      assert.equal((await issuer.stats()).api_ok, 0);
    });

    test('while it is sent again ends it', async () => {
      let arrived;
      const begun = new Promise((resolve) => (arrived = resolve));
      const api = await server((_, response, seen) => {
        if (seen.length === 1) return response.writeHead(401).end('no');
        arrived();
      });
      await aborted((await managing(api)).manager, api.origin, () => begun);
    });
  });

  test(`a 401 that is not used holds no connection of the ${name}`, async () => {
    const closed = [];
    const api = await server((request, response, seen) => {
      if (seen.length > 1) return response.end('yes');
      closed.push(once(request.socket, 'close'));
      // Its end never comes.
      response.writeHead(401).write('no');
    });
    const { manager } = await managing(api);
    const sending = client(manager)(api.origin, { method: 'POST', body: 'hello' });
    assert.equal(await within(LONGEST, 'the second request', sending), 200);
    await within(LONGEST, 'the connection of the 401', closed[0]);
    assert.deepEqual(api.seen.map(({ body }) => body), ['hello', 'hello']);
  });
}

test('whoever only listens to a dispatcher hears the whole of a final 401', async () => {
  const { issuer, options } = await signedIn({ config: { api_reject_all: true } });
  const manager = new AuthManager({ ...options, allowedOrigins: [issuer.origin] });
  const dispatcher = new undici.Agent().compose(createAuthInterceptor(manager));
  const heard = new Promise((resolve, reject) => {
    const heard = [];
    const path = `${new URL(issuer.url).pathname}/api/me`;
    dispatcher.dispatch({ origin: issuer.origin, path, method: 'GET' }, {
      onRequestStart() {},
      onResponseStart: (_, status) => heard.push(status),
      onResponseData: (_, chunk) => heard.push(String(chunk)),
      onResponseEnd: () => resolve(heard),
      onResponseError: (_, error) => reject(error),
    });
  });
  const [status, text] = await within(LONGEST, 'a final 401', heard);
  assert.equal(status, 401);
  assert.match(text, /token_rejected/);
});

test('a HEAD, whose response cannot be held up, is recovered from like others', async () => {
  for (const [name, client] of Object.entries(CLIENTS)) {
    const { issuer, manager } = await managing();
    await issuer.call('kill_access');
    const send = client(manager);
    assert.equal(await send(`${issuer.url}/api/me`, { method: 'HEAD' }), 200, name);
    await issuer.call('kill_access');
    await issuer.call('expire_refresh', { token: 'a1' });
    const dead = send(`${issuer.url}/api/me`, { method: 'HEAD' });
    await assert.rejects(dead, { code: 'refresh_token_expired' });

    const refusing = await managing();
    await refusing.issuer.call('configure', { api_reject_all: true });
    const refused = client(refusing.manager)(`${refusing.issuer.url}/api/me`, { method: 'HEAD' });
    assert.equal(await refused, 401, name);
  }
});

test("what undici's own mock answers is recovered from", async () => {
  const { issuer, manager } = await managing();
  await issuer.call('kill_access');
  const mock = new undici.MockAgent();
  const api = mock.get(issuer.origin);
  api.intercept({ path: '/', method: 'POST' }).reply(401, 'no');
  api.intercept({ path: '/', method: 'POST' }).reply(200, 'yes');
  const dispatcher = mock.compose(createAuthInterceptor(manager));
  const request = { dispatcher, method: 'POST', body: 'hello' };
  const { statusCode, body } = await undici.request(`${issuer.origin}/`, request);
  assert.deepEqual([statusCode, await body.text()], [200, 'yes']);
});

test('a fetch whose bodies are streams of Node will do', async () => {
  const { issuer, manager } = await managing();
  await issuer.call('kill_access');
  const send = createAuthFetch(manager, {
    async fetch(...request) {
      const { status, headers, body } = await fetch(...request);
      return { status, headers, body: Readable.fromWeb(body) };
    },
  });
  const url = `${issuer.url}/api/redirect?to=/api/echo`;
  assert.equal((await send(url, { method: 'POST', body: 'hello' })).status, 200);
});

test('what is no manager, and no fetch, is a mistake', async () => {
  const { manager } = await managing();
  for (const wrong of [null, undefined, {}, Object.create(manager)]) {
    assert.throws(() => createAuthFetch(wrong), TypeError);
    assert.throws(() => createAuthInterceptor(wrong), TypeError);
  }
  for (const create of [createAuthFetch, createAuthInterceptor]) {
    const opening = AuthManager.open();
    assert.throws(() => create(opening), { name: 'TypeError', message: /did you forget await\?/ });
    await opening;
  }
  assert.throws(() => createAuthFetch(manager, { fetch: 'fetch' }), TypeError);
  assert.throws(() => createAuthFetch(manager, { fetsh: fetch }), TypeError);
});
