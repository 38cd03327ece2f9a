/** A process: its number, and the name of its program's file. */
export interface Program {
  pid: number;
  name: string | null;
}

/** Which store keeps the login, and what has chosen it. */
export interface StoreDescription {
  kind:
    | 'file'
    | 'keyring'
    | 'auto'
    | 'encrypted'
    | 'ephemeral'
    | 'agent'
    | 'postgres'
    | 'environment'
    | 'custom';
  chosenBy: 'option' | 'environment' | 'memory' | 'config' | 'default';
  /** Where the login is, in words. */
  location: string;
  /** The kind of store that held the login at the last read, if the store chooses between two. */
  holder: 'file' | 'keyring' | 'encrypted' | null;
  holderReason: string | null;
}

/** A file or a folder. */
export interface Place {
  /** The path as it was named. */
  path: string;
  /** The path behind all links. */
  resolved: string;
  isThere: boolean;
  isLink: boolean;
  isMountPoint: boolean;
  /** The permissions, in octal. */
  mode: string | null;
  owner: number | null;
  group: number | null;
}

/** An item of the keyring. The user is not asked to unlock the keyring for it. */
export interface KeyringPlace {
  service: string;
  account: string;
  /** Whether the keyring has answered. */
  isReached: boolean;
  isThere: boolean;
  /** Why the keyring has not answered. */
  problem: string | null;
}

/** A file whose lock guards the login. */
export interface LockPlace {
  path: string;
  purpose: 'refresh' | 'save';
  /** The process that holds the lock now, if one was seen to. Only Linux tells. */
  holder: Program | null;
}

/** Where the store keeps its login, and which locks guard it. */
export interface StorePlaces {
  home: Place | null;
  authJson: Place | null;
  encryptedFile: Place | null;
  keyring: KeyringPlace | null;
  /** The file in which programs with this package tell each other about refresh tokens. */
  ledger: string | null;
  locks: LockPlace[];
  /** Why something here is missing. */
  problem: string | null;
}

/** What is known of the refresh token. */
export interface LedgerDescription {
  /**
   * When a program with this package got it from the server. Null if another program did, or if
   * that was long ago.
   */
  refreshedAt: string | null;
  refreshedBy: Program | null;
  state: 'good' | 'in_doubt' | 'resting' | 'spent' | 'refused';
  /** Why the server refuses it, if it does: the `reason` of the error. */
  refused: string | null;
  /** Before which time it is not presented to the server. */
  notBefore: string | null;
}

/** The login in memory, without its tokens and without the email address. */
export interface LoginDescription {
  mode: string;
  accountId: string | null;
  userId: string | null;
  planType: string | null;
  expiresAt: string | null;
  isExpired: boolean;
  /** From when on the manager refreshes the access token ahead of time. */
  dueAt: string | null;
  /** When the tokens were stored, whichever program has stored them. */
  lastRefresh: string | null;
  ledger: LedgerDescription | null;
}

/**
 * What a manager says of itself for a bug report, by {@link AuthManager.describe}. It has no token,
 * no key and no email address. Times are RFC 3339 texts, and what is unknown is null.
 */
export interface Description {
  /** The version of this form. It counts up when a property changes its meaning or goes. */
  version: number;
  /** The version of this library. */
  library: string;
  describedAt: string;
  store: StoreDescription;
  places: StorePlaces;
  login: LoginDescription | null;
  refresh: 'auto' | 'never';
  /** The workspace that the option `accountId` names, if it names one. */
  pinnedAccountId: string | null;
  /** By how much the clock of this machine is ahead of the server's, if that was measured. */
  clockAheadSeconds: number | null;
  pendingSave: boolean;
}

/** Returns the description in `json`, with the names of properties as JavaScript writes them. */
export function description(json: string): Description {
  return JSON.parse(json, (_, value: unknown) => inCamelCase(value));
}

function inCamelCase(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return value;
  }
  const named = ([name, part]: [string, unknown]) => [camelCase(name), part] as const;
  return Object.fromEntries(Object.entries(value).map(named));
}

function camelCase(name: string): string {
  return name.replace(/_[a-z]/g, (found) => found.slice(1).toUpperCase());
}
