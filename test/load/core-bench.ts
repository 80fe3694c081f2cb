/** One front of the core without a host, and generations of the small plugins of `test/plugins` in it, wherever plugins run. */
import {
  type Front,
  type FrontOptions,
  type GenerationHandle,
  type GenerationOptions,
  loadCore,
  Outcome,
  type PluginPointer,
  Word,
} from '../../src/binding/core.js';
import type { PluginLogRecord } from '../../src/binding/plugin-log-record.js';
import { buildPlugin } from '../plugins/build.js';
import { openBenchLibrary } from './bench-library.js';
import { until } from './world.js';

const core = loadCore();

/** A generation that is up, and not live. */
export interface Life {
  readonly generation: GenerationHandle;
  /** Calls land in it from now on. */
  serve(): void;
  /** Take it down, as a host does; whether its calls ended in time. */
  end(): Promise<boolean>;
}

export interface LifeOptions extends Partial<GenerationOptions> {
  defines?: Record<string, string>;
}

interface Exchange {
  text: string;
  done: boolean;
}

function textOf(bytes: string | Uint8Array | undefined): string {
  return (typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Buffer.from(bytes ?? [])).toString();
}

export class CoreBench {
  readonly front: Front;
  readonly log: PluginLogRecord[] = [];
  readonly plugin: PluginPointer;
  readonly #id: string;
  readonly #calls = new Map<number, Exchange>();
  #number = 0;

  /** @param id of the plugin, and of its file */
  constructor(id: string, options: Partial<FrontOptions> = {}) {
    this.#id = id;
    this.front = new core.Front({
      onReady: () => this.#pump(),
      onLog: (records) => this.log.push(...records),
      ...options,
    });
    this.plugin = new core.PluginPointer(this.front, { id, queueLimit: 100 });
  }

  async bringUp({ defines = {}, ...options }: LifeOptions = {}): Promise<Life> {
    const { plugin } = this;
    const number = ++this.#number;
    const file = await buildPlugin(this.#id, { defines });
    const library = openBenchLibrary(file, { id: this.#id, generation: number, lifecycleMs: 5000 });
    const prefix = `/${this.#id}`;
    const generation = new core.GenerationHandle(plugin, {
      number,
      ...library.source,
      root: '',
      prefix,
      deadlineMs: 20_000,
      bodyLimit: 1_000_000,
      concurrency: 4,
      ...options,
    });
    await generation.create(5000);
    await generation.initialize(5000);
    for (const { method, pattern, index } of await generation.routes(5000))
      generation.bind(plugin.slot(method, `${prefix}${pattern}`), index);
    await generation.ready(5000);
    return {
      generation,
      serve: () => plugin.swap(generation),
      end: async () => {
        generation.retire();
        const drained = await generation.drain(5000);
        await generation.shutdown(5000);
        await generation.destroy(5000);
        if ((await generation.stop(5000)) > 0) throw new Error('a thread did not end');
        generation.close();
        library.close();
        return drained;
      },
    };
  }

  /** One that is live. */
  async start(options: LifeOptions = {}): Promise<Life> {
    const life = await this.bringUp(options);
    life.serve();
    return life;
  }

  /** The whole answer of POST `route`, or the reason why there is none. */
  async post(route: string, query: Readonly<Record<string, string>> = {}, body = ''): Promise<string> {
    const path = `/${this.#id}${route}`;
    const slot = this.plugin.slot('POST', path);
    const first = this.front.call(slot, `${path}?${new URLSearchParams(query).toString()}`, '', Buffer.from(body));
    if (this.front.result[Word.Outcome] !== Outcome.Pending) return textOf(first);
    const exchange: Exchange = { text: '', done: false };
    this.#calls.set(this.front.result[Word.Call] as number, exchange);
    await until(`${route} is answered`, () => exchange.done);
    return exchange.text;
  }

  close(): void {
    this.plugin.swap(null);
    this.plugin.close();
    this.front.close();
  }

  #pump(): void {
    for (;;) {
      const bytes = this.front.next();
      if (this.front.result[Word.Outcome] === Outcome.None) return;
      const call = this.front.result[Word.Call] as number;
      const exchange = this.#calls.get(call);
      if (exchange === undefined) continue;
      exchange.text += textOf(bytes);
      exchange.done = true;
      this.#calls.delete(call);
    }
  }
}
