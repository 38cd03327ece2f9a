import { NativeLog } from '../native.js';
import type { NativeLogRecord } from '../native.js';
import { installExitHook } from './custom-store.js';
import { argumentError } from './error.js';
import { inOwnSpelling } from './option-names.js';

/** A record of what this package did, or of a failure. It contains no secret and no account. */
export interface LogRecord {
  /** The level: `warn` and `error` for failures, `info` for the steps of the package. */
  level: 'error' | 'warn' | 'info' | 'debug' | 'trace';
  /** The part of the package that the record comes from. */
  target: string;
  /** The name of a step, or a sentence about what happened. */
  message: string;
  /** More details, such as the `outcome` and `purpose` of a step. */
  fields: Record<string, string>;
  /** How long the step took, in milliseconds. Null if the record is not about a step. */
  durationMs: number | null;
}

/** The delivery of records that {@link enableLogging} has started. */
export interface Logging {
  /** Ends the delivery. Records that wait are dropped. */
  stop(): void;
}

/**
 * Calls `listener` from now on with records of what this package does, in all threads of this
 * process.
 *
 * Failures are records of the level `warn` or `error`, with an occasional `debug`. Each step of a
 * recovery or refresh is a record of the level `info`, at the end of the step:
 *
 * - `codex_auth.recovery`: a call of {@link AuthManager.recoverFromUnauthorized}.
 * - `codex_auth.refresh`: a refresh, once for all callers that share it. Its `purpose` is
 *   `rejected` (after a 401), `proactive` (before the expiry) or `repair`.
 * - `codex_auth.lock_wait`: the wait of a refresh for the refresh lock.
 * - `codex_auth.redemption`: one request to the token endpoint.
 * - `codex_auth.commit`: one save of refreshed tokens.
 *
 * Each step has an `outcome`, which is the `code` of the error if the step failed.
 *
 * The listener is called from the event loop of the thread that called this function, in order and
 * without much delay. While that event loop is busy, at most 1024 records wait, and a record of the
 * level `warn` says how many were dropped. The exit of the process delivers the remaining records.
 * Logging does not keep the process alive. If the listener throws, that is an uncaught exception,
 * and the next record is still delivered.
 *
 * @example
 * enableLogging(({ level, message, fields, durationMs }) => {
 *   logger[level]({ ...fields, durationMs }, message);
 * });
 */
export function enableLogging(listener: (record: LogRecord) => void): Logging {
  if (typeof listener !== 'function') {
    throw argumentError(`listener must be a function, not ${typeof listener}`);
  }
  return new Delivery(listener);
}

const running = new Set<Delivery>();

class Delivery implements Logging {
  readonly #listener: (record: LogRecord) => void;
  readonly #native: NativeLog;

  constructor(listener: (record: LogRecord) => void) {
    this.#listener = listener;
    this.#native = new NativeLog(() => this.deliver());
    if (running.size === 0) {
      // Exit hooks run in order: the one that waits for refreshes must come first.
      installExitHook();
      process.on('exit', deliverRest);
    }
    running.add(this);
  }

  stop(): void {
    this.#native.stop();
    running.delete(this);
    if (running.size === 0) {
      process.off('exit', deliverRest);
    }
  }

  deliver(): void {
    for (let next = this.#native.take(); next !== null; next = this.#native.take()) {
      if (!running.has(this)) continue;
      try {
        this.#listener(record(next));
      } catch (error) {
        process.nextTick(() => {
          throw error;
        });
      }
    }
  }
}

function deliverRest(): void {
  for (const delivery of running) delivery.deliver();
}

function record(native: NativeLogRecord): LogRecord {
  const { target, durationMs = null } = native;
  const message = inOwnSpelling(native.message);
  const level = native.level as LogRecord['level'];
  const fields = native.fields.map(({ name, value }) => [name, inOwnSpelling(value)]);
  return { level, target, message, fields: Object.fromEntries(fields), durationMs };
}
