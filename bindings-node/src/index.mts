export {
  AuthEvents,
  AuthManager,
  BrowserLogin,
  CodexAuth,
  CodexAuthError,
  DeviceLogin,
  EphemeralStorage,
  MANAGED_API_KEY,
  UnauthorizedRecovery,
  checkStore,
  createAuthFetch,
  createAuthInterceptor,
  enableLogging,
} from './index.js';
export type * from './index.js';
