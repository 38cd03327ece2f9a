export {
  AuthEvents,
  AuthManager,
  CodexAuth,
  CodexAuthError,
  EphemeralStorage,
  MANAGED_API_KEY,
  UnauthorizedRecovery,
  checkStore,
  createAuthFetch,
  createAuthInterceptor,
  enableLogging,
} from './index.js';
export type * from './index.js';
