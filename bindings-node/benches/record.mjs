/** Returns a stored login of a realistic size. Each number gives another login. */
export function record(number) {
  const claims = { exp: Math.floor(Date.now() / 1000) + 3600, iat: Math.floor(Date.now() / 1000), number };
  const account = { chatgpt_account_id: 'acct', chatgpt_user_id: 'user', chatgpt_plan_type: 'plus' };
  const jwt = (payload) => `e30.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.c2ln`;
  const padding = 'x'.repeat(1_100);
  const tokens = {
    id_token: jwt({ email: 'me@example.com', 'https://api.openai.com/auth': account, padding }),
    access_token: jwt({ ...claims, padding }),
    refresh_token: `rt_${number}`,
    account_id: 'acct',
  };
  const text = { auth_mode: 'chatgpt', OPENAI_API_KEY: null, tokens, last_refresh: new Date() };
  return JSON.stringify(text, null, 2).padEnd(4096);
}
