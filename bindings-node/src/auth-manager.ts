import { inspect } from 'node:util';

import { NativeAuthManager } from '../native.js';
import type { NativeCodexAuth } from '../native.js';
import { authEvents } from './auth-events.js';
import type { AuthEvents } from './auth-events.js';
import { Background } from './background.js';
import type { FollowStore, KeepFresh } from './background.js';
import { nativeAuth } from './codex-auth.js';
import type { CodexAuth } from './codex-auth.js';
import { finishesAtExit } from './custom-store.js';
import { mistake, unwrap } from './error.js';
import { begun, browserLogin, deviceLogin } from './login.js';
import type { BrowserLogin, DeviceLogin, LoginOptions } from './login.js';
import { WAIT, checkText, checked, nativeOptions } from './options.js';
import type { AuthManagerOptions, Kinds, WaitOptions } from './options.js';
import { UnauthorizedRecovery, nativeRecovery, recoveryOf } from './recovery.js';
import { RequestAuthorization } from './request-authorization.js';
import { Snapshots } from './snapshots.js';
import { storeHolder } from './store-holder.js';
import type { StoreHolder } from './store-holder.js';
import { wait } from './wait.js';

/** Options of {@link AuthManager.logout}. */
export interface LogoutOptions extends WaitOptions {
  /**
   * Whether the server is asked to revoke the login, too; default true. It is best effort, and may
   * end other sessions of the account.
   */
  revoke?: boolean | undefined;
  /** Whether the login is removed whosever it is by now; default false. */
  anyAccount?: boolean | undefined;
}

/** Options of {@link AuthManager.close}. */
export interface CloseOptions {
  /** How long to wait, in milliseconds; default 10 s. */
  timeoutMs?: number | undefined;
}

/** How the store's record relates to a snapshot. */
export type SyncKind =
  /** Nothing shows whether the stored login is the snapshot's: nothing is adopted for it. */
  | 'skipped_missing_identity'
  /** Nobody is signed in. */
  | 'logged_out'
  /** The store holds another account's login, or an API key. */
  | 'identity_mismatch'
  /** The same login. */
  | 'applied';

/** What {@link AuthManager.syncFromStorage} found. */
export interface SyncOutcome {
  /** How the store's record relates to the snapshot. */
  kind: SyncKind;
  /** Whether the manager's snapshot was replaced by the same login's newer tokens. */
  changed: boolean;
}

/** What {@link AuthManager.logout} did. */
export interface LogoutOutcome {
  /** Whether a login was removed from the store. */
  removed: boolean;
  /** Whether the server confirmed a revocation. */
  revoked: boolean;
}

/** What a manager has done since it was made, in numbers that only grow. */
export interface Stats {
  /** Replacements of the snapshot by tokens of the same login that somebody else got. */
  adoptions: number;
  /** Refresh tokens that the server has taken from this manager for new ones. */
  redemptions: number;
  /** Recoveries from a 401 that came to a retry. */
  recoveries: number;
  /** Waits for somebody else's refresh. */
  waits: number;
  /** Refreshes that ended in an error, once for all who waited for one. */
  failures: number;
  /** How long refreshes have waited for the lock, all together, in milliseconds. */
  lockWaitMs: number;
}

/** What to do about a 401: send the request again with the manager's snapshot, or hand it on. */
export type RecoveryDecision = 'retry' | 'give_up';

const LOGOUT: Kinds<LogoutOptions> = { signal: 'signal', revoke: 'boolean', anyAccount: 'boolean' };
const CLOSE: Kinds<CloseOptions> = { timeoutMs: 'number' };

/**
 * The authorization of a request to `url` with the header `authorization`; null where it gets none.
 * Throws where its credential may not go there.
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
 * Owns a Codex login: hands out snapshots of it, keeps it fresh, and recovers from 401.
 *
 * Any number of managers, in any number of threads and processes, may share a store. What touches
 * the network runs on a thread of the addon's own: neither an aborted signal nor the end of a
 * worker stops a refresh whose token the server has already rotated.
 *
 * @example
 * const manager = await AuthManager.open();
 * const recovery = manager.unauthorizedRecovery();
 * for (;;) {
 *   const auth = await manager.freshAuth();
 *   if (auth === null) throw new Error('nobody is signed in');
 *   const response = await fetch(url, { headers: auth.headers() });
 *   if (response.status !== 401) return response;
 *   const decision = await manager.recoverFromUnauthorized(auth, recovery);
 *   if (decision === 'give_up') throw new Error(`sign in again: ${recovery.giveUpReason}`);
 * }
 */
export class AuthManager {
  readonly #native: NativeAuthManager;
  readonly #snapshots: Snapshots;

  /**
   * Reads the store once, without waiting: for file and ephemeral stores. The others need
   * {@link AuthManager.open}.
   *
   * @throws {CodexAuthError} `invalid_option`; `store_unavailable`, also for a broken file, which
   * `open` would wait for to become whole. No login is not an error.
   */
  constructor(options?: AuthManagerOptions);
  /** @internal */
  constructor(native: NativeAuthManager);
  constructor(options: AuthManagerOptions | NativeAuthManager = {}) {
    this.#native =
      options instanceof NativeAuthManager
        ? options
        : unwrap(NativeAuthManager.openNow(...nativeOptions(options)));
    this.#snapshots = new Snapshots(this.#native);
    finishesAtExit();
  }

  static {
    checkManager = (manager) => {
      if (typeof manager !== 'object' || manager === null || !(#native in manager)) {
        throw mistake('manager must be an AuthManager');
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
   * Reads the store, waiting for it if need be: also for a half-written file to become whole.
   *
   * @throws {CodexAuthError} `invalid_option`, `store_corrupt`, `store_unavailable`. No login is
   * not an error.
   */
  static async open(
    options: AuthManagerOptions = {},
    waiting: WaitOptions = {},
  ): Promise<AuthManager> {
    const { signal } = checked(waiting, WAIT);
    const native = nativeOptions(options);
    return new AuthManager(unwrap(await wait(signal, () => NativeAuthManager.open(...native))));
  }

  /** The snapshot in memory; null while nobody is signed in. No I/O and no lock. */
  auth(): CodexAuth | null {
    return this.#snapshots.current();
  }

  /**
   * What {@link AuthManager.freshAuth} would return at once; null if it would have to wait, or if
   * nobody is signed in.
   */
  freshAuthIfReady(): CodexAuth | null {
    return this.#snapshots.freshIfReady();
  }

  /**
   * The snapshot, refreshed first where needed. While the token is still valid a due refresh runs
   * in the background and the current snapshot is returned at once; only an expired token makes
   * the caller wait. Null while nobody is signed in.
   *
   * @throws {CodexAuthError} Those of {@link AuthManager.refreshToken}, and only for an expired
   * token.
   */
  async freshAuth(options: WaitOptions = {}): Promise<CodexAuth | null> {
    const { signal } = checked(options, WAIT);
    signal?.throwIfAborted();
    return (
      this.freshAuthIfReady() ??
      this.#own(unwrap(await wait(signal, () => this.#native.freshAuth())))
    );
  }

  /**
   * Reads the store; whether the snapshot in memory was replaced.
   *
   * @throws {CodexAuthError} `store_corrupt` or `store_unavailable`; the snapshot stays what it
   * was.
   */
  async reload(options: WaitOptions = {}): Promise<boolean> {
    const { signal } = checked(options, WAIT);
    return unwrap(await wait(signal, () => this.#native.reload()));
  }

  /**
   * Reads the store and says how what it holds relates to `auth`. The snapshot in memory follows
   * the store whatever the answer is.
   *
   * @throws {CodexAuthError} `store_corrupt` or `store_unavailable`.
   */
  async syncFromStorage(auth: CodexAuth, options: WaitOptions = {}): Promise<SyncOutcome> {
    const { signal } = checked(options, WAIT);
    const native = nativeAuth(auth);
    const outcome = unwrap(await wait(signal, () => this.#native.syncFromStorage(native)));
    return outcome as SyncOutcome;
  }

  /**
   * Gets a token in the place of `auth`'s: the store's, if somebody has refreshed it already, else
   * by redeeming the stored refresh token. Null where there is nothing to get for this login: it
   * was logged out, replaced by another account's, or may not be refreshed.
   *
   * Any number of callers with one token share one refresh.
   *
   * @throws {CodexAuthError} Permanent: `refresh_token_expired`, `refresh_token_reused`,
   * `refresh_token_invalidated`, `refresh_token_rejected`. Transient: `refresh_transient`,
   * `lock_timeout`, `store_unavailable`. Nothing was spent: `store_read_only`, `store_corrupt`.
   */
  async refreshToken(auth: CodexAuth, options: WaitOptions = {}): Promise<CodexAuth | null> {
    const { signal } = checked(options, WAIT);
    const native = nativeAuth(auth);
    return this.#own(unwrap(await wait(signal, () => this.#native.refreshToken(native))));
  }

  /** The state of one request's recovery; make a new one for every request. */
  unauthorizedRecovery(): UnauthorizedRecovery {
    return recoveryOf(this.#native.unauthorizedRecovery());
  }

  /**
   * What to do about a 401 that a request with `auth` got: `retry` with {@link AuthManager.auth},
   * or `give_up`, for `recovery.giveUpReason`. The first call adopts what another program has
   * stored, the next one refreshes; a request therefore needs at most two retries.
   *
   * A call that fails does not use up the recovery. Two calls with one recovery run one after the
   * other.
   *
   * @throws {CodexAuthError} Those of {@link AuthManager.refreshToken}.
   */
  async recoverFromUnauthorized(
    auth: CodexAuth,
    recovery: UnauthorizedRecovery,
    options: WaitOptions = {},
  ): Promise<RecoveryDecision> {
    const { signal } = checked(options, WAIT);
    const native = [nativeAuth(auth), nativeRecovery(recovery)] as const;
    return unwrap(await wait(signal, () => this.#native.recoverFromUnauthorized(...native)));
  }

  /**
   * Does what {@link AuthManager.freshAuth} does in the background, without anybody asking: the
   * token is refreshed once it is due, well before the Codex CLI would, and logins and logouts by
   * others are followed. Nothing ends it but `stop()` of what is returned: as with a timer, nobody
   * has to hold that, nor the manager. Unlike a timer it does not keep the process alive, which has
   * to be there for something else.
   */
  keepFresh(): KeepFresh {
    return new Background(this.#native.keepFresh());
  }

  /**
   * Has the snapshot in memory follow the store: a rotation, a login or a logout by another program
   * is adopted at once, without a request failing first. For a file the system tells of changes;
   * the store is looked at every second besides. It lasts as {@link AuthManager.keepFresh} does.
   */
  followStore(): FollowStore {
    return new Background(this.#native.followStore());
  }

  /** What happens to the login from now on, for those who want to know without asking. */
  subscribe(): AuthEvents {
    return authEvents((deliver) => this.#native.subscribe(deliver));
  }

  /** What this manager has done so far, in numbers. */
  stats(): Stats {
    return this.#native.stats();
  }

  /**
   * Begins to sign in with a browser: an authorization code with PKCE, and a redirect to this
   * machine (RFC 8252). The user goes to {@link BrowserLogin.authorizationUrl}; what is returned
   * waits for them.
   *
   * The new login takes the place of whatever is stored when it is complete, and not before: a
   * sign-in that is cancelled or fails changes nothing. A refresh in flight in any process does not
   * undo it. From the end of the process or of its worker nobody goes on with it, and that end does
   * not wait for it.
   *
   * @throws {CodexAuthError} `login_port_busy`; `login_failed` and `login_transient` where the
   * protocol is the standard one; `store_read_only`, `store_corrupt`, `store_unavailable`,
   * `lock_timeout` where the login could not be saved.
   *
   * @example
   * const login = await manager.loginWithBrowser();
   * console.log(`Open ${login.authorizationUrl}`);
   * const auth = await login.wait();
   */
  async loginWithBrowser(options: LoginOptions = {}): Promise<BrowserLogin> {
    const native = await begun(options, (others) => this.#native.loginWithBrowser(others));
    return browserLogin(native, (auth) => this.#own(auth));
  }

  /**
   * Begins to sign in on another device: its user types {@link DeviceLogin.userCode} in at
   * {@link DeviceLogin.verificationUri}. Otherwise as {@link AuthManager.loginWithBrowser}. The
   * event `login_pending` tells each time that the server was asked in vain.
   *
   * @throws {CodexAuthError} `login_not_supported` where the server has no device codes, else those
   * of {@link AuthManager.loginWithBrowser}.
   *
   * @example
   * const login = await manager.loginWithDeviceCode();
   * console.log(`Open ${login.verificationUri} and type in ${login.userCode}`);
   * const auth = await login.wait();
   */
  async loginWithDeviceCode(options: LoginOptions = {}): Promise<DeviceLogin> {
    const native = await begun(options, (others) => this.#native.loginWithDeviceCode(others));
    return deviceLogin(native, (auth) => this.#own(auth));
  }

  /**
   * Stores a login by API key. Nobody is asked whether the key is good.
   *
   * @throws {CodexAuthError} `login_invalid_credential` where it cannot be a key,
   * `login_workspace_not_allowed` where the manager is for one account, `save_failed`.
   */
  async loginWithApiKey(apiKey: string, options: WaitOptions = {}): Promise<CodexAuth> {
    checkText('apiKey', apiKey);
    const { signal } = checked(options, WAIT);
    return this.#own(unwrap(await wait(signal, () => this.#native.loginWithApiKey(apiKey))));
  }

  /**
   * Stores a login by personal access token, or by the token of an agent. Nobody is asked whether
   * it is good.
   *
   * @throws {CodexAuthError} Those of {@link AuthManager.loginWithApiKey}.
   */
  async loginWithAccessToken(accessToken: string, options: WaitOptions = {}): Promise<CodexAuth> {
    checkText('accessToken', accessToken);
    const { signal } = checked(options, WAIT);
    const native = await wait(signal, () => this.#native.loginWithAccessToken(accessToken));
    return this.#own(unwrap(native));
  }

  /**
   * Removes the login from the store, and asks the server to revoke it first unless `revoke` is
   * false. A refresh in flight in any process does not bring the login back.
   *
   * @throws {CodexAuthError} `identity_mismatch` where the store holds another account's login
   * than this manager, which is left alone unless `anyAccount` is true; `store_read_only`,
   * `store_unavailable`, `lock_timeout`.
   */
  async logout(options: LogoutOptions = {}): Promise<LogoutOutcome> {
    const { signal, revoke, anyAccount } = checked(options, LOGOUT);
    return unwrap(await wait(signal, () => this.#native.logout(revoke, anyAccount)));
  }

  /**
   * Waits for refreshes in flight and tokens that are still to be saved; whether all are done. The
   * manager stays usable. The end of the process waits for the same, for 10 s at most.
   *
   * @throws {CodexAuthError} `invalid_option` where the timeout is negative.
   */
  async close(options: CloseOptions = {}): Promise<boolean> {
    const { timeoutMs = 10_000 } = checked(options, CLOSE);
    return unwrap(await this.#native.close(timeoutMs));
  }

  /**
   * Which kind of store held the login when it was last read, and why not the preferred one; null
   * for a store that does not choose.
   */
  get storeHolder(): StoreHolder | null {
    const holder = this.#native.storeHolder;
    return holder && storeHolder(holder);
  }

  /** Whether rotated tokens are in use that could not be saved yet. */
  get pendingSave(): boolean {
    return this.#native.pendingSave;
  }

  /** What may be shown. */
  toJSON(): { auth: CodexAuth | null; pendingSave: boolean } {
    return { auth: this.auth(), pendingSave: this.pendingSave };
  }

  /** @internal */
  [inspect.custom](_depth: number, options: object): string {
    return `AuthManager ${inspect(this.toJSON(), options)}`;
  }

  /** The manager's own object for a snapshot that a promise brought, if it is the current one. */
  #own(native: NativeCodexAuth): CodexAuth;
  #own(native: NativeCodexAuth | null): CodexAuth | null;
  #own(native: NativeCodexAuth | null): CodexAuth | null {
    this.auth();
    return this.#snapshots.of(native);
  }
}

/** {@link AuthManager.close}, for `await using`; there where the runtime has the symbol. */
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
