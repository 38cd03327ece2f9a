import { EventEmitter } from 'node:events';

import type { NativeEvent, NativeSubscription } from '../native.js';
import { CodexAuthError } from './error.js';
import { storeHolder } from './store-holder.js';
import type { StoreHolder } from './store-holder.js';

/** What {@link AuthEvents} emits, with the arguments of its listeners. */
export interface AuthEventMap {
  /** The snapshot has tokens of the same login that somebody else got. */
  adopted: [];
  /** This manager has redeemed the refresh token and uses the new tokens. */
  refreshed: [];
  /** The login is gone from the store, whoever removed it. */
  logged_out: [];
  /** The store has another login than before, or the first one. */
  identity_changed: [];
  /** A refresh failed: once for all who waited for it. */
  refresh_failed: [error: CodexAuthError];
  /** New tokens are in use that could not be saved: once, however often saving is tried again. */
  save_failed: [error: CodexAuthError];
  /** The tokens of the last `save_failed` are saved. */
  save_recovered: [];
  /** Another kind of store holds the login than at the last look, or for another reason. */
  store_changed: [holder: StoreHolder];
  /**
   * This manager has stored a new login. Where it is another one than before, that is told by
   * `identity_changed` besides.
   */
  logged_in: [];
  /** A sign-in by device code still waits for its user: once for each time that was asked. */
  login_pending: [];
  /** A sign-in with a browser or a device code has failed or was cancelled. */
  login_failed: [error: CodexAuthError];
  /** The listeners were too slow: in this place so many events are missing. */
  missed: [count: number];
  /** {@link AuthEvents.stop} was called: nothing comes after it. */
  close: [];
}

/** @internal */
export let authEvents: (
  subscribe: (deliver: (event: NativeEvent) => void) => NativeSubscription,
) => AuthEvents;

/**
 * The events of a manager since {@link AuthManager.subscribe}, in order. An event says what was so
 * when it was sent; what is so now, {@link AuthManager.auth} says. No secrets.
 *
 * They go on until {@link AuthEvents.stop}, or until the manager is gone, whether or not anybody
 * holds this object. They do not keep the process alive. At most 64 events wait for a busy event
 * loop; then the oldest give way and `missed` tells how many.
 *
 * None of them is called `error`: nothing has to be listened for. What a listener throws is an
 * uncaught exception, as with any emitter, and the next event is emitted all the same.
 *
 * @example
 * const events = manager.subscribe();
 * events.on('save_failed', (error) => console.error(`free some space: ${error.message}`));
 * // Or one kind after the other, until `stop`:
 * for await (const [error] of on(events, 'refresh_failed', { close: ['close'] })) {
 *   console.error(error);
 * }
 */
export class AuthEvents extends EventEmitter<AuthEventMap> {
  readonly #native: NativeSubscription;
  #isStopped = false;

  private constructor(
    subscribe: (deliver: (event: NativeEvent) => void) => NativeSubscription,
  ) {
    super();
    this.#native = subscribe((event) => this.#deliver(event));
  }

  static {
    authEvents = (subscribe) => new AuthEvents(subscribe);
  }

  /** Ends it, and emits `close`. */
  stop(): void {
    if (!this.#isStopped) {
      this.#isStopped = true;
      this.#native.stop();
      this.emit('close');
    }
  }

  #deliver(event: NativeEvent): void {
    if (this.#isStopped) {
      return;
    }
    try {
      this.emit(event.kind as keyof AuthEventMap, ...(details(event) as []));
    } catch (error) {
      // Not to the addon, for which it would be the end of the process.
      process.nextTick(() => {
        throw error;
      });
    }
  }
}

function details(event: NativeEvent): unknown[] {
  const { error, storeHolder: holder, missed } = event;
  const given = [error && new CodexAuthError(error), holder && storeHolder(holder), missed];
  return given.filter((detail) => detail !== undefined);
}
