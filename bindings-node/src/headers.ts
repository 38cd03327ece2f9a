import { headerPairs } from './codex-auth.js';
import type { CodexAuth } from './codex-auth.js';

/** A header; what it is made of is checked by whoever sends it. */
export type Header<Value = string> = readonly [name: string, value: Value];

/** The headers of an iterable or of an object. */
export function headersOf<Value>(
  headers: Iterable<Header<Value>> | Readonly<Record<string, Value>> | null | undefined,
): Header<Value>[] {
  if (headers === null || headers === undefined) {
    return [];
  }
  return isIterable(headers) ? [...headers] : Object.entries(headers);
}

/** The header `Authorization`, if there is one. */
export function authorizationIn(headers: readonly Header<unknown>[]): string | null {
  const values = headers.filter(([name]) => isNamed(name, 'authorization'));
  return values.length === 0 ? null : values.map(([, value]) => String(value)).join(', ');
}

/** `headers` with those of `auth` in the place of their namesakes. */
export function withAuth<Value>(
  headers: readonly Header<Value>[],
  auth: CodexAuth,
): Header<Value | string>[] {
  const own = headerPairs(auth);
  const isOthers = ([name]: Header<Value>) => !own.some(([taken]) => isNamed(name, taken));
  return [...headers.filter(isOthers), ...own];
}

/** `headers` without those of these names. */
export function without(headers: readonly Header[], names: readonly string[]): Header[] {
  return headers.filter(([name]) => !names.some((unwanted) => isNamed(name, unwanted)));
}

function isNamed(name: string, other: string): boolean {
  return name.length === other.length && name.toLowerCase() === other.toLowerCase();
}

/** Whether headers are an iterable, not an object. */
export function isIterable<T>(value: Iterable<T> | object): value is Iterable<T> {
  return Symbol.iterator in value;
}
