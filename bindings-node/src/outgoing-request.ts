import type { CodexAuth } from './codex-auth.js';
import { authorizationIn, headersOf, isIterable, withAuth, without } from './headers.js';
import type { Header } from './headers.js';

type Fetch = typeof fetch;
type Redirect = NonNullable<RequestInit['redirect']>;

const REDIRECTS = [301, 302, 303, 307, 308];

/** As many as the Fetch standard has. */
const MOST_REDIRECTS = 20;

/** The headers that go with a body. */
const BODY_HEADERS = [
  ...['content-encoding', 'content-language', 'content-length', 'content-location'],
  'content-type',
];

/** The headers that are meant for one origin. */
const ORIGIN_HEADERS = ['authorization', 'cookie', 'host', 'proxy-authorization'];

/** A request of `fetch` as often as it is sent: once more, or to where a redirect leads. */
export class OutgoingRequest {
  #url: string;
  /** The `Request` that the caller made, until a redirect. */
  #request: Request | null;
  #init: RequestInit;
  #headers: Header[];
  readonly #areRecord: boolean;
  /** What the caller wants to be done about redirects. */
  readonly #redirect: Redirect;
  #wasSent = false;
  #canRepeat: boolean | null = null;
  #redirects = 0;

  constructor(input: Parameters<Fetch>[0], init: RequestInit | undefined) {
    this.#request = isRequest(input) ? input : null;
    this.#url = this.#request === null ? String(input) : this.#request.url;
    this.#init = membersOf(init);
    const headers = this.#init.headers ?? this.#request?.headers;
    this.#headers = headersOf(headers as Iterable<Header> | undefined);
    this.#areRecord = !isIterable(headers ?? {});
    this.#redirect = this.#init.redirect ?? this.#request?.redirect ?? 'follow';
  }

  get url(): string {
    return this.#url;
  }

  /** The caller's own `Authorization`. */
  get authorization(): string | null {
    return authorizationIn(this.#headers);
  }

  get signal(): AbortSignal | undefined {
    const { signal = this.#request?.signal } = this.#init;
    return signal ?? undefined;
  }

  /** Whether it can be sent again: a stream cannot, and is not kept for that. */
  get canRepeat(): boolean {
    this.#canRepeat ??= this.#init.body
      ? !(Symbol.asyncIterator in Object(this.#init.body))
      : this.#request === null || hasKnownBody(this.#request);
    return this.#canRepeat;
  }

  /** Sends it as the caller made it. */
  sendPlain(send: Fetch): Promise<Response> {
    // Headers may have been an iterator, which is used up.
    const headers = this.#init.headers && { headers: this.#sendable(this.#headers) };
    return send(this.#request ?? this.#url, { ...this.#init, ...headers });
  }

  /** Sends it with `auth`, if any. Redirects come back: see {@link OutgoingRequest.redirection}. */
  send(send: Fetch, auth: CodexAuth | null): Promise<Response> {
    const headers = auth === null ? this.#headers : withAuth(this.#headers, auth);
    // The first time it is nobody else's: to copy it once more costs as much as all else here.
    const init = this.#wasSent ? { ...this.#init } : this.#init;
    this.#wasSent = true;
    init.headers = this.#sendable(headers);
    init.redirect = this.#redirect === 'follow' ? 'manual' : this.#redirect;
    return send(this.#taken() ?? this.#url, init);
  }

  /** Where `response` leads, if it is a redirect that the caller wants to be followed. */
  redirection(response: Response): URL | null {
    if (this.#redirect !== 'follow' || !REDIRECTS.includes(response.status)) {
      return null;
    }
    const location = response.headers.get('location');
    return location === null ? null : this.#resolved(location);
  }

  /** Becomes the request to `url`, by the Fetch standard; whether it stays within the origin. */
  async follow(url: URL, status: number): Promise<boolean> {
    this.#redirects += 1;
    if (this.#redirects > MOST_REDIRECTS) {
      throw failed('too many redirects');
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

  /** `response` as the caller gets it. */
  answered(response: Response): Response {
    // Each response knows of its own URL only.
    return this.#redirects === 0
      ? response
      : Object.defineProperty(response, 'redirected', { value: true, configurable: true });
  }

  get #method(): string {
    const method = this.#init.method ?? this.#request?.method ?? 'GET';
    return method.toUpperCase() === 'POST' ? 'POST' : method;
  }

  /** A record, which is read faster than pairs, where the caller's were one. */
  #sendable(headers: readonly Header[]): Record<string, string> | [string, string][] {
    return this.#areRecord
      ? Object.fromEntries(headers)
      : (headers as unknown as [string, string][]);
  }

  /** The caller's `Request`, of which another one is kept if this one is used up. */
  #taken(): Request | null {
    const request = this.#request;
    if (request?.body && this.canRepeat) {
      this.#request = request.clone();
    }
    return request;
  }

  /** The body to send again. */
  async #body(): Promise<NonNullable<RequestInit['body']> | null> {
    if (!this.canRepeat) {
      throw failed('a redirect needs the body again, which is a stream');
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
      throw failed('a redirect leads to no URL that can be fetched', { cause });
    }
  }
}

/** By its form: it may be one of another `fetch`. */
function isRequest(input: unknown): input is Request {
  return typeof input === 'object' && input !== null && 'url' in input && 'headers' in input;
}

/**
 * Whether a request has no body, or one that is not a stream. No property tells, but the standard
 * allows only the former in a request that is `no-cors`.
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

/** The members of a dictionary as the standard reads it: inherited ones too, undefined is none. */
function membersOf(dictionary: RequestInit | Request | null | undefined): RequestInit {
  const members: Record<string, unknown> = {};
  for (const name in dictionary) {
    const value = dictionary[name as keyof typeof dictionary];
    if (value !== undefined) members[name] = value;
  }
  return members as RequestInit;
}

/** An error as `fetch` has it. */
function failed(message: string, options?: ErrorOptions): TypeError {
  return new TypeError('fetch failed', { cause: new Error(message, options) });
}
