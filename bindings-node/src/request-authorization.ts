import { MANAGED_API_KEY as KEY } from '../native.js';
import type { NativeRequestAuthorization } from '../native.js';
import { nativeAuth } from './codex-auth.js';
import type { CodexAuth } from './codex-auth.js';
import { unwrap } from './error.js';
import type { SnapshotCache } from './snapshot-cache.js';
import { wait } from './wait.js';

/**
 * A placeholder for a client that requires an API key although a manager authorizes its requests.
 *
 * The manager replaces it: a request with this bearer token is authorized like one without any. The
 * placeholder itself is never sent.
 */
export const MANAGED_API_KEY: string = KEY;

const UNAUTHORIZED = 401;

/** Returns whether a response with `status` may lead to a repetition. */
export function mayRetry(status: number): boolean {
  return status === UNAUTHORIZED;
}

/**
 * The authorization of one HTTP request: which snapshot it is sent with, and whether it is
 * repeated.
 *
 * @internal
 */
export class RequestAuthorization {
  /** The snapshot to send the request with. Null if the request must wait for one. */
  readonly ready: CodexAuth | null;
  readonly #snapshots: SnapshotCache;
  /** Creates the native authorization. Most requests are never repeated and do not need it. */
  readonly #start: () => NativeRequestAuthorization;
  #native: NativeRequestAuthorization | null = null;

  constructor(
    ready: CodexAuth | null,
    snapshots: SnapshotCache,
    start: () => NativeRequestAuthorization,
  ) {
    this.ready = ready;
    this.#snapshots = snapshots;
    this.#start = start;
  }

  /** Returns the snapshot to send the request with, refreshed if it has expired. */
  async auth(signal: AbortSignal | undefined): Promise<CodexAuth> {
    return this.#snapshots.objectFor(unwrap(await wait(signal, () => this.#started().auth())));
  }

  /**
   * Returns the snapshot to repeat the request with, or null if its response is final. The request
   * was sent with `auth` and answered with `status`.
   */
  async retryAuth(
    auth: CodexAuth,
    status: number,
    signal: AbortSignal | undefined,
  ): Promise<CodexAuth | null> {
    const retry = () => this.#started().retryAuth(nativeAuth(auth), status);
    return this.#snapshots.objectFor(unwrap(await wait(signal, retry)));
  }

  /** Returns the one native authorization of this request, which counts the repetitions. */
  #started(): NativeRequestAuthorization {
    this.#native ??= this.#start();
    return this.#native;
  }
}
