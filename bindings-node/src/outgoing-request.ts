import type { CodexAuth } from './codex-auth.js';
import { authorizationIn, headersOf, isIterable, withAuth, without } from './headers.js';
import type { Header } from './headers.js';

type Fetch = typeof fetch;
type Redirect = NonNullable<RequestInit['redirect']>;

const REDIRECTS = [301, 302, 303, 307, 308];

/** The limit of the Fetch standard. */
const MOST_REDIRECTS = 20;

/** The headers that describe a body. */
const BODY_HEADERS = [
  ...['content-encoding', 'content-language', 'content-length', 'content-location'],
  'content-type',
];

/** The headers that a redirect to another origin loses. */
const ORIGIN_HEADERS = ['authorization', 'cookie', 'host', 'proxy-authorization'];

/** A request of `fetch` with its repetitions and redirects. */
export class OutgoingRequest {
  #url: string;
  /** The `Request` of the caller, if there is one. Null after a redirect. */
  #request: Request | null;
  #init: RequestInit;
  #headers: readonly Header[];
  /** The header `Authorization` by which a manager is asked to authorize the request, or null. */
  readonly authorization: string | null;
  readonly #headersAreRecord: boolean;
  /** The redirect mode that the caller has asked for. */
  readonly #redirect: Redirect;
  #wasSent = false;
  #canRepeat: boolean | null = null;
  #redirects = 0;

  constructor(input: Parameters<Fetch>[0], init: RequestInit | undefined) {
    this.#request = isRequest(input) ? input : null;
    this.#url = this.#request === null ? String(input) : this.#request.url;
    this.#init = membersOf(init);
    const headers = this.#init.headers ?? this.#request?.headers;
    const given = headersOf(headers as Iterable<Header> | undefined);
    ({ authorization: this.authorization, kept: this.#headers } = authorizationIn(given));
    // Without headers of its own, the caller's `Request` would be sent with the placeholder.
    if (this.#headers.length < given.length) this.#init.headers = {};
    this.#headersAreRecord = !isIterable(headers ?? {});
    this.#redirect = this.#init.redirect ?? this.#request?.redirect ?? 'follow';
  }

  get url(): string {
    return this.#url;
  }

  get signal(): AbortSignal | undefined {
    const { signal = this.#request?.signal } = this.#init;
    return signal ?? undefined;
  }

  /** Whether the request can be sent again. A body that is a stream cannot. */
  get canRepeat(): boolean {
    this.#canRepeat ??= this.#init.body
      ? !(Symbol.asyncIterator in Object(this.#init.body))
      : this.#request === null || hasKnownBody(this.#request);
    return this.#canRepeat;
  }

  /** Sends the request as the caller made it. */
  sendPlain(send: Fetch): Promise<Response> {
    // The headers may have been an iterator, which is used up by now, or had the placeholder.
    const headers = this.#init.headers && { headers: this.#sendable(this.#headers) };
    return send(this.#request ?? this.#url, { ...this.#init, ...headers });
  }

  /**
   * Sends the request with `auth`, if there is one. A redirect is returned, not followed: see
   * {@link OutgoingRequest.redirection}.
   */
  send(send: Fetch, auth: CodexAuth | null): Promise<Response> {
    const headers = auth === null ? this.#headers : withAuth(this.#headers, auth);
    // The first try may change the object, which is a copy already: to copy it again would double
    // the cost of this method.
    const init = this.#wasSent ? { ...this.#init } : this.#init;
    this.#wasSent = true;
    init.headers = this.#sendable(headers);
    init.redirect = this.#redirect === 'follow' ? 'manual' : this.#redirect;
    return send(this.#requestToSend() ?? this.#url, init);
  }

  /**
   * Returns the target of `response` if that is a redirect that the caller wants to be followed.
   */
  redirection(response: Response): URL | null {
    if (this.#redirect !== 'follow' || !REDIRECTS.includes(response.status)) {
      return null;
    }
    const location = response.headers.get('location');
    return location === null ? null : this.#resolved(location);
  }

  /**
   * Turns this into the request that follows a redirect to `url`, by the Fetch standard. Returns
   * whether its origin stays.
   */
  async follow(url: URL, status: number): Promise<boolean> {
    this.#redirects += 1;
    if (this.#redirects > MOST_REDIRECTS) {
      throw fetchError('too many redirects');
    }
    const method = this.#method;
    const becomesGet =
      ([301, 302].includes(status) && method === 'POST') ||
      (status === 303 && method !== 'GET' && method !== 'HEAD');
    const body = becomesGet ? null : await this.#body();
    const stays = url.origin === new URL(this.#url).origin;
    this.#init = { ...membersOf(this.#request), ...this.#init, body };
    this.#init.method = becomesGet ? 'GET' : method;
    const unwanted = [...(becomesGet ? BODY_HEADERS : []), ...(stays ? [] : ORIGIN_HEADERS)];
    this.#headers = without(this.#headers, unwanted);
    this.#request = null;
    this.#url = url.href;
    return stays;
  }

  /** Returns `response` as the caller gets it. */
  finalResponse(response: Response): Response {
    // The response of a redirected request does not know that it was redirected.
    return this.#redirects === 0
      ? response
      : Object.defineProperty(response, 'redirected', { value: true, configurable: true });
  }

  get #method(): string {
    const method = this.#init.method ?? this.#request?.method ?? 'GET';
    return method.toUpperCase() === 'POST' ? 'POST' : method;
  }

  /** Returns headers as a record if the caller's were one: `fetch` reads it faster than pairs. */
  #sendable(headers: readonly Header[]): Record<string, string> | [string, string][] {
    return this.#headersAreRecord
      ? Object.fromEntries(headers)
      : (headers as unknown as [string, string][]);
  }

  /** Returns the caller's `Request` to send, and keeps a copy if sending it uses up its body. */
  #requestToSend(): Request | null {
    const request = this.#request;
    if (request?.body && this.canRepeat) {
      this.#request = request.clone();
    }
    return request;
  }

  /** Returns the body, for a redirected request. */
  async #body(): Promise<NonNullable<RequestInit['body']> | null> {
    if (!this.canRepeat) {
      throw fetchError('a redirect needs the body again, which is a stream');
    }
    return this.#init.body ?? (this.#request?.body ? await this.#request.blob() : null);
  }

  #resolved(location: string): URL {
    try {
      // Header values are bytes; those of a location are UTF-8.
      const url = new URL(Buffer.from(location, 'latin1').toString(), this.#url);
      if (!['http:', 'https:'].includes(url.protocol)) throw new Error(`not HTTP: ${url.protocol}`);
      return url;
    } catch (cause) {
      throw fetchError('a redirect leads to no URL that can be fetched', { cause });
    }
  }
}

/** Returns whether `input` is a `Request`, also one of another `fetch`. */
function isRequest(input: unknown): input is Request {
  return typeof input === 'object' && input !== null && 'url' in input && 'headers' in input;
}

/**
 * Returns whether a request has no body, or one that is not a stream. No property of a request says
 * so, but the standard refuses a stream as the body of a request with the mode `no-cors`.
 */
function hasKnownBody(request: Request): boolean {
  if (request.body === null) {
    return true;
  }
  const copy = request.clone();
  try {
    const made = new (request.constructor as typeof Request)(copy, { mode: 'no-cors', method: 'POST' });
    void made.body?.cancel();
    return true;
  } catch {
    void copy.body?.cancel();
    return false;
  }
}

/**
 * Returns the members of a dictionary as the standard reads it: inherited ones too, and no
 * undefined.
 */
function membersOf(dictionary: RequestInit | Request | null | undefined): RequestInit {
  const members: Record<string, unknown> = {};
  for (const name in dictionary) {
    const value = dictionary[name as keyof typeof dictionary];
    if (value !== undefined) members[name] = value;
  }
  return members as RequestInit;
}

/** Returns an error like those of `fetch`. */
function fetchError(message: string, options?: ErrorOptions): TypeError {
  return new TypeError('fetch failed', { cause: new Error(message, options) });
}
