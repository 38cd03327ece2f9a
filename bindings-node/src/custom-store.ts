import { AssertionError } from 'node:assert';

import { NativeCustomStore, brokenBy, finish, finished } from '../native.js';
import type { NativeConnection, NativeStoreCall, NativeStoreReply } from '../native.js';
import { keepThrown, mistake, unwrap } from './error.js';

/** A login as a store keeps it. */
export interface StoredLogin {
  /** The text that was saved, as it is. It contains tokens. */
  record: string;
  /** The name of this state of the store. */
  version: string;
}

/**
 * An object that keeps a login in a place of your own, such as a row of a database.
 *
 * Hand it to a manager as its `store`. The methods may return values or promises. A record is JSON
 * text of which a store knows nothing. A version is any string, and another one after every save.
 * `expected` is the version that `load` returned, null for "nothing is stored". Comparing it and
 * writing must be one step, so that no other writer comes in between, in whatever process.
 *
 * Without `tryLock` and `unlock`, one redemption of a refresh token is guaranteed within one
 * process only, and of the managers of one thread only where they share the store object.
 *
 * All methods are called on the thread that opened the manager, in order, from its event loop; the
 * next call does not wait for a promise of the one before, except for `tryLock` and `unlock`. What
 * a method throws arrives as the `cause` of a `store_unavailable`, and so does a return value of a
 * wrong type. A call that takes more than 15 s is given up, which is `store_unavailable`, too.
 *
 * The process stays until what is in flight is saved, 10 s at most. `process.exit` can wait only
 * for stores whose methods return no promises; call {@link AuthManager.close} first for others. A
 * worker that is terminated runs no JavaScript: what its store had still to save is lost.
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
  /** What is stored; null or undefined for nothing. */
  load(): Answer<StoredLogin | null | undefined>;
  /** Stores `record` if the store still has version `expected`; whether it did. */
  save(record: string, expected: string | null): Answer<boolean>;
  /** Removes the record if the store still has version `expected`; whether it did. */
  delete(expected: string | null): Answer<boolean>;
  /**
   * Takes a lock that excludes all other processes, if it is free; whether it was. It lasts until
   * `unlock`, or for `refreshDeadlineMs` at least, and ends with its process.
   */
  tryLock?(): Answer<boolean>;
  /** Gives the lock back; no error where it is not held. */
  unlock?(): Answer<unknown>;
}

type Answer<T> = T | PromiseLike<T>;

/** Whether `value` has the methods of a store. */
export function isCustomStore(value: unknown): value is CustomStore {
  const has = (name: string) => typeof (value as Record<string, unknown>)[name] === 'function';
  return typeof value === 'object' && value !== null && ['load', 'save', 'delete'].every(has);
}

const servers = new WeakMap<CustomStore, Server>();

/** What managers of `store` are opened with. */
export function connect(store: CustomStore): NativeConnection {
  let server = servers.get(store);
  if (server === undefined) {
    server = new Server(store);
    servers.set(store, server);
    serveUntilTheEnd(server);
  }
  return server.connect();
}

/**
 * Runs the suite that every store must pass on `store`, which must be empty at first and is empty
 * again at the end. For those who write one.
 *
 * @throws {AssertionError} What is broken; then something may be left in the store.
 */
export async function checkStore(store: CustomStore): Promise<void> {
  if (!isCustomStore(store)) {
    throw mistake('store must be an object with load, save and delete');
  }
  const broken = unwrap(await brokenBy(connect(store)));
  if (broken !== null) {
    throw new AssertionError({ message: broken });
  }
}

/** Makes the calls for one store. */
class Server {
  readonly #store: CustomStore;
  readonly #native: NativeCustomStore;
  /** The last call about the lock, where that is still to end: the next one comes after it. */
  #locking: Promise<unknown> | null = null;

  constructor(store: CustomStore) {
    const hasLock = typeof store.tryLock === 'function';
    if (hasLock !== (typeof store.unlock === 'function')) {
      throw mistake('store must have both tryLock and unlock, or neither');
    }
    this.#store = store;
    this.#native = new NativeCustomStore(store.constructor?.name ?? 'object', hasLock);
  }

  connect(): NativeConnection {
    return this.#native.connect(() => this.serve());
  }

  /** Makes all calls that wait; what returns no promise is answered when this returns. */
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
        return this.#callInOrder(() => this.#store[method as 'tryLock' | 'unlock']?.());
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
    throw mistake(`what ${method} returns must be a boolean, not ${typeof value}`);
  }
  return { done: value === true };
}

function stored(value: unknown): Partial<StoredLogin> {
  if (value === null || value === undefined) {
    return {};
  }
  const { record, version } = value as Partial<Record<keyof StoredLogin, unknown>>;
  if (typeof record !== 'string' || typeof version !== 'string') {
    throw mistake('what load returns must have a record and a version, both strings, or be null');
  }
  return { record, version };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}

/** How long an end waits for what is in flight. */
const LONGEST_WAIT_MS = 10_000;

const SLICE_MS = 20;

const serving = new Set<WeakRef<Server>>();

/** Sees to it that what is in flight at the end of the process is saved by the store, too. */
function serveUntilTheEnd(server: Server): void {
  if (serving.size === 0) {
    process.once('beforeExit', stayUntilFinished);
  }
  for (const known of serving) {
    if (known.deref() === undefined) serving.delete(known);
  }
  serving.add(new WeakRef(server));
}

let isHooked = false;

/** `process.exit` runs no hooks of the addon, so this waits for a refresh in flight there. */
export function finishesAtExit(): void {
  if (!isHooked) {
    isHooked = true;
    process.on('exit', finishAtExit);
  }
}

/**
 * Waits for what is in flight, where no event loop runs any more: custom stores are still called,
 * and what they return is used unless it is a promise.
 */
function finishAtExit(): void {
  const end = performance.now() + LONGEST_WAIT_MS;
  while (!finish(SLICE_MS) && performance.now() < end) {
    for (const server of serving) server.deref()?.serve();
  }
}

/** Keeps the event loop alive, which nothing else does for a refresh that nobody waits for. */
async function stayUntilFinished(): Promise<void> {
  if (!finish(0)) {
    await finished();
  }
}
