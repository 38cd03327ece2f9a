import type { NativeAuthManager, NativeCodexAuth } from '../native.js';
import { CodexAuth, codexAuthOf, nativeAuth } from './codex-auth.js';
import { unwrap } from './error.js';

/** How many URLs are remembered. A program requests few URLs, again and again. */
const MOST_URLS = 64;

/**
 * A copy of the snapshot of a manager, which saves calls of the addon.
 *
 * The addon counts a number in shared memory up when its snapshot changes. While the number is
 * unchanged, the copy is valid.
 */
export class SnapshotCache {
  readonly #native: NativeAuthManager;
  /** The number. Null if the runtime shares no memory: then the addon is asked every time. */
  readonly #version: Uint32Array | null;
  /** The number at which the copy was made. */
  #known = NaN;
  #auth: CodexAuth | null = null;
  /** While the clock is in this span, the snapshot is fresh; in milliseconds since 1970. */
  #freshFrom = -Infinity;
  #freshUntil = Infinity;
  /** URLs that may be requested with the snapshot, each with the `Authorization` of its request. */
  readonly #urls = new Map<string, string | null>();

  constructor(native: NativeAuthManager) {
    this.#native = native;
    this.#version = native.version();
  }

  /** Returns the current snapshot. */
  current(): CodexAuth | null {
    const version = this.#version === null ? NaN : Atomics.load(this.#version, 0);
    if (version !== this.#known) {
      this.#auth = this.objectFor(this.#native.auth());
      this.#readSpan();
      this.#urls.clear();
      this.#known = version;
    }
    return this.#auth;
  }

  /** Returns the current snapshot, or null if the caller must wait for a refresh. */
  freshIfReady(): CodexAuth | null {
    const auth = this.current();
    if (this.#isFresh) {
      return auth;
    }
    const ready = this.objectFor(this.#native.freshAuthIfReady());
    this.#readSpan();
    return ready;
  }

  /**
   * Returns the snapshot to send a request to `url` with, which has the header `authorization`.
   * Returns null if the request must wait for one, and false if the manager must leave the request
   * alone. Throws if the credential must not be sent to the origin of `url`.
   */
  forRequest(url: string, authorization: string | null): CodexAuth | null | false {
    const auth = this.current();
    const isFresh = this.#isFresh;
    if (isFresh && this.#urls.get(url) === authorization) {
      return auth;
    }
    const ready = unwrap(this.#native.requestAuthIfReady(url, authorization));
    if (!isFresh) this.#readSpan();
    if (ready === false || ready === null) {
      return ready;
    }
    const checked = this.objectFor(ready);
    // The addon may have replaced its snapshot since the copy was made.
    if (checked === this.#auth) {
      if (this.#urls.size === MOST_URLS) this.#urls.clear();
      this.#urls.set(url, authorization);
    }
    return checked;
  }

  /** Returns the object for a native snapshot: the copy, if it is that one. */
  objectFor(native: NativeCodexAuth): CodexAuth;
  objectFor(native: NativeCodexAuth | null): CodexAuth | null;
  objectFor(native: NativeCodexAuth | null): CodexAuth | null {
    if (native === null) {
      return null;
    }
    const known = this.#auth !== null && nativeAuth(this.#auth).isSame(native);
    return known ? this.#auth : codexAuthOf(native);
  }

  #readSpan(): void {
    [this.#freshFrom, this.#freshUntil] = this.#native.freshSpan() ?? [-Infinity, Infinity];
  }

  get #isFresh(): boolean {
    const now = Date.now();
    return this.#freshFrom <= now && now < this.#freshUntil;
  }
}
