import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Whom to call, and what may come back. */
export interface Start {
  url: string;
  connections: number;
  /** Paths, one for each connection in turn. */
  targets: string[];
  /** Bodies that are right. */
  answers: string[];
}

/** Spans of the machine's time, see `now`: those of reloads, and others to compare them with. */
export interface Windows {
  reloads: [number, number][];
  quiet: [number, number][];
}

/** What the clients saw. */
export interface Seen {
  answered: number;
  /** One for each connection that got anything but a right answer. */
  faults: string[];
  /** Of the calls that no reload overlaps. */
  medianMs: number;
  /**
   * For each reload the latency of the longest call that overlaps it, less the median of the calls of the same path that
   * no reload overlaps, ms.
   */
  pauses: number[];
  /** The same of the quiet windows. */
  controls: number[];
}

const program = path.join(path.dirname(fileURLToPath(import.meta.url)), 'clients.ts');
const limitMs = 60_000;

/** Keep-alive clients in a process of their own. */
export class Load {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = fork(program, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  }

  /** Connect and call without a pause. Resolves when every connection is warm. */
  async start(order: Start): Promise<void> {
    await this.#ask(order);
  }

  /** Let every call end and look at what happened in the windows. */
  async stop(windows: Windows): Promise<Seen> {
    return (await this.#ask(windows)) as Seen;
  }

  async close(): Promise<void> {
    this.#child.disconnect();
    await once(this.#child, 'exit');
  }

  async #ask(order: Start | Windows): Promise<unknown> {
    const answer = once(this.#child, 'message', { signal: AbortSignal.timeout(limitMs) });
    this.#child.send(order);
    const [told] = (await answer) as [unknown];
    return told;
  }
}
