/** What may happen very often is told at most once a second, with how often it happened. */
export class Muted {
  readonly #tell: (count: number, facts: object) => void;
  #count = 0;
  #facts: object = {};
  #timer: NodeJS.Timeout | undefined;

  /** @param tell told the first time at once, then of all that has come within a second, with the facts of the last one */
  constructor(tell: (count: number, facts: object) => void) {
    this.#tell = tell;
  }

  tell(facts: object, count = 1): void {
    this.#count += count;
    this.#facts = facts;
    if (this.#timer === undefined) this.#say();
  }

  #say(): void {
    this.#timer = undefined;
    if (this.#count === 0) return;
    const count = this.#count;
    this.#count = 0;
    this.#timer = setTimeout(() => this.#say(), 1_000).unref();
    this.#tell(count, this.#facts);
  }
}
