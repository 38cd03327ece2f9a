import type { Failure } from '../native.js';

/** What went wrong: one code per thing that a program can do about it. */
export type ErrorCode =
  | 'refresh_token_expired'
  | 'refresh_token_reused'
  | 'refresh_token_invalidated'
  | 'refresh_token_rejected'
  | 'refresh_transient'
  | 'store_corrupt'
  | 'store_read_only'
  | 'store_unavailable'
  | 'keyring_unavailable'
  | 'keyring_locked'
  | 'keyring_too_long'
  | 'lock_timeout'
  | 'invalid_option'
  | 'identity_mismatch'
  | 'unsupported_mode'
  | 'origin_not_allowed'
  | 'login_required'
  | 'login_denied'
  | 'login_state_mismatch'
  | 'login_timeout'
  | 'login_cancelled'
  | 'login_port_busy'
  | 'login_workspace_not_allowed'
  | 'login_not_supported'
  | 'login_invalid_credential'
  | 'login_failed'
  | 'login_transient'
  | 'save_failed'
  // Codes may be added; the known ones are still completed by editors.
  | (string & {});

/** @internal */
export let attach: (error: CodexAuthError, response: Response) => void;

/**
 * Every error of this package, except for a `TypeError` where an argument has the wrong type and
 * the reason of an `AbortSignal`.
 *
 * The message is one line that says what failed, where, and what to do. No part of an error ever
 * contains a token or a server's reply.
 */
export class CodexAuthError extends Error {
  /** What went wrong, the same in every language. */
  readonly code: ErrorCode;

  /**
   * A finer reason where there is one, else null. Refused refreshes have `expired`, `reused`,
   * `invalidated`, `invalid_grant`, `unauthorized`, `empty_refresh_token` or `outcome_unknown`.
   */
  readonly reason: string | null;

  /** Whether the same call may succeed later without anybody signing in or repairing something. */
  readonly isTransient: boolean;

  /** How long to wait before trying again, in milliseconds; null where that is not known. */
  readonly retryAfterMs: number | null;

  #response: Response | null = null;

  /** @internal */
  constructor(failure: Failure) {
    super(failure.message, options(failure));
    this.code = failure.code;
    this.reason = failure.reason ?? null;
    this.isTransient = failure.isTransient;
    this.retryAfterMs = failure.retryAfterMs ?? null;
  }

  /**
   * The 401 of a request about which nothing could be done, where an HTTP integration says so; else
   * null. Its body is still to be read.
   */
  get response(): Response | null {
    return this.#response;
  }

  static {
    attach = (error, response) => {
      error.#response = response;
    };
    Object.defineProperty(this.prototype, 'name', {
      value: 'CodexAuthError',
      configurable: true,
      writable: true,
    });
  }
}

/** The value of a native call, or its failure thrown. */
export function unwrap<T>(outcome: T | Failure): T {
  if (isFailure(outcome)) {
    throw new CodexAuthError(outcome);
  }
  return outcome;
}

/** Throws `error`; a failed recovery with the 401 that it was for. */
export function withResponse(error: unknown, response: Response): never {
  if (error instanceof CodexAuthError) {
    attach(error, response);
  }
  throw error;
}

/** A `TypeError` for a mistake in the calling code. */
export function mistake(message: string): TypeError {
  return Object.assign(new TypeError(message), { code: 'invalid_option' });
}

function isFailure(outcome: unknown): outcome is Failure {
  return typeof outcome === 'object' && outcome !== null && 'isTransient' in outcome;
}

/** What custom stores threw of late. */
const thrown = new Map<number, unknown>();

const MOST_THROWN = 64;

let lastThrown = 0;

/** Keeps what a custom store threw, to be the cause of an error; the number it is known by. */
export function keepThrown(error: unknown): number {
  thrown.set((lastThrown += 1), error);
  thrown.delete(lastThrown - MOST_THROWN);
  return lastThrown;
}

function options(failure: Failure): ErrorOptions | undefined {
  if (failure.thrown !== undefined && thrown.has(failure.thrown)) {
    return { cause: thrown.get(failure.thrown) };
  }
  return causes(failure.causes);
}

function causes([message, ...rest]: string[]): ErrorOptions | undefined {
  return message === undefined ? undefined : { cause: new Error(message, causes(rest)) };
}
