/**
 * The native parts of Tenon, tried in a process of their own: what a damaged library or a broken RocksDB does to it is a
 * finding. Its argument is a `Trial` as JSON; what it has found goes to the parent.
 */
import path from 'node:path';
import { asTenonError } from '../base/errors.js';
import { loadCore, runnerPath } from '../binding/core.js';
import { openTableStore } from '../tables/open.js';
import type { StoreSettings, Trial, TrialAnswer } from './doctor-trial.js';

async function openRocksdb(settings: StoreSettings, folder: string): Promise<string> {
  const store = await openTableStore(loadCore(), { ...settings, directory: path.join(folder, 'tables') });
  const { engine } = store;
  await store.close();
  return `${engine.version} from ${engine.library}`;
}

async function tried(trial: Trial): Promise<TrialAnswer> {
  if (trial.of === 'executing') {
    const core = loadCore();
    return { executing: trial.places.map((place) => core.mayExecute(place)) };
  }
  if (trial.of === 'RocksDB') return { found: await openRocksdb(trial.settings, trial.folder) };
  if (trial.of === 'runner') return { found: runnerPath() };
  const { major, minor } = loadCore().abi;
  return { found: `speaks ABI ${major}.${minor}, from ${path.dirname(runnerPath())}` };
}

async function answer(): Promise<TrialAnswer> {
  try {
    return await tried(JSON.parse(process.argv[2] ?? '') as Trial);
  } catch (error) {
    const { code, message, next } = asTenonError(error);
    return { code, message, ...(next === undefined ? {} : { next }) };
  }
}

// It ends when it was heard: what is sent by one that ends at once may be heard of after its end.
process.once('disconnect', () => process.exit());
process.send?.(await answer());
