/**
 * Keeps a Codex login alive for every program that shares it.
 *
 * A Codex login is an access token, an id token and a refresh token, which can be redeemed only
 * once. {@link AuthManager} manages a login, and is where to start.
 *
 * @module codex-auth-sdk
 */

export { AuthEvents } from './auth-events.js';
export type { AuthEventMap } from './auth-events.js';
export { createAuthFetch } from './auth-fetch.js';
export type { AuthFetchOptions } from './auth-fetch.js';
export { createAuthInterceptor } from './auth-interceptor.js';
export { AuthManager } from './auth-manager.js';
export type {
  CloseOptions,
  LogoutOptions,
  LogoutOutcome,
  RecoveryDecision,
  Stats,
  SyncKind,
  SyncOutcome,
} from './auth-manager.js';
export type { FollowStore, KeepFresh } from './background.js';
export { CodexAuth } from './codex-auth.js';
export type { AuthMode } from './codex-auth.js';
export { checkStore } from './custom-store.js';
export type { Answer, CustomStore, StoredLogin } from './custom-store.js';
export type {
  Description,
  KeyringPlace,
  LedgerDescription,
  LockPlace,
  LoginDescription,
  Place,
  Program,
  StoreDescription,
  StorePlaces,
} from './description.js';
export { EphemeralStorage } from './ephemeral-storage.js';
export { CodexAuthError } from './error.js';
export type { ErrorCode } from './error.js';
export { enableLogging } from './logging.js';
export type { LogRecord, Logging } from './logging.js';
export { BrowserLogin, DeviceLogin } from './login.js';
export type { LoginOptions } from './login.js';
export type { AuthManagerOptions, WaitOptions } from './options.js';
export { UnauthorizedRecovery } from './recovery.js';
export type { GiveUpReason } from './recovery.js';
export { MANAGED_API_KEY } from './request-authorization.js';
export type { StoreHolder } from './store-holder.js';
