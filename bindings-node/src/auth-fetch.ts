import type { Readable } from 'node:stream';

import { authorize, checkManager } from './auth-manager.js';
import type { AuthManager } from './auth-manager.js';
import { withResponse } from './error.js';
import { checked } from './options.js';
import type { Kinds } from './options.js';
import { OutgoingRequest } from './outgoing-request.js';
import { mayRetry } from './request-authorization.js';

/** Options of {@link createAuthFetch}. */
export interface AuthFetchOptions {
  /** What sends the requests; default the `fetch` of the platform. */
  fetch?: typeof fetch | undefined;
}

const OPTIONS: Kinds<AuthFetchOptions> = { fetch: 'function' };

/**
 * A `fetch` whose requests are sent with the login of `manager`, and again after a 401, at most
 * twice, with what the manager has by then.
 *
 * Only requests to the origins of ChatGPT, of the API and of `allowedOrigins` get a credential, and
 * none goes along a redirect to another origin. A request with an `Authorization` of its own is
 * left alone, unless that is {@link MANAGED_API_KEY}, which is replaced and never sent.
 *
 * A body that is a stream is not sent again: its 401 comes back after the tokens were refreshed.
 * The final response is the server's own, also where it is a 401. The signal of a request also
 * ends its waiting for a refresh, which itself goes on.
 *
 * The promise is rejected with what `fetch` says, with the signal's reason, or with a
 * {@link CodexAuthError}: `login_required`, `origin_not_allowed`, or those of
 * {@link AuthManager.recoverFromUnauthorized}, with the 401 as `response`.
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
  const given = checked(options, OPTIONS).fetch;
  return async (input, init) => {
    const send = given ?? fetch;
    const request = new OutgoingRequest(input, init);
    const authorization = authorize(manager, request.url, request.authorization);
    if (authorization === null) {
      return request.sendPlain(send);
    }
    const { signal } = request;
    let auth = authorization.ready ?? (await authorization.auth(signal));
    let isWithin = true;
    for (;;) {
      const response = await request.send(send, isWithin ? auth : null);
      const url = request.redirection(response);
      if (url !== null) {
        await discard(response);
        isWithin = (await request.follow(url, response.status)) && isWithin;
        continue;
      }
      if (!isWithin || !mayRetry(response.status)) {
        return request.answered(response);
      }
      const retry = authorization.retryAuth(auth, response.status, signal);
      const next = await retry.catch((error) => withResponse(error, response));
      if (next === null || !request.canRepeat) {
        return request.answered(response);
      }
      await discard(response);
      auth = next;
    }
  };
}

/** Frees the connection of a response that nobody reads. */
async function discard({ body }: Response): Promise<void> {
  if (body !== null && 'cancel' in body) {
    await body.cancel().catch(() => undefined);
  } else {
    // A `fetch` that is not the standard's may have a stream of Node.
    (body as Readable | null)?.destroy();
  }
}
