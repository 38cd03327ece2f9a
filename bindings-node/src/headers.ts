import { headerPairs } from './codex-auth.js';
import type { CodexAuth } from './codex-auth.js';

/** A header. The function that sends it checks its name and value. */
export type Header<Value = string> = readonly [name: string, value: Value];

/** Returns the headers in an iterable or an object as pairs. */
export function headersOf<Value>(
  headers: Iterable<Header<Value>> | Readonly<Record<string, Value>> | null | undefined,
): Header<Value>[] {
  if (headers === null || headers === undefined) {
    return [];
  }
  return isIterable(headers) ? [...headers] : Object.entries(headers);
}

/** Returns the value of the header `Authorization`, or null. */
export function authorizationIn(headers: readonly Header<unknown>[]): string | null {
  const values = headers.filter(([name]) => isNamed(name, 'authorization'));
  return values.length === 0 ? null : values.map(([, value]) => String(value)).join(', ');
}

/** Returns `headers` with those of `auth` added. A header of `auth` replaces one with its name. */
export function withAuth<Value>(
  headers: readonly Header<Value>[],
  auth: CodexAuth,
): Header<Value | string>[] {
  const own = headerPairs(auth);
  const isOthers = ([name]: Header<Value>) => !own.some(([taken]) => isNamed(name, taken));
  return [...headers.filter(isOthers), ...own];
}

/** Returns `headers` without those that have one of `names`. */
export function without<Value>(
  headers: readonly Header<Value>[],
  names: readonly string[],
): Header<Value>[] {
  return headers.filter(([name]) => !names.some((unwanted) => isNamed(name, unwanted)));
}

function isNamed(name: string, other: string): boolean {
  return name.length === other.length && name.toLowerCase() === other.toLowerCase();
}

/** Returns whether headers are an iterable, not a record. */
export function isIterable<T>(value: Iterable<T> | object): value is Iterable<T> {
  return Symbol.iterator in value;
}
