import { inspect } from 'node:util';

import type { NativeCodexAuth, NativeFields } from '../native.js';
import { mistake, unwrap } from './error.js';

/** What kind of credential a login is. */
export type AuthMode =
  /** A ChatGPT login: the only kind that is refreshed here. */
  | 'chatgpt'
  | 'api_key'
  | 'personal_access_token'
  | 'agent_identity'
  /** ChatGPT tokens that another program manages. */
  | 'external_tokens'
  | 'bedrock'
  | 'unknown';

/** @internal */
export let codexAuthOf: (native: NativeCodexAuth) => CodexAuth;

/** @internal */
export let nativeAuth: (auth: CodexAuth) => NativeCodexAuth;

/** @internal */
export let headerPairs: (auth: CodexAuth) => readonly (readonly [name: string, value: string])[];

/**
 * What a program sends its requests with: one login as it was at one moment. Immutable.
 *
 * Hand the very snapshot that a request was sent with to
 * {@link AuthManager.recoverFromUnauthorized} when the request is answered with 401.
 *
 * Neither `console.log` nor `JSON.stringify` of a snapshot shows a token; a worker thread gets its
 * own from a manager of its own.
 */
export class CodexAuth {
  readonly #native: NativeCodexAuth;
  readonly #fields: NativeFields;
  /** Once they are asked for. */
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
        throw mistake('auth must be a CodexAuth, such as auth() returns');
      }
      return auth.#native;
    };
    headerPairs = (auth) => {
      auth.#headers ??= unwrap(auth.#native.headers()).map(({ name, value }) => [name, value]);
      return auth.#headers;
    };
  }

  /** What kind of credential this is. */
  get mode(): AuthMode {
    return this.#fields.mode as AuthMode;
  }

  /**
   * The bearer token: the access token, or the API key in mode `api_key`. Null for credentials
   * that are not bearer tokens.
   */
  get accessToken(): string | null {
    return this.#fields.accessToken ?? null;
  }

  /** The workspace. */
  get accountId(): string | null {
    return this.#fields.accountId ?? null;
  }

  /** The user. */
  get userId(): string | null {
    return this.#fields.userId ?? null;
  }

  /** The user's address, for display. */
  get email(): string | null {
    return this.#fields.email ?? null;
  }

  /** The plan, as the server spells it. */
  get planType(): string | null {
    return this.#fields.planType ?? null;
  }

  /** When the access token expires, by the server's clock; null where it does not say. */
  get expiresAt(): Date | null {
    return date(this.#fields.expiresAt);
  }

  /** When the tokens were last refreshed. */
  get lastRefresh(): Date | null {
    return date(this.#fields.lastRefresh);
  }

  /** Whether the workspace is a FedRAMP one. */
  get isFedramp(): boolean {
    return this.#fields.isFedramp;
  }

  /** Where requests with this credential go; null for those that cannot be sent from here. */
  get baseUrl(): string | null {
    return this.#fields.baseUrl ?? null;
  }

  /**
   * The headers of a request with this credential: `Authorization`, and for ChatGPT logins
   * `ChatGPT-Account-ID`, `X-OpenAI-Fedramp` and `originator`.
   *
   * @throws {CodexAuthError} `unsupported_mode` where the credential is not a bearer token, or where
   * it or the account id cannot stand in a header.
   *
   * @example
   * const response = await fetch(`${auth.baseUrl}/models`, { headers: auth.headers() });
   */
  headers(): Record<string, string> {
    return Object.fromEntries(headerPairs(this));
  }

  /** What may be shown: mode, account and times. */
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
