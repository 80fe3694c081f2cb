/** What is asked of plugins by id, as it would come to. */
import { noSuchPlugin } from './absence.js';
import type { Applications } from './applications.js';
import { Plugin } from './plugin.js';
import type { Rehearsal, Rehearsed, TriedLibrary } from './rehearsal.js';

export class Rehearsals {
  readonly #rehearsal: Rehearsal;
  readonly #plugins: ReadonlyMap<string, Plugin>;
  readonly #applications: Pick<Applications, 'find'>;

  constructor(rehearsal: Rehearsal, plugins: ReadonlyMap<string, Plugin>, applications: Pick<Applications, 'find'>) {
    this.#rehearsal = rehearsal;
    this.#plugins = plugins;
    this.#applications = applications;
  }

  /** Rejects as `Host.reload` does, up to the opening of the library. */
  async reload(id: string): Promise<Rehearsed> {
    return this.#rehearsal.reload(this.#plugins.get(id) ?? (await this.#fresh(id)));
  }

  /** Rejects as `Host.load` does, up to the opening of the library; of one that runs nothing is looked at. */
  async load(id: string): Promise<Rehearsed> {
    const { running, state } = this.#plugins.get(id) ?? {};
    if (running === undefined || state === undefined) return this.reload(id);
    const plugin = { id, state, generation: running.number };
    return { status: 'valid', would: 'unchanged', plugin, warnings: [], phases: {} };
  }

  /** Rejects as `Host.rollback` does, up to the opening of the library. */
  rollback(id: string, to: string | undefined): Promise<Rehearsed> {
    return this.#rehearsal.rollback(this.#known(id), to);
  }

  /** A library by itself. Rejects as admission does, and with `BundleKilled`. */
  library(bytes: Uint8Array): Promise<TriedLibrary> {
    return this.#rehearsal.library(bytes);
  }

  #known(id: string): Plugin {
    const plugin = this.#plugins.get(id);
    if (plugin === undefined) throw noSuchPlugin(id, [...this.#plugins.keys()]);
    return plugin;
  }

  /** One that nobody sees, of an application that has appeared since the last look. */
  async #fresh(id: string): Promise<Plugin> {
    const folder = await this.#applications.find(id);
    return folder === undefined ? this.#known(id) : new Plugin(id, folder);
  }
}
