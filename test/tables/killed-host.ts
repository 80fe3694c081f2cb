/** The host as `tenon start` runs it, in a process of its own that can be killed at any moment and begun again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { resolveSettings } from '../../src/base/config.js';
import { nothingContained } from '../../src/base/containment.js';
import type { ParentRequest } from '../../src/supervisor/parent.js';
import { root } from '../architecture/tree.js';
import { until, type World } from '../load/world.js';

const program = path.join(root, 'dist', 'cli', 'serve.js');

export class KilledHost {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #said = '';

  private constructor(directory: string) {
    const { PATH, HOME } = process.env;
    const order = { flags: { port: '0', data: 'state' }, tellsReloads: false, continues: false };
    this.#child = spawn(process.execPath, [program, JSON.stringify(order)], {
      cwd: directory,
      env: { PATH, HOME },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#closed = once(this.#child, 'close');
    const settings = resolveSettings({ flags: order.flags, directory, variables: {} });
    this.#child.send({ ask: 'begin', settings, containment: nothingContained } satisfies ParentRequest);
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (text: Buffer) => {
        this.#said += text.toString();
      });
  }

  /** Settings of all hosts of this world: nothing is watched, nothing is waited for. */
  static async prepare(world: World): Promise<void> {
    const settings =
      'registry:\n  enabled: false\nhotReload:\n  enabled: false\nprobation:\n  ms: 0\nlog:\n  level: warn\n';
    await writeFile(path.join(world.directory, 'tenon.yaml'), settings);
  }

  /** A host that may still be starting. */
  static begin(world: World): KilledHost {
    return new KilledHost(world.directory);
  }

  get url(): string {
    return /listens on (\S+)/.exec(this.#said)?.[1] ?? '';
  }

  /** Resolves when all applications are served. */
  async serves(): Promise<void> {
    const ended = (): boolean => this.#child.exitCode !== null || this.#child.signalCode !== null;
    await until('the host serves', () => this.#said.includes('Try: ') || ended(), 60_000);
    if (!this.#said.includes('Try: ')) throw new Error(`the host did not start: ${this.#said}`);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }
}
