interface Turn {
  readonly kind: string;
  readonly result: Promise<unknown>;
  begun: boolean;
}

/**
 * One piece of work at a time, in the order of asking. Asked for again while the last of the queue is of the same kind
 * and has not begun, it is done once, and both get its result: there is never more than one running and one waiting
 * reload.
 */
export class Turns {
  #last: Turn | undefined;

  /** Whether nothing runs or waits. */
  get idle(): boolean {
    return this.#last === undefined;
  }

  /** Run `work` when its turn comes. All work of one kind gives results of one type. */
  take<T>(kind: string, work: () => Promise<T>): Promise<T> {
    const last = this.#last;
    if (last !== undefined && !last.begun && last.kind === kind) return last.result as Promise<T>;
    const before = last === undefined ? Promise.resolve() : last.result.then(ignore, ignore);
    const run = (): Promise<T> => {
      turn.begun = true;
      return work();
    };
    const result = before.then(run);
    const turn: Turn = { kind, result, begun: false };
    this.#last = turn;
    const forget = (): void => {
      if (this.#last === turn) this.#last = undefined;
    };
    result.then(forget, forget);
    return result;
  }
}

function ignore(): void {}
