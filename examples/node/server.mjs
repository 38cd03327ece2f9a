// A web service whose every answer takes many calls at once, with the Codex login of this machine.
// It says how many of them succeeded.
// Usage: server.mjs PORT URL [ALLOWED_ORIGIN...]; port 0 is any free one.

import { createServer } from 'node:http';

import { AuthManager, createAuthFetch } from 'codex-auth-sdk';

const CALLS = 20;

const [port, url, ...allowedOrigins] = process.argv.slice(2);
const manager = await AuthManager.open({ allowedOrigins });
const fetch = createAuthFetch(manager);

const call = async () => {
  const response = await fetch(url);
  await response.arrayBuffer();
  return response.ok;
};

const server = createServer(async (_, response) => {
  const answers = await Promise.allSettled(Array.from({ length: CALLS }, call));
  const succeeded = answers.filter((answer) => answer.value === true).length;
  response.end(`${succeeded} of ${CALLS}`);
});
server.listen(Number(port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
process.once('SIGTERM', async () => {
  server.close();
  server.closeIdleConnections();
  await manager.close();
});
