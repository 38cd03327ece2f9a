// What a program in TypeScript relies on; checked, never run.

import { on, once } from 'node:events';

import {
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
  type AuthEventMap,
  type AuthManagerOptions,
  type AuthMode,
  type CustomStore,
  type Description,
  type ErrorCode,
  type FollowStore,
  type GiveUpReason,
  type KeepFresh,
  type LogRecord,
  type Logging,
  type LoginOptions,
  type LogoutOutcome,
  type RecoveryDecision,
  type Stats,
  type StoreHolder,
  type SyncKind,
  type SyncOutcome,
} from 'codex-auth-sdk';
import { OpenAI } from 'openai';
import { Agent, type Dispatcher } from 'undici';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only if `A` and `B` are one type. */
function same<A, B>(..._: Same<A, B> extends true ? [] : [never]): void {}

const options: AuthManagerOptions = {
  codexHome: '/home/me/.codex',
  store: 'file',
  refresh: 'never',
  accountId: 'acct',
  refreshWindowMs: 1,
  winnerWaitMs: 1,
  refreshDeadlineMs: 1,
  requestTimeoutMs: 1,
  lockTimeoutMs: 1,
  tokenUrl: 'https://example.com',
  revokeUrl: 'https://example.com',
  issuer: 'https://example.com',
  clientId: 'client',
  originator: 'program',
  userAgent: 'program/1',
  proxy: 'http://proxy:3128',
  allowedOrigins: ['https://gateway.example'],
  tokenEncoding: 'form',
};
const manager = new AuthManager(options);
new AuthManager();
new AuthManager({ store: new EphemeralStorage({ OPENAI_API_KEY: 'sk' }), accountId: undefined });
class Row implements CustomStore {
  load() {
    return { record: '{}', version: '1' };
  }
  async save(record: string, expected: string | null) {
    return record !== expected;
  }
  delete(_expected: string | null) {
    return Promise.resolve(true);
  }
}
new AuthManager({ store: new Row() });
const { signal } = new AbortController();

same<ReturnType<typeof AuthManager.open>, Promise<AuthManager>>();
same<ReturnType<typeof AuthManager.openUnread>, AuthManager>();
same<ReturnType<AuthManager['auth']>, CodexAuth | null>();
same<ReturnType<AuthManager['freshAuthIfReady']>, CodexAuth | null>();
same<ReturnType<AuthManager['freshAuth']>, Promise<CodexAuth | null>>();
same<ReturnType<AuthManager['refreshToken']>, Promise<CodexAuth | null>>();
same<ReturnType<AuthManager['reload']>, Promise<boolean>>();
same<ReturnType<AuthManager['syncFromStorage']>, Promise<SyncOutcome>>();
same<ReturnType<AuthManager['unauthorizedRecovery']>, UnauthorizedRecovery>();
same<ReturnType<AuthManager['recoverFromUnauthorized']>, Promise<RecoveryDecision>>();
same<ReturnType<AuthManager['loginWithBrowser']>, Promise<BrowserLogin>>();
same<ReturnType<AuthManager['loginWithDeviceCode']>, Promise<DeviceLogin>>();
same<ReturnType<AuthManager['resumeLoginWithBrowser']>, Promise<BrowserLogin>>();
same<ReturnType<AuthManager['resumeLoginWithDeviceCode']>, Promise<DeviceLogin>>();
same<ReturnType<AuthManager['loginWithApiKey']>, Promise<CodexAuth>>();
same<ReturnType<AuthManager['loginWithAccessToken']>, Promise<CodexAuth>>();
same<ReturnType<BrowserLogin['wait']>, Promise<CodexAuth>>();
same<ReturnType<BrowserLogin['complete']>, Promise<CodexAuth>>();
same<ReturnType<BrowserLogin['openBrowser']>, void>();
same<BrowserLogin['authorizationUrl'], string>();
same<ReturnType<DeviceLogin['wait']>, Promise<CodexAuth>>();
same<DeviceLogin['verificationUriComplete'], string | null>();
same<DeviceLogin['expiresInMs'], number>();
same<ReturnType<AuthManager['logout']>, Promise<LogoutOutcome>>();
same<ReturnType<AuthManager['close']>, Promise<boolean>>();
same<AuthManager['pendingSave'], boolean>();
same<AuthManager['storeHolder'], StoreHolder | null>();
same<ReturnType<AuthManager['keepFresh']>, KeepFresh>();
same<ReturnType<AuthManager['followStore']>, FollowStore>();
same<ReturnType<AuthManager['subscribe']>, AuthEvents>();
same<ReturnType<AuthManager['stats']>, Stats>();
same<Stats['lockWaitMs'], number>();
same<ReturnType<AuthManager['describe']>, Promise<Description>>();
same<Description['places']['locks'][number]['purpose'], 'refresh' | 'save'>();
same<ReturnType<typeof enableLogging>, Logging>();
same<LogRecord['fields'], Record<string, string>>();
same<LogRecord['durationMs'], number | null>();
same<AuthEventMap['refresh_failed'], [error: CodexAuthError]>();
same<AuthEventMap['login_failed'], [error: CodexAuthError]>();
same<ReturnType<typeof checkStore>, Promise<void>>();
same<RecoveryDecision, 'retry' | 'give_up'>();
same<SyncOutcome['kind'], SyncKind>();
same<CodexAuth['mode'], AuthMode>();
same<CodexAuth['accessToken'], string | null>();
same<CodexAuth['expiresAt'], Date | null>();
same<CodexAuth['isFedramp'], boolean>();
same<ReturnType<CodexAuth['headers']>, Record<string, string>>();
same<UnauthorizedRecovery['giveUpReason'], GiveUpReason | null>();
same<CodexAuthError['code'], ErrorCode>();
same<CodexAuthError['reason'], string | null>();
same<CodexAuthError['isTransient'], boolean>();
same<CodexAuthError['retryAfterMs'], number | null>();
same<CodexAuthError['response'], Response | null>();
same<ReturnType<typeof createAuthFetch>, typeof fetch>();
same<typeof MANAGED_API_KEY, string>();
same<ReturnType<EphemeralStorage['record']>, string | null>();

export const authFetch: typeof fetch = createAuthFetch(manager, { fetch });
export const openai = new OpenAI({ apiKey: MANAGED_API_KEY, fetch: authFetch });
export const agent: Dispatcher = new Agent().compose(createAuthInterceptor(manager));

export async function request(url: string): Promise<Response> {
  await using own = await AuthManager.open({}, { signal });
  const recovery = own.unauthorizedRecovery();
  for (;;) {
    const auth = (own.freshAuthIfReady() ?? (await own.freshAuth({ signal }))) as CodexAuth;
    const response = await fetch(url, { headers: auth.headers(), signal });
    if (response.status !== 401) {
      return response;
    }
    if ((await own.recoverFromUnauthorized(auth, recovery, { signal })) === 'give_up') {
      const reason: GiveUpReason | null = recovery.giveUpReason;
      throw new Error(`sign in again: ${reason}`);
    }
  }
}

export function handle(error: unknown): ErrorCode | undefined {
  return error instanceof CodexAuthError && !error.isTransient ? error.code : undefined;
}

export async function watch(): Promise<void> {
  const events = manager.subscribe();
  events.on('refreshed', () => {});
  events.on('store_changed', (holder) => same<typeof holder, StoreHolder>());
  events.on('credential_left_out', ({ code }) => same<typeof code, ErrorCode>());
  events.once('save_failed', ({ code }) => same<typeof code, ErrorCode>());
  events.off('missed', (count) => same<typeof count, number>());
  await once(events, 'adopted', { signal });
  for await (const [error] of on(events, 'refresh_failed', { signal, close: ['close'] })) {
    handle(error);
  }
  events.stop();
  const logging = enableLogging(({ level, message }) => console[level](message));
  logging.stop();
  manager.keepFresh().stop();
  manager.followStore().stop();

  // @ts-expect-error There is no such event.
  events.on('refreshing', () => {});
  // @ts-expect-error It has no number.
  events.on('refreshed', (count: number) => count);
  // @ts-expect-error Events are made by managers.
  new AuthEvents();
  // @ts-expect-error A listener is needed.
  enableLogging();
}

export async function signIn(): Promise<void> {
  const options: LoginOptions = {
    allowedWorkspaces: ['acct'],
    revokeReplaced: true,
    timeoutMs: 1,
    ports: [1455, 0],
    manual: true,
    protocol: 'standard',
    scope: 'openid',
    idTokenValidation: 'required',
    signal,
  };
  using browser = await manager.loginWithBrowser(options);
  browser.openBrowser();
  await browser.complete('http://localhost:1455/auth/callback', { signal });
  using device = await manager.loginWithDeviceCode();
  console.log(device.userCode, device.verificationUri);
  await device.wait({ signal });
  device.cancel();
  await manager.loginWithApiKey('sk', { signal });
  await manager.loginWithAccessToken('at', { signal });
  manager.subscribe().on('login_pending', () => {}).on('login_failed', handle);

  // @ts-expect-error Sign-ins are begun by managers.
  new BrowserLogin();
  // @ts-expect-error Sign-ins are begun by managers.
  new DeviceLogin();
  // @ts-expect-error There is no such protocol.
  await manager.loginWithBrowser({ protocol: 'saml' });
  // @ts-expect-error Ports come as a list.
  await manager.loginWithBrowser({ ports: 1455 });
  // @ts-expect-error Nothing is pasted for a device.
  await device.complete('');
}

export async function rest(): Promise<void> {
  await manager.logout({ revoke: false, anyAccount: true, signal });
  await manager.close({ timeoutMs: 1 });

  // @ts-expect-error A snapshot is immutable.
  manager.auth()!.accessToken = 'x';
  // @ts-expect-error A snapshot may be null.
  manager.auth().accessToken;
  // @ts-expect-error Snapshots are made by managers.
  new CodexAuth();
  // @ts-expect-error Recoveries are made by managers.
  new UnauthorizedRecovery();
  // @ts-expect-error There is no such store.
  new AuthManager({ store: 'vault' });
  // @ts-expect-error A store has three methods.
  new AuthManager({ store: { load: () => null } });
  // @ts-expect-error Origins come as a list.
  new AuthManager({ allowedOrigins: 'https://gateway.example' });
  // @ts-expect-error A fetch is needed.
  createAuthFetch(manager, { fetch: (url: number) => url });
  // @ts-expect-error There is no such option.
  new AuthManager({ codexhome: 'x' });
  // @ts-expect-error Durations are numbers.
  new AuthManager({ winnerWaitMs: '1' });
  // @ts-expect-error `revoke` is named.
  await manager.logout(true);
  // @ts-expect-error There is no such code of a decision.
  (await manager.recoverFromUnauthorized(manager.auth()!, manager.unauthorizedRecovery())) === 'giveUp';
}
