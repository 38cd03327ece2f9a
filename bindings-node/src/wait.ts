import { types } from 'node:util';

/**
 * Calls `start` and returns its answer. The signal ends the wait for it: the promise is then
 * rejected with the signal's reason, and what `start` has begun goes on.
 */
export function wait<T>(
  signal: AbortSignal | undefined,
  start: () => T | Promise<T>,
): T | Promise<T> {
  signal?.throwIfAborted();
  const answer = start();
  if (signal === undefined || !types.isPromise(answer)) {
    return answer;
  }
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    answer.finally(() => signal.removeEventListener('abort', abort)).then(resolve, reject);
  });
}
