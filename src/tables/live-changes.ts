/** The newest changes of some tables, read once for everybody who follows them. */
import { setImmediate as turn } from 'node:timers/promises';
import type { ChangeFeed, TableChange } from '../binding/store.js';
import { type ChangeQueue, sizeOf } from './subscription.js';

/** Changes that are asked of a feed at once, at most; fewer once so many bytes have come. */
const batchSize = 64;
const batchBytes = 1024 * 1024;

/** A change on its way to its readers; its record is parsed once, and only when somebody looks into it. */
export class Arrival {
  readonly change: TableChange;
  /** Below 2^53: at a million writes a second that lasts for 285 years. */
  readonly sequence: number;
  #record: Record<string, unknown> | undefined;

  constructor(change: TableChange) {
    this.change = change;
    this.sequence = Number(change.sequence);
  }

  /** Only of a change that has one. */
  get record(): Record<string, unknown> {
    this.#record ??= JSON.parse(this.change.record?.json.toString() ?? '{}') as Record<string, unknown>;
    return this.#record;
  }
}

/** Somebody who follows. */
export interface Follower {
  readonly queue: ChangeQueue;
  /** Up to what it has read, or after what it begins. */
  after: number;
  wants(arrival: Arrival): boolean;
}

/** Who reads a feed. */
export interface FeedTaker {
  /** May put the next change off. */
  take(arrival: Arrival): Promise<void> | undefined;
  /** May put the next batch off, or end it all by false. */
  goOn?(): Promise<boolean>;
}

/** Read `feed` to its end, a batch at a time. */
export async function readFeed(feed: ChangeFeed, taker: FeedTaker): Promise<void> {
  let most = batchSize;
  for (;;) {
    if (taker.goOn !== undefined && !(await taker.goOn())) return;
    const changes = await feed.next(most);
    if (changes.length === 0) return;
    let bytes = 0;
    for (const change of changes) {
      bytes += sizeOf(change);
      const delay = taker.take(new Arrival(change));
      if (delay !== undefined) await delay;
    }
    most = bytes > batchBytes ? Math.max(1, most >> 1) : Math.min(batchSize, most << 1);
  }
}

/** What is kept is told in so many turns of the event loop. */
const portions = 8;

/**
 * One feed of the store, shared. The newest changes are kept a while, so that a follower who has read up to one of them joins without
 * a gap or a double.
 */
export class LiveChanges {
  readonly #feed: ChangeFeed;
  readonly #keptBytes: number;
  /** All, also those that have not joined yet. */
  readonly #followers = new Set<Follower>();
  readonly #joined = new Set<Follower>();
  #kept: Arrival[] = [];
  #bytes = 0;
  /** Bytes told in this turn of the event loop. */
  #told = 0;
  /** Sequence after which nothing is missing in what is kept. */
  #base: number;
  #last: number;

  /** @param base where `feed` begins */
  constructor(feed: ChangeFeed, base: number, keptBytes: number) {
    this.#feed = feed;
    this.#base = base;
    this.#last = base;
    this.#keptBytes = keptBytes;
  }

  /** Everybody who wants it to go on. */
  get followers(): ReadonlySet<Follower> {
    return this.#followers;
  }

  hold(follower: Follower): void {
    this.#followers.add(follower);
  }

  /** Sequence up to which everything has been told. */
  get position(): number {
    return Math.max(this.#last, Number(this.#feed.position()));
  }

  /** Tell `follower` every change after what it has read, from now on too. False when some are not kept here. */
  join(follower: Follower): boolean {
    if (this.#joined.has(follower)) return true;
    if (follower.after < this.#base) return false;
    for (const arrival of this.#kept) {
      if (arrival.sequence > follower.after && follower.wants(arrival)) follower.queue.add(arrival.change);
    }
    this.#joined.add(follower);
    return true;
  }

  hasJoined(follower: Follower): boolean {
    return this.#joined.has(follower);
  }

  leave(follower: Follower): void {
    this.#followers.delete(follower);
    this.#joined.delete(follower);
  }

  /** Read to the end; rejects when the feed does. */
  run(): Promise<void> {
    return readFeed(this.#feed, { take: (arrival) => this.#tell(arrival) });
  }

  close(): void {
    this.#feed.close();
  }

  #tell(arrival: Arrival): Promise<void> | undefined {
    this.#last = arrival.sequence;
    this.#keep(arrival);
    for (const follower of this.#joined) {
      if (arrival.sequence > follower.after && follower.wants(arrival)) follower.queue.offer(arrival.change);
    }
    this.#told += sizeOf(arrival.change);
    return this.#told * portions < this.#keptBytes ? undefined : this.#rest();
  }

  /** Who reads gets the time to: a batch that comes at once would overflow every queue. */
  async #rest(): Promise<void> {
    this.#told = 0;
    await turn();
  }

  #keep(arrival: Arrival): void {
    this.#kept.push(arrival);
    this.#bytes += sizeOf(arrival.change);
    let gone = 0;
    while (this.#bytes > this.#keptBytes && gone < this.#kept.length) {
      const oldest = this.#kept[gone] as Arrival;
      this.#bytes -= sizeOf(oldest.change);
      this.#base = oldest.sequence;
      gone += 1;
    }
    if (gone > 0) this.#kept.splice(0, gone);
  }
}
