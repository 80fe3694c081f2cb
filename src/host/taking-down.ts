/** The end of what runs of a plugin: what it knows is kept first, then it is closed. */
import { asTenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Chains } from './chains.js';
import type { Departures } from './departures.js';
import type { Extensions } from './extensions.js';
import type { Journal } from './journal.js';
import type { Live } from './live.js';
import type { PluginTables } from './plugin-tables.js';
import type { Plugin } from './plugin.js';
import type { Remembering } from './remembering.js';
import type { RouteBook } from './routes.js';

export interface TakingDownOptions {
  log: Log;
  journal: Journal;
  routes: RouteBook;
  departures: Departures;
  extensions: Extensions;
  chains: Chains;
  remembering: Remembering;
  tables: PluginTables;
}

export type Rest = 'stopped' | 'disabled' | 'failed' | 'quarantined';
export type Warn = (sentence: string) => void;

/** Every call has the plugin to itself, as the work of {@link Reloading} has. */
export class TakingDown {
  readonly #options: TakingDownOptions;

  constructor(options: TakingDownOptions) {
    this.#options = options;
  }

  /**
   * Its routes are gone at once; its calls end first, those in older generations too, what it knows is kept, then it is
   * closed. `warn` is told when it could not be kept.
   */
  async takeDown(plugin: Plugin, rest: Rest, warn?: Warn): Promise<void> {
    const { departures, extensions, journal, log, remembering, routes, tables } = this.#options;
    plugin.rest = rest;
    // Their calls may still change the values.
    const older = Promise.allSettled(
      [...plugin.leaving].filter(({ state }) => state === 'draining').map((one) => one.retire()),
    );
    if (plugin.running !== undefined) {
      const generation = plugin.running;
      plugin.probation?.end();
      routes.publish(plugin.id, []);
      plugin.live?.swap(undefined);
      plugin.running = undefined;
      const letGo = tables.take(plugin, undefined);
      departures.begin(plugin, generation);
      journal.stopped(plugin, generation.number, extensions.needing(plugin.id));
      const { hasState } = generation.handle;
      if (hasState)
        await this.#keepLast(plugin, warn, (live) => remembering.lastState(plugin, live, generation, older));
      await letGo;
      const { outcome } = await generation.retire();
      await older;
      if (!hasState) await this.#keepLast(plugin, warn, (live) => remembering.lastValues(plugin, live, generation));
      this.closeLive(plugin);
      log.info({ plugin: plugin.id, generation: generation.number, ...outcome }, 'plugin stopped');
      departures.keep(plugin, generation);
    }
    await older;
    for (const generation of plugin.leaving) await departures.tryAgain(plugin, generation);
  }

  /** No generation is to come behind its pointer. */
  closeLive(plugin: Plugin): void {
    const { live } = plugin;
    plugin.live = undefined;
    if (live !== undefined) this.#options.chains.release(plugin.id, live);
  }

  async #keepLast(plugin: Plugin, warn: Warn | undefined, keep: (live: Live) => Promise<void>): Promise<void> {
    if (!plugin.preservesState || plugin.live === undefined) return;
    try {
      await keep(plugin.live);
    } catch (error) {
      const { code, message } = asTenonError(error);
      const sentence = `${message}; ${plugin.id} begins with what was kept before, if anything was`;
      if (warn === undefined) this.#options.log.error({ plugin: plugin.id, code }, sentence);
      else warn(sentence);
    }
  }
}
