import { NativeEphemeralStorage } from '../native.js';
import { CodexAuthError, mistake, unwrap } from './error.js';

/** @internal */
export let nativeStorage: (storage: EphemeralStorage) => NativeEphemeralStorage;

/** @internal */
export let isStorage: (value: unknown) => value is EphemeralStorage;

/**
 * A store in memory, for programs that keep the login elsewhere, and for tests. Any number of
 * managers of one thread may share it.
 *
 * @example
 * const storage = new EphemeralStorage(process.env.LOGIN);
 * const manager = new AuthManager({ store: storage });
 * // Later: keep what is there now.
 * const login = storage.record();
 */
export class EphemeralStorage {
  readonly #native: NativeEphemeralStorage;

  /**
   * A store that holds `record`: the contents of an `auth.json`, as text or as an object; nothing
   * without it.
   *
   * @throws {CodexAuthError} `invalid_option` where that is not a Codex login.
   */
  constructor(record?: string | object | null) {
    this.#native = unwrap(NativeEphemeralStorage.create(json(record)));
  }

  static {
    isStorage = (value): value is EphemeralStorage =>
      typeof value === 'object' && value !== null && #native in value;
    nativeStorage = (storage) => storage.#native;
  }

  /** What is stored now, as JSON: it contains the tokens. Null where nothing is stored. */
  record(): string | null {
    return this.#native.record();
  }

  /**
   * Puts `record` in the place of whatever is stored, as a new login does; null removes it.
   *
   * @throws {CodexAuthError} `invalid_option` where that is not a Codex login; what was stored is
   * still there.
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
    throw mistake(`record must be a string or an object, not a ${typeof record}`);
  }
  if (record instanceof Uint8Array) {
    return new TextDecoder().decode(record);
  }
  const text: unknown = typeof record === 'string' ? record : JSON.stringify(record);
  if (typeof text !== 'string') {
    throw mistake('record must be a string or an object that JSON can hold');
  }
  return text;
}
