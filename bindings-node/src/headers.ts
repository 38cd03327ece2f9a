import { MANAGED_API_KEY } from '../native.js';
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

/**
 * Returns the `Authorization` by which a manager is asked to authorize a request, or null, and the
 * headers without the placeholder. A client may write that in a way of its own, or in a header such
 * as `api-key`. It is never sent.
 */
export function authorizationIn<Value>(headers: readonly Header<Value>[]): {
  authorization: string | null;
  kept: readonly Header<Value>[];
} {
  const kept = headers.filter(([, value]) => !String(value).includes(MANAGED_API_KEY));
  const own = kept.filter(([name]) => isNamed(name, 'authorization'));
  if (own.length > 0) {
    return { authorization: own.map(([, value]) => String(value)).join(', '), kept };
  }
  const isManaged = kept.length < headers.length;
  return isManaged ? { authorization: `Bearer ${MANAGED_API_KEY}`, kept } : { authorization: null, kept: headers };
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
export function without(headers: readonly Header[], names: readonly string[]): readonly Header[] {
  return headers.filter(([name]) => !names.some((unwanted) => isNamed(name, unwanted)));
}

function isNamed(name: string, other: string): boolean {
  return name.length === other.length && name.toLowerCase() === other.toLowerCase();
}

/** Returns whether headers are an iterable, not a record. */
export function isIterable<T>(value: Iterable<T> | object): value is Iterable<T> {
  return Symbol.iterator in value;
}
