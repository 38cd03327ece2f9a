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

/**
 * What an HTTP integration goes by from a request to its final response.
 *
 * @internal
 */
export class RequestAuthorization {
  readonly #native: NativeRequestAuthorization;
  readonly #snapshots: Snapshots;

  constructor(native: NativeRequestAuthorization, snapshots: Snapshots) {
    this.#native = native;
    this.#snapshots = snapshots;
  }

  /** The snapshot to send the request with; null if it has to be waited for. */
  authIfReady(): CodexAuth | null {
    const native = unwrap(this.#native.authIfReady(this.#snapshots.known));
    return native && this.#snapshots.current(native);
  }

  /** The snapshot to send the request with, refreshed first where needed. */
  async auth(signal: AbortSignal | undefined): Promise<CodexAuth> {
    return this.#snapshots.brought(unwrap(await wait(signal, () => this.#native.auth())));
  }

  /**
   * The snapshot to send the request again with, after it was sent with `auth` and answered with
   * `status`; null where that is the final response.
   */
  retryAuth(
    auth: CodexAuth,
    status: number,
    signal: AbortSignal | undefined,
  ): Promise<CodexAuth | null> | null {
    // The addon would say the same, for the price of a crossing.
    return status === UNAUTHORIZED ? this.#retryAuth(auth, status, signal) : null;
  }

  async #retryAuth(
    auth: CodexAuth,
    status: number,
    signal: AbortSignal | undefined,
  ): Promise<CodexAuth | null> {
    const retry = () => this.#native.retryAuth(nativeAuth(auth), status);
    const native = unwrap(await wait(signal, retry));
    return native && this.#snapshots.brought(native);
  }
}
