/** The output of one host from its start to its end, and what is left of it then. */
import type { ChildProcess } from 'node:child_process';
import { OutputQueue, OutputReader } from './output.js';
import type { ParentRequest } from './parent.js';

export class ChildOutput {
  readonly #queue: OutputQueue;
  readonly #readers: OutputReader[];
  readonly #child: ChildProcess;
  readonly #lastWords: (line: string) => void;

  constructor(child: ChildProcess, mark: string, lastWords: (line: string) => void) {
    this.#child = child;
    this.#lastWords = lastWords;
    const queue = new OutputQueue(
      (batch) => child.connected && (child.send({ ask: 'log', batch } satisfies ParentRequest, () => {}), true),
    );
    this.#queue = queue;
    this.#readers = (['stdout', 'stderr'] as const).map((source) => {
      const reader = new OutputReader(source, mark, (line) => queue.add(line));
      child[source]?.on('data', (chunk: Buffer) => reader.read(chunk));
      return reader;
    });
  }

  /** The host has logged what it was given. */
  logged(): void {
    this.#queue.logged();
  }

  /** Nothing more is read: what is not logged is said, and returned. */
  end(): string[] {
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
    for (const reader of this.#readers) reader.end();
    const lines = this.#queue.left().map(({ plugin, text }) => (plugin === undefined ? text : `${plugin}: ${text}`));
    for (const line of lines) this.#lastWords(line);
    return lines;
  }
}
