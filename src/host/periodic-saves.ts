/** Saves what plugins know while they serve, every so often: a host that is killed forgets no more than that. */
import { asTenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Generation } from '../plugin/generation.js';
import type { State } from '../plugin/state.js';
import { saveBriefly } from './brief-save.js';
import type { Live } from './live.js';
import type { Plugin } from './plugin.js';

export interface PeriodicSavesOptions {
  /** Between two saves of a plugin, ms; 0: there are none. */
  everyMs: number;
  log: Log;
  /** Resolves when the state is kept. */
  keep: (plugin: Plugin, live: Live, generation: Generation, state: State) => Promise<void>;
}

/** One generation that is saved. */
interface Saved {
  readonly plugin: Plugin;
  readonly generation: Generation;
  readonly live: Live;
  /** Its calls that had ended by the last save. */
  calls: number;
  /** Of what was saved last. */
  sha256?: string;
  /** What went wrong last, which is told once. */
  trouble?: string;
}

export class PeriodicSaves {
  readonly #options: PeriodicSavesOptions;

  constructor(options: PeriodicSavesOptions) {
    this.#options = options;
  }

  /** What runs of the plugin serves: it is saved until something else does. */
  begin(plugin: Plugin): void {
    const { running: generation, live } = plugin;
    if (this.#options.everyMs === 0 || generation?.handle.hasState !== true || live === undefined) return;
    this.#later({ plugin, generation, live, calls: generation.counters.calls });
  }

  #later(saved: Saved): void {
    setTimeout(() => {
      if (!serves(saved)) return;
      void this.#round(saved).finally(() => this.#later(saved));
    }, this.#options.everyMs).unref();
  }

  /** Never rejects. */
  async #round(saved: Saved): Promise<void> {
    const { plugin, generation, live } = saved;
    // A build on probation has nothing to say that the one before it would want to hear.
    const waits = !plugin.turns.idle || plugin.unproven.has(generation.sha256);
    if (waits || !mayHaveChanged(saved)) return;
    const { calls } = generation.counters;
    try {
      const state = await plugin.turns.take('save', async () =>
        serves(saved) ? saveBriefly(live, generation) : undefined,
      );
      if (state === undefined) return;
      saved.calls = calls;
      delete saved.trouble;
      if (state.sha256 === saved.sha256) return;
      await this.#options.keep(plugin, live, generation, state);
      saved.sha256 = state.sha256;
    } catch (error) {
      this.#tell(saved, error);
    }
  }

  #tell(saved: Saved, error: unknown): void {
    const { code, message } = asTenonError(error);
    if (saved.trouble === message) return;
    saved.trouble = message;
    const { id } = saved.plugin;
    this.#options.log.error({ plugin: id, code }, `${message}; a host that is killed now forgets what ${id} knows`);
  }
}

function serves({ plugin, generation, live }: Saved): boolean {
  return plugin.running === generation && plugin.live === live && plugin.preservesState;
}

/** What runs by itself may change the state without a call. */
function mayHaveChanged({ generation, calls }: Saved): boolean {
  const { timers, tasks, subscriptions } = generation.handle.ledger;
  return generation.counters.calls !== calls || timers > 0 || tasks > 0 || subscriptions.length > 0;
}
