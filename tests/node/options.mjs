// Options of a manager as the shared data names them: snake_case names, durations in seconds.

const DURATIONS = new Set([
  'refresh_window', 'winner_wait', 'refresh_deadline', 'request_timeout', 'lock_timeout',
]);

/** The same as an object for a manager. */
export function nodeOptions(options) {
  return Object.fromEntries(Object.entries(options).map(([option, value]) => {
    const name = option.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
    return DURATIONS.has(option) ? [`${name}Ms`, value * 1000] : [name, value];
  }));
}
