import { AuthManager, createAuthFetch } from 'codex-auth-sdk';

const [baseURL, ...allowedOrigins] = process.argv.slice(2);
const manager = await AuthManager.open({ allowedOrigins });

const fetch = createAuthFetch(manager);

const response = await fetch(`${baseURL}/responses`, { method: 'POST', body: '{}' });
console.log(await response.text());
