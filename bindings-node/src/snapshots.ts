import type { NativeCodexAuth } from '../native.js';
import { CodexAuth, codexAuthOf } from './codex-auth.js';

/** A manager's last snapshot, so that it crosses once and not with every call. */
export class Snapshots {
  #known: NativeCodexAuth | null = null;
  #auth: CodexAuth | null = null;

  /** What calls are told that answer with it if it is still the one. */
  get known(): NativeCodexAuth | null {
    return this.#known;
  }

  /** The object for the current snapshot. */
  current(native: NativeCodexAuth): CodexAuth;
  current(native: NativeCodexAuth | null): CodexAuth | null;
  current(native: NativeCodexAuth | null): CodexAuth | null {
    if (native !== this.#known) {
      this.#known = native;
      this.#auth = native && codexAuthOf(native);
    }
    return this.#auth;
  }

  /** The object for a snapshot that a promise brought: the known one if it is the same. */
  brought(native: NativeCodexAuth): CodexAuth {
    return this.#auth !== null && this.#known?.isSame(native) ? this.#auth : codexAuthOf(native);
  }
}
