import axios from 'axios';

import { AuthManager, createAuthFetch } from 'codex-auth-sdk';

const [baseURL, ...allowedOrigins] = process.argv.slice(2);
const manager = await AuthManager.open({ allowedOrigins });
const fetch = createAuthFetch(manager);

const client = axios.create({ adapter: 'fetch', env: { fetch } });

console.log((await client.post(`${baseURL}/responses`, {})).data);
