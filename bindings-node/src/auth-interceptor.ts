import type { Dispatcher } from 'undici';

import { authorize, checkManager } from './auth-manager.js';
import type { AuthManager } from './auth-manager.js';
import type { CodexAuth } from './codex-auth.js';
import { CodexAuthError, withResponse } from './error.js';
import { authorizationIn, headersOf, withAuth } from './headers.js';
import type { Header } from './headers.js';
import { RedirectChain, RedirectObserver } from './redirect-chain.js';
import { mayRetry } from './request-authorization.js';
import type { RequestAuthorization } from './request-authorization.js';

type Controller = Dispatcher.DispatchController;
type Handler = Dispatcher.DispatchHandler;
type Options = Dispatcher.DispatchOptions;
type ResponseHeaders = Parameters<NonNullable<Handler['onResponseStart']>>[2];
type Value = string | string[] | undefined;

/**
 * Creates an interceptor for the `compose` method of an undici dispatcher. It authorizes requests
 * with the login of `manager`, and repeats them after a 401, by the rules of
 * {@link createAuthFetch}.
 *
 * The order of the interceptors in `compose` matters. This one must come before an interceptor that
 * follows redirects, which would send the credential to other origins, and before one that turns
 * responses into errors, which would hide the 401. It must come after `dump`, which would mistake
 * the first try for the whole request. A request of a `Client` must name its `origin`.
 *
 * Use {@link createAuthFetch} for the `fetch` of undici. Through an interceptor it passes every body
 * as a stream, which cannot be sent again, and fails with `origin_not_allowed` at a redirect from
 * another origin to one that gets the credential.
 *
 * A request fails with a {@link CodexAuthError} in the cases that {@link createAuthFetch} names.
 * The 401 in its `response` has no body.
 *
 * @example
 * const agent = new Agent().compose(createAuthInterceptor(manager), interceptors.redirect());
 * const { statusCode } = await request(url, { dispatcher: agent });
 */
export function createAuthInterceptor(
  manager: AuthManager,
): <Dispatch extends (options: any, handler: any) => boolean>(dispatch: Dispatch) => Dispatch {
  checkManager(manager);
  const intercept = (dispatch: Dispatcher.Dispatch): Dispatcher.Dispatch => {
    return (options, handler) => {
      const given = pairs(options.headers);
      const { authorization: own, kept: headers } = authorizationIn(given);
      const origin = String(options.origin ?? '');
      const chain = RedirectChain.of(handler, origin);
      const check = isOfFetch(headers)
        ? (location: string) => refuseCredentialAt(manager, location, options)
        : () => undefined;
      const observer = new RedirectObserver(handler, chain, check);
      let authorization: RequestAuthorization | null;
      try {
        authorization = authorize(manager, origin, own);
      } catch (error) {
        handler.onResponseError?.(new WaitingController(), error as Error);
        return true;
      }
      if (authorization === null || chain.hasLeft) {
        const isUnchanged = headers.length === given.length;
        return dispatch(isUnchanged ? options : { ...options, headers: record(headers) }, observer);
      }
      const parts = { authorization, dispatch, options, headers, handler: observer };
      return new AuthorizedDispatch(parts).start();
    };
  };
  return intercept as ReturnType<typeof createAuthInterceptor>;
}

/** Returns whether the `fetch` of undici or of Node has sent a request with `headers`. */
function isOfFetch(headers: readonly Header<unknown>[]): boolean {
  return headers.some(([name]) => name.toLowerCase() === 'sec-fetch-mode');
}

/**
 * Throws if a redirect leads to another origin that would get the credential. A `fetch` sends the
 * request that follows a redirect like one of its own, so it cannot be told from one.
 */
function refuseCredentialAt(manager: AuthManager, location: string, options: Options): void {
  const from = new URL(options.path, String(options.origin));
  const { origin } = new URL(location, from);
  if (origin !== from.origin && authorize(manager, origin, null) !== null) {
    const message =
      `a redirect of ${from.origin} leads to ${origin}, which would get the credential although ` +
      'the program has not sent it a request; send the request by createAuthFetch';
    throw new CodexAuthError({ code: 'origin_not_allowed', message, isTransient: false, causes: [] });
  }
}

interface DispatchParts {
  readonly authorization: RequestAuthorization;
  readonly dispatch: Dispatcher.Dispatch;
  readonly options: Options;
  /** The headers that the caller has given, without the placeholder. */
  readonly headers: readonly Header<Value>[];
  readonly handler: Handler;
}

/** The reason for aborting a request whose 401 is dropped because the request is repeated. */
const DISCARDED = new Error('the request is sent again');

/** One request with its repetitions. */
class AuthorizedDispatch implements Handler {
  readonly #parts: DispatchParts;
  /** The snapshot that the request in flight was sent with. */
  #auth: CodexAuth | null = null;
  /** Ends the wait for a recovery, while there is one. */
  #waiting: AbortController | null = null;
  /**
   * The events of a 401 response that arrive during the recovery. They are held back because not
   * every response can be paused: one to a HEAD request cannot.
   */
  #held: (() => void)[] | null = null;

  constructor(parts: DispatchParts) {
    this.#parts = parts;
  }

  /** Sends the request, at once if a snapshot is ready. */
  start(): boolean {
    const { authorization, handler } = this.#parts;
    if (authorization.ready !== null) {
      return this.#send(authorization.ready);
    }
    const waiting = new WaitingController();
    handler.onRequestStart?.(waiting, {});
    authorization
      .auth(waiting.signal)
      .then((auth) => this.#send(auth))
      .catch((error) => handler.onResponseError?.(waiting, error));
    return true;
  }

  onRequestStart(controller: Controller, context: unknown): void {
    this.#parts.handler.onRequestStart?.(controller, context);
  }

  onRequestUpgrade(...upgrade: Parameters<NonNullable<Handler['onRequestUpgrade']>>): void {
    this.#parts.handler.onRequestUpgrade?.(...upgrade);
  }

  onResponseStart(
    controller: Controller,
    status: number,
    headers: ResponseHeaders,
    message?: string,
  ): void {
    const { authorization, handler } = this.#parts;
    const passOnStart = () => handler.onResponseStart?.(controller, status, headers, message);
    if (this.#auth === null || !mayRetry(status)) {
      return passOnStart();
    }
    // undici 7 ends the process where a paused response ends with its connection.
    if (saysWhereItEnds(headers)) controller.pause();
    this.#held = [];
    this.#waiting = new AbortController();
    authorization
      .retryAuth(this.#auth, status, this.#waiting.signal)
      .finally(() => (this.#waiting = null))
      .catch((error) => withResponse(error, responseOf(status, headers)))
      .then((next) => this.#passOnOrRepeat(controller, next, passOnStart))
      .catch((error) => {
        controller.abort(DISCARDED);
        handler.onResponseError?.(controller, error);
      });
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    this.#passOn(() => this.#parts.handler.onResponseData?.(controller, chunk));
  }

  onResponseEnd(controller: Controller, trailers: ResponseHeaders): void {
    this.#passOn(() => this.#parts.handler.onResponseEnd?.(controller, trailers));
  }

  onResponseError(controller: Controller, error: Error): void {
    if (this.#waiting !== null) {
      this.#waiting.abort(error);
    } else if (error !== DISCARDED) {
      this.#parts.handler.onResponseError?.(controller, error);
    }
  }

  #send(auth: CodexAuth): boolean {
    const { dispatch, options, headers } = this.#parts;
    const all = withAuth(headers, auth);
    this.#auth = auth;
    return dispatch({ ...options, headers: record(all) }, this);
  }

  #passOnOrRepeat(controller: Controller, next: CodexAuth | null, passOnStart: () => void): void {
    const held = this.#held ?? [];
    this.#held = null;
    if (next !== null && canRepeat(this.#parts.options.body)) {
      controller.abort(DISCARDED);
      this.#send(next);
    } else {
      passOnStart();
      for (const passOn of held) passOn();
      controller.resume();
    }
  }

  #passOn(event: () => void): void {
    if (this.#held === null) event();
    else this.#held.push(event);
  }
}

/** The controller of a request that is not sent yet, because it waits for a snapshot. */
class WaitingController implements Controller {
  readonly #abort = new AbortController();
  paused = false;

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get aborted(): boolean {
    return this.signal.aborted;
  }

  get reason(): Error | null {
    return this.signal.reason ?? null;
  }

  abort(reason?: Error): void {
    this.#abort.abort(reason);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }
}

/** Returns whether a response with these `headers` ends before its connection does. */
function saysWhereItEnds(headers: ResponseHeaders): boolean {
  return 'content-length' in headers || 'transfer-encoding' in headers;
}

/** Returns whether a body can be sent again. Streams and iterators cannot. */
function canRepeat(body: unknown): boolean {
  const isText = typeof body === 'string' || ArrayBuffer.isView(body);
  const isForm = body instanceof ArrayBuffer || body instanceof Blob || isFormData(body);
  return body === null || body === undefined || isText || isForm;
}

/** Returns whether `body` is a `FormData`, also one of undici's own class. */
function isFormData(body: unknown): boolean {
  return Object.prototype.toString.call(body) === '[object FormData]';
}

/** Returns headers, in any form that undici takes, as pairs. */
function pairs(headers: Options['headers']): Header<Value>[] {
  if (!Array.isArray(headers)) {
    return headersOf<Value>(headers as Iterable<Header<Value>> | Record<string, Value> | null);
  }
  const isName = (_: string, index: number) => index % 2 === 0;
  return headers.filter(isName).map((name, index) => [name, headers[2 * index + 1]]);
}

/** Returns headers as a record, the form that every interceptor understands. */
function record(headers: readonly Header<Value>[]): Record<string, string | string[]> {
  const all: Record<string, string | string[]> = {};
  for (const [name, value] of headers) {
    const known = all[name];
    all[name] = known === undefined ? (value ?? '') : [known, value ?? ''].flat();
  }
  return all;
}

/** Returns a `Response` without a body, for the `response` of an error. */
function responseOf(status: number, headers: ResponseHeaders): Response {
  const known = Object.entries(headers).filter(([, value]) => value !== undefined);
  const each = known.flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)]));
  return new Response(null, { status, headers: each });
}
