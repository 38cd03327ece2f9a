import got from 'got';

import { AuthManager } from 'codex-auth-sdk';

const [baseURL, ...allowedOrigins] = process.argv.slice(2);
const manager = await AuthManager.open({ allowedOrigins });

const client = got.extend({
  followRedirect: false,
  hooks: {
    beforeRequest: [
      async ({ context, headers, url }) => {
        if (!allowedOrigins.includes(url.origin)) return;
        context.recovery ??= manager.unauthorizedRecovery();
        context.auth = await manager.freshAuth();
        Object.assign(headers, context.auth?.headers());
      },
    ],
    afterResponse: [
      async (response, retry) => {
        const { auth, recovery } = response.request.options.context;
        if (response.statusCode !== 401 || !auth) return response;
        const decision = await manager.recoverFromUnauthorized(auth, recovery);
        return decision === 'retry' ? retry({}) : response;
      },
    ],
  },
});

console.log(await client.post(`${baseURL}/responses`, { json: {} }).text());
