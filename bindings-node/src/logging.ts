import { NativeLog } from '../native.js';
import type { NativeLogRecord } from '../native.js';
import { finishesAtExit } from './custom-store.js';
import { mistake } from './error.js';

/** Something that this package did, or that went wrong. No secrets, and no account. */
export interface LogRecord {
  /** `warn` and `error` are what went wrong; `info` is what the package does. */
  level: 'error' | 'warn' | 'info' | 'debug' | 'trace';
  /** The part of the package that it comes from. */
  target: string;
  /** What happened: the name of a step, or a sentence. */
  message: string;
  /** More about it, such as `outcome` and `purpose` of a step. */
  fields: Record<string, string>;
  /** How long a step took, in milliseconds; null for what is none. */
  durationMs: number | null;
}

/** What {@link enableLogging} has started. */
export interface Logging {
  /** Ends it. What waits is not delivered any more. */
  stop(): void;
}

/**
 * Calls `listener` from now on with what this package does in this process, all threads together.
 *
 * What goes wrong is a record of the level `warn` or `error`, with an occasional `debug`. What the
 * package does is `info`, one record for each step, at its end:
 *
 * - `codex_auth.recovery`: a call of {@link AuthManager.recoverFromUnauthorized}.
 * - `codex_auth.refresh`: a refresh, one for all who wait for it; `purpose` is `rejected`,
 *   `proactive` or `repair`.
 * - `codex_auth.lock_wait`: in a refresh, the way to its turn.
 * - `codex_auth.redemption`: one request to the token endpoint.
 * - `codex_auth.commit`: a save of refreshed tokens.
 *
 * Each has an `outcome`, which is the `code` of an error if it failed.
 *
 * The listener is called from the event loop of the thread that called this, in order and soon
 * after; where that is busy, at most 1024 records wait, and a `warn` tells how many are missing.
 * What is left when the process exits is delivered then. It keeps no process alive. What it throws
 * is an uncaught exception, and the next record is delivered all the same.
 *
 * @example
 * enableLogging(({ level, message, fields, durationMs }) => {
 *   logger[level]({ ...fields, durationMs }, message);
 * });
 */
export function enableLogging(listener: (record: LogRecord) => void): Logging {
  if (typeof listener !== 'function') {
    throw mistake(`listener must be a function, not ${typeof listener}`);
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
      // What the end of the process waits for comes first.
      finishesAtExit();
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
  const { target, message, durationMs = null } = native;
  const level = native.level as LogRecord['level'];
  const fields = Object.fromEntries(native.fields.map(({ name, value }) => [name, value]));
  return { level, target, message, fields, durationMs };
}
