/** The output of one host from its start to its end, and what is left of it then. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { OutputQueue, OutputReader } from './output.js';
import type { ParentRequest } from './parent.js';

/** For what a process has left in its pipes to be read, ms: a process that it has started may keep them open. */
const leftMs = 500;

export class ChildOutput {
  readonly #queue: OutputQueue;
  readonly #readers: OutputReader[];
  readonly #ended: Promise<unknown>;
  readonly #child: ChildProcess;
  readonly #lastWords: (line: string) => void;

  constructor(child: ChildProcess, mark: string, lastWords: (line: string) => void) {
    this.#child = child;
    this.#lastWords = lastWords;
    const queue = new OutputQueue(
      (batch) => child.connected && (child.send({ ask: 'log', batch } satisfies ParentRequest, () => {}), true),
    );
    this.#queue = queue;
    const ended: Promise<unknown>[] = [];
    this.#readers = (['stdout', 'stderr'] as const).map((source) => {
      const reader = new OutputReader(source, mark, (line) => queue.add(line));
      child[source]?.on('data', (chunk: Buffer) => reader.read(chunk));
      if (child[source] !== null) ended.push(once(child[source], 'close'));
      return reader;
    });
    this.#ended = Promise.all(ended);
  }

  /** The host has logged what it was given. */
  logged(): void {
    this.#queue.logged();
  }

  /** The process has ended: read the rest, and say what it has not logged. */
  async end(): Promise<void> {
    const enough = new AbortController();
    await Promise.race([this.#ended, sleep(leftMs, undefined, { signal: enough.signal }).catch(() => {})]);
    enough.abort();
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
    for (const reader of this.#readers) reader.end();
    for (const { plugin, text } of this.#queue.left())
      this.#lastWords(plugin === undefined ? text : `${plugin}: ${text}`);
  }
}
