import ky from 'ky';

import { AuthManager, createAuthFetch } from 'codex-auth-sdk';

const [baseURL, ...allowedOrigins] = process.argv.slice(2);
const manager = await AuthManager.open({ allowedOrigins });
const fetch = createAuthFetch(manager);

const client = ky.create({ fetch });

console.log(await client.post(`${baseURL}/responses`, { json: {} }).text());
