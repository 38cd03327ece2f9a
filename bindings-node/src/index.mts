export {
  AuthManager,
  CodexAuth,
  CodexAuthError,
  EphemeralStorage,
  UnauthorizedRecovery,
  checkStore,
} from './index.js';
export type * from './index.js';
