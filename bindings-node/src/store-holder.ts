import type { NativeStoreHolder } from '../native.js';

/** Which kind of store holds the login, where the store `auto` chooses between two. */
export interface StoreHolder {
  /**
   * The kind of store that holds the login. Without a login, the kind that the next is written to.
   */
  kind: 'file' | 'keyring' | 'encrypted';
  /** Why this is not the preferred kind of store. Null if it is the preferred one. */
  reason: string | null;
}

export function storeHolder({ kind, reason }: NativeStoreHolder): StoreHolder {
  return { kind: kind as StoreHolder['kind'], reason: reason ?? null };
}
