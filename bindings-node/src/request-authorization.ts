import { MANAGED_API_KEY as KEY } from '../native.js';
import type { NativeRequestAuthorization } from '../native.js';
import { nativeAuth } from './codex-auth.js';
import type { CodexAuth } from './codex-auth.js';
import { unwrap } from './error.js';
import type { Snapshots } from './snapshots.js';
import { wait } from './wait.js';

/**
 * The API key to give to a client that insists on one although a manager authorizes its requests.
 * A request with this bearer is authorized like one without any; it is never sent anywhere.
 */
export const MANAGED_API_KEY: string = KEY;

const UNAUTHORIZED = 401;

/** Whether it is worth asking after a response: the addon says no to all others. */
export function mayRetry(status: number): boolean {
  return status === UNAUTHORIZED;
}

/**
 * What an HTTP integration goes by from a request to its final response.
 *
 * @internal
 */
export class RequestAuthorization {
  /** The snapshot to send the request with; null if it has to be waited for. */
  readonly ready: CodexAuth | null;
  readonly #snapshots: Snapshots;
  /** Most requests need it for nothing more, and it is not made for them. */
  readonly #start: () => NativeRequestAuthorization;
  #native: NativeRequestAuthorization | null = null;

  constructor(
    ready: CodexAuth | null,
    snapshots: Snapshots,
    start: () => NativeRequestAuthorization,
  ) {
    this.ready = ready;
    this.#snapshots = snapshots;
    this.#start = start;
  }

  /** The snapshot to send the request with, refreshed first where needed. */
  async auth(signal: AbortSignal | undefined): Promise<CodexAuth> {
    return this.#snapshots.of(unwrap(await wait(signal, () => this.#started().auth())));
  }

  /**
   * The snapshot to send the request again with, after it was sent with `auth` and answered with
   * `status`; null where that is the final response.
   */
  async retryAuth(
    auth: CodexAuth,
    status: number,
    signal: AbortSignal | undefined,
  ): Promise<CodexAuth | null> {
    const retry = () => this.#started().retryAuth(nativeAuth(auth), status);
    return this.#snapshots.of(unwrap(await wait(signal, retry)));
  }

  /** One for all tries: it counts them. */
  #started(): NativeRequestAuthorization {
    this.#native ??= this.#start();
    return this.#native;
  }
}
