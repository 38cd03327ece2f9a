import { types } from 'node:util';

/**
 * What `start` answers, or the signal's reason, whichever comes first. The signal ends the waiting
 * only: what was started goes on.
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
