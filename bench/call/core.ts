import type { Front, GenerationOptions } from '../../src/binding/core.js';
import { loadCore, Outcome, runnerPath, Word } from '../../src/binding/core.js';
import type { Isolation } from '../../src/binding/isolation.js';
import { openLibrary } from '../../src/binding/library.js';

const deadlineMs = 10_000;
// what wrk and browsers send at least, and as src/http hands it over: as it is to an inline route, copied to a pool
const rawHeaders = ['Host', '127.0.0.1:8080', 'Connection', 'keep-alive', 'Accept', '*/*'];
const expected = 'Hello, World!';

/** The answer plugin, live in the core without a host around it. */
export interface Answering {
  /** Nanoseconds a call of the inline route, over `calls` calls. */
  inline: (calls: number) => number;
  /** Nanoseconds a call of the pool route, with `inFlight` calls at any time. */
  pool: (calls: number, inFlight: number) => Promise<number>;
  /** The process that answers. */
  pid: () => number;
  close: () => Promise<void>;
}

/** Load the library at `path` and make it live; `isolated`: in a process of its own. */
export async function serve(path: string, isolated = false): Promise<Answering> {
  const core = loadCore();
  let onReady = (): void => {};
  const front: Front = new core.Front({ onReady: () => onReady(), onLog: () => {} });
  const pointer = new core.PluginPointer(front, { id: 'answer', queueLimit: 1000 });
  let isolation: Isolation | undefined;
  let close = (): void => {};
  let source: Pick<GenerationOptions, 'isolation' | 'descriptor' | 'image'>;
  if (isolated) {
    isolation = new core.Isolation({
      runner: runnerPath(),
      library: path,
      id: 'answer',
      generation: 1,
      lifecycleMs: deadlineMs,
      processes: 1,
      graceMs: 1000,
      memoryBytes: 0,
      descriptors: 1024,
      childProcesses: 0,
      processorPercent: 0,
      sandbox: true,
      requireConfinement: false,
      writable: [],
      temporary: '',
      hidden: [],
    });
    source = { isolation };
  } else {
    const image = core.imageLoading('answer', 1, '', path);
    const library = openLibrary(path);
    core.imageOpened(image, library.descriptor.address);
    source = { descriptor: library.descriptor.address, image };
    close = () => library.close();
  }
  const generation = new core.GenerationHandle(pointer, {
    number: 1,
    root: '',
    prefix: '/answer',
    deadlineMs: 30_000,
    bodyLimit: 2 ** 20,
    concurrency: 4,
    ...source,
  });
  await generation.create(deadlineMs);
  await generation.initialize(deadlineMs);
  for (const { method, pattern, index } of await generation.routes(deadlineMs))
    generation.bind(pointer.slot(method, `/answer${pattern}`), index);
  await generation.ready(deadlineMs);
  pointer.swap(generation);

  const { result } = front;
  const inlineSlot = pointer.slot('GET', '/answer/inline');
  const poolSlot = pointer.slot('GET', '/answer/pool');
  const check = (body: string | Uint8Array | undefined): void => {
    if (result[Word.Outcome] !== Outcome.Response || result[Word.Status] !== 200 || body !== expected)
      throw new Error(`not the answer: ${result.join(' ')} ${String(body)}`);
  };

  const inline = (calls: number): number => {
    const begin = process.hrtime.bigint();
    for (let call = 0; call < calls; call++) check(front.call(inlineSlot, '/answer/inline', rawHeaders));
    return Number(process.hrtime.bigint() - begin) / calls;
  };

  const pool = (calls: number, inFlight: number): Promise<number> =>
    new Promise((resolve, reject) => {
      let started = 0;
      let ended = 0;
      // one in a process of its own may have its answer at once
      const fill = (): void => {
        while (started < calls && started - ended < inFlight) {
          started++;
          const body = front.call(poolSlot, '/answer/pool', rawHeaders.join('\n'));
          if (result[Word.Outcome] === Outcome.Pending) continue;
          check(body);
          ended++;
        }
        if (ended === calls) resolve(Number(process.hrtime.bigint() - begin) / calls);
      };
      const begin = process.hrtime.bigint();
      onReady = () => {
        try {
          for (;;) {
            const body = front.next();
            if (result[Word.Outcome] === Outcome.None) break;
            check(body);
            ended++;
            fill();
          }
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      fill();
    });

  const end = async (): Promise<void> => {
    pointer.swap(null);
    await generation.drain(deadlineMs);
    await generation.shutdown(deadlineMs);
    await generation.destroy(deadlineMs);
    await generation.stop(deadlineMs);
    generation.close();
    pointer.close();
    front.close();
    close();
  };
  return { inline, pool, pid: () => isolation?.processes[0]?.pid ?? process.pid, close: end };
}
