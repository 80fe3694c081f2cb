/** Clients with a connection each, which ask for one path again and again. */
import { Agent, get } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';

/** Between an answer and the next request of a client, ms: what is measured is a pause, not how much goes through. */
export const thinkMs = 5;
const answerMs = 30_000;
const keptFailures = 5;

interface Asked {
  readonly begun: number;
  readonly ended: number;
}

/** From a time to a time, both of `performance.now()`. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export class BenchClients {
  readonly #url: URL;
  readonly #agent: Agent;
  readonly #asked: Asked[] = [];
  readonly #failures = new Map<string, number>();
  #failed = 0;
  #status = 0;
  #running: Promise<unknown> = Promise.resolve();
  #stopped = false;
  /** Requests that ended before are not counted. */
  #since = 0;

  constructor(url: string, count: number) {
    this.#url = new URL(url);
    this.#agent = new Agent({ keepAlive: true, maxSockets: count });
  }

  /** What the path answers; every other status is a failure from then on. Rejects when nothing does. */
  async begin(count: number): Promise<number> {
    this.#status = await this.#ask();
    this.#running = Promise.all(Array.from({ length: count }, () => this.#follow()));
    return this.#status;
  }

  /** Forget what was counted so far. */
  forget(): void {
    this.#since = performance.now();
    this.#asked.length = 0;
    this.#failures.clear();
    this.#failed = 0;
  }

  get requests(): number {
    return this.#asked.length + this.#failed;
  }

  get failed(): number {
    return this.#failed;
  }

  /** The first kinds of them, each with how often. */
  get failures(): string[] {
    return [...this.#failures].map(([what, count]) => `${count} times ${what}`);
  }

  /** Times of all answers, ms. */
  get times(): number[] {
    return this.#asked.map(({ begun, ended }) => ended - begun);
  }

  /** The longest request that overlaps `span`, ms. */
  longestIn({ from, to }: Span): number {
    let longest = 0;
    for (const { begun, ended } of this.#asked)
      if (begun < to && ended > from) longest = Math.max(longest, ended - begun);
    return longest;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    this.#agent.destroy();
  }

  async #follow(): Promise<void> {
    while (!this.#stopped) {
      const begun = performance.now();
      try {
        const status = await this.#ask();
        const ended = performance.now();
        if (begun >= this.#since && status !== this.#status) this.#fail(`HTTP ${status}`);
        else if (begun >= this.#since) this.#asked.push({ begun, ended });
      } catch (error) {
        if (begun >= this.#since) this.#fail((error as NodeJS.ErrnoException).code ?? (error as Error).message);
      }
      await wait(thinkMs);
    }
  }

  #fail(what: string): void {
    this.#failed += 1;
    if (this.#failures.has(what) || this.#failures.size < keptFailures)
      this.#failures.set(what, (this.#failures.get(what) ?? 0) + 1);
  }

  #ask(): Promise<number> {
    return new Promise((resolve, reject) => {
      const request = get(this.#url, { agent: this.#agent, timeout: answerMs }, (response) => {
        response.on('error', reject);
        response.on('end', () => resolve(response.statusCode ?? 0));
        response.resume();
      });
      request.on('timeout', () => request.destroy(new Error(`no answer within ${answerMs / 1000} s`)));
      request.on('error', reject);
    });
  }
}
