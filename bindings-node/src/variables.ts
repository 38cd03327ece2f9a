/**
 * Returns the variables of this library in `process.env`. In Bun, in a worker, and in tests of Jest,
 * they may be others than those of the process.
 */
export function variables(): Record<string, string> {
  const ours = Object.entries(process.env).filter(
    // A test may have replaced the object by one that holds anything.
    (variable): variable is [string, string] =>
      /^codex_/i.test(variable[0]) && typeof variable[1] === 'string',
  );
  return Object.fromEntries(ours);
}
