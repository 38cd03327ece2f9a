import type { NativeConnection, NativeEphemeralStorage, NativeOptions } from '../native.js';
import { connect, isCustomStore } from './custom-store.js';
import type { CustomStore } from './custom-store.js';
import { EphemeralStorage, isStorage, nativeStorage } from './ephemeral-storage.js';
import { mistake } from './error.js';

/**
 * Options of a manager. What is not set comes from the environment, as the Codex CLI reads it,
 * else from the default. Durations are in milliseconds.
 */
export interface AuthManagerOptions {
  /**
   * The folder of the login; default `$CODEX_HOME`, else `~/.codex`. It must exist if it is named.
   */
  codexHome?: string | undefined;
  /**
   * Where the login is kept; default `codex`: what the CLI uses, `$CODEX_ACCESS_TOKEN` if that is
   * set, else what its `config.toml` says. An object takes the place of a kind of store: an
   * {@link EphemeralStorage}, or a {@link CustomStore} of your own.
   */
  store?:
    | 'codex'
    | 'file'
    | 'keyring'
    | 'auto'
    | 'encrypted'
    | 'ephemeral'
    | EphemeralStorage
    | CustomStore
    | undefined;
  /** Whether to redeem refresh tokens; default `auto`. `never` adopts what other programs store. */
  refresh?: 'auto' | 'never' | undefined;
  /** The only account whose login is ever handed out. */
  accountId?: string | undefined;
  /**
   * How long before its end a token is refreshed; default 10 minutes, or half the token's life if
   * that is less.
   */
  refreshWindowMs?: number | undefined;
  /**
   * How long a refusal is doubted, in case another program is about to save what it got for the
   * token; default 5 s.
   */
  winnerWaitMs?: number | undefined;
  /** The bound on one refresh under the lock; default 45 s. */
  refreshDeadlineMs?: number | undefined;
  /** The bound on one request to the token endpoint; default 30 s. */
  requestTimeoutMs?: number | undefined;
  /** How long to wait for the refresh lock; default 60 s. It must exceed the deadline. */
  lockTimeoutMs?: number | undefined;
  /**
   * Where refresh tokens are redeemed; default `$CODEX_REFRESH_TOKEN_URL_OVERRIDE`, else the
   * issuer's `/oauth/token`. `https`, or `http` on loopback.
   */
  tokenUrl?: string | undefined;
  /**
   * Where tokens are revoked; default `$CODEX_REVOKE_TOKEN_URL_OVERRIDE`, else `/oauth/revoke`
   * beside the token URL.
   */
  revokeUrl?: string | undefined;
  /** The authorization server; default `https://auth.openai.com`. */
  issuer?: string | undefined;
  /** The OAuth client of the login; default `$CODEX_APP_SERVER_LOGIN_CLIENT_ID`, else the CLI's. */
  clientId?: string | undefined;
  /**
   * The name of your program in requests; default `$CODEX_INTERNAL_ORIGINATOR_OVERRIDE`, else
   * `codex_auth_sdk`.
   */
  originator?: string | undefined;
  /** What token requests name as their `User-Agent`; default the originator. */
  userAgent?: string | undefined;
  /**
   * The proxy of token requests by https, `http://user:password@host:port`; default what the
   * environment (`$HTTPS_PROXY`, `$ALL_PROXY`, but for `$NO_PROXY` and loopback) or the system says.
   * It takes the place of all of these.
   */
  proxy?: string | undefined;
  /**
   * The origins that get requests with a credential besides those of ChatGPT and the API: `https`,
   * or `http` on loopback.
   */
  allowedOrigins?: string[] | undefined;
  /** How token requests are written; default `json`. */
  tokenEncoding?: 'json' | 'form' | undefined;
  /**
   * Whether `$CODEX_API_KEY`, if it is set, takes the place of the stored login, where `store` is
   * `codex`; default false.
   */
  enableCodexApiKeyEnv?: boolean | undefined;
}

/** What an option may be, and how a message calls it. */
const KINDS = {
  string: ['string', (value: unknown) => typeof value === 'string'],
  number: ['number', (value: unknown) => typeof value === 'number'],
  boolean: ['boolean', (value: unknown) => typeof value === 'boolean'],
  strings: ['array of strings', isStrings],
  ports: ['array of numbers from 0 to 65535', isPorts],
  function: ['function', (value: unknown) => typeof value === 'function'],
  signal: ['AbortSignal', isSignal],
  store: ['string, EphemeralStorage or object with load, save and delete', isStore],
} as const;

const OPTIONS: Kinds<AuthManagerOptions> = {
  codexHome: 'string',
  store: 'store',
  refresh: 'string',
  accountId: 'string',
  refreshWindowMs: 'number',
  winnerWaitMs: 'number',
  refreshDeadlineMs: 'number',
  requestTimeoutMs: 'number',
  lockTimeoutMs: 'number',
  tokenUrl: 'string',
  revokeUrl: 'string',
  issuer: 'string',
  clientId: 'string',
  originator: 'string',
  userAgent: 'string',
  proxy: 'string',
  allowedOrigins: 'strings',
  tokenEncoding: 'string',
  enableCodexApiKeyEnv: 'boolean',
};

/** The kind of every option. */
export type Kinds<T> = { readonly [name in keyof T]-?: keyof typeof KINDS };

/** Options of a call that may have to wait. */
export interface WaitOptions {
  /**
   * Ends the waiting: the promise is rejected with the signal's reason. A refresh or a sign-in that
   * is under way goes on, and its tokens are saved.
   */
  signal?: AbortSignal | undefined;
}

export const WAIT: Kinds<WaitOptions> = { signal: 'signal' };

/** The options as the addon takes them, a store object apart. */
export function nativeOptions(
  options: AuthManagerOptions,
): [NativeOptions, NativeEphemeralStorage | NativeConnection | null] {
  const { store, ...others } = checked(options, OPTIONS);
  if (typeof store !== 'object') {
    return [options as NativeOptions, null];
  }
  const native = isStorage(store) ? nativeStorage(store) : connect(store);
  return [others as NativeOptions, native];
}

/** `options` itself, once its names and types are known to be right; else a `TypeError`. */
export function checked<T extends object>(options: T, kinds: Kinds<T>): T {
  if (typeof options !== 'object' || options === null) {
    throw mistake(`options must be of type object, not ${typeName(options)}`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(kinds, name)) {
      throw mistake(`unknown option ${name}; known are ${Object.keys(kinds).join(', ')}`);
    }
    const [type, fits] = KINDS[kinds[name as keyof T]];
    if (value !== undefined && !fits(value)) {
      throw mistake(`${name} must be of type ${type}, not ${typeName(value)}`);
    }
  }
  return options;
}

/** Throws where what must be a text is none. */
export function checkText(name: string, value: unknown): void {
  if (typeof value !== 'string') {
    throw mistake(`${name} must be of type string, not ${typeName(value)}`);
  }
}

function isStore(value: unknown): boolean {
  return typeof value === 'string' || isStorage(value) || isCustomStore(value);
}

function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function isPorts(value: unknown): boolean {
  const isPort = (port: number) => Number.isInteger(port) && port >= 0 && port <= 65_535;
  return Array.isArray(value) && value.every(isPort);
}

/** By its form: a signal may come from another realm. */
function isSignal(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'throwIfAborted' in value && 'addEventListener' in value;
}

function typeName(value: unknown): string {
  return value === null ? 'null' : typeof value;
}
