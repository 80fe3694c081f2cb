import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ReloadRecord } from '../../src/index.js';

/** A reload as the host told of it, with the machine's time of its events, see `now`. */
export interface Reload {
  record: ReloadRecord;
  started: number;
  /** When the new build was live. */
  serving: number;
  /** When the old one was gone. */
  ended: number;
}

const program = path.join(path.dirname(fileURLToPath(import.meta.url)), 'host.ts');
const limitMs = 60_000;

/** A host in a process of its own. */
export class Served {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  /** Start it with everything in `applications`, which it watches when `watching`. */
  static async start(applications: string, data: string, watching: boolean): Promise<Served> {
    const child = fork(program, [applications, data, watching ? 'watch' : 'still'], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const [url] = (await once(child, 'message', { signal: AbortSignal.timeout(limitMs) })) as [string];
    return new Served(child, url);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Ask for a reload of the plugin `id`. Rejects when it did not go as it should. */
  reload(id: string): Promise<Reload> {
    const next = this.next();
    this.#child.send(id);
    return next;
  }

  /** The next reload that is over. Rejects unless it put another build in place and the old one is unmapped. */
  async next(): Promise<Reload> {
    const [reload] = (await once(this.#child, 'message', { signal: AbortSignal.timeout(limitMs) })) as [Reload];
    const { outcome, unchanged, unload, plugin, error } = reload.record;
    if (outcome !== 'succeeded' || unchanged === true || unload !== 'clean')
      throw new Error(`a reload of ${plugin} did not go as it should: ${JSON.stringify(error ?? reload.record)}`);
    return reload;
  }

  async close(): Promise<void> {
    this.#child.disconnect();
    await once(this.#child, 'exit');
  }
}
