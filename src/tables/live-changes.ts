/** The newest changes of some tables, read once for everybody who follows them. */
import type { ChangeFeed, TableChange } from '../binding/store.js';
import { type ChangeQueue, sizeOf } from './subscription.js';

/** Changes that are asked of a feed at once. */
const batchSize = 64;

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
  /** Sequence of what was read last, or after which to begin. */
  after: number;
  /** What it reads alone. */
  ownFeed?: ChangeFeed;
  wants(arrival: Arrival): boolean;
}

/** Read `feed` to its end, a batch at a time. `ready` may put the next batch off, or end it all by false. */
export async function readFeed(
  feed: ChangeFeed,
  take: (arrival: Arrival) => void,
  ready?: () => Promise<boolean>,
): Promise<void> {
  for (;;) {
    if (ready !== undefined && !(await ready())) return;
    const changes = await feed.next(batchSize);
    if (changes.length === 0) return;
    for (const change of changes) take(new Arrival(change));
  }
}

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
  /** Sequence after which nothing is missing in what is kept. */
  #base: number;

  /** @param base where `feed` begins */
  constructor(feed: ChangeFeed, base: number, keptBytes: number) {
    this.#feed = feed;
    this.#base = base;
    this.#keptBytes = keptBytes;
  }

  /** Everybody who wants it to go on. */
  get followers(): ReadonlySet<Follower> {
    return this.#followers;
  }

  hold(follower: Follower): void {
    this.#followers.add(follower);
  }

  /** Tell `follower` every change after what it has read, from now on too. False when some are not kept here. */
  join(follower: Follower): boolean {
    if (follower.after < this.#base) return false;
    for (const arrival of this.#kept) {
      if (arrival.sequence > follower.after && follower.wants(arrival)) follower.queue.add(arrival.change);
    }
    this.#joined.add(follower);
    return true;
  }

  leave(follower: Follower): void {
    this.#followers.delete(follower);
    this.#joined.delete(follower);
  }

  /** Read to the end; rejects when the feed does. */
  run(): Promise<void> {
    return readFeed(this.#feed, (arrival) => this.#tell(arrival));
  }

  close(): void {
    this.#feed.close();
  }

  #tell(arrival: Arrival): void {
    this.#keep(arrival);
    for (const follower of this.#joined) {
      if (arrival.sequence > follower.after && follower.wants(arrival)) follower.queue.offer(arrival.change);
    }
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
