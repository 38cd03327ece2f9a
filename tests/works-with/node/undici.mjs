import { Agent, request } from 'undici';

import { AuthManager, createAuthInterceptor } from 'codex-auth-sdk';

const [baseURL, ...allowedOrigins] = process.argv.slice(2);
const manager = await AuthManager.open({ allowedOrigins });

const dispatcher = new Agent().compose(createAuthInterceptor(manager));

const { body } = await request(`${baseURL}/responses`, { method: 'POST', body: '{}', dispatcher });
console.log(await body.text());
