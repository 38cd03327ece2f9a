import { inspect } from 'node:util';

import type {
  Failure,
  NativeBrowserLogin,
  NativeCodexAuth,
  NativeDeviceLogin,
  NativeLoginOptions,
} from '../native.js';
import type { CodexAuth } from './codex-auth.js';
import { CodexAuthError, unwrap } from './error.js';
import { WAIT, checkText, checked } from './options.js';
import type { Kinds, WaitOptions } from './options.js';
import { wait } from './wait.js';

/**
 * Options of {@link AuthManager.loginWithBrowser} and {@link AuthManager.loginWithDeviceCode}. What
 * is not set is as the Codex CLI does it. The signal ends the beginning; what was begun is ended by
 * `cancel()`.
 */
export interface LoginOptions extends WaitOptions {
  /** The workspaces (account ids) whose logins are accepted; any where none is named. */
  allowedWorkspaces?: string[] | undefined;
  /**
   * Whether the login that the new one takes the place of is revoked, after the new one is saved;
   * default false: servers may end every session of the account with it, the new one too.
   */
  revokeReplaced?: boolean | undefined;
  /**
   * How long to wait for the user, in milliseconds; default 10 minutes, and with a device code
   * until that expires.
   */
  timeoutMs?: number | undefined;
  /**
   * The ports of 127.0.0.1 that the browser may come back to, the first free one is taken; default
   * 1455 and 1457, which Codex's client has. 0 is any, where the server allows that.
   */
  ports?: number[] | undefined;
  /**
   * Whether the browser is elsewhere and comes back to nobody: its user pastes the address that it
   * ends up at, for {@link BrowserLogin.complete}. Nothing listens then. Default false.
   */
  manual?: boolean | undefined;
  /**
   * What is asked of the server: what Codex's server understands, the default, or OpenID Connect at
   * the endpoints that the issuer publishes, with device codes by RFC 8628.
   */
  protocol?: 'codex' | 'standard' | undefined;
  /** The scope, if it is not the protocol's usual one. */
  scope?: string | undefined;
  /**
   * Whether the id token is checked, its signature by the issuer's keys: where the issuer publishes
   * them, the default, always, or never. It comes from the server itself over TLS, so an issuer
   * that publishes none is believed without unless the check is `required`.
   */
  idTokenValidation?: 'where_published' | 'required' | 'off' | undefined;
}

const LOGIN: Kinds<LoginOptions> = {
  signal: 'signal',
  allowedWorkspaces: 'strings',
  revokeReplaced: 'boolean',
  timeoutMs: 'number',
  ports: 'ports',
  manual: 'boolean',
  protocol: 'string',
  scope: 'string',
  idTokenValidation: 'string',
};

/** What the addon begins with `options`, unless their signal ends the waiting for that. */
export async function begun<T extends { cancel(): void }>(
  options: LoginOptions,
  begin: (options: NativeLoginOptions) => T | Failure | Promise<T | Failure>,
): Promise<T> {
  const { signal, ...others } = checked(options, LOGIN);
  signal?.throwIfAborted();
  const beginning = begin(others as NativeLoginOptions);
  try {
    return unwrap(await wait(signal, () => beginning));
  } catch (error) {
    cancelOnceBegun(beginning);
    throw error;
  }
}

/** Nobody else could cancel what nobody gets. */
function cancelOnceBegun(beginning: unknown): void {
  const cancel = (login: { cancel?(): void }) => login.cancel?.();
  Promise.resolve(beginning as object).then(cancel, () => undefined);
}

/** The manager's own object for a snapshot. */
type Own = (native: NativeCodexAuth) => CodexAuth;

/** @internal */
export let browserLogin: (native: NativeBrowserLogin, own: Own) => BrowserLogin;

/** @internal */
export let deviceLogin: (native: NativeDeviceLogin, own: Own) => DeviceLogin;

/**
 * A sign-in that waits for a browser; by {@link AuthManager.loginWithBrowser}.
 *
 * It is cancelled when it is collected as garbage, unless something waits for it, and with its
 * worker thread. Neither `console.log` nor `JSON.stringify` shows what belongs to it alone.
 */
export class BrowserLogin {
  readonly #native: NativeBrowserLogin;
  readonly #own: Own;

  private constructor(native: NativeBrowserLogin, own: Own) {
    this.#native = native;
    this.#own = own;
  }

  static {
    browserLogin = (native, own) => new BrowserLogin(native, own);
  }

  /**
   * Where the browser is to go. Whoever sees it can sign in for this program, and learns nothing.
   */
  get authorizationUrl(): string {
    return this.#native.authorizationUrl;
  }

  /** Where the browser comes back to. */
  get redirectUri(): string {
    return this.#native.redirectUri;
  }

  /**
   * Opens the user's browser there. One that runs in the terminal has it until it ends: only then
   * does this return.
   *
   * @throws {CodexAuthError} `login_not_supported` where none can be opened.
   */
  openBrowser(): void {
    const failure = this.#native.openBrowser();
    if (failure !== null) {
      throw new CodexAuthError(failure);
    }
  }

  /**
   * Waits until the login is stored. May be called again, and by several at once. The signal ends
   * the waiting, not the sign-in. The process stays alive for it.
   *
   * @throws {CodexAuthError} `login_denied`, `login_timeout`, `login_cancelled`,
   * `login_workspace_not_allowed`, `login_failed`, `login_transient`, `save_failed`. In all cases
   * the store is what it was.
   */
  async wait(options: WaitOptions = {}): Promise<CodexAuth> {
    const { signal } = checked(options, WAIT);
    return this.#own(unwrap(await wait(signal, () => this.#native.wait())));
  }

  /**
   * Goes on with the address that the browser ended up at, as its user has pasted it, and waits.
   *
   * @throws {CodexAuthError} `login_state_mismatch` where it is of another sign-in, `login_failed`
   * where it is no such address: both leave this one waiting. Else those of
   * {@link BrowserLogin.wait}.
   */
  async complete(redirectedUrl: string, options: WaitOptions = {}): Promise<CodexAuth> {
    checkText('redirectedUrl', redirectedUrl);
    const { signal } = checked(options, WAIT);
    return this.#own(unwrap(await wait(signal, () => this.#native.complete(redirectedUrl))));
  }

  /**
   * Ends it, unless the login is being stored already. The port is free at once. What waits fails
   * with `login_cancelled`.
   */
  cancel(): void {
    this.#native.cancel();
  }

  /** What may be shown. */
  toJSON(): { redirectUri: string } {
    return { redirectUri: this.redirectUri };
  }

  /** @internal */
  [inspect.custom](_depth: number, options: object): string {
    return `BrowserLogin ${inspect(this.toJSON(), options)}`;
  }
}

/**
 * A sign-in that waits for a user to type a code in; by {@link AuthManager.loginWithDeviceCode}.
 *
 * It is cancelled when it is collected as garbage, unless something waits for it, and with its
 * worker thread. Neither `console.log` nor `JSON.stringify` shows the code.
 */
export class DeviceLogin {
  readonly #native: NativeDeviceLogin;
  readonly #own: Own;

  private constructor(native: NativeDeviceLogin, own: Own) {
    this.#native = native;
    this.#own = own;
  }

  static {
    deviceLogin = (native, own) => new DeviceLogin(native, own);
  }

  /** What the user types in. */
  get userCode(): string {
    return this.#native.userCode;
  }

  /** Where. */
  get verificationUri(): string {
    return this.#native.verificationUri;
  }

  /** The same with the code in it, for a QR code, say; null where the server has none. */
  get verificationUriComplete(): string | null {
    return this.#native.verificationUriComplete;
  }

  /** How long the code is good, in milliseconds from when it was made. */
  get expiresInMs(): number {
    return this.#native.expiresInMs;
  }

  /**
   * Waits until the login is stored; see {@link BrowserLogin.wait}.
   *
   * @throws {CodexAuthError} As there; `login_timeout` where the code has expired.
   */
  async wait(options: WaitOptions = {}): Promise<CodexAuth> {
    const { signal } = checked(options, WAIT);
    return this.#own(unwrap(await wait(signal, () => this.#native.wait())));
  }

  /**
   * Ends it, unless the login is being stored already. What waits fails with `login_cancelled`.
   */
  cancel(): void {
    this.#native.cancel();
  }

  /** What may be shown. */
  toJSON(): { verificationUri: string; expiresInMs: number } {
    return { verificationUri: this.verificationUri, expiresInMs: this.expiresInMs };
  }

  /** @internal */
  [inspect.custom](_depth: number, options: object): string {
    return `DeviceLogin ${inspect(this.toJSON(), options)}`;
  }
}

/** {@link BrowserLogin.cancel}, for `using`; there where the runtime has the symbol. */
export interface BrowserLogin extends Disposable {}

/** {@link DeviceLogin.cancel}, for `using`; there where the runtime has the symbol. */
export interface DeviceLogin extends Disposable {}

if (Symbol.dispose !== undefined) {
  for (const { prototype } of [BrowserLogin, DeviceLogin]) {
    Object.defineProperty(prototype, Symbol.dispose, {
      value: prototype.cancel,
      configurable: true,
      writable: true,
    });
  }
}
