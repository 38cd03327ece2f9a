import { NativeEphemeralStorage } from '../native.js';
import { CodexAuthError, argumentError, unwrap } from './error.js';

/** @internal */
export let nativeStorage: (storage: EphemeralStorage) => NativeEphemeralStorage;

/** @internal */
export let isStorage: (value: unknown) => value is EphemeralStorage;

/**
 * A store in memory, for tests and for programs that keep the login somewhere else.
 *
 * All managers of one thread that get this object as their `store` share its login.
 *
 * @example
 * const storage = new EphemeralStorage(process.env.LOGIN);
 * const manager = new AuthManager({ store: storage });
 * // Later, keep the refreshed login:
 * const login = storage.record();
 */
export class EphemeralStorage {
  readonly #native: NativeEphemeralStorage;

  /**
   * Creates a store that holds `record`, the content of an `auth.json` as JSON text or an object.
   * Without `record`, the store holds no login.
   *
   * @throws {CodexAuthError} `invalid_option` if `record` is not a Codex login.
   */
  constructor(record?: string | object | null) {
    this.#native = unwrap(NativeEphemeralStorage.create(json(record)));
  }

  static {
    isStorage = (value): value is EphemeralStorage =>
      typeof value === 'object' && value !== null && #native in value;
    nativeStorage = (storage) => storage.#native;
  }

  /** Returns the stored login as the JSON text of an `auth.json`, or null. It contains tokens. */
  record(): string | null {
    return this.#native.record();
  }

  /**
   * Replaces the stored login by `record`. Null removes it.
   *
   * @throws {CodexAuthError} `invalid_option` if `record` is not a Codex login; the stored login
   * then stays.
   */
  replace(record: string | object | null): void {
    const failure = this.#native.replace(json(record));
    if (failure !== null) {
      throw new CodexAuthError(failure);
    }
  }
}

function json(record: string | object | null | undefined): string | null {
  if (record === undefined || record === null) {
    return null;
  }
  if (typeof record !== 'string' && typeof record !== 'object') {
    throw argumentError(`record must be a string or an object, not a ${typeof record}`);
  }
  if (record instanceof Uint8Array) {
    return new TextDecoder().decode(record);
  }
  const text: unknown = typeof record === 'string' ? record : JSON.stringify(record);
  if (typeof text !== 'string') {
    throw argumentError('record must be a string or an object that JSON can hold');
  }
  return text;
}
