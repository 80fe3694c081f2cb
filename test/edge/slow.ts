/** Slow clients as a process of its own, and what the host does with them. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = path.dirname(fileURLToPath(import.meta.url));

/** How many there are of each kind. */
export interface SlowOptions {
  url: string;
  token: string;
  /** Between two bytes, ms. */
  everyMs: number;
  /** From one connection of a client that does not read to its next, ms. */
  againMs: number;
  /** From the first of them to the last, ms. */
  rampMs: number;
  heads: number;
  bodies: number;
  readers: number;
  stuck: number;
}

/** Clients that have heard that they were cut off, and came again. */
export type Cut = Record<'heads' | 'bodies', number>;

export class SlowClients {
  readonly #child: ChildProcess;
  cut: Cut = { heads: 0, bodies: 0 };

  constructor(options: SlowOptions) {
    this.#child = spawn(process.execPath, [path.join(here, 'slow-clients.mjs'), JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let rest = '';
    this.#child.stdout?.on('data', (text: Buffer) => {
      const lines = `${rest}${text.toString()}`.split('\n');
      rest = lines.pop() ?? '';
      const last = lines.at(-1);
      if (last !== undefined) this.cut = JSON.parse(last) as Cut;
    });
  }

  async stop(): Promise<void> {
    const closed = once(this.#child, 'close');
    this.#child.stdin?.end();
    await closed;
  }
}

/** What clients saw that behave; times in ms. */
export interface Paced {
  answered: number;
  faults: unknown[];
  p50: number;
  p99: number;
}

export async function paced(url: string, clients: number, ms: number): Promise<Paced> {
  const words = [path.join(here, 'paced-clients.mjs'), url, String(clients), String(ms)];
  const { stdout } = await promisify(execFile)(process.execPath, words);
  return JSON.parse(stdout) as Paced;
}
