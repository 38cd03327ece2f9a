export {
  AuthManager,
  CodexAuth,
  CodexAuthError,
  EphemeralStorage,
  UnauthorizedRecovery,
} from './index.js';
export type * from './index.js';
