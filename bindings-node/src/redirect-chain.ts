import type { Dispatcher } from 'undici';

type Handler = Dispatcher.DispatchHandler;
type OnStart = NonNullable<Handler['onResponseStart']>;

const REDIRECTS = [300, 301, 302, 303, 307, 308];

/** The chains whose requests a handler has sent: what follows redirects sends them with itself. */
const chains = new WeakMap<Handler, RedirectChain>();

/** The chain whose redirect is being passed on: a request that is sent meanwhile belongs to it. */
let passedOn: RedirectChain | null = null;

/**
 * A request with those that follow its redirects, in a dispatcher above this package's interceptor.
 *
 * A server that is redirected to chooses where the chain goes on. So a chain that has left its first
 * origin gets no credential any more, even if it comes back.
 */
export class RedirectChain {
  readonly #home: string;
  #hasLeft = false;

  constructor(home: string) {
    this.#home = home;
  }

  /** Returns the chain that a request to `origin` belongs to, whose events go to `handler`. */
  static of(handler: Handler, origin: string): RedirectChain {
    const chain = chains.get(handler) ?? passedOn ?? new RedirectChain(origin);
    chains.set(handler, chain);
    chain.#hasLeft ||= origin !== chain.#home;
    return chain;
  }

  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** Calls `pass`, which passes a redirect on. */
  passOn(pass: () => void): void {
    const outer = passedOn;
    passedOn = this;
    try {
      pass();
    } finally {
      passedOn = outer;
    }
  }
}

/** Passes the events of a request on to its handler, and notices a redirect. */
export class RedirectObserver implements Handler {
  readonly #handler: Handler;
  readonly #chain: RedirectChain;
  /** Is called with the target of a redirect before that is passed on. May throw. */
  readonly #check: (location: string) => void;
  #isRedirect = false;

  constructor(handler: Handler, chain: RedirectChain, check: (location: string) => void) {
    this.#handler = handler;
    this.#chain = chain;
    this.#check = check;
  }

  onRequestStart(...event: Parameters<NonNullable<Handler['onRequestStart']>>): void {
    this.#handler.onRequestStart?.(...event);
  }

  onRequestUpgrade(...event: Parameters<NonNullable<Handler['onRequestUpgrade']>>): void {
    this.#handler.onRequestUpgrade?.(...event);
  }

  onResponseStart(...event: Parameters<OnStart>): void {
    const [, status, { location }] = event;
    this.#isRedirect = location !== undefined && REDIRECTS.includes(status);
    if (this.#isRedirect) this.#check(String([location].flat()[0]));
    this.#passOn(() => this.#handler.onResponseStart?.(...event));
  }

  onResponseData(...event: Parameters<NonNullable<Handler['onResponseData']>>): void {
    this.#passOn(() => this.#handler.onResponseData?.(...event));
  }

  onResponseEnd(...event: Parameters<NonNullable<Handler['onResponseEnd']>>): void {
    this.#passOn(() => this.#handler.onResponseEnd?.(...event));
  }

  onResponseError(...event: Parameters<NonNullable<Handler['onResponseError']>>): void {
    this.#handler.onResponseError?.(...event);
  }

  #passOn(pass: () => void): void {
    if (this.#isRedirect) this.#chain.passOn(pass);
    else pass();
  }
}
