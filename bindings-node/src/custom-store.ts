import { AssertionError } from 'node:assert';
import { isMainThread } from 'node:worker_threads';

import { NativeCustomStore, brokenBy, expectUnseenExit, finish, finished } from '../native.js';
import type { NativeConnection, NativeStoreCall, NativeStoreReply } from '../native.js';
import { keepThrown, argumentError, unwrap } from './error.js';

/** A stored login, as {@link CustomStore.load} returns it. */
export interface StoredLogin {
  /** The text that {@link CustomStore.save} was given, unchanged. It contains tokens. */
  record: string;
  /** The version of the stored login. It changes with every save. */
  version: string;
}

/**
 * An object that keeps a login in a place of the program's choice, such as a database row.
 *
 * Pass it to a manager as its `store`. Its methods may return values or promises. A record is JSON
 * text with tokens; the store does not interpret it. A version is a string that changes with every
 * save. `expected` is the version that `load` returned, or null if nothing was stored. A method
 * must compare it and write in one atomic step, so that no other process writes in between.
 *
 * `tryLock` and `unlock` are optional. Without them, managers redeem a refresh token once per
 * process, not once on the whole, and managers of one thread only if they share the store object.
 *
 * The methods are called on the thread that opened the manager, from its event loop, in order. A
 * call does not wait for the promise of the call before, except for `tryLock`, `renew` and
 * `unlock`. If a method throws, or returns a value of a wrong type, the manager throws `store_unavailable` with
 * that error as its `cause`. A call that takes more than 15 s is given up with `store_unavailable`.
 *
 * A process that ends by itself waits until all tokens are saved, for 10 s at most. `process.exit`
 * can wait only for methods that return no promises; for others call {@link AuthManager.close}
 * first. A worker thread that is terminated runs no JavaScript, so tokens that its store has not
 * saved are lost.
 *
 * @example
 * class Row {
 *   #db = new DatabaseSync('login.db'); // of node:sqlite
 *   constructor() {
 *     const table = 'login (id INTEGER PRIMARY KEY, record TEXT, version TEXT)';
 *     this.#db.exec(`CREATE TABLE IF NOT EXISTS ${table}`);
 *   }
 *   load() {
 *     return this.#db.prepare('SELECT record, version FROM login').get();
 *   }
 *   save(record, expected) {
 *     const row = [record, randomUUID()];
 *     if (expected === null) {
 *       return this.#write('INSERT INTO login VALUES (1, ?, ?) ON CONFLICT DO NOTHING', ...row);
 *     }
 *     const update = 'UPDATE login SET record = ?, version = ? WHERE version = ?';
 *     return this.#write(update, ...row, expected);
 *   }
 *   delete(expected) {
 *     if (expected === null) return this.load() === undefined;
 *     return this.#write('DELETE FROM login WHERE version = ?', expected);
 *   }
 *   #write(statement, ...values) {
 *     return Number(this.#db.prepare(statement).run(...values).changes) === 1;
 *   }
 * }
 * const manager = await AuthManager.open({ store: new Row() });
 */
export interface CustomStore {
  /** Returns the stored login, or null or undefined if nothing is stored. */
  load(): Answer<StoredLogin | null | undefined>;
  /** Stores `record` if the store still has the version `expected`. Returns whether it did. */
  save(record: string, expected: string | null): Answer<boolean>;
  /** Removes the login if the store still has the version `expected`. Returns whether it did. */
  delete(expected: string | null): Answer<boolean>;
  /**
   * Takes a lock that excludes all other processes, if it is free. Returns whether it did. The lock
   * must last until `unlock`, or for `refreshDeadlineMs` at least, and must be released when its
   * process ends.
   */
  tryLock?(): Answer<boolean>;
  /** Releases the lock. It does nothing if the lock is not held. */
  unlock?(): Answer<unknown>;
  /**
   * How long the lock lasts in milliseconds, if it ends by itself. A refresh token is redeemed only
   * if the lock is sure to last for a `requestTimeoutMs`, so a lease must exceed that.
   */
  leaseMs?: number;
  /**
   * Makes the lock last for another `leaseMs`, if this process still holds it. Returns whether it
   * does. It is called after each quarter of the lease while the lock is needed.
   */
  renew?(): Answer<boolean>;
}

/** What a method of a {@link CustomStore} returns: the answer, or a promise of it. */
export type Answer<T> = T | PromiseLike<T>;

/** Returns whether `value` has the methods of a store. */
export function isCustomStore(value: unknown): value is CustomStore {
  const has = (name: string) => typeof (value as Record<string, unknown>)[name] === 'function';
  return typeof value === 'object' && value !== null && ['load', 'save', 'delete'].every(has);
}

const servers = new WeakMap<CustomStore, StoreServer>();

/** Returns the connection that managers of `store` are opened with. */
export function connect(store: CustomStore): NativeConnection {
  let server = servers.get(store);
  if (server === undefined) {
    server = new StoreServer(store);
    servers.set(store, server);
    serveUntilExit(server);
  }
  return server.connect();
}

/**
 * Runs the conformance suite, which every store must pass, on `store`. The store must be empty at
 * first, and is empty again after the suite has passed.
 *
 * @throws {AssertionError} The rule that the store breaks. Then the store may still hold a record.
 */
export async function checkStore(store: CustomStore): Promise<void> {
  if (!isCustomStore(store)) {
    throw argumentError('store must be an object with load, save and delete');
  }
  const broken = unwrap(await brokenBy(connect(store)));
  if (broken !== null) {
    throw new AssertionError({ message: broken });
  }
}

function checkLease({ leaseMs, renew }: CustomStore, hasLock: boolean): void {
  const hasLease = leaseMs !== undefined;
  if (hasLease !== (typeof renew === 'function') || (hasLease && !hasLock)) {
    throw argumentError(
      'store must have leaseMs and renew together with tryLock and unlock, or neither',
    );
  }
  if (hasLease && !(leaseMs > 0 && leaseMs < Infinity)) {
    throw argumentError('leaseMs must be a positive number of milliseconds');
  }
}

/** Calls the methods of one store. */
class StoreServer {
  readonly #store: CustomStore;
  readonly #native: NativeCustomStore;
  /** The last call that concerns the lock, until it ends. The next one waits for it. */
  #locking: Promise<unknown> | null = null;

  constructor(store: CustomStore) {
    const hasLock = typeof store.tryLock === 'function';
    if (hasLock !== (typeof store.unlock === 'function')) {
      throw argumentError('store must have both tryLock and unlock, or neither');
    }
    checkLease(store, hasLock);
    this.#store = store;
    this.#native = new NativeCustomStore(
      store.constructor?.name ?? 'object',
      hasLock,
      store.leaseMs ?? null,
    );
  }

  connect(): NativeConnection {
    return this.#native.connect(() => this.serve());
  }

  /** Makes all calls that wait. A call that returns no promise is answered before this returns. */
  serve(): void {
    for (let call = this.#native.take(); call !== null; call = this.#native.take()) {
      this.#make(call);
    }
  }

  #make(call: NativeStoreCall): void {
    const fail = (error: unknown) => this.#native.fail(call.id, keepThrown(error));
    const answer = (value: unknown) => {
      try {
        this.#native.answer(call.id, reply(call.method, value));
      } catch (error) {
        fail(error);
      }
    };
    try {
      const value = this.#call(call);
      if (isThenable(value)) {
        value.then(answer, fail);
      } else {
        answer(value);
      }
    } catch (error) {
      fail(error);
    }
  }

  #call({ method, record, expected: version }: NativeStoreCall): unknown {
    const expected = version ?? null;
    switch (method) {
      case 'load':
        return this.#store.load();
      case 'save':
        return this.#store.save(record as string, expected);
      case 'delete':
        return this.#store.delete(expected);
      default:
        return this.#callInOrder(() => this.#store[method as 'tryLock' | 'renew' | 'unlock']?.());
    }
  }

  #callInOrder(call: () => unknown): unknown {
    const value = this.#locking === null ? call() : this.#locking.then(call);
    if (!isThenable(value)) {
      return value;
    }
    const ended = () => {
      if (this.#locking === locking) this.#locking = null;
    };
    const locking = Promise.resolve(value).then(ended, ended);
    this.#locking = locking;
    return value;
  }
}

function reply(method: string, value: unknown): NativeStoreReply {
  if (method === 'load') {
    return { done: true, ...stored(value) };
  }
  if (method !== 'unlock' && typeof value !== 'boolean') {
    throw argumentError(`what ${method} returns must be a boolean, not ${typeof value}`);
  }
  return { done: value === true };
}

function stored(value: unknown): Partial<StoredLogin> {
  if (value === null || value === undefined) {
    return {};
  }
  const { record, version } = value as Partial<Record<keyof StoredLogin, unknown>>;
  if (typeof record !== 'string' || typeof version !== 'string') {
    throw argumentError(
      'what load returns must have a record and a version, both strings, or be null',
    );
  }
  return { record, version };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}

/** How long the end of the process waits for tokens to be saved. */
const LONGEST_WAIT_MS = 10_000;

const SLICE_MS = 20;

const serving = new Set<WeakRef<StoreServer>>();

/** Makes the end of the process call the methods of a store until all tokens are saved. */
function serveUntilExit(server: StoreServer): void {
  if (serving.size === 0) {
    process.once('beforeExit', stayUntilFinished);
  }
  for (const known of serving) {
    if (known.deref() === undefined) serving.delete(known);
  }
  serving.add(new WeakRef(server));
}

let isHooked = false;

/**
 * Makes `process.exit`, which runs no hooks of the addon, wait for a refresh that is in flight. So
 * does SIGTERM in a child that talks to its parent: a pool of children, such as that of a test
 * runner, ends them by it. Some kill them soon after, so what is due there is not left to the end.
 */
export function installExitHook(): void {
  if (!isHooked) {
    isHooked = true;
    process.on('exit', finishAtExit);
    if (isMainThread && process.channel !== undefined) {
      expectUnseenExit();
      process.on('SIGTERM', finishAtSignal);
    }
  }
}

/** Ends the process by `signal` once it is finished, unless the program handles the signal. */
function finishAtSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) === 1) {
    finishAtExit();
    process.off(signal, finishAtSignal);
    process.kill(process.pid, signal);
  }
}

/**
 * Waits until no refresh is in flight and all tokens are saved. No event loop runs any more, so
 * this calls the methods of stores itself, and ignores the promises that they return.
 */
function finishAtExit(): void {
  const end = performance.now() + LONGEST_WAIT_MS;
  while (!finish(SLICE_MS) && performance.now() < end) {
    for (const server of serving) server.deref()?.serve();
  }
}

/** Keeps the event loop alive for a refresh that no caller waits for. */
async function stayUntilFinished(): Promise<void> {
  if (!finish(0)) {
    await finished();
  }
}
