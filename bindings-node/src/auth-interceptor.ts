import type { Dispatcher } from 'undici';

import { authorize, checkManager } from './auth-manager.js';
import type { AuthManager } from './auth-manager.js';
import type { CodexAuth } from './codex-auth.js';
import { withResponse } from './error.js';
import { authorizationIn, headersOf, withAuth } from './headers.js';
import type { Header } from './headers.js';
import { mayRetry } from './request-authorization.js';
import type { RequestAuthorization } from './request-authorization.js';

type Controller = Dispatcher.DispatchController;
type Handler = Dispatcher.DispatchHandler;
type Options = Dispatcher.DispatchOptions;
type ResponseHeaders = Parameters<NonNullable<Handler['onResponseStart']>>[2];
type Value = string | string[] | undefined;

/**
 * An interceptor of undici, for `compose`: requests are sent with the login of `manager`, and again
 * after a 401, by the rules of {@link createAuthFetch}.
 *
 * In the order of `compose` it must come before an interceptor that follows redirects, which would
 * otherwise take the credential along, and before one that makes errors of responses, which hides
 * the 401; after `dump`, which takes the end of the first try for that of the request. A `Client` of
 * one origin must be told the origin with each request. The `fetch` of undici hands every body on as
 * a stream, which cannot be sent again: use {@link createAuthFetch} for that.
 *
 * A request fails with a {@link CodexAuthError} where {@link createAuthFetch} says so; its 401 comes
 * without a body.
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
      const headers = pairs(options.headers);
      let authorization: RequestAuthorization | null;
      try {
        const origin = String(options.origin ?? '');
        authorization = authorize(manager, origin, authorizationIn(headers));
      } catch (error) {
        handler.onResponseError?.(new Waiting(), error as Error);
        return true;
      }
      return authorization === null
        ? dispatch(options, handler)
        : new AuthorizedDispatch({ authorization, dispatch, options, headers, handler }).start();
    };
  };
  return intercept as ReturnType<typeof createAuthInterceptor>;
}

interface Parts {
  readonly authorization: RequestAuthorization;
  readonly dispatch: Dispatcher.Dispatch;
  readonly options: Options;
  /** The caller's. */
  readonly headers: readonly Header<Value>[];
  readonly handler: Handler;
}

/** What ends a request whose 401 nobody is to see. */
const DISCARDED = new Error('the request is sent again');

/** One request, as often as it is sent. */
class AuthorizedDispatch implements Handler {
  readonly #parts: Parts;
  /** What the request in flight was sent with. */
  #auth: CodexAuth | null = null;
  /** Ends the waiting for a recovery, while there is one. */
  #waiting: AbortController | null = null;
  /** What comes of a 401 meanwhile: not every response can be paused, one to a HEAD cannot. */
  #held: (() => void)[] | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Sends it, at once if that is possible. */
  start(): boolean {
    const { authorization, handler } = this.#parts;
    if (authorization.ready !== null) {
      return this.#send(authorization.ready);
    }
    const waiting = new Waiting();
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
    const answered = () => handler.onResponseStart?.(controller, status, headers, message);
    if (this.#auth === null || !mayRetry(status)) {
      return answered();
    }
    controller.pause();
    this.#held = [];
    this.#waiting = new AbortController();
    authorization
      .retryAuth(this.#auth, status, this.#waiting.signal)
      .finally(() => (this.#waiting = null))
      .catch((error) => withResponse(error, unauthorized(status, headers)))
      .then((next) => this.#decided(controller, next, answered))
      .catch((error) => {
        controller.abort(DISCARDED);
        handler.onResponseError?.(controller, error);
      });
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    this.#handOn(() => this.#parts.handler.onResponseData?.(controller, chunk));
  }

  onResponseEnd(controller: Controller, trailers: ResponseHeaders): void {
    this.#handOn(() => this.#parts.handler.onResponseEnd?.(controller, trailers));
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

  #decided(controller: Controller, next: CodexAuth | null, answered: () => void): void {
    const held = this.#held ?? [];
    this.#held = null;
    if (next !== null && canRepeat(this.#parts.options.body)) {
      controller.abort(DISCARDED);
      this.#send(next);
    } else {
      answered();
      for (const handOn of held) handOn();
      controller.resume();
    }
  }

  #handOn(event: () => void): void {
    if (this.#held === null) event();
    else this.#held.push(event);
  }
}

/** Stands in for the request that is not there yet. */
class Waiting implements Controller {
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

/** Whether a body can be sent again: streams and iterators cannot. */
function canRepeat(body: unknown): boolean {
  const isText = typeof body === 'string' || ArrayBuffer.isView(body);
  const isForm = body instanceof ArrayBuffer || body instanceof Blob || isFormData(body);
  return body === null || body === undefined || isText || isForm;
}

/** By its form: undici has a class of its own. */
function isFormData(body: unknown): boolean {
  return Object.prototype.toString.call(body) === '[object FormData]';
}

/** Headers in any of the forms that undici takes. */
function pairs(headers: Options['headers']): Header<Value>[] {
  if (!Array.isArray(headers)) {
    return headersOf<Value>(headers as Iterable<Header<Value>> | Record<string, Value> | null);
  }
  const isName = (_: string, index: number) => index % 2 === 0;
  return headers.filter(isName).map((name, index) => [name, headers[2 * index + 1]]);
}

/** The form that every interceptor knows. */
function record(headers: readonly Header<Value>[]): Record<string, string | string[]> {
  const all: Record<string, string | string[]> = {};
  for (const [name, value] of headers) {
    const known = all[name];
    all[name] = known === undefined ? (value ?? '') : [known, value ?? ''].flat();
  }
  return all;
}

/** A 401 as an error has it. */
function unauthorized(status: number, headers: ResponseHeaders): Response {
  const known = Object.entries(headers).filter(([, value]) => value !== undefined);
  const each = known.flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)]));
  return new Response(null, { status, headers: each });
}
