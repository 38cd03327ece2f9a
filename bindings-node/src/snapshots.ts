import type { NativeAuthManager, NativeCodexAuth } from '../native.js';
import { CodexAuth, codexAuthOf, nativeAuth } from './codex-auth.js';
import { unwrap } from './error.js';

/** As many URLs are remembered: programs ask few, again and again. */
const MOST_URLS = 64;

/**
 * A manager's snapshot, as the addon has last told it. A look at shared memory shows whether there
 * is another one by now, which takes no call.
 */
export class Snapshots {
  readonly #native: NativeAuthManager;
  /** Null where no memory is shared; the addon is asked every time then. */
  readonly #version: Uint32Array | null;
  /** The version of what is known. */
  #known = NaN;
  #auth: CodexAuth | null = null;
  /** Until then it is fresh; in milliseconds since 1970. */
  #dueAt = Infinity;
  /** The URLs of requests that may be sent with it, each with the `Authorization` they had. */
  readonly #urls = new Map<string, string | null>();

  constructor(native: NativeAuthManager) {
    this.#native = native;
    this.#version = native.version();
  }

  /** The current one. */
  current(): CodexAuth | null {
    const version = this.#version === null ? NaN : Atomics.load(this.#version, 0);
    if (version !== this.#known) {
      this.#auth = this.of(this.#native.auth());
      this.#dueAt = this.#native.dueAt() ?? Infinity;
      this.#urls.clear();
      this.#known = version;
    }
    return this.#auth;
  }

  /** The current one, if nobody has to wait for a better one. */
  freshIfReady(): CodexAuth | null {
    const auth = this.current();
    return this.#isDue ? this.of(this.#native.freshAuthIfReady()) : auth;
  }

  /**
   * The one to send a request to `url` with, which has the header `authorization`: null if it has to
   * be waited for, false where the request gets none. Throws where its credential may not go there.
   */
  forRequest(url: string, authorization: string | null): CodexAuth | null | false {
    const auth = this.current();
    if (!this.#isDue && this.#urls.get(url) === authorization) {
      return auth;
    }
    const ready = unwrap(this.#native.requestAuthIfReady(url, authorization));
    if (ready === false || ready === null) {
      return ready;
    }
    const checked = this.of(ready);
    // It may be one that took the place of the known one this moment.
    if (checked === this.#auth) {
      if (this.#urls.size === MOST_URLS) this.#urls.clear();
      this.#urls.set(url, authorization);
    }
    return checked;
  }

  /** The object for what the addon has told: the known one, if it is the same. */
  of(native: NativeCodexAuth): CodexAuth;
  of(native: NativeCodexAuth | null): CodexAuth | null;
  of(native: NativeCodexAuth | null): CodexAuth | null {
    if (native === null) {
      return null;
    }
    const known = this.#auth !== null && nativeAuth(this.#auth).isSame(native);
    return known ? this.#auth : codexAuthOf(native);
  }

  get #isDue(): boolean {
    return Date.now() >= this.#dueAt;
  }
}
