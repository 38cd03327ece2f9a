import type { Failure } from '../native.js';
import { inOwnSpelling } from './option-names.js';

/** The kind of an error: one code for each thing that a program can do about it. */
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
  | 'not_supported_by_store'
  // Later versions may add codes. This type lets editors complete the known ones.
  | (string & {});

/** The codes of errors whose message may name options. */
const ABOUT_OPTIONS = ['invalid_option', 'origin_not_allowed'];

/** @internal */
export let setResponse: (error: CodexAuthError, response: Response) => void;

/**
 * The error of this package. Other errors are a `TypeError`, for an argument of a wrong type, and
 * the reason of an `AbortSignal`.
 *
 * The message is one line that says what failed, where, and what to do. No part of an error
 * contains a token or a server's reply. `cause` is the underlying error, if there is one.
 */
export class CodexAuthError extends Error {
  /** The kind of error. It has one spelling in all languages. */
  readonly code: ErrorCode;

  /**
   * A more precise reason, or null. If the server rejected a refresh token, it is `expired`,
   * `reused`, `invalidated`, `invalid_grant`, `unauthorized`, `uncoded` or `outcome_unknown`. For
   * `refresh_transient`, it is `fresh_token_rejected` if too many rejected access tokens were
   * replaced lately, and `not_refreshable` if another program renews the login and has not done so
   * yet. For `store_unavailable`, it is `held_open` if another program has a file open and does not
   * share it, on Windows. For `save_failed` at a sign-in, it is the code of the store's error.
   */
  readonly reason: string | null;

  /** Whether the call may succeed later although no user signs in or repairs something. */
  readonly isTransient: boolean;

  /** How long to wait before the next try, in milliseconds. Null if that is not known. */
  readonly retryAfterMs: number | null;

  #response: Response | null = null;

  /** @internal */
  constructor(failure: Failure) {
    const { code, message } = failure;
    super(ABOUT_OPTIONS.includes(code) ? inOwnSpelling(message) : message, errorOptions(failure));
    this.code = failure.code;
    this.reason = failure.reason ?? null;
    this.isTransient = failure.isTransient;
    this.retryAfterMs = failure.retryAfterMs ?? null;
  }

  /**
   * The 401 response that led to this error, if an HTTP integration threw it; else null. The
   * program may still read its body.
   */
  get response(): Response | null {
    return this.#response;
  }

  static {
    setResponse = (error, response) => {
      error.#response = response;
    };
    Object.defineProperty(this.prototype, 'name', {
      value: 'CodexAuthError',
      configurable: true,
      writable: true,
    });
  }
}

/** Returns the value of a native call, or throws its failure. */
export function unwrap<T>(outcome: T | Failure): T {
  if (isFailure(outcome)) {
    throw new CodexAuthError(outcome);
  }
  return outcome;
}

/** Throws `error`, with `response` as the 401 that the failed recovery was for. */
export function withResponse(error: unknown, response: Response): never {
  if (error instanceof CodexAuthError) {
    setResponse(error, response);
  }
  throw error;
}

/** Returns a `TypeError` for an argument of a wrong type. */
export function argumentError(message: string): TypeError {
  return Object.assign(new TypeError(message), { code: 'invalid_option' });
}

function isFailure(outcome: unknown): outcome is Failure {
  return typeof outcome === 'object' && outcome !== null && 'isTransient' in outcome;
}

/** The values that custom stores have thrown recently, by their numbers. */
const thrown = new Map<number, unknown>();

const MOST_THROWN = 64;

let lastThrown = 0;

/** Keeps a value that a custom store threw, to be the cause of an error. Returns its number. */
export function keepThrown(error: unknown): number {
  thrown.set((lastThrown += 1), error);
  thrown.delete(lastThrown - MOST_THROWN);
  return lastThrown;
}

function errorOptions(failure: Failure): ErrorOptions | undefined {
  if (failure.thrown !== undefined && thrown.has(failure.thrown)) {
    return { cause: thrown.get(failure.thrown) };
  }
  return causes(failure.causes);
}

function causes([message, ...rest]: string[]): ErrorOptions | undefined {
  return message === undefined ? undefined : { cause: new Error(message, causes(rest)) };
}
