/** The queries and mutations that run for one GraphQL socket. */
import { TenonError } from '../base/errors.js';
import type { Prepared } from './graphql-operations.js';

interface Running {
  readonly id: string;
  readonly prepared: Prepared;
}

export class RunningOperations {
  /** By the payload they came with, which each has of its own; an id may come again. */
  readonly #running = new Map<object, Running>();
  #tellNone: () => void = () => {};

  begin(payload: object, id: string, prepared: Prepared): void {
    this.#running.set(payload, { id, prepared });
  }

  /** It has been answered. */
  end(payload: object): void {
    this.#running.delete(payload);
    // A moment later: its `complete` follows, without which a client that comes again would ask for it again.
    if (this.#running.size === 0) setImmediate(() => this.#tellNone());
  }

  /** Nothing more is read or written for those that the client does not wait for. */
  keep(isAwaited: (id: string) => boolean): void {
    for (const [payload, { id, prepared }] of this.#running) {
      if (isAwaited(id)) continue;
      prepared.reading.abandon(new TenonError('BadRequest', 'the client does not wait for it any more'));
      this.end(payload);
    }
  }

  get size(): number {
    return this.#running.size;
  }

  /** Settles once nothing runs, or when the time is over. One call at a time. */
  none(withinMs: number): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#tellNone = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
