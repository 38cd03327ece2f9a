import type { NativeStoreHolder } from '../native.js';

/** Where a store that chooses, `auto`, has found the login. */
export interface StoreHolder {
  /** The kind of store that holds it, or would be written next. */
  kind: 'file' | 'keyring' | 'encrypted';
  /** Why it is not the preferred one; null if it is. */
  reason: string | null;
}

export function storeHolder({ kind, reason }: NativeStoreHolder): StoreHolder {
  return { kind: kind as StoreHolder['kind'], reason: reason ?? null };
}
