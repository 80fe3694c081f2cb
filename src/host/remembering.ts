/** What a plugin knows across the ends of generations that have no successor beside them: of hosts, and of plugins that stop. */
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Generation } from '../plugin/generation.js';
import type { State } from '../plugin/state.js';
import type { Departures } from './departures.js';
import type { Live } from './live.js';
import type { Plugin } from './plugin.js';
import type { BuildFacts, Recorder } from './record.js';
import type { SavedStates } from './saved-states.js';

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
  /** Those whose key-value state the core has, and is to forget before they begin again. */
  readonly #forgotten = new Set<string>();

  constructor(options: RememberingOptions) {
    this.#options = options;
  }

  /**
   * The state that is kept of a plugin, for a generation that begins without a predecessor to ask; before it is opened.
   * What could not be read as one is warned of. Rejects with `StateUnreadable`.
   */
  async recall(plugin: Plugin, live: Live, recorder: Recorder): Promise<State | undefined> {
    const begin = performance.now();
    if (this.#forgotten.delete(plugin.id)) live.importValues(noValues);
    const found = await this.#options.states.read(plugin.id);
    if (found === undefined) return undefined;
    recorder.add('migrate', performance.now() - begin);
    if ('warning' in found) {
      recorder.warn(found.warning);
      return undefined;
    }
    const { state, values } = found.saved;
    if (values !== undefined && !this.#known.has(plugin.id)) this.#giveBack(plugin.id, live, values);
    return state;
  }

  /** Whether a build that said in `cause` that it does not take the state that is kept may begin without it. */
  mayBeginEmpty(cause: unknown): boolean {
    const { code, details } = asTenonError(cause);
    // A load that was late may be in time at the next attempt.
    const refused = code === 'StateRefused' && details['step'] === 'load' && details['cause'] === 'LifecycleFailed';
    return refused && this.#options.refusedState === 'empty';
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
    await this.#options.states.forget(id);
  }

  /** A generation of the plugin has begun. */
  began(plugin: Plugin): void {
    this.#known.add(plugin.id);
  }

  /** Keep, in the background, the state that `build` handed over. */
  handedOver(plugin: Plugin, live: Live, build: BuildFacts, state: State): void {
    const { departures, log } = this.#options;
    const kept = this.#keep(plugin.id, live, build, state).catch((error: unknown) => {
      const { code, message } = asTenonError(error);
      log.error({ plugin: plugin.id, code }, `${message}; a host that is killed now forgets it`);
    });
    departures.untilClosed(kept);
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

  #giveBack(plugin: string, live: Live, values: Uint8Array): void {
    try {
      live.importValues(values);
    } catch (cause) {
      const file = this.#options.states.file(plugin);
      const { message } = asTenonError(cause);
      throw new TenonError('StateUnreadable', `the saved values of ${plugin} were not taken: ${message}`, {
        next: `move ${file} away to begin without it`,
        details: { plugin, file },
        cause,
      });
    }
  }

  #keep(plugin: string, live: Live, build: SavedBuild, state: State | undefined): Promise<void> {
    const { version, sha256 } = build;
    const savedAt = new Date().toISOString();
    const block = live.exportValues();
    const values = block.byteLength > emptyValues ? block : undefined;
    return this.#options.states.keep({ plugin, savedAt, build: { version, sha256 }, state, values });
  }
}

interface SavedBuild {
  readonly version: string;
  readonly sha256: string;
}

/** Bytes of a block of key-value state with nothing in it. */
const emptyValues = 1;
/** Such a one: the number of its format. */
const noValues = Uint8Array.of(1);
