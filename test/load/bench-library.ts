/** The library of a plugin whose generation a test makes itself: open in this process, or in processes of its own. */
import { type GenerationOptions, loadCore, runnerPath } from '../../src/binding/core.js';
import { openLibrary } from '../../src/binding/library.js';
import { isIsolated } from './isolation.js';

export interface BenchLibrary {
  /** Where the instance of the generation comes from. */
  readonly source: Pick<GenerationOptions, 'descriptor' | 'isolation'>;
  readonly path: string;
  /** When its generation is closed. */
  close(): void;
}

export interface BenchPlugin {
  id: string;
  generation: number;
  lifecycleMs: number;
}

/** Open the library at `path` (absolute) as `plugin`. */
export function openBenchLibrary(path: string, plugin: BenchPlugin): BenchLibrary {
  const core = loadCore();
  if (!isIsolated) {
    const library = openLibrary(path);
    return {
      source: { descriptor: library.descriptor.address },
      path,
      close: () => core.keepFloatingPoint(() => library.close()),
    };
  }
  const isolation = new core.Isolation({
    runner: runnerPath(),
    library: path,
    ...plugin,
    processes: 1,
    graceMs: 1000,
    memoryBytes: 0,
    descriptors: 0,
    childProcesses: 0,
    processorPercent: 0,
    sandbox: true,
    requireConfinement: false,
    writable: [],
    temporary: '',
    hidden: [],
  });
  return { source: { isolation }, path, close: () => {} };
}
