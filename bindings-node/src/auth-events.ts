import { EventEmitter } from 'node:events';

import type { NativeEvent, NativeSubscription } from '../native.js';
import { CodexAuthError } from './error.js';
import { storeHolder } from './store-holder.js';
import type { StoreHolder } from './store-holder.js';

/** The events of {@link AuthEvents}, with the arguments of their listeners. */
export interface AuthEventMap {
  /** The manager now uses tokens that another process or program has refreshed. */
  adopted: [];
  /** The manager has redeemed the refresh token and uses the new tokens. */
  refreshed: [];
  /** The store holds no login any more. */
  logged_out: [];
  /** The store holds another login than before, or its first login. */
  identity_changed: [];
  /** The login is for another workspace than before. */
  workspace_changed: [];
  /** A refresh has failed. A refresh that several callers waited for is reported once. */
  refresh_failed: [error: CodexAuthError];
  /**
   * The manager uses new tokens that it could not save. It tries again, and sends no second event
   * for that.
   */
  save_failed: [error: CodexAuthError];
  /** The tokens of the last `save_failed` are saved. */
  save_recovered: [];
  /** Another kind of store holds the login than before. Only the store `auto` chooses a kind. */
  store_changed: [holder: StoreHolder];
  /**
   * A request is sent without the credential, since its origin may not get that. The error names
   * the origin. Sent once for each origin, for 16 at most.
   */
  credential_left_out: [error: CodexAuthError];
  /**
   * This manager has stored a new login. If it is another one than the last, the event
   * `identity_changed` is sent as well, and `workspace_changed` if only its workspace is another.
   */
  logged_in: [];
  /**
   * A sign-in with a device code has asked the server, and its user has not typed the code in yet.
   */
  login_pending: [];
  /** A sign-in with a browser or a device code has failed or was cancelled. */
  login_failed: [error: CodexAuthError];
  /** The listeners were too slow, and `count` events were dropped at this point. */
  missed: [count: number];
  /** {@link AuthEvents.stop} was called. This is the last event. */
  close: [];
}

/** @internal */
export let authEvents: (
  subscribe: (deliver: (event: NativeEvent) => void) => NativeSubscription,
) => AuthEvents;

/**
 * The events of a manager, in order, by {@link AuthManager.subscribe}. They hold no secrets.
 *
 * An event describes the moment at which it was sent. {@link AuthManager.auth} has the present
 * state. Events are emitted until {@link AuthEvents.stop} is called or the manager is garbage, even
 * if the program keeps no reference to this object. They do not keep the process alive. While the
 * event loop is busy, at most 64 events wait; then the oldest are dropped and `missed` says how
 * many.
 *
 * No event is called `error`, so no listener is required. If a listener throws, that is an uncaught
 * exception, and the next event is still emitted.
 *
 * @example
 * const events = manager.subscribe();
 * events.on('save_failed', (error) => console.error(`free some space: ${error.message}`));
 * // Or iterate over the events of one kind, until `stop` is called:
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

  /** Ends the subscription, and emits `close`. */
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
      // An exception that reaches the addon would end the process at once.
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
