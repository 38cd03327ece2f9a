import { inspect } from 'node:util';

import { NativeAuthManager } from '../native.js';
import type { NativeCodexAuth } from '../native.js';
import { authEvents } from './auth-events.js';
import type { AuthEvents } from './auth-events.js';
import { BackgroundTask } from './background.js';
import type { FollowStore, KeepFresh } from './background.js';
import { nativeAuth } from './codex-auth.js';
import type { CodexAuth } from './codex-auth.js';
import { installExitHook } from './custom-store.js';
import { description } from './description.js';
import type { Description } from './description.js';
import { argumentError, unwrap } from './error.js';
import { beginLogin, browserLogin, deviceLogin, resumeLogin } from './login.js';
import type { BrowserLogin, DeviceLogin, LoginOptions } from './login.js';
import { WAIT_OPTIONS, checkText, checkOptions, nativeOptions } from './options.js';
import type { AuthManagerOptions, OptionKinds, WaitOptions } from './options.js';
import { UnauthorizedRecovery, nativeRecovery, recoveryOf } from './recovery.js';
import { RequestAuthorization } from './request-authorization.js';
import { SnapshotCache } from './snapshot-cache.js';
import { storeHolder } from './store-holder.js';
import type { StoreHolder } from './store-holder.js';
import { wait } from './wait.js';

/** Options of {@link AuthManager.logout}. */
export interface LogoutOptions extends WaitOptions {
  /**
   * Whether to ask the authorization server to revoke the tokens first. This may end other sessions
   * of the account; the login is removed even if it fails. Default: true.
   */
  revoke?: boolean | undefined;
  /** Whether to remove the login even if the store now holds another account's. Default: false. */
  anyAccount?: boolean | undefined;
}

/** Options of {@link AuthManager.close}. */
export interface CloseOptions {
  /** How long to wait, in milliseconds. Default: 10 000. */
  timeoutMs?: number | undefined;
}

/** How the stored login relates to a snapshot. */
export type SyncKind =
  /** It does not say to which user it belongs, so the request must not be repeated with it. */
  | 'skipped_missing_identity'
  /** No login is stored. */
  | 'logged_out'
  /** It belongs to another user or workspace, or is an API key. */
  | 'identity_mismatch'
  /** It is the snapshot's own login. */
  | 'applied';

/** The result of {@link AuthManager.syncFromStorage}. */
export interface SyncOutcome {
  /** How the stored login relates to the snapshot. */
  kind: SyncKind;
  /** Whether the manager has replaced its snapshot by newer tokens of the snapshot's login. */
  changed: boolean;
}

/** The result of {@link AuthManager.logout}. */
export interface LogoutOutcome {
  /** Whether the store held a login, which was removed. */
  removed: boolean;
  /** Whether the authorization server has confirmed that it revoked the tokens. */
  revoked: boolean;
}

/** Counters of what a manager has done since it was created. They never decrease. */
export interface Stats {
  /** How often the manager has adopted tokens that another process or program had refreshed. */
  adoptions: number;
  /** How many refresh tokens this manager has redeemed. */
  redemptions: number;
  /** How many calls of {@link AuthManager.recoverFromUnauthorized} decided for a retry. */
  recoveries: number;
  /** How often a call waited for the refresh of another caller, process or program. */
  waits: number;
  /** How many refreshes failed. A refresh that several callers waited for counts once. */
  failures: number;
  /** How long refreshes have waited for the refresh lock, in milliseconds, as a total. */
  lockWaitMs: number;
}

/**
 * What to do about a 401 response: `retry` to send the request again with the snapshot that
 * {@link AuthManager.auth} now returns, or `give_up` because the 401 is final.
 */
export type RecoveryDecision = 'retry' | 'give_up';

const LOGOUT_OPTIONS: OptionKinds<LogoutOptions> = {
  signal: 'signal',
  revoke: 'boolean',
  anyAccount: 'boolean',
};
const CLOSE_OPTIONS: OptionKinds<CloseOptions> = { timeoutMs: 'number' };

/**
 * Returns the authorization of a request to `url` with the header `authorization`, or null if the
 * manager must leave the request alone. Throws if the credential must not be sent to that origin.
 *
 * @internal
 */
export let authorize: (
  manager: AuthManager,
  url: string,
  authorization: string | null,
) => RequestAuthorization | null;

/** @internal */
export let checkManager: (manager: AuthManager) => void;

/**
 * Manages a Codex login: hands out snapshots, refreshes the tokens, and recovers from 401.
 *
 * Any number of managers, in any number of threads, processes and languages, may share one login.
 * The addon has a thread of its own for the disk and the network. So neither an aborted signal nor
 * the end of a worker thread stops a refresh once the authorization server may have rotated the
 * refresh token.
 *
 * @example
 * const manager = await AuthManager.open();
 * const recovery = manager.unauthorizedRecovery();
 * for (;;) {
 *   const auth = await manager.freshAuth();
 *   if (auth === null) throw new Error('please sign in');
 *   const response = await fetch(url, { headers: auth.headers() });
 *   if (response.status !== 401) return response;
 *   const decision = await manager.recoverFromUnauthorized(auth, recovery);
 *   if (decision === 'give_up') throw new Error(`sign in again: ${recovery.giveUpReason}`);
 * }
 */
export class AuthManager {
  readonly #native: NativeAuthManager;
  readonly #snapshots: SnapshotCache;

  /**
   * Creates a manager and reads its store once, without waiting. This works for files and stores in
   * memory. Other stores need {@link AuthManager.open}.
   *
   * @throws {CodexAuthError} `invalid_option`, or `store_unavailable` if the store cannot be read
   * without waiting. A file that another program is writing at this moment is such a store. A store
   * without a login is no error.
   */
  constructor(options?: AuthManagerOptions);
  /** @internal */
  constructor(native: NativeAuthManager);
  constructor(options: AuthManagerOptions | NativeAuthManager = {}) {
    this.#native =
      options instanceof NativeAuthManager
        ? options
        : unwrap(NativeAuthManager.openNow(...nativeOptions(options)));
    this.#snapshots = new SnapshotCache(this.#native);
    installExitHook();
  }

  static {
    checkManager = (manager) => {
      if (typeof manager !== 'object' || manager === null || !(#native in manager)) {
        const isPromise = typeof (manager as { then?: unknown } | null)?.then === 'function';
        const what = isPromise ? 'a promise: did you forget await?' : typeof manager;
        throw argumentError(`manager must be an AuthManager, not ${what}`);
      }
    };
    authorize = (manager, url, authorization) => {
      const ready = manager.#snapshots.forRequest(url, authorization);
      if (ready === false) {
        return null;
      }
      const start = () => manager.#native.authorize(url, authorization)!;
      return new RequestAuthorization(ready, manager.#snapshots, start);
    };
  }

  /**
   * Creates a manager and reads its store, whichever that is.
   *
   * @throws {CodexAuthError} `invalid_option`, `store_corrupt`, `store_unavailable`,
   * `keyring_unavailable` or `keyring_locked`. A store without a login is no error.
   */
  static async open(
    options: AuthManagerOptions = {},
    waiting: WaitOptions = {},
  ): Promise<AuthManager> {
    const { signal } = checkOptions(waiting, WAIT_OPTIONS);
    const native = nativeOptions(options);
    return new AuthManager(unwrap(await wait(signal, () => NativeAuthManager.open(...native))));
  }

  /**
   * Creates a manager that does not read its store, for a program that signs in or out over a file
   * that holds no login: for such a file, {@link AuthManager.open} rejects with `store_corrupt`. What
   * it holds is kept beside it then. The manager has no snapshot until it reads or stores a login.
   *
   * @throws {CodexAuthError} `invalid_option`.
   */
  static openUnread(options: AuthManagerOptions = {}): AuthManager {
    return new AuthManager(unwrap(NativeAuthManager.openUnread(...nativeOptions(options))));
  }

  /** Returns the snapshot in memory, or null if no login is stored. It never blocks. */
  auth(): CodexAuth | null {
    return this.#snapshots.current();
  }

  /**
   * Returns what {@link AuthManager.freshAuth} would return without waiting, or null if it would
   * have to wait or no login is stored.
   */
  freshAuthIfReady(): CodexAuth | null {
    return this.#snapshots.freshIfReady();
  }

  /**
   * Returns a snapshot whose access token has not expired, or null if no login is stored.
   *
   * If the token expires within `refreshWindowMs`, this starts a refresh in the background and
   * returns the current snapshot at once. Only if the token has expired does the caller wait for
   * the refresh, and always in a child process with a channel to its parent, which may kill it.
   * A login without a refresh token is renewed by another program: then the caller
   * waits for that one, for `winnerWaitMs` at most.
   *
   * @throws {CodexAuthError} The errors of {@link AuthManager.refreshToken}, and only if the token
   * has expired.
   */
  async freshAuth(options: WaitOptions = {}): Promise<CodexAuth | null> {
    const { signal } = checkOptions(options, WAIT_OPTIONS);
    signal?.throwIfAborted();
    return (
      this.freshAuthIfReady() ??
      this.#snapshotOf(unwrap(await wait(signal, () => this.#native.freshAuth())))
    );
  }

  /**
   * Reads the store. Returns whether this replaced the snapshot in memory.
   *
   * @throws {CodexAuthError} `store_corrupt`, `store_unavailable`, `keyring_unavailable` or
   * `keyring_locked`; the snapshot in memory then stays.
   */
  async reload(options: WaitOptions = {}): Promise<boolean> {
    const { signal } = checkOptions(options, WAIT_OPTIONS);
    return unwrap(await wait(signal, () => this.#native.reload()));
  }

  /**
   * Reads the store and returns how the stored login relates to `auth`.
   *
   * The snapshot in memory becomes that of the stored login, whatever the result is.
   *
   * @throws {CodexAuthError} The errors of {@link AuthManager.reload}.
   */
  async syncFromStorage(auth: CodexAuth, options: WaitOptions = {}): Promise<SyncOutcome> {
    const { signal } = checkOptions(options, WAIT_OPTIONS);
    const native = nativeAuth(auth);
    const outcome = unwrap(await wait(signal, () => this.#native.syncFromStorage(native)));
    return outcome as SyncOutcome;
  }

  /**
   * Returns a snapshot with another access token than that of `auth`.
   *
   * If another process has refreshed the login already, this adopts its tokens; else it redeems the
   * stored refresh token. Any number of callers with one rejected token share one refresh. Returns
   * null if there is no such token for the login of `auth`: no login is stored any more, another
   * account's login is stored, or the login may not be refreshed. A key is not replaced by another
   * one, which may be another account's; but {@link AuthManager.auth} returns the stored one from
   * then on.
   *
   * @throws {CodexAuthError} If the user must sign in again: `refresh_token_expired`,
   * `refresh_token_reused`, `refresh_token_invalidated` or `refresh_token_rejected`. If the caller
   * may try again, after `retryAfterMs` if that is set: `refresh_transient`, `lock_timeout`,
   * `store_unavailable`, `keyring_unavailable` or `keyring_locked`. If the store cannot be used,
   * and no token was redeemed: `store_read_only`, `store_corrupt` or `keyring_too_long`.
   */
  async refreshToken(auth: CodexAuth, options: WaitOptions = {}): Promise<CodexAuth | null> {
    const { signal } = checkOptions(options, WAIT_OPTIONS);
    const native = nativeAuth(auth);
    return this.#snapshotOf(unwrap(await wait(signal, () => this.#native.refreshToken(native))));
  }

  /** Returns the recovery state of one request. Get a new one for each request. */
  unauthorizedRecovery(): UnauthorizedRecovery {
    return recoveryOf(this.#native.unauthorizedRecovery());
  }

  /**
   * Decides what to do about a 401 response to a request that was sent with `auth`.
   *
   * Returns `retry` if the request is to be sent again with the snapshot that
   * {@link AuthManager.auth} now returns. Returns `give_up` if the 401 is final;
   * `recovery.giveUpReason` says why. The first call for a request adopts tokens that another
   * program has stored, or refreshes if there are none; the second one refreshes unless the first
   * one did. So a request is repeated at most twice. A call that fails does not count. Two calls with one recovery run one after the other.
   *
   * @throws {CodexAuthError} The errors of {@link AuthManager.refreshToken}; but
   * `fresh_token_rejected` and `not_refreshable` are reasons to give up, and no errors.
   */
  async recoverFromUnauthorized(
    auth: CodexAuth,
    recovery: UnauthorizedRecovery,
    options: WaitOptions = {},
  ): Promise<RecoveryDecision> {
    const { signal } = checkOptions(options, WAIT_OPTIONS);
    const native = [nativeAuth(auth), nativeRecovery(recovery)] as const;
    return unwrap(await wait(signal, () => this.#native.recoverFromUnauthorized(...native)));
  }

  /**
   * Starts a background task that refreshes the login before it expires.
   *
   * It refreshes each access token once that enters the refresh window, earlier than the Codex CLI
   * would, and adopts logins and logouts of other programs. After an error it tries again later. It
   * runs until `stop` of the returned object is called, even if the program keeps no reference to
   * that object or the manager. Unlike a timer, it does not keep the process alive.
   */
  keepFresh(): KeepFresh {
    return new BackgroundTask(this.#native.keepFresh());
  }

  /**
   * Starts a background task that adopts what other programs store, as soon as they store it.
   *
   * Without it, the manager notices a new login, a logout or refreshed tokens of another program
   * only when a token has expired or was rejected. For a file the task gets notifications from the
   * operating system; any store is read once a second as well. A spent refresh token that another
   * program puts back gives way to its successor again, if the manager has that. The task runs until
   * `stop` of the returned object is called, even if the program keeps no reference to that object
   * or the manager. It does not keep the process alive.
   */
  followStore(): FollowStore {
    return new BackgroundTask(this.#native.followStore());
  }

  /** Returns an emitter of the events of this manager, from now on. */
  subscribe(): AuthEvents {
    return authEvents((deliver) => this.#native.subscribe(deliver));
  }

  /** Returns the counters of this manager. */
  stats(): Stats {
    return this.#native.stats();
  }

  /**
   * Describes this manager for a bug report, as an object that `JSON.stringify` takes.
   *
   * It says which store keeps the login and why, where its files are, which processes hold its
   * locks, what the login in memory is, and what is known of its refresh token. It has no token, no
   * key and no email address. The call changes no login, and does not have the user unlock a
   * keyring; macOS may ask the user by itself. What cannot be told within seconds is left out.
   * {@link enableLogging} gets the description of each new manager as a record of the level `debug`,
   * without the ids of account and user.
   */
  async describe(options: WaitOptions = {}): Promise<Description> {
    const { signal } = checkOptions(options, WAIT_OPTIONS);
    return description(unwrap(await wait(signal, () => this.#native.describe())));
  }

  /**
   * Starts a sign-in with a browser: an authorization code with PKCE (RFC 8252, RFC 7636).
   *
   * The user opens {@link BrowserLogin.authorizationUrl} of the returned object, whose
   * {@link BrowserLogin.wait} resolves once the login is stored. The new login replaces the stored
   * one when the sign-in is complete; a sign-in that fails or is cancelled changes nothing. A
   * refresh that is in flight in any process does not undo the sign-in. The end of the process or
   * of the worker thread cancels the sign-in.
   *
   * @throws {CodexAuthError} `login_port_busy`; `login_failed` or `login_transient` if the issuer's
   * endpoints cannot be read; `store_read_only`, `store_corrupt`, `store_unavailable`,
   * `lock_timeout`, `keyring_unavailable`, `keyring_locked` or `keyring_too_long` if the store
   * could not save a login.
   *
   * @example
   * const login = await manager.loginWithBrowser();
   * console.log(`Open ${login.authorizationUrl}`);
   * const auth = await login.wait();
   */
  async loginWithBrowser(options: LoginOptions = {}): Promise<BrowserLogin> {
    const native = await beginLogin(options, (others) => this.#native.loginWithBrowser(others));
    return browserLogin(native, (auth) => this.#snapshotOf(auth));
  }

  /**
   * Starts a sign-in with a device code (RFC 8628): the user types the code in on any device.
   *
   * The user opens {@link DeviceLogin.verificationUri} of the returned object and types its
   * {@link DeviceLogin.userCode}; its {@link DeviceLogin.wait} resolves once the login is stored.
   * The new login replaces the stored one when the sign-in is complete; a sign-in that fails or is
   * cancelled changes nothing. Each time the server answers that the user has not typed the code in
   * yet, the manager sends an event `login_pending`. The options `ports` and `manual` have no
   * effect.
   *
   * @throws {CodexAuthError} `login_not_supported` if the server has no device codes, else the
   * errors of {@link AuthManager.loginWithBrowser}.
   *
   * @example
   * const login = await manager.loginWithDeviceCode();
   * console.log(`Open ${login.verificationUri} and type in ${login.userCode}`);
   * const auth = await login.wait();
   */
  async loginWithDeviceCode(options: LoginOptions = {}): Promise<DeviceLogin> {
    const native = await beginLogin(options, (others) => this.#native.loginWithDeviceCode(others));
    return deviceLogin(native, (auth) => this.#snapshotOf(auth));
  }

  /**
   * Goes on with the manual sign-in with a browser whose {@link BrowserLogin.id} this is. Another
   * manager of this login has begun it, in this process or in another one, which may have ended.
   * {@link BrowserLogin.complete} finishes it, in one process only. The options are those that it was
   * begun with.
   *
   * @throws {CodexAuthError} `not_supported_by_store` if the store keeps no sign-ins;
   * `login_cancelled` if the sign-in has ended or is another login's; `login_failed` if it is no such
   * sign-in; `store_unavailable` if its state is not what was stored; else the errors of
   * {@link AuthManager.loginWithBrowser}.
   */
  async resumeLoginWithBrowser(id: string, options: WaitOptions = {}): Promise<BrowserLogin> {
    const resume = (id: string) => this.#native.resumeLoginWithBrowser(id);
    return browserLogin(await resumeLogin(id, options, resume), (auth) => this.#snapshotOf(auth));
  }

  /**
   * Goes on with the sign-in with a device code whose {@link DeviceLogin.id} this is. Another manager
   * of this login has begun it, in this process or in another one, which may have ended. Any number
   * of processes may wait for the user: together they ask the server as often as one, and one of them
   * stores the login.
   *
   * @throws {CodexAuthError} The errors of {@link AuthManager.resumeLoginWithBrowser}.
   */
  async resumeLoginWithDeviceCode(id: string, options: WaitOptions = {}): Promise<DeviceLogin> {
    const resume = (id: string) => this.#native.resumeLoginWithDeviceCode(id);
    return deviceLogin(await resumeLogin(id, options, resume), (auth) => this.#snapshotOf(auth));
  }

  /**
   * Stores an API key as the login and returns its snapshot. No server checks the key.
   *
   * @throws {CodexAuthError} `login_invalid_credential` if the text cannot be an API key,
   * `login_workspace_not_allowed` if the manager has the option `accountId`, or `save_failed`.
   */
  async loginWithApiKey(apiKey: string, options: WaitOptions = {}): Promise<CodexAuth> {
    checkText('apiKey', apiKey);
    const { signal } = checkOptions(options, WAIT_OPTIONS);
    return this.#snapshotOf(unwrap(await wait(signal, () => this.#native.loginWithApiKey(apiKey))));
  }

  /**
   * Stores a personal access token, or the token of an agent, as the login and returns its
   * snapshot. No server checks the token.
   *
   * @throws {CodexAuthError} The errors of {@link AuthManager.loginWithApiKey}.
   */
  async loginWithAccessToken(accessToken: string, options: WaitOptions = {}): Promise<CodexAuth> {
    checkText('accessToken', accessToken);
    const { signal } = checkOptions(options, WAIT_OPTIONS);
    const native = await wait(signal, () => this.#native.loginWithAccessToken(accessToken));
    return this.#snapshotOf(unwrap(native));
  }

  /**
   * Removes the login from the store. The manager first asks the authorization server to revoke the
   * tokens, unless `revoke` is false. A refresh that is in flight in any process does not bring the
   * login back.
   *
   * @throws {CodexAuthError} `identity_mismatch` if the store now holds another account's login,
   * which stays unless `anyAccount` is true; `store_read_only`, `store_corrupt`,
   * `store_unavailable`, `lock_timeout`, `keyring_unavailable` or `keyring_locked` if the store
   * cannot be changed.
   */
  async logout(options: LogoutOptions = {}): Promise<LogoutOutcome> {
    const { signal, revoke, anyAccount } = checkOptions(options, LOGOUT_OPTIONS);
    return unwrap(await wait(signal, () => this.#native.logout(revoke, anyAccount)));
  }

  /**
   * Waits until no refresh is in flight and all tokens are saved. Returns whether that is so. The
   * manager can be used afterwards. The end of the process waits for this too, for 10 s at most.
   *
   * @throws {CodexAuthError} `invalid_option` if the timeout is negative.
   */
  async close(options: CloseOptions = {}): Promise<boolean> {
    const { timeoutMs = 10_000 } = checkOptions(options, CLOSE_OPTIONS);
    return unwrap(await this.#native.close(timeoutMs));
  }

  /**
   * The kind of store that held the login when it was last read, for a store that chooses. Only
   * `auto` chooses. Null for other stores.
   */
  get storeHolder(): StoreHolder | null {
    const holder = this.#native.storeHolder;
    return holder && storeHolder(holder);
  }

  /** Whether the manager uses refreshed tokens that it could not save yet. */
  get pendingSave(): boolean {
    return this.#native.pendingSave;
  }

  /**
   * Returns what may be shown: the snapshot without its tokens, and
   * {@link AuthManager.pendingSave}.
   */
  toJSON(): { auth: CodexAuth | null; pendingSave: boolean } {
    return { auth: this.auth(), pendingSave: this.pendingSave };
  }

  /** @internal */
  [inspect.custom](_depth: number, options: object): string {
    return `AuthManager ${inspect(this.toJSON(), options)}`;
  }

  /**
   * Returns the object for a native snapshot: that of {@link AuthManager.auth} if it is the current
   * one.
   */
  #snapshotOf(native: NativeCodexAuth): CodexAuth;
  #snapshotOf(native: NativeCodexAuth | null): CodexAuth | null;
  #snapshotOf(native: NativeCodexAuth | null): CodexAuth | null {
    this.auth();
    return this.#snapshots.objectFor(native);
  }
}

/**
 * `await using` calls {@link AuthManager.close} at the end of its block, in runtimes that have
 * `Symbol.asyncDispose`.
 */
export interface AuthManager extends AsyncDisposable {}

if (Symbol.asyncDispose !== undefined) {
  Object.defineProperty(AuthManager.prototype, Symbol.asyncDispose, {
    async value(this: AuthManager): Promise<void> {
      await this.close();
    },
    configurable: true,
    writable: true,
  });
}
