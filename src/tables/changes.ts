/** Changes of tables, for any number of subscribers. */
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { ChangeFeed, Filter, Store } from '../binding/store.js';
import { type Arrival, type Follower, LiveChanges, readFeed } from './live-changes.js';
import { recordMatcher } from './matches.js';
import { ChangeQueue, type Subscription } from './subscription.js';

export type { Subscription } from './subscription.js';

export interface ChangesOptions {
  store: Store;
  log: Log;
  /** Bytes of changes that may wait for one subscriber; 1 MiB by default. */
  queueBytes?: number;
}

/** Which changes. */
export interface SubscribeOptions {
  /** Sequence after which to begin, decimal digits; from now on by default. */
  from?: string;
  /** Of the record with this primary key only, as text. */
  key?: string;
  /** Records to tell of. Removals are told whatever it says: what was removed is not known any more. */
  filter?: Filter;
  /** Ends the subscription. */
  signal?: AbortSignal;
  /** Called at once when it ends because too much waits; `next` says it only to who asks. */
  tooSlow?: () => void;
}

export interface ChangesFigures {
  /** Subscriptions there are. */
  subscribers: number;
  /** Those that read a feed of their own, because they began with older changes. */
  catchingUp: number;
  /** How many have been ended because they did not read. */
  tooSlow: number;
}

const defaultQueueBytes = 1024 * 1024;
/** How often it is looked who has caught up. */
const lookMs = 100;

/**
 * Fans the changes of a store out. Subscribers of the same tables share one feed of the store, begun with the first of them and ended
 * with the last. One that begins with older changes reads a feed of its own, as fast as it likes, until it has caught up with the
 * shared one.
 */
export class Changes {
  readonly #store: Store;
  readonly #log: Log;
  readonly #queueBytes: number;
  /** By the numbers of their tables. */
  readonly #live = new Map<string, LiveChanges>();
  readonly #queues = new Set<ChangeQueue>();
  /** Who reads a feed alone, and what it is to join. */
  readonly #catchingUp = new Map<Follower, { feed: ChangeFeed; live: LiveChanges }>();
  #looking: NodeJS.Timeout | undefined;
  readonly #reading = new Set<Promise<void>>();
  #tooSlow = 0;
  #closed = false;

  constructor(options: ChangesOptions) {
    this.#store = options.store;
    this.#log = options.log;
    this.#queueBytes = options.queueBytes ?? defaultQueueBytes;
  }

  get figures(): ChangesFigures {
    return { subscribers: this.#queues.size, catchingUp: this.#catchingUp.size, tooSlow: this.#tooSlow };
  }

  /**
   * Changes of `tables` (their numbers in the store) from now on, or after `from`. Throws `ChangesGone` when `from` lies ahead (that
   * what follows it is not kept any more the subscription says), `BadRequest` when it is no sequence, `QueryInvalid` when the filter does not fit a
   * table, `HostClosing` after `close`.
   */
  subscribe(tables: readonly number[], options: SubscribeOptions = {}): Subscription {
    if (this.#closed) throw new TenonError('HostClosing', 'the host is shutting down', { next: 'ask the next host' });
    const now = Number(this.#store.sequence());
    const after = options.from === undefined ? now : readSequence(options.from);
    if (after > now) throw changesGone(`the sequence ${after} lies ahead of the newest change, ${now}`);
    const wants = wantedBy(this.#store, tables, options);
    const key = tables.toSorted((a, b) => a - b).join();
    const live = this.#live.get(key) ?? this.#begin(key, tables, now);
    const leave = (): void => void queue.return();
    const queue = new ChangeQueue({
      limit: this.#queueBytes,
      from: after,
      readUpTo: () => (live.hasJoined(follower) ? Math.max(follower.after, live.position) : follower.after),
      atEnd: (tooSlow) => {
        options.signal?.removeEventListener('abort', leave);
        this.#leave(follower, live, key);
        if (tooSlow) this.#dropped(options.tooSlow);
      },
    });
    const follower: Follower = { queue, after, wants };
    live.hold(follower);
    this.#queues.add(queue);
    try {
      if (live.join(follower)) queue.begin();
      else this.#catchUp(follower, live, this.#store.feed(tables, String(after)));
    } catch (error) {
      leave();
      throw error;
    }
    if (options.signal?.aborted === true) leave();
    else options.signal?.addEventListener('abort', leave);
    return queue;
  }

  /** End every subscription; no other begins. Settles once no feed is read any more. Twice is fine. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const queue of this.#queues) queue.finish();
    await Promise.all(this.#reading);
  }

  #begin(key: string, tables: readonly number[], now: number): LiveChanges {
    // Half a queue at most is handed over when somebody joins, and whoever joins has read the other half.
    const live = new LiveChanges(this.#store.feed(tables, String(now)), now, this.#queueBytes / 2);
    this.#live.set(key, live);
    this.#read(live.run(), (failure) => {
      if (this.#live.get(key) === live) this.#live.delete(key);
      if (failure !== undefined)
        this.#log.warn(
          { code: asTenonError(failure).code, err: failure },
          'the changes of tables could not be followed',
        );
      for (const { queue } of live.followers) queue.finish(failure);
      live.close();
    });
    return live;
  }

  #dropped(tell: (() => void) | undefined): void {
    this.#tooSlow += 1;
    this.#log.warn({ limit: this.#queueBytes }, 'a subscriber of changes did not read: ended');
    tell?.();
  }

  #leave(follower: Follower, live: LiveChanges, key: string): void {
    this.#queues.delete(follower.queue);
    this.#stopCatchingUp(follower);
    live.leave(follower);
    if (live.followers.size > 0) return;
    if (this.#live.get(key) === live) this.#live.delete(key);
    live.close();
  }

  /** Read `feed` for `follower` alone until `live` goes on without a gap or a double. */
  #catchUp(follower: Follower, live: LiveChanges, feed: ChangeFeed): void {
    const { queue } = follower;
    this.#catchingUp.set(follower, { feed, live });
    this.#looking ??= setInterval(() => this.#look(), lookMs).unref();
    const take = (arrival: Arrival): undefined => {
      follower.after = arrival.sequence;
      if (follower.wants(arrival)) queue.add(arrival.change);
    };
    const goOn = async (): Promise<boolean> => {
      await queue.room();
      return !queue.ended && !live.join(follower);
    };
    const read = async (): Promise<void> => {
      await feed.begin();
      queue.begin();
      await readFeed(feed, { take, goOn });
    };
    this.#read(read(), (failure) => {
      if (failure !== undefined) queue.finish(failure);
      this.#stopCatchingUp(follower);
    });
  }

  /** Whoever has nothing to read until the next change has caught up too. */
  #look(): void {
    for (const [follower, { feed, live }] of this.#catchingUp) {
      if (!follower.queue.roomy) continue;
      follower.after = Math.max(follower.after, Number(feed.position()));
      if (live.join(follower)) this.#stopCatchingUp(follower);
    }
  }

  #stopCatchingUp(follower: Follower): void {
    this.#catchingUp.get(follower)?.feed.close();
    this.#catchingUp.delete(follower);
    if (this.#catchingUp.size > 0) return;
    clearInterval(this.#looking);
    this.#looking = undefined;
  }

  #read(reading: Promise<void>, ended: (failure?: TenonError) => void): void {
    const settled = reading.then(
      () => ended(),
      (error: unknown) => ended(asTenonError(error)),
    );
    this.#reading.add(settled);
    void settled.then(() => this.#reading.delete(settled));
  }
}

function wantedBy(
  store: Store,
  tables: readonly number[],
  { key, filter }: SubscribeOptions,
): (arrival: Arrival) => boolean {
  const matchers = new Map(
    filter === undefined ? [] : tables.map((table) => [table, recordMatcher(store.definition(table), filter)]),
  );
  return (arrival) => {
    const { change } = arrival;
    if (key !== undefined && change.key !== key) return false;
    return change.removed || matchers.get(change.table)?.(arrival.record) !== false;
  };
}

function readSequence(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new TenonError('BadRequest', `${JSON.stringify(text.slice(0, 40))} is no sequence of a change`, {
    next: 'give the decimal digits that came with a change',
  });
}

function changesGone(message: string): TenonError {
  return new TenonError('ChangesGone', message, { next: 'read the records again and subscribe from now on' });
}
