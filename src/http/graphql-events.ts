/** The events of a subscription, each with its result. */
import type { ExecutionResult } from 'graphql';

type Result = IteratorResult<ExecutionResult, void>;

/** Ends behind the last result. No generator: one that waits could not be ended before the next event came. */
export class EventResults implements AsyncGenerator<ExecutionResult, void, void> {
  readonly #events: AsyncIterator<unknown>;
  readonly #resultOf: (event: unknown) => ExecutionResult | Promise<ExecutionResult>;
  readonly #isLast: (result: ExecutionResult) => boolean;
  #isOver = false;

  constructor(
    events: AsyncIterator<unknown>,
    resultOf: (event: unknown) => ExecutionResult | Promise<ExecutionResult>,
    isLast: (result: ExecutionResult) => boolean,
  ) {
    this.#events = events;
    this.#resultOf = resultOf;
    this.#isLast = isLast;
  }

  async next(): Promise<Result> {
    if (this.#isOver) return { done: true, value: undefined };
    const event = await this.#events.next();
    if (event.done === true) return { done: true, value: undefined };
    const value = await this.#resultOf(event.value);
    if (this.#isLast(value)) await this.return();
    return { done: false, value };
  }

  async return(): Promise<Result> {
    this.#isOver = true;
    await this.#events.return?.();
    return { done: true, value: undefined };
  }

  async throw(error: unknown): Promise<Result> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
