/** Ends of the processes of one generation that nobody has asked for. */
import type { Isolation, ProcessEnd } from '../binding/isolation.js';

export class ProcessEnds {
  readonly #isolation: Isolation;
  /** By place: the process that ran, and since when. */
  readonly #known = new Map<number, { pid: number; restarts: number; seen: number }>();

  constructor(isolation: Isolation) {
    this.#isolation = isolation;
  }

  /** Those since the last look. */
  take(): ProcessEnd[] {
    if (this.#isolation.takeEnds !== undefined) return this.#isolation.takeEnds();
    return this.#isolation.processes.flatMap(({ pid, restarts, lastEnd }, place) => {
      const before = this.#known.get(place);
      const isSame = before?.pid === pid && before.restarts === restarts;
      if (!isSame) this.#known.set(place, { pid, restarts, seen: Date.now() });
      if (isSame || lastEnd === '' || (before === undefined ? restarts === 0 && pid !== 0 : before.pid === 0))
        return [];
      return [endOf(before?.pid ?? 0, lastEnd, before?.seen ?? Date.now())];
    });
  }
}

function endOf(pid: number, how: string, began: number): ProcessEnd {
  const signal = /^was ended by (SIG\w+)$/.exec(how)?.[1];
  const status = /^exited with (\d+)$/.exec(how)?.[1];
  return {
    pid,
    at: Date.now(),
    uptimeMs: Date.now() - began,
    how,
    killed: signal === undefined && status === undefined,
    ...(signal === undefined ? {} : { signal }),
    ...(status === undefined ? {} : { status: Number(status) }),
  };
}
