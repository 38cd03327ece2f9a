import type { NativeFollowStore, NativeKeepFresh } from '../native.js';

/** Keeps a login fresh; see {@link AuthManager.keepFresh}. */
export interface KeepFresh {
  /** Ends it. A refresh in flight goes on. */
  stop(): void;
}

/** Follows the store; see {@link AuthManager.followStore}. */
export interface FollowStore {
  /** Ends it. */
  stop(): void;
}

/** What goes on whether or not anybody holds it, as timers do. */
const running = new Set<Background>();

/** @internal */
export class Background implements KeepFresh, FollowStore {
  readonly #native: NativeKeepFresh | NativeFollowStore;

  constructor(native: NativeKeepFresh | NativeFollowStore) {
    this.#native = native;
    running.add(this);
  }

  stop(): void {
    running.delete(this);
    this.#native.stop();
  }
}
