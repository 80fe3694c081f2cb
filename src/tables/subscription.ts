/** What one subscriber has still to read: changes in order, bounded in bytes. */
import { TenonError } from '../base/errors.js';
import type { TableChange } from '../binding/store.js';

/**
 * Changes of tables in the order in which they became true, each once. `next` rejects with `SubscriberTooSlow` when more
 * waits than the queue takes, with `ChangesGone` when what is next to read is not kept any more; it is done afterwards.
 * `return` ends it, also while a `next` waits; twice is fine.
 */
export interface Subscription extends AsyncIterableIterator<TableChange, undefined, undefined> {
  /**
   * Sequence, decimal digits, after which to go on when all that `next` gave has been used: it moves also while nothing is told, with
   * what others write.
   */
  readonly position: string;
  /** Settles once nothing can be missing in what `next` gives; rejects with `ChangesGone` when that is not kept any more. */
  readonly begun: Promise<void>;
  next(): Promise<IteratorResult<TableChange, undefined>>;
  return(): Promise<IteratorResult<TableChange, undefined>>;
}

/** What an entry costs beside its record, bytes. */
const entryBytes = 160;

/** Bytes a waiting change is counted with. */
export function sizeOf(change: TableChange): number {
  return entryBytes + change.key.length + (change.record?.json.length ?? 0);
}

interface Waiting {
  resolve(result: IteratorResult<TableChange, undefined>): void;
  reject(error: Error): void;
}

export interface ChangeQueueOptions {
  /** Bytes. */
  limit: number;
  /** Sequence after which it begins. */
  from: number;
  /** The sequence up to which everything for it has been put in. */
  readUpTo: () => number;
  /** Called once, when nothing more is taken. */
  atEnd: (tooSlow: boolean) => void;
}

/** The queue behind a subscription. */
export class ChangeQueue implements Subscription {
  readonly #limit: number;
  readonly #readUpTo: () => number;
  readonly #atEnd: (tooSlow: boolean) => void;
  #changes: TableChange[] = [];
  #first = 0;
  #bytes = 0;
  /** Sequence of the change that was given last. */
  #given: number;
  #waiting: Waiting[] = [];
  #roomWanted: (() => void) | undefined;
  #ended = false;
  #failure: Error | undefined;
  readonly begun: Promise<void>;
  #tellBegun: () => void = () => undefined;
  #tellNotBegun: (failure: Error) => void = () => undefined;

  constructor({ limit, from, readUpTo, atEnd }: ChangeQueueOptions) {
    this.begun = new Promise((resolve, reject) => {
      this.#tellBegun = resolve;
      this.#tellNotBegun = reject;
    });
    // Who does not ask for it hears of it by `next`.
    this.begun.catch(() => undefined);
    this.#limit = limit;
    this.#given = from;
    this.#readUpTo = readUpTo;
    this.#atEnd = atEnd;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get position(): string {
    if (this.#changes.length === 0 && !this.#ended) this.#given = Math.max(this.#given, this.#readUpTo());
    return String(this.#given);
  }

  /** Whether less than half of the limit waits. */
  get roomy(): boolean {
    return this.#bytes * 2 < this.#limit;
  }

  /** What it begins with is kept. Twice is fine. */
  begin(): void {
    this.#tellBegun();
  }

  /** Take a change; one that does not fit ends the subscription, and what waited is let go. */
  offer(change: TableChange): void {
    const size = sizeOf(change);
    if (this.#bytes > 0 && this.#bytes + size > this.#limit) {
      const next = 'read faster, or subscribe again from the last change that was read';
      this.#end(
        new TenonError('SubscriberTooSlow', `a subscriber of changes left more than ${this.#limit} bytes unread`, {
          next,
          details: { limit: this.#limit },
        }),
        true,
      );
      return;
    }
    this.add(change);
  }

  /** Take a change whatever waits already: for whoever waits for room by himself. */
  add(change: TableChange): void {
    if (this.#ended) return;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      this.#given = Number(change.sequence);
      waiting.resolve({ done: false, value: change });
      return;
    }
    this.#changes.push(change);
    this.#bytes += sizeOf(change);
  }

  /** Settles once less than half of the limit waits, or nothing more is taken. One call at a time. */
  room(): Promise<void> {
    if (this.#hasRoom()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#roomWanted = resolve;
    });
  }

  /** Nothing follows. What waits is still given; after a failure it is not. */
  finish(failure?: Error): void {
    this.#end(failure, false);
  }

  next(): Promise<IteratorResult<TableChange, undefined>> {
    const change = this.#changes[this.#first];
    if (change !== undefined) {
      this.#take(change);
      return Promise.resolve({ done: false, value: change });
    }
    if (!this.#ended) return new Promise((resolve, reject) => void this.#waiting.push({ resolve, reject }));
    const failure = this.#failure;
    this.#failure = undefined;
    return failure === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(failure);
  }

  return(): Promise<IteratorResult<TableChange, undefined>> {
    this.#end(undefined, false);
    this.#forget();
    this.#failure = undefined;
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(change: TableChange): void {
    this.#given = Number(change.sequence);
    this.#first += 1;
    this.#bytes -= sizeOf(change);
    if (this.#first === this.#changes.length) {
      this.#changes = [];
      this.#first = 0;
    } else if (this.#first >= 1024 && this.#first * 2 >= this.#changes.length) {
      this.#changes = this.#changes.slice(this.#first);
      this.#first = 0;
    }
    if (this.#hasRoom()) this.#tellRoom();
  }

  #hasRoom(): boolean {
    return this.#ended || this.roomy;
  }

  #tellRoom(): void {
    const wanted = this.#roomWanted;
    this.#roomWanted = undefined;
    wanted?.();
  }

  #end(failure: Error | undefined, tooSlow: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    if (failure === undefined) this.#tellBegun();
    else this.#tellNotBegun(failure);
    if (failure !== undefined) this.#forget();
    const [first, ...others] = this.#waiting.splice(0);
    if (first !== undefined && failure !== undefined) first.reject(failure);
    else {
      this.#failure = failure;
      first?.resolve({ done: true, value: undefined });
    }
    for (const other of others) other.resolve({ done: true, value: undefined });
    this.#tellRoom();
    this.#atEnd(tooSlow);
  }

  #forget(): void {
    this.#changes = [];
    this.#first = 0;
    this.#bytes = 0;
  }
}
