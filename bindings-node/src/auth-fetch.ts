import type { Readable } from 'node:stream';

import { authorize, checkManager } from './auth-manager.js';
import type { AuthManager } from './auth-manager.js';
import { withResponse } from './error.js';
import { checkOptions } from './options.js';
import type { OptionKinds } from './options.js';
import { OutgoingRequest } from './outgoing-request.js';
import { mayRetry } from './request-authorization.js';

/** Options of {@link createAuthFetch}. */
export interface AuthFetchOptions {
  /** The function that sends the requests. Default: the global `fetch`. */
  fetch?: typeof fetch | undefined;
}

const OPTIONS: OptionKinds<AuthFetchOptions> = { fetch: 'function' };

/**
 * Creates a `fetch` function that authorizes its requests with the login of `manager`.
 *
 * Each request is sent with a fresh snapshot. After a 401 response the login is recovered and the
 * request is repeated, at most twice. A request whose body is a stream is not repeated: its 401 is
 * returned once the login is recovered. The caller always gets the server's own response, a final
 * 401 too.
 *
 * A request gets the credential only if its origin is that of the ChatGPT backend or the OpenAI
 * API, or one of `allowedOrigins`. A redirect to another origin loses the credential. A request
 * that has an `Authorization` header of its own is left alone, unless that is
 * {@link MANAGED_API_KEY}, which is replaced and never sent. The signal of a request also ends its
 * wait for a refresh; the refresh itself goes on.
 *
 * The promise is rejected with the error of `fetch`, with the signal's reason, or with a
 * {@link CodexAuthError}: `login_required`, `origin_not_allowed`, or an error of
 * {@link AuthManager.recoverFromUnauthorized}, which has the 401 as its `response`.
 *
 * @example
 * const fetch = createAuthFetch(await AuthManager.open());
 * const response = await fetch('https://chatgpt.com/backend-api/codex/models');
 */
export function createAuthFetch(
  manager: AuthManager,
  options: AuthFetchOptions = {},
): typeof fetch {
  checkManager(manager);
  const given = checkOptions(options, OPTIONS).fetch;
  return async (input, init) => {
    const send = given ?? fetch;
    const request = new OutgoingRequest(input, init);
    const authorization = authorize(manager, request.url, request.authorization);
    if (authorization === null) {
      return request.sendPlain(send);
    }
    const { signal } = request;
    let auth = authorization.ready ?? (await authorization.auth(signal));
    let isSameOrigin = true;
    for (;;) {
      const response = await request.send(send, isSameOrigin ? auth : null);
      const url = request.redirection(response);
      if (url !== null) {
        await discard(response);
        isSameOrigin = (await request.follow(url, response.status)) && isSameOrigin;
        continue;
      }
      if (!isSameOrigin || !mayRetry(response.status)) {
        return request.finalResponse(response);
      }
      const retry = authorization.retryAuth(auth, response.status, signal);
      const next = await retry.catch((error) => withResponse(error, response));
      if (next === null || !request.canRepeat) {
        return request.finalResponse(response);
      }
      await discard(response);
      auth = next;
    }
  };
}

/** Frees the connection of a response whose body is not read. */
async function discard({ body }: Response): Promise<void> {
  if (body !== null && 'cancel' in body) {
    await body.cancel().catch(() => undefined);
  } else {
    // The body of a non-standard `fetch` may be a stream of Node.
    (body as Readable | null)?.destroy();
  }
}
