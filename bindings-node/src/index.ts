/**
 * Keeps a Codex login alive for every program that shares it.
 *
 * Start with {@link AuthManager}.
 *
 * @module codex-auth-sdk
 */

export { createAuthFetch } from './auth-fetch.js';
export type { AuthFetchOptions } from './auth-fetch.js';
export { createAuthInterceptor } from './auth-interceptor.js';
export { AuthManager } from './auth-manager.js';
export type {
  CloseOptions,
  LogoutOptions,
  LogoutOutcome,
  RecoveryDecision,
  StoreHolder,
  SyncKind,
  SyncOutcome,
  WaitOptions,
} from './auth-manager.js';
export { CodexAuth } from './codex-auth.js';
export type { AuthMode } from './codex-auth.js';
export { checkStore } from './custom-store.js';
export type { CustomStore, StoredLogin } from './custom-store.js';
export { EphemeralStorage } from './ephemeral-storage.js';
export { CodexAuthError } from './error.js';
export type { ErrorCode } from './error.js';
export type { AuthManagerOptions } from './options.js';
export { UnauthorizedRecovery } from './recovery.js';
export type { GiveUpReason } from './recovery.js';
export { MANAGED_API_KEY } from './request-authorization.js';
