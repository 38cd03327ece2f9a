// Custom stores for the tests: a record in a file, with the version beside it.

import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A store whose methods return values. Its swaps are one step because nothing else runs meanwhile. */
export class RowStore {
  #path;

  constructor(folder) {
    this.#path = join(folder, 'row.json');
  }

  load() {
    try {
      return JSON.parse(readFileSync(this.#path, 'utf8'));
    } catch {
      return null;
    }
  }

  save(record, expected) {
    if ((this.load()?.version ?? null) !== expected) return false;
    this.write(record);
    return true;
  }

  delete(expected) {
    if ((this.load()?.version ?? null) !== expected) return false;
    this.write(null);
    return true;
  }

  /** What is stored, as another program sees it. */
  read() {
    return this.load()?.record ?? null;
  }

  /** Replaces what is stored, as another program does. */
  write(record) {
    if (record === null) return rmSync(this.#path, { force: true });
    writeFileSync(`${this.#path}.new`, JSON.stringify({ record, version: randomUUID() }));
    renameSync(`${this.#path}.new`, this.#path);
  }
}

/** The same, whose methods return promises. */
export class AsyncRowStore {
  #row;

  constructor(folder) {
    this.#row = new RowStore(folder);
  }

  async load() {
    return this.#later(() => this.#row.load());
  }

  async save(record, expected) {
    return this.#later(() => this.#row.save(record, expected));
  }

  async delete(expected) {
    return this.#later(() => this.#row.delete(expected));
  }

  read() {
    return this.#row.read();
  }

  write(record) {
    this.#row.write(record);
  }

  async #later(work) {
    await new Promise(setImmediate);
    return work();
  }
}
