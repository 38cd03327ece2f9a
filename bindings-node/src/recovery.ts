import type { NativeRecovery } from '../native.js';
import { argumentError } from './error.js';

/** Why a 401 response is final. */
export type GiveUpReason =
  /**
   * The manager cannot replace the credential: it is a key, or it came without a refresh token and
   * the program that renews it has not done so.
   */
  | 'not_refreshable'
  /** The manager has the option `refresh: 'never'`, and no other program has stored new tokens. */
  | 'refresh_disabled'
  /** The request was already repeated with a refreshed token. */
  | 'exhausted'
  /** No login is stored any more. */
  | 'logged_out'
  /** The stored login belongs to another user or workspace, or is another key. */
  | 'identity_mismatch'
  /** The stored login does not say to which user it belongs. */
  | 'missing_identity'
  /**
   * The API rejects tokens that have not expired, and several of them were replaced lately, so
   * another refresh is pointless for some time.
   */
  | 'fresh_token_rejected';

/** @internal */
export let recoveryOf: (native: NativeRecovery) => UnauthorizedRecovery;

/** @internal */
export let nativeRecovery: (recovery: UnauthorizedRecovery) => NativeRecovery;

/**
 * The state of one request's recovery from 401: it remembers which steps were tried.
 *
 * Get a new one from {@link AuthManager.unauthorizedRecovery} for each request, and pass it to
 * {@link AuthManager.recoverFromUnauthorized} each time the request is answered with 401.
 */
export class UnauthorizedRecovery {
  readonly #native: NativeRecovery;

  private constructor(native: NativeRecovery) {
    this.#native = native;
  }

  static {
    recoveryOf = (native) => new UnauthorizedRecovery(native);
    nativeRecovery = (recovery) => {
      if (typeof recovery !== 'object' || recovery === null || !(#native in recovery)) {
        throw argumentError('recovery must come from unauthorizedRecovery()');
      }
      return recovery.#native;
    };
  }

  /** Why {@link AuthManager.recoverFromUnauthorized} gave up. Null as long as it did not. */
  get giveUpReason(): GiveUpReason | null {
    return (this.#native.giveUpReason ?? null) as GiveUpReason | null;
  }
}
