/** The queries and mutations that run for one GraphQL socket. */
import type { Prepared } from './graphql-operations.js';

export class RunningOperations {
  /** By the payload they came with, which each has of its own; an id may come again. */
  readonly #running = new Map<object, Prepared>();
  #tellNone: () => void = () => {};

  begin(payload: object, prepared: Prepared): void {
    this.#running.set(payload, prepared);
  }

  /** It has been answered. */
  end(payload: object): void {
    this.#running.delete(payload);
    // A moment later: its `complete` follows, without which a client that comes again would ask for it again.
    if (this.#running.size === 0) setImmediate(() => this.#tellNone());
  }

  /** Nobody waits for them any more. */
  clear(): void {
    for (const payload of this.#running.keys()) this.end(payload);
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
