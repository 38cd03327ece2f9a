// A request with a login that is kept in SQLite instead of the Codex CLI's files.
// `custom-store.mjs import DATABASE RECORD` moves an `auth.json` into the database, so that nobody
// else refreshes its login; `custom-store.mjs DATABASE URL [ALLOWED_ORIGIN...]` sends a request.
//
// There is no lock that other processes see: one process at a time is to use the database.

import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite'; // Node 22 or later; any database will do

import { AuthManager, createAuthFetch } from 'codex-auth-sdk';

class Row {
  #db;
  constructor(path) {
    this.#db = new DatabaseSync(path);
    this.#db.exec('CREATE TABLE IF NOT EXISTS login (id INTEGER PRIMARY KEY, record TEXT, version TEXT)');
  }
  load() {
    return this.#db.prepare('SELECT record, version FROM login').get();
  }
  save(record, expected) {
    const row = [record, randomUUID()];
    return expected === null
      ? this.#write('INSERT INTO login VALUES (1, ?, ?) ON CONFLICT DO NOTHING', ...row)
      : this.#write('UPDATE login SET record = ?, version = ? WHERE version = ?', ...row, expected);
  }
  delete(expected) {
    if (expected === null) return this.load() === undefined;
    return this.#write('DELETE FROM login WHERE version = ?', expected);
  }
  #write(statement, ...values) {
    return Number(this.#db.prepare(statement).run(...values).changes) === 1;
  }
}

if (process.argv[2] === 'import') {
  const [database, record] = process.argv.slice(3);
  const isSaved = new Row(database).save(readFileSync(record, 'utf8'), null);
  if (!isSaved) throw new Error('the database has a login already');
  rmSync(record);
} else {
  const [database, url, ...allowedOrigins] = process.argv.slice(2);
  const manager = await AuthManager.open({ store: new Row(database), allowedOrigins });
  const response = await createAuthFetch(manager)(url);
  console.log(response.status);
}
