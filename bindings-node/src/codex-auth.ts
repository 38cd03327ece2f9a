import { inspect } from 'node:util';

import type { NativeCodexAuth, NativeFields } from '../native.js';
import { argumentError, unwrap } from './error.js';

/** The kind of credential that a login is. */
export type AuthMode =
  /** A ChatGPT login, the only kind that managers refresh. */
  | 'chatgpt'
  /** An OpenAI API key. */
  | 'api_key'
  /** A token that its user has created for programs. */
  | 'personal_access_token'
  /** The signing key of an agent; it is not a bearer token. */
  | 'agent_identity'
  /** ChatGPT tokens that another program refreshes. */
  | 'external_tokens'
  /** A credential of Amazon Bedrock. */
  | 'bedrock'
  /** A kind that this version does not know. */
  | 'unknown';

/** @internal */
export let codexAuthOf: (native: NativeCodexAuth) => CodexAuth;

/** @internal */
export let nativeAuth: (auth: CodexAuth) => NativeCodexAuth;

/** @internal */
export let headerPairs: (auth: CodexAuth) => readonly (readonly [name: string, value: string])[];

/**
 * A snapshot of a login: its tokens and account as they were at one moment.
 *
 * A manager hands snapshots out. A program sends a request with one, and passes that same snapshot
 * to {@link AuthManager.recoverFromUnauthorized} if the request is answered with 401. A snapshot is
 * immutable. It cannot be sent to a worker thread, which opens a manager of its own. Neither
 * `console.log` nor `JSON.stringify` of a snapshot shows a token.
 */
export class CodexAuth {
  readonly #native: NativeCodexAuth;
  readonly #fields: NativeFields;
  /** The headers, once {@link CodexAuth.headers} has made them. */
  #headers: readonly (readonly [name: string, value: string])[] | null = null;

  private constructor(native: NativeCodexAuth) {
    this.#native = native;
    this.#fields = native.fields();
    Object.freeze(this);
  }

  static {
    codexAuthOf = (native) => new CodexAuth(native);
    nativeAuth = (auth) => {
      if (typeof auth !== 'object' || auth === null || !(#native in auth)) {
        throw argumentError('auth must be a CodexAuth, such as auth() returns');
      }
      return auth.#native;
    };
    headerPairs = (auth) => {
      auth.#headers ??= unwrap(auth.#native.headers()).map(({ name, value }) => [name, value]);
      return auth.#headers;
    };
  }

  /** The kind of credential. */
  get mode(): AuthMode {
    return this.#fields.mode as AuthMode;
  }

  /**
   * The bearer token (RFC 6750): the access token, or the API key in the mode `api_key`. Null for a
   * credential that is not a bearer token.
   */
  get accessToken(): string | null {
    return this.#fields.accessToken ?? null;
  }

  /** The id of the ChatGPT workspace that requests are made for. Null if it is not known. */
  get accountId(): string | null {
    return this.#fields.accountId ?? null;
  }

  /** The id of the user. Null if the tokens do not name one. */
  get userId(): string | null {
    return this.#fields.userId ?? null;
  }

  /** The user's e-mail address, for display. Null if the tokens do not name one. */
  get email(): string | null {
    return this.#fields.email ?? null;
  }

  /** The ChatGPT plan, as the server spells it, such as `plus`. Null if it is not known. */
  get planType(): string | null {
    return this.#fields.planType ?? null;
  }

  /** When the access token expires, by the server's clock. Null if the token does not say. */
  get expiresAt(): Date | null {
    return date(this.#fields.expiresAt);
  }

  /** When a program last refreshed the tokens. Null if the stored record does not say. */
  get lastRefresh(): Date | null {
    return date(this.#fields.lastRefresh);
  }

  /** Whether the workspace is subject to FedRAMP. */
  get isFedramp(): boolean {
    return this.#fields.isFedramp;
  }

  /** The base URL of the API for this credential. Null for one that is not a bearer token. */
  get baseUrl(): string | null {
    return this.#fields.baseUrl ?? null;
  }

  /**
   * Returns the headers that authorize a request. They contain the token.
   *
   * They are `Authorization` and, for ChatGPT logins, `ChatGPT-Account-ID`, `originator` and, where
   * {@link CodexAuth.isFedramp} is true, `X-OpenAI-Fedramp`.
   *
   * @throws {CodexAuthError} `unsupported_mode` if the credential is not a bearer token, or if it
   * or the account id contains characters that a header cannot have.
   *
   * @example
   * const response = await fetch(`${auth.baseUrl}/models`, { headers: auth.headers() });
   */
  headers(): Record<string, string> {
    return Object.fromEntries(headerPairs(this));
  }

  /** Returns what may be shown: the mode, the account and the time of expiry. */
  toJSON(): { mode: AuthMode; accountId: string | null; expiresAt: Date | null } {
    return { mode: this.mode, accountId: this.accountId, expiresAt: this.expiresAt };
  }

  /** @internal */
  [inspect.custom](_depth: number, options: object): string {
    return `CodexAuth ${inspect(this.toJSON(), options)}`;
  }
}

function date(milliseconds: number | undefined): Date | null {
  return milliseconds === undefined ? null : new Date(milliseconds);
}
