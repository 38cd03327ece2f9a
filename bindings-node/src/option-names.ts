/** The options whose names the core spells in another way, as it spells them. */
const SPELLED: Record<string, string> = {
  account_id: 'accountId',
  allowed_origins: 'allowedOrigins',
  allowed_workspaces: 'allowedWorkspaces',
  client_id: 'clientId',
  codex_home: 'codexHome',
  enable_codex_api_key_env: 'enableCodexApiKeyEnv',
  id_token_validation: 'idTokenValidation',
  lock_timeout: 'lockTimeoutMs',
  refresh_deadline: 'refreshDeadlineMs',
  refresh_window: 'refreshWindowMs',
  request_timeout: 'requestTimeoutMs',
  revoke_replaced: 'revokeReplaced',
  revoke_url: 'revokeUrl',
  store_key: 'storeKey',
  token_encoding: 'tokenEncoding',
  token_url: 'tokenUrl',
  user_agent: 'userAgent',
  winner_wait: 'winnerWaitMs',
};

/** Text between quotes, which is a value, or a word that may be the name of an option. */
const VALUE_OR_WORD = /"(?:[^"\\]|\\.)*"|\b[a-z]+(?:_[a-z]+)+\b/g;

/** Returns a message about options with their names as programs write them. */
export function inOwnSpelling(message: string): string {
  return message.replace(VALUE_OR_WORD, (found) => SPELLED[found] ?? found);
}
