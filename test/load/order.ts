/** The order in which things happen when nothing real decides it: a seeded scheduler and a clock of its own. */
import { setImmediate as realTurn } from 'node:timers';
import type { Scheduler } from 'fast-check';

/** Timers of a busy machine are late, ms. */
const leastWaitMs = 40;
/** What does not come to rest within so many steps never does. */
const stepLimit = 20_000;

let current: Order | undefined;

/** The order of the run that is going on. */
export function order(): Order {
  if (current === undefined) throw new Error('nothing is being rehearsed');
  return current;
}

/** Begin another run. */
export function beginOrder(scheduler: Scheduler): Order {
  current = new Order(scheduler);
  return current;
}

/** One run. What waits for its turn goes on when the scheduler picks it; what was found wrong is kept here. */
export class Order {
  readonly violations: string[] = [];
  /** Whether the host has begun to end. */
  ends = false;
  readonly #scheduler: Scheduler;
  /** Those that look again and again whether anything has happened: they look once after each thing that has. */
  readonly #lookers: (() => void)[] = [];
  #now = 0;
  #steps = 0;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** What `performance.now()` says meanwhile, ms. */
  get now(): number {
    return this.#now;
  }

  get steps(): number {
    return this.#steps;
  }

  /** Resolves when it is picked; the clock has gone on by `ms` then, if it was not later already. */
  async turn(label: string, ms = 0): Promise<void> {
    await this.#picked(label, ms);
    for (const look of this.#lookers.splice(0)) look();
  }

  /** The same for what changes nothing: two who look would have each other look for ever. */
  glance(label: string): Promise<void> {
    return this.#picked(label, 0);
  }

  async #picked(label: string, ms: number): Promise<void> {
    const due = this.#now + ms;
    await this.#scheduler.schedule(Promise.resolve(), label);
    this.#now = Math.max(this.#now + 0.01, due);
  }

  /** A timer that keeps no process alive: of somebody who only looks. */
  async idle(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#lookers.push(resolve);
    });
    await this.#scheduler.schedule(Promise.resolve(), `a look after ${ms} ms`);
    this.#now += ms;
  }

  /** A timer. */
  sleep(ms: number): Promise<void> {
    return this.turn(`${ms} ms pass`, Math.max(ms, leastWaitMs));
  }

  wrong(sentence: string): void {
    this.violations.push(`step ${this.#steps}: ${sentence}`);
  }

  /** Pick one after the other until nobody waits; `check` looks after each. Throws what was found wrong. */
  async toRest(check: () => void): Promise<void> {
    do {
      await this.#scheduler.waitNext(Math.min(1, this.#scheduler.count()));
      // What follows without another turn follows now.
      await new Promise((resolve) => {
        realTurn(resolve);
      });
      check();
      if (++this.#steps > stepLimit) this.wrong('it does not come to rest');
      if (this.violations.length > 0) throw new Error(this.violations.join('\n'));
    } while (this.#scheduler.count() > 0);
  }
}

/** `node:timers/promises` of the host that is rehearsed. */
export function sleep(ms: number, _value?: unknown, options?: { ref: boolean }): Promise<void> {
  return options?.ref === false ? order().idle(ms) : order().sleep(ms);
}

interface Timer {
  cancelled: boolean;
  unref: () => Timer;
}

/** `setTimeout` of the same. */
export function startTimer(work: () => void, ms = 0): Timer {
  const timer: Timer = { cancelled: false, unref: () => timer };
  void order()
    .sleep(ms)
    .then(() => {
      if (!timer.cancelled) work();
    });
  return timer;
}

export function stopTimer(timer: Timer | undefined): void {
  if (timer !== undefined) timer.cancelled = true;
}
