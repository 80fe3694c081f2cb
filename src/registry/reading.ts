/** Reads plugins, one query at a time: so no answer is older than one that came before it. */

export interface Reader {
  all: () => Promise<void>;
  named: (names: readonly string[]) => Promise<void>;
  /** A read has failed while there is a connection; everything is read again. */
  failed: (error: unknown, retryMs: number) => void;
}

interface Waiter {
  readonly done: () => void;
  readonly fail: (error: unknown) => void;
}

/** Names of one query; where more wait, everything is read. */
const mostNames = 500;
/** Between reads for hints alone, ms: what is told meanwhile goes into the next one. */
const hintGapMs = 50;
const wholeGapMs = 200;
const retryMs = { first: 500, most: 30_000 };

/** Hints coalesce; whoever waits for a read gets one that began after it was asked for. */
export class Reading {
  readonly #reader: Reader;
  readonly #names = new Set<string>();
  #whole = false;
  #waiters: Waiter[] = [];
  /** Why nothing can be read. */
  #away: Error | undefined = new Error('the registry was not reached yet');
  #connection = 0;
  #busy = false;
  #timer: NodeJS.Timeout | undefined;
  #ended = 0;
  #failures = 0;

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /** There is a connection: everything is read. */
  begin(): void {
    this.#away = undefined;
    this.#connection += 1;
    this.#failures = 0;
    this.#whole = true;
    this.#schedule(0);
  }

  /** There is none any more: whoever waits gets `error`. */
  pause(error: Error): void {
    this.#away = error;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#names.clear();
    for (const { fail } of this.#waiters.splice(0)) fail(error);
  }

  /** To be read soon: one plugin, or everything. */
  hint(name?: string): void {
    if (name === undefined) this.#whole = true;
    else if (!this.#whole) this.#names.add(name);
    if (this.#names.size > mostNames) this.#whole = true;
    this.#schedule(this.#whole ? wholeGapMs : hintGapMs);
  }

  /** Read one plugin, or everything, now. Rejects with what the read rejects with. */
  now(name?: string): Promise<void> {
    if (this.#away !== undefined) return Promise.reject(this.#away);
    if (name === undefined) this.#whole = true;
    else this.#names.add(name);
    return new Promise((done, fail) => {
      this.#waiters.push({ done, fail });
      this.#schedule(0);
    });
  }

  #schedule(gapMs: number): void {
    if (this.#away !== undefined || this.#busy) return;
    const waitMs = this.#waiters.length > 0 ? 0 : Math.max(0, this.#ended + gapMs - performance.now());
    if (this.#timer !== undefined && waitMs > 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#read(), waitMs);
  }

  async #read(): Promise<void> {
    this.#timer = undefined;
    this.#busy = true;
    const connection = this.#connection;
    const whole = this.#whole;
    const names = [...this.#names];
    const waiters = this.#waiters.splice(0);
    this.#whole = false;
    this.#names.clear();
    let gapMs = 0;
    try {
      await (whole ? this.#reader.all() : this.#reader.named(names));
      this.#failures = 0;
      for (const { done } of waiters) done();
    } catch (error) {
      this.#whole = true;
      for (const { fail } of waiters) fail(error);
      if (connection === this.#connection) gapMs = this.#failed(error);
    }
    this.#busy = false;
    this.#ended = performance.now();
    if (connection !== this.#connection) this.#schedule(0);
    else if (this.#whole || this.#names.size > 0)
      this.#schedule(gapMs > 0 ? gapMs : this.#whole ? wholeGapMs : hintGapMs);
  }

  #failed(error: unknown): number {
    const waitMs = Math.min(retryMs.most, retryMs.first * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    if (this.#away === undefined) this.#reader.failed(error, waitMs);
    return waitMs;
  }
}
