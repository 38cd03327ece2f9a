import type { NativeRecovery } from '../native.js';
import { mistake } from './error.js';

/** Why a 401 stands. */
export type GiveUpReason =
  /** This kind of credential cannot be refreshed here. */
  | 'not_refreshable'
  /** The manager was told never to refresh, and nobody else did. */
  | 'refresh_disabled'
  /** This request was already sent with a refreshed token. */
  | 'exhausted'
  /** Nobody is signed in any more. */
  | 'logged_out'
  /** Somebody else is signed in. */
  | 'identity_mismatch'
  /** Nothing shows whose the stored login is. */
  | 'missing_identity'
  /** The server rejects tokens as fast as it issues them; one more would not help. */
  | 'fresh_token_rejected';

/** @internal */
export let recoveryOf: (native: NativeRecovery) => UnauthorizedRecovery;

/** @internal */
export let nativeRecovery: (recovery: UnauthorizedRecovery) => NativeRecovery;

/**
 * How far one request's recovery from 401 has come. Made by
 * {@link AuthManager.unauthorizedRecovery}, a new one for every request.
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
        throw mistake('recovery must come from unauthorizedRecovery()');
      }
      return recovery.#native;
    };
  }

  /** Why the last call gave up; null before that. */
  get giveUpReason(): GiveUpReason | null {
    return (this.#native.giveUpReason ?? null) as GiveUpReason | null;
  }
}
