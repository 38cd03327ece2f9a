import type { NativeFollowStore, NativeKeepFresh } from '../native.js';

/** A background task that refreshes a login before it expires, by {@link AuthManager.keepFresh}. */
export interface KeepFresh {
  /** Ends the task. A refresh that is in flight goes on. */
  stop(): void;
}

/** A background task that adopts what other programs store, by {@link AuthManager.followStore}. */
export interface FollowStore {
  /** Ends the task. */
  stop(): void;
}

/** The tasks that run. Like a timer, a task runs even if the program keeps no reference to it. */
const running = new Set<BackgroundTask>();

/** @internal */
export class BackgroundTask implements KeepFresh, FollowStore {
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
