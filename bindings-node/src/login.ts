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
import { WAIT_OPTIONS, checkText, checkOptions } from './options.js';
import type { OptionKinds, WaitOptions } from './options.js';
import { wait } from './wait.js';

/**
 * Options of {@link AuthManager.loginWithBrowser} and {@link AuthManager.loginWithDeviceCode}. The
 * defaults are those of the Codex CLI. The signal ends the start of a sign-in; `cancel` ends a
 * sign-in that has started.
 */
export interface LoginOptions extends WaitOptions {
  /**
   * The ids of the workspaces whose logins are accepted. Default: any. Name them where it is known
   * whose login is wanted: then no person who gets hold of the authorization URL can sign this
   * program in to an account of his own.
   */
  allowedWorkspaces?: string[] | undefined;
  /**
   * Whether to revoke the replaced login once the new one is saved. Servers may end all sessions of
   * the account with it, the new one too. Default: false.
   */
  revokeReplaced?: boolean | undefined;
  /**
   * How long to wait for the user, in milliseconds. Default: 10 minutes. The lifetime of a device
   * code bounds it.
   */
  timeoutMs?: number | undefined;
  /**
   * The ports of this machine that the browser may be redirected to; the first free one is used. 0
   * is any free port. Default: 1455 and 1457, which the Codex CLI's client has registered. The
   * redirect names 127.0.0.1, and `localhost` with the protocol `standard`; then the port must be
   * free on ::1 too.
   */
  ports?: number[] | undefined;
  /**
   * Whether the browser runs on another machine. Then no port is opened, and the user pastes the
   * address at which the browser arrives, for {@link BrowserLogin.complete}. Default: false.
   */
  manual?: boolean | undefined;
  /**
   * The protocol: `codex`, the default, for what Codex's authorization server understands, or
   * `standard` for OpenID Connect at the endpoints that the issuer publishes.
   */
  protocol?: 'codex' | 'standard' | undefined;
  /** The requested scope. Default: the usual one of the protocol. */
  scope?: string | undefined;
  /**
   * Whether to validate the id token's signature and claims: `where_published`, the default, if the
   * issuer publishes its keys; `required` always; `off` never. The id token comes from the issuer
   * itself over TLS, which OpenID Connect accepts in the place of a validated signature.
   */
  idTokenValidation?: 'where_published' | 'required' | 'off' | undefined;
}

const LOGIN_OPTIONS: OptionKinds<LoginOptions> = {
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

/** Starts a sign-in by `begin`, and returns it. The signal in `options` ends the start. */
export async function beginLogin<T extends { cancel(): void }>(
  options: LoginOptions,
  begin: (options: NativeLoginOptions) => T | Failure | Promise<T | Failure>,
): Promise<T> {
  const { signal, ...others } = checkOptions(options, LOGIN_OPTIONS);
  signal?.throwIfAborted();
  const beginning = begin(others as NativeLoginOptions);
  try {
    return unwrap(await wait(signal, () => beginning));
  } catch (error) {
    cancelOnceBegun(beginning);
    throw error;
  }
}

/** Goes on with the sign-in `id` by `resume`, and returns it. The signal ends the waiting. */
export async function resumeLogin<T extends object>(
  id: string,
  options: WaitOptions,
  resume: (id: string) => T | Failure | Promise<T | Failure>,
): Promise<T> {
  checkText('id', id);
  const { signal } = checkOptions(options, WAIT_OPTIONS);
  return unwrap(await wait(signal, () => resume(id)));
}

/** Cancels a sign-in that the caller does not get, since the caller cannot cancel it. */
function cancelOnceBegun(beginning: unknown): void {
  const cancel = (login: { cancel?(): void }) => login.cancel?.();
  Promise.resolve(beginning as object).then(cancel, () => undefined);
}

/** Returns the manager's object for a native snapshot. */
type ToSnapshot = (native: NativeCodexAuth) => CodexAuth;

/** @internal */
export let browserLogin: (native: NativeBrowserLogin, toSnapshot: ToSnapshot) => BrowserLogin;

/** @internal */
export let deviceLogin: (native: NativeDeviceLogin, toSnapshot: ToSnapshot) => DeviceLogin;

/**
 * A sign-in with a browser that waits for its user, by {@link AuthManager.loginWithBrowser}.
 *
 * It goes on in the background until the login is stored, {@link BrowserLogin.cancel} is called,
 * its worker thread ends, or the object is garbage and no call of {@link BrowserLogin.wait} is
 * pending. Neither `console.log` nor `JSON.stringify` shows a secret of it.
 */
export class BrowserLogin {
  readonly #native: NativeBrowserLogin;
  readonly #toSnapshot: ToSnapshot;

  private constructor(native: NativeBrowserLogin, toSnapshot: ToSnapshot) {
    this.#native = native;
    this.#toSnapshot = toSnapshot;
  }

  static {
    browserLogin = (native, toSnapshot) => new BrowserLogin(native, toSnapshot);
  }

  /**
   * The address at which the user signs in. Keep it out of logs: any person that has it can sign in
   * for this program.
   */
  get authorizationUrl(): string {
    return this.#native.authorizationUrl;
  }

  /** The address to which the authorization server redirects the browser after the sign-in. */
  get redirectUri(): string {
    return this.#native.redirectUri;
  }

  /**
   * The id by which {@link AuthManager.resumeLoginWithBrowser} finishes the sign-in in any process.
   * Null unless the sign-in is manual and the store keeps sign-ins, as PostgreSQL does. Hand it to
   * the user of the sign-in only, in a cookie, say.
   */
  get id(): string | null {
    return this.#native.id;
  }

  /**
   * Opens the user's browser at a page in a file that leads it on to
   * {@link BrowserLogin.authorizationUrl}. Other users of the machine see the command that opens the
   * browser, and cannot read the file. A browser on another machine cannot either: show its user the
   * address. A browser that runs in the terminal blocks this call until it ends.
   *
   * @throws {CodexAuthError} `login_not_supported` if no browser can be opened.
   */
  openBrowser(): void {
    const failure = this.#native.openBrowser();
    if (failure !== null) {
      throw new CodexAuthError(failure);
    }
  }

  /**
   * Waits until the login is stored, and returns its snapshot.
   *
   * It may be called again, and several times at once. The signal ends the waiting, not the
   * sign-in. The process stays alive while a call waits.
   *
   * @throws {CodexAuthError} `login_denied`, `login_timeout`, `login_cancelled`,
   * `login_workspace_not_allowed`, `login_failed`, `login_transient` or `save_failed`;
   * `store_unavailable` if a store that keeps sign-ins cannot be asked. The store then holds what it
   * held before.
   */
  async wait(options: WaitOptions = {}): Promise<CodexAuth> {
    const { signal } = checkOptions(options, WAIT_OPTIONS);
    return this.#toSnapshot(unwrap(await wait(signal, () => this.#native.wait())));
  }

  /**
   * Completes the sign-in with the address at which the browser arrived, and waits for it. Returns
   * the snapshot of the login. `redirectedUrl` is that address, as the user has pasted it.
   *
   * @throws {CodexAuthError} `login_state_mismatch` if the address belongs to another sign-in, or
   * `login_failed` if it is no such address; the sign-in then goes on waiting. Else the errors of
   * {@link BrowserLogin.wait}.
   */
  async complete(redirectedUrl: string, options: WaitOptions = {}): Promise<CodexAuth> {
    checkText('redirectedUrl', redirectedUrl);
    const { signal } = checkOptions(options, WAIT_OPTIONS);
    return this.#toSnapshot(unwrap(await wait(signal, () => this.#native.complete(redirectedUrl))));
  }

  /**
   * Cancels the sign-in in all processes, unless its login is being stored already. The port is free
   * at once. Calls that wait fail with `login_cancelled`.
   */
  cancel(): void {
    this.#native.cancel();
  }

  /**
   * Ends the sign-in in this process, as garbage collection does. If it has an `id`, it can be
   * resumed until its time is over. Calls that wait here fail with `login_cancelled`.
   */
  leave(): void {
    this.#native.leave();
  }

  /** Returns what may be shown: the redirect URI. */
  toJSON(): { redirectUri: string } {
    return { redirectUri: this.redirectUri };
  }

  /** @internal */
  [inspect.custom](_depth: number, options: object): string {
    return `BrowserLogin ${inspect(this.toJSON(), options)}`;
  }
}

/**
 * A sign-in with a device code that waits for its user, by {@link AuthManager.loginWithDeviceCode}.
 *
 * It goes on in the background until the login is stored, {@link DeviceLogin.cancel} is called, its
 * worker thread ends, or the object is garbage and no call of {@link DeviceLogin.wait} is pending.
 * Neither `console.log` nor `JSON.stringify` shows the code.
 */
export class DeviceLogin {
  readonly #native: NativeDeviceLogin;
  readonly #toSnapshot: ToSnapshot;

  private constructor(native: NativeDeviceLogin, toSnapshot: ToSnapshot) {
    this.#native = native;
    this.#toSnapshot = toSnapshot;
  }

  static {
    deviceLogin = (native, toSnapshot) => new DeviceLogin(native, toSnapshot);
  }

  /** The code that the user types in. Keep it out of logs. */
  get userCode(): string {
    return this.#native.userCode;
  }

  /** The address at which the user types the code in. */
  get verificationUri(): string {
    return this.#native.verificationUri;
  }

  /** The address with the code in it, for a QR code. Null if the server sends none. */
  get verificationUriComplete(): string | null {
    return this.#native.verificationUriComplete;
  }

  /**
   * The id by which {@link AuthManager.resumeLoginWithDeviceCode} goes on with the sign-in in any
   * process. Null unless the store keeps sign-ins, as PostgreSQL does. Hand it to the user of the
   * sign-in only.
   */
  get id(): string | null {
    return this.#native.id;
  }

  /** The lifetime of the code in milliseconds, from its creation or from its resumption here. */
  get expiresInMs(): number {
    return this.#native.expiresInMs;
  }

  /**
   * Waits until the login is stored, and returns its snapshot.
   *
   * It may be called again, and several times at once. The signal ends the waiting, not the
   * sign-in. The process stays alive while a call waits.
   *
   * @throws {CodexAuthError} `login_timeout` if the code has expired, else the errors of
   * {@link BrowserLogin.wait}. The store then holds what it held before.
   */
  async wait(options: WaitOptions = {}): Promise<CodexAuth> {
    const { signal } = checkOptions(options, WAIT_OPTIONS);
    return this.#toSnapshot(unwrap(await wait(signal, () => this.#native.wait())));
  }

  /**
   * Cancels the sign-in in all processes, unless its login is being stored already. Calls that wait
   * fail with `login_cancelled`.
   */
  cancel(): void {
    this.#native.cancel();
  }

  /**
   * Ends the sign-in in this process, as garbage collection does. If it has an `id`, it can be
   * resumed until its time is over. Calls that wait here fail with `login_cancelled`.
   */
  leave(): void {
    this.#native.leave();
  }

  /** Returns what may be shown: the address without the code, and the lifetime. */
  toJSON(): { verificationUri: string; expiresInMs: number } {
    return { verificationUri: this.verificationUri, expiresInMs: this.expiresInMs };
  }

  /** @internal */
  [inspect.custom](_depth: number, options: object): string {
    return `DeviceLogin ${inspect(this.toJSON(), options)}`;
  }
}

/** `using` calls {@link BrowserLogin.cancel}, in runtimes that have `Symbol.dispose`. */
export interface BrowserLogin extends Disposable {}

/** `using` calls {@link DeviceLogin.cancel}, in runtimes that have `Symbol.dispose`. */
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
