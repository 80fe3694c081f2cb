/** Tears down in the reverse order of set-up. */

interface Step {
  readonly name: string;
  readonly close: () => unknown;
}

/**
 * Collects what was set up and closes it in reverse. Every step runs, whatever the others do; what went wrong is
 * thrown at the end as one AggregateError whose errors name their step. Closing twice is fine: the second call waits
 * for the first.
 */
export class Closer {
  readonly #steps: Step[] = [];
  #closing: Promise<void> | undefined;

  /** Remember how `name` is closed. Throws when closing has begun. */
  add(name: string, close: () => unknown): void {
    if (this.#closing !== undefined) throw new TypeError(`${name} cannot be added: closing has begun`);
    this.#steps.push({ name, close });
  }

  /** Close everything, the last added first. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const errors: Error[] = [];
    for (const step of this.#steps.toReversed()) {
      try {
        await step.close();
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        errors.push(new Error(`${step.name} did not close: ${reason}`, { cause }));
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, errors.map((error) => error.message).join('; '));
  }
}
