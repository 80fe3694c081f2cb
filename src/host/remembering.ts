/** What a plugin knows across the ends of generations that have no successor beside them: of hosts, and of plugins that stop. */
import { setTimeout as sleep } from 'node:timers/promises';
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Generation } from '../plugin/generation.js';
import type { State } from '../plugin/state.js';
import { saveBriefly } from './brief-save.js';
import type { Departures } from './departures.js';
import type { Live } from './live.js';
import type { Plugin } from './plugin.js';
import type { BuildFacts, Recorder } from './record.js';
import { PeriodicSaves } from './periodic-saves.js';
import { putAside } from './put-aside.js';
import type { Keeping, SavedStates } from './saved-states.js';

/** When a build refuses the saved state: begin without it, or do not begin. */
export type RefusedState = 'empty' | 'fail';

export interface RememberingOptions {
  log: Log;
  states: SavedStates;
  departures: Departures;
  refusedState: RefusedState;
}

/** Keeps states in files and gives them back. Every call has the plugin to itself, as the work of {@link Reloading} has. */
export class Remembering {
  readonly #options: RememberingOptions;
  /** Plugins whose key-value state the core of this host has. */
  readonly #known = new Set<string>();
  /** Those of them of which every change of it is kept. */
  readonly #lasting = new Set<string>();
  /** Those whose key-value state the core has, and is to forget before they begin again. */
  readonly #forgotten = new Set<string>();

  readonly #periodic: PeriodicSaves;

  constructor(options: RememberingOptions) {
    this.#options = options;
    this.#periodic = new PeriodicSaves({
      everyMs: options.states.saveMs,
      log: options.log,
      keep: (plugin, live, generation, state) => {
        const kept = this.#keep(plugin.id, live, generation, state);
        options.departures.untilClosed(kept);
        return kept;
      },
    });
  }

  /**
   * The state that is kept of a plugin, for a generation that begins without a predecessor to ask; before it is opened. Its
   * key-value state is there from then on, and each change of it is kept.
   * What could not be read as one is warned of. Rejects with `StateUnreadable`.
   */
  async recall(plugin: Plugin, live: Live, recorder: Recorder): Promise<State | undefined> {
    const begin = performance.now();
    if (this.#forgotten.delete(plugin.id)) live.importValues(noValues);
    const found = await this.#options.states.read(plugin.id);
    const saved = found !== undefined && 'saved' in found ? found.saved : undefined;
    if (found !== undefined && 'warning' in found) recorder.warn(found.warning);
    if (!this.#lasting.has(plugin.id)) await this.#recallValues(plugin.id, live, saved?.values, recorder);
    if (saved !== undefined) recorder.add('migrate', performance.now() - begin);
    return saved?.state;
  }

  /** What the build with this hash knew itself, when it says in `cause` that it does not take what another one has saved since. */
  async earlier({ id }: Plugin, sha256: string | undefined, cause: unknown): Promise<State | undefined> {
    if (sha256 === undefined || !isRefusal(cause)) return undefined;
    const found = await this.#options.states.readEarlier(id);
    return found?.build.sha256 === sha256 ? found.state : undefined;
  }

  /** It has begun so: what it does not take is put aside, which is warned of. */
  async beganEarlier(plugin: Plugin, cause: unknown, recorder: Recorder): Promise<void> {
    const aside = await this.#options.states.goBack(plugin.id).then(
      (place) => `what it does not take was put aside as ${place}`,
      (error: unknown) => `what it does not take was not put aside: ${asTenonError(error).message}`,
    );
    recorder.warn(`${asTenonError(cause).message}; ${plugin.id} went back to what was known before, and ${aside}`);
  }

  /** Whether a build that said in `cause` that it does not take the state that is kept may begin without it. */
  mayBeginEmpty(cause: unknown): boolean {
    return isRefusal(cause) && this.#options.refusedState === 'empty';
  }

  /** It has begun so: the file is put aside, which is warned of. */
  async beganEmpty(plugin: Plugin, cause: unknown, recorder: Recorder): Promise<void> {
    const aside = await this.#options.states.putAside(plugin.id).then(
      (place) => `the state was put aside as ${place}`,
      (error: unknown) => `the state was not put aside: ${asTenonError(error).message}`,
    );
    recorder.warn(`${asTenonError(cause).message}; ${plugin.id} began without its saved state, and ${aside}`);
  }

  /** Nothing is kept of a plugin that does not run, whatever it knew. */
  async forget(id: string): Promise<void> {
    this.#forgotten.add(id);
    this.#lasting.delete(id);
    await this.#options.states.forget(id);
  }

  /** A generation of the plugin has begun. */
  began(plugin: Plugin): void {
    const { id, live, preservesState } = plugin;
    this.#known.add(id);
    if (preservesState) this.#periodic.begin(plugin);
    if (live === undefined || preservesState === this.#lasting.has(id)) return;
    if (preservesState) this.#keepKnown(id, live);
    else {
      this.#lasting.delete(id);
      live.keepValues(null, false);
    }
  }

  /**
   * Keep the state that `build` hands over. Resolves when it outlives this process, whoever takes it over then, or when it
   * was waited for long enough; never rejects.
   */
  async handedOver(plugin: Plugin, live: Live, build: BuildFacts, state: State): Promise<void> {
    const { departures, log } = this.#options;
    const { written, kept } = this.#begin(plugin.id, live, build, state);
    const settled = kept.catch((error: unknown) => {
      const { code, message } = asTenonError(error);
      log.error({ plugin: plugin.id, code }, `${message}; a host that is killed now forgets it`);
    });
    departures.untilClosed(settled);
    const enough = new AbortController();
    await Promise.race([written, sleep(patienceMs, undefined, { signal: enough.signal }).catch(() => {})]);
    enough.abort();
  }

  /**
   * Keep what it knows now, unless a call is under way for longer: when its host ends it is asked once more, after those that use it. Never
   * rejects.
   */
  async keepNow(plugin: Plugin): Promise<void> {
    const { live, running: generation } = plugin;
    if (generation?.handle.hasState !== true || live === undefined || !plugin.preservesState) return;
    try {
      const state = await saveBriefly(live, generation, lastStandstillMs);
      if (state !== undefined) await this.#keep(plugin.id, live, generation, state);
    } catch (error) {
      const { code, message } = asTenonError(error);
      this.#options.log.warn({ plugin: plugin.id, code }, `${message}; it is asked once more before its end`);
    }
  }

  /**
   * Keep what the last generation knows, before it is taken down, with the values as they are once `older` ones, whose calls
   * may change them, have ended. Rejects with `StateRefused` or `StateNotKept`; what was
   * kept before stays then.
   */
  async lastState(plugin: Plugin, live: Live, generation: Generation, older: Promise<unknown>): Promise<void> {
    const state = await generation.lastState();
    await older;
    await this.#keep(plugin.id, live, generation, state);
  }

  /**
   * Keep the key-value state, after the last generation, which had no other, was taken down. The state of an earlier build
   * stays with it. Rejects with `StateNotKept` or `StateUnreadable`.
   */
  async lastValues({ id }: Plugin, live: Live, generation: Generation): Promise<void> {
    const { log, states } = this.#options;
    const values = live.exportValues();
    const found = await states.read(id);
    if (found !== undefined && 'warning' in found) log.warn({ plugin: id }, found.warning);
    const before = found !== undefined && 'saved' in found ? found.saved : undefined;
    if (values.byteLength > emptyValues || before?.values !== undefined)
      await this.#keep(id, live, before?.build ?? generation, before?.state);
  }

  async #recallValues(id: string, live: Live, saved: Uint8Array | undefined, recorder: Recorder): Promise<void> {
    if (this.#known.has(id)) {
      this.#keepKnown(id, live);
      return;
    }
    if (saved !== undefined) this.#giveBack(id, live, saved);
    const file = this.#options.states.valuesFile(id);
    const flaw = live.keepValues(file, true);
    if (flaw?.kind === 'unreadable') throw unreadable(id, file, flaw.message);
    if (flaw?.kind === 'torn')
      recorder.warn(
        `the last change of the values of ${id} was cut short with its host, and is not there: ${flaw.message}`,
      );
    if (flaw?.kind === 'damaged') {
      const place = await putAside(file, 'damaged').catch((error: unknown) => {
        throw unreadable(id, file, asTenonError(error).message, error);
      });
      live.keepValues(file, false);
      recorder.warn(`not all values of ${id} were loaded: ${flaw.message}; the file was put aside as ${place}`);
    }
    this.#lasting.add(id);
  }

  /** What the core has counts, and nothing that a file says. */
  #keepKnown(id: string, live: Live): void {
    live.keepValues(this.#options.states.valuesFile(id), false);
    this.#lasting.add(id);
  }

  #giveBack(plugin: string, live: Live, values: Uint8Array): void {
    try {
      live.importValues(values);
    } catch (cause) {
      throw unreadable(plugin, this.#options.states.file(plugin), asTenonError(cause).message, cause);
    }
  }

  #keep(plugin: string, live: Live, build: SavedBuild, state: State | undefined): Promise<void> {
    return this.#begin(plugin, live, build, state).kept;
  }

  #begin(plugin: string, live: Live, build: SavedBuild, state: State | undefined): Keeping {
    const { version, sha256 } = build;
    const savedAt = new Date().toISOString();
    const block = live.exportValues();
    const values = block.byteLength > emptyValues ? block : undefined;
    return this.#options.states.begin({ plugin, savedAt, build: { version, sha256 }, state, values });
  }
}

interface SavedBuild {
  readonly version: string;
  readonly sha256: string;
}

/** Whether a build has said in `cause` that it does not take a state. A load that was late may be in time at the next attempt. */
function isRefusal(cause: unknown): boolean {
  const { code, details } = asTenonError(cause);
  return code === 'StateRefused' && details['step'] === 'load' && details['cause'] === 'LifecycleFailed';
}

function unreadable(plugin: string, file: string, why: string, cause?: unknown): TenonError {
  return new TenonError('StateUnreadable', `the saved values of ${plugin} were not taken: ${why}`, {
    next: `move ${file} away to begin without it`,
    details: { plugin, file },
    cause,
  });
}

/** For the disk to take what is handed over while calls wait at the gate, ms. */
const patienceMs = 100;
/** For calls to end when their host does, ms. */
const lastStandstillMs = 1000;
/** Bytes of a block of key-value state with nothing in it. */
const emptyValues = 9;
/** Such a one: the number of its format. */
const noValues = Uint8Array.of(1);
