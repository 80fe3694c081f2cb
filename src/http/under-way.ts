/** The requests under way when a host is to end so that another one begins: everybody is served until they are over. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../base/log.js';
import type { RequestMeters, RequestUnderWay } from './metrics-requests.js';

const lookMs = 10;
/** Whom the end waits for is said when it has waited so long, ms. */
const toldMs = 1_000;

export class UnderWay {
  readonly #requests: Pick<RequestMeters, 'underWay'>;
  readonly #log: Log;
  readonly #enough = new AbortController();

  constructor(requests: Pick<RequestMeters, 'underWay'>, log: Log) {
    this.#requests = requests;
    this.#log = log;
  }

  /** What is under way now has ended, `limitMs` have passed, or `hurry` was called. Event streams and WebSockets are not waited for. */
  async over(limitMs: number): Promise<void> {
    const { signal } = this.#enough;
    const before = new Set(this.#requests.underWay().keys());
    const end = performance.now() + limitMs;
    const left = (): RequestUnderWay[] =>
      before.size === 0 ? [] : [...this.#requests.underWay()].flatMap(([one, what]) => (before.has(one) ? what : []));
    const telling = this.#tellSoon(left, 'everybody is served meanwhile');
    while (!signal.aborted && left().length > 0 && performance.now() < end)
      await sleep(lookMs, undefined, { signal }).catch(() => {}); // cut short on purpose
    clearTimeout(telling);
  }

  /** Whoever waits for `over` waits no more, now and later. */
  hurry(): void {
    this.#enough.abort();
  }

  /** Resolves with `closed`: from now on nobody else is served. */
  async last(closed: Promise<unknown>): Promise<void> {
    const telling = this.#tellSoon(() => [...this.#requests.underWay().values()], 'nobody else is served meanwhile');
    await closed.finally(() => clearTimeout(telling));
  }

  #tellSoon(left: () => RequestUnderWay[], meanwhile: string): NodeJS.Timeout {
    return setTimeout(() => {
      const [longest, ...others] = left().toSorted((one, other) => other.ms - one.ms);
      if (longest === undefined) return;
      const { plugin, method, route, ms } = longest;
      const whose = plugin === '' ? '' : ` of ${plugin}`;
      const more = others.length === 0 ? '' : `, and for ${others.length} more`;
      this.#log.info(
        { ...longest, requests: 1 + others.length },
        `the end waits for ${method} ${route}${whose}, which is under way for ${ms} ms${more}: ${meanwhile}`,
      );
    }, toldMs).unref();
  }
}
