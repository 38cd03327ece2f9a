import type { NativeConnection, NativeEphemeralStorage, NativeOptions } from '../native.js';
import { connect, isCustomStore } from './custom-store.js';
import type { CustomStore } from './custom-store.js';
import { EphemeralStorage, isStorage, nativeStorage } from './ephemeral-storage.js';
import { argumentError } from './error.js';
import { variables } from './variables.js';

/**
 * Options of {@link AuthManager}. An option that is not set has the value of the environment
 * variable that its description names, if there is one, else its default.
 */
export interface AuthManagerOptions {
  /** The folder of the login. Default: `$CODEX_HOME`, else `~/.codex`. */
  codexHome?: string | undefined;
  /**
   * The place of the login. `codex`, the default, is the store that the Codex CLI uses:
   * `$CODEX_ACCESS_TOKEN` if it is set, else the store that the CLI's `config.toml` names. Other
   * names are `file`, `keyring`, `auto` (the keyring, or a file if there is no keyring),
   * `encrypted`, `ephemeral` (in memory), `postgres://HOST/DATABASE?login=NAME`, a row of a database
   * that any number of hosts share, and `agent`: another program, which has the refresh token and
   * hands out access tokens (`agent:unix:/path`, `agent:http://127.0.0.1:PORT`, or with `#NAME`;
   * default: `$CODEX_AUTH_AGENT`, else the socket of this user's agent). An
   * {@link EphemeralStorage}, or an object with the methods of {@link CustomStore}, is a store too.
   */
  store?:
    | 'codex'
    | 'file'
    | 'keyring'
    | 'auto'
    | 'encrypted'
    | 'ephemeral'
    | 'agent'
    | `agent:${string}`
    | `postgres://${string}`
    | `postgresql://${string}`
    | EphemeralStorage
    | CustomStore
    | undefined;
  /** The name of the login in a database. Default: what the URL names. */
  login?: string | undefined;
  /**
   * The keys that encrypt a login in a database, each the Base64 of 32 bytes, separated by commas;
   * the first one encrypts. `plaintext` in the place of a key is the way to have no encryption.
   * Default: `$CODEX_AUTH_STORE_KEY`; without a key such a store is an error.
   */
  storeKey?: string | undefined;
  /**
   * `auto`, the default, or `never`. With `never` the manager redeems no refresh token and only
   * adopts what other programs store.
   */
  refresh?: 'auto' | 'never' | undefined;
  /** The id of the only workspace whose login this manager hands out. Default: any. */
  accountId?: string | undefined;
  /**
   * How long before its expiry an access token is refreshed, in milliseconds. Default: 10 minutes,
   * or half the token's lifetime if that is less.
   */
  refreshWindowMs?: number | undefined;
  /**
   * After the server has rejected a refresh token: how long the manager waits, in milliseconds, for
   * the save of another program that may have redeemed the token. Also how long it waits for the
   * program that renews a login which this manager may not refresh. Default: 5 s.
   */
  winnerWaitMs?: number | undefined;
  /** How long one refresh may take once it has the refresh lock, in milliseconds. Default: 45 s. */
  refreshDeadlineMs?: number | undefined;
  /** How long one request to the token endpoint may take, in milliseconds. Default: 30 s. */
  requestTimeoutMs?: number | undefined;
  /**
   * How long a refresh waits for the refresh lock, in milliseconds, while another process holds it.
   * It must exceed `refreshDeadlineMs`. Default: 60 s.
   */
  lockTimeoutMs?: number | undefined;
  /**
   * The token endpoint for refreshes: `https`, or `http` on loopback. Default:
   * `$CODEX_REFRESH_TOKEN_URL_OVERRIDE`, else `/oauth/token` of the issuer.
   */
  tokenUrl?: string | undefined;
  /**
   * The revocation endpoint (RFC 7009): `https`, or `http` on loopback. Default:
   * `$CODEX_REVOKE_TOKEN_URL_OVERRIDE`, else `/oauth/revoke` beside the token endpoint.
   */
  revokeUrl?: string | undefined;
  /**
   * The authorization server: `https`, or `http` on loopback. Default: `https://auth.openai.com`.
   */
  issuer?: string | undefined;
  /**
   * The OAuth client of new logins, and of stored logins whose record names none. Default:
   * `$CODEX_APP_SERVER_LOGIN_CLIENT_ID`, else the Codex CLI's client.
   */
  clientId?: string | undefined;
  /**
   * The name of the calling program, which ChatGPT requests carry in the header `originator`.
   * Default: `$CODEX_INTERNAL_ORIGINATOR_OVERRIDE`, else `codex_auth_sdk`.
   */
  originator?: string | undefined;
  /** The `User-Agent` of requests to the authorization server. Default: the originator. */
  userAgent?: string | undefined;
  /**
   * The proxy for `https` requests to the authorization server, by HTTP or SOCKS5, such as
   * `http://user:password@host:port` or `socks5h://host:port`. Default: the proxy that the
   * environment or the system names (`$HTTPS_PROXY`, `$ALL_PROXY`), except for hosts in `$NO_PROXY`
   * and on loopback; one that cannot be used is an error. A proxy that is given here is used for
   * all hosts.
   */
  proxy?: string | undefined;
  /**
   * Origins to which {@link createAuthFetch} and {@link createAuthInterceptor} may send the
   * credential: `https://host` or `https://host:port`, or `http` on loopback. The origin of the
   * ChatGPT backend for a ChatGPT login, and that of the OpenAI API for an API key, are always
   * allowed.
   */
  allowedOrigins?: string[] | undefined;
  /** The encoding of token requests. Default: `json`. */
  tokenEncoding?: 'json' | 'form' | undefined;
  /**
   * Whether `$CODEX_API_KEY`, if it is set, replaces the stored login. This needs the store
   * `codex`. Default: false.
   */
  enableCodexApiKeyEnv?: boolean | undefined;
}

/** The kinds of options, each with its name in messages and its check. */
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

const OPTIONS: OptionKinds<AuthManagerOptions> = {
  codexHome: 'string',
  store: 'store',
  login: 'string',
  storeKey: 'string',
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

/** The kind of each option. */
export type OptionKinds<T> = { readonly [name in keyof T]-?: keyof typeof KINDS };

/** Options of a call that may wait. */
export interface WaitOptions {
  /**
   * Ends the waiting: the promise is then rejected with the signal's reason. A refresh or a sign-in
   * that has started goes on, and its tokens are saved.
   */
  signal?: AbortSignal | undefined;
}

export const WAIT_OPTIONS: OptionKinds<WaitOptions> = { signal: 'signal' };

/** Returns the options as the addon takes them, with a store object apart, and the variables. */
export function nativeOptions(
  options: AuthManagerOptions,
): [NativeOptions, NativeEphemeralStorage | NativeConnection | null, Record<string, string>] {
  const { store, ...others } = checkOptions(options, OPTIONS);
  if (typeof store !== 'object') {
    return [options as NativeOptions, null, variables()];
  }
  const native = isStorage(store) ? nativeStorage(store) : connect(store);
  return [others as NativeOptions, native, variables()];
}

/** Returns `options` itself, or throws a `TypeError` for an unknown name or a wrong type. */
export function checkOptions<T extends object>(options: T, kinds: OptionKinds<T>): T {
  if (typeof options !== 'object' || options === null) {
    throw argumentError(`options must be of type object, not ${typeName(options)}`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(kinds, name)) {
      throw argumentError(`unknown option ${name}; known are ${Object.keys(kinds).join(', ')}`);
    }
    const [type, fits] = KINDS[kinds[name as keyof T]];
    if (value !== undefined && !fits(value)) {
      throw argumentError(`${name} must be of type ${type}, not ${typeName(value)}`);
    }
  }
  return options;
}

/** Throws a `TypeError` if `value` is not a string. */
export function checkText(name: string, value: unknown): void {
  if (typeof value !== 'string') {
    throw argumentError(`${name} must be of type string, not ${typeName(value)}`);
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

/** Returns whether `value` is an `AbortSignal`, also one of another realm. */
function isSignal(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'throwIfAborted' in value && 'addEventListener' in value;
}

function typeName(value: unknown): string {
  return value === null ? 'null' : typeof value;
}
