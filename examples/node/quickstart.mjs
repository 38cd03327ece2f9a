// One request with the Codex login of this machine.
// Usage: quickstart.mjs URL [ALLOWED_ORIGIN...]

import { AuthManager, createAuthFetch } from 'codex-auth-sdk';

const [url, ...allowedOrigins] = process.argv.slice(2);

const manager = await AuthManager.open({ allowedOrigins });
const fetch = createAuthFetch(manager);
const response = await fetch(url);
console.log(response.status);
