import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import {
  type Front,
  type GenerationHandle,
  loadCore,
  Outcome,
  type PluginPointer,
  Word,
} from '../../src/binding/core.js';
import { type Library, openLibrary } from '../../src/binding/library.js';

const deadlineMs = 10_000;
const here = import.meta.dirname;
const include = path.resolve(here, '..', '..', 'native', 'include');

interface Running {
  library: Library;
  pointer: PluginPointer;
  generation: GenerationHandle;
}

/** The two plugins of `plugin.c`, live in a core without a host around it. */
export class Pair {
  readonly #core = loadCore();
  readonly #front: Front;
  readonly #running: Running[] = [];
  readonly #waiting = new Map<number, (body: string) => void>();

  private constructor() {
    this.#front = new this.#core.Front({ onReady: () => this.#pump(), onLog: () => {} });
  }

  static async open(folder: string): Promise<Pair> {
    const pair = new Pair();
    for (const id of ['subscriber', 'source']) await pair.#start(id, folder);
    return pair;
  }

  /** The numbers that a route answers with. */
  async ask(plugin: 'subscriber' | 'source', target: string): Promise<number[]> {
    const running = this.#running[plugin === 'subscriber' ? 0 : 1];
    if (running === undefined) throw new Error(`${plugin} does not run`);
    const slot = running.pointer.slot('GET', target.replace(/\?.*/, ''));
    const body = this.#front.call(slot, target, '');
    const [outcome, call] = [this.#front.result[Word.Outcome], this.#front.result[Word.Call]];
    if (outcome === Outcome.Response) return numbers(String(body));
    if (outcome !== Outcome.Pending || call === undefined) throw new Error(`${target}: ${String(body)}`);
    return numbers(await new Promise<string>((resolve) => this.#waiting.set(call, resolve)));
  }

  /** How many events the subscriber has been given, and how many were dropped. */
  async heard(): Promise<{ given: number; dropped: number }> {
    const [given = Number.NaN, dropped = Number.NaN] = await this.ask('subscriber', '/count');
    return { given, dropped };
  }

  async close(): Promise<void> {
    for (const { library, pointer, generation } of this.#running.toReversed()) {
      pointer.swap(null);
      generation.retire();
      await generation.drain(deadlineMs);
      await generation.shutdown(deadlineMs);
      await generation.destroy(deadlineMs);
      await generation.stop(deadlineMs);
      generation.close();
      pointer.close();
      library.close();
    }
    this.#front.close();
  }

  async #start(id: string, folder: string): Promise<void> {
    const file = path.join(folder, `${id}.so`);
    const flags = ['-std=gnu11', '-O2', '-fPIC', '-shared', '-fvisibility=hidden', '-pthread', `-I${include}`];
    await promisify(execFile)('cc', [...flags, `-DPLUGIN_ID="${id}"`, path.join(here, 'plugin.c'), '-o', file]);
    const library = openLibrary(file);
    const pointer = new this.#core.PluginPointer(this.#front, { id, queueLimit: 1000 });
    const generation = new this.#core.GenerationHandle(pointer, {
      number: 1,
      descriptor: library.descriptor.address,
      root: '',
      prefix: '',
      deadlineMs: 600_000,
      bodyLimit: 1024,
      concurrency: 2,
    });
    await generation.create(deadlineMs);
    await generation.initialize(deadlineMs);
    for (const { method, pattern, index } of await generation.routes(deadlineMs))
      generation.bind(pointer.slot(method, pattern), index);
    await generation.ready(deadlineMs);
    pointer.swap(generation);
    this.#running.push({ library, pointer, generation });
  }

  #pump(): void {
    for (;;) {
      const body = this.#front.next();
      if (this.#front.result[Word.Outcome] === Outcome.None) return;
      const call = this.#front.result[Word.Call] ?? -1;
      this.#waiting.get(call)?.(String(body));
      this.#waiting.delete(call);
    }
  }
}

function numbers(text: string): number[] {
  return text.split(' ').map(Number);
}
