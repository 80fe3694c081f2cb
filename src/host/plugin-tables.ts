/** Which tables a plugin has, and is to have. */
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Application } from './applications.js';
import { type KeptTables, readKeptTables, writeKeptTables } from './kept-tables.js';
import type { Plugin } from './plugin.js';
import type { Recorder } from './record.js';
import type { TableDoor, TableWorld } from './table-world.js';
import type { Versions } from './versions.js';

/** What tables a plugin is to have after a reload. */
export interface WantedTables {
  /** Undefined for none. */
  readonly key: string | undefined;
  /** Makes them, or gives those it has when they are the same; absent for none. */
  readonly prepare: (() => Promise<TableWorld | undefined>) | undefined;
  /** Path before their routes, where only that tells the one of the application. */
  readonly prefix?: string;
}

export class PluginTables {
  readonly #door: TableDoor;
  readonly #versions: Versions;
  readonly #log: Log;

  constructor(door: TableDoor, versions: Versions, log: Log) {
    this.#door = door;
    this.#versions = versions;
    this.#log = log;
  }

  /** Those of the application as it is now. */
  wanted(plugin: Plugin, { id, prefix, folder, tables }: Application): WantedTables {
    if (tables === undefined) return { key: undefined, prepare: undefined };
    const { place = async () => folder } = tables;
    const prepare = async (): Promise<TableWorld> =>
      this.#door.prepare({ id, prefix, folder: await place(), tables }, plugin.tables);
    return { key: tables.key, prepare };
  }

  /**
   * Those for a kept build: of the application as it is now, and when they cannot be made, or it cannot be read (`application`
   * says why), what they are, or were when it served last. Rejects with why it cannot be read when that is not known.
   */
  async wantedByKept(plugin: Plugin, application: Application | TenonError, recorder: Recorder): Promise<WantedTables> {
    if (application instanceof TenonError) {
      const present = plugin.tables;
      if (plugin.running !== undefined) return { key: present?.key, prepare: present && (async () => present) };
      const kept = await this.#kept(plugin, application);
      if (kept === undefined) return { key: undefined, prepare: undefined };
      return { key: kept.tables.key, prepare: () => this.#again(plugin, kept), prefix: kept.prefix };
    }
    const { key, prepare } = this.wanted(plugin, application);
    if (prepare === undefined) return { key, prepare };
    const prepareOrStay = async (): Promise<TableWorld | undefined> => {
      try {
        return await prepare();
      } catch (cause) {
        const world = await this.#last(plugin, asTenonError(cause));
        recorder.warn(`${asTenonError(cause).message}; the tables of ${plugin.id} are what they were before`);
        return world;
      }
    };
    return { key, prepare: prepareOrStay };
  }

  /** From here on its tables are these. Those it had are let go of: who listens to them is told to come again. */
  async take(plugin: Plugin, tables: TableWorld | undefined): Promise<void> {
    const before = plugin.tables;
    plugin.tables = tables;
    this.#door.settle(plugin.id, tables);
    if (before === undefined || before === tables) return;
    await before
      .close()
      .catch((error: unknown) => this.#log.error({ plugin: plugin.id, err: error }, 'its tables did not close'));
  }

  /** Others that were to come do not: what was taken for them is free again, and what they changed is changed back. */
  async stay({ id, tables }: Plugin): Promise<void> {
    this.#door.settle(id, tables);
    if (tables === undefined) return;
    await this.#door
      .restore(tables)
      .catch((error: unknown) => this.#log.error({ plugin: id, err: error }, 'its tables are not what they were'));
  }

  /** Keep what they are made of for a host, or a start, that cannot make them of what the application says then. */
  keep({ id, tables }: Plugin): void {
    this.#versions.keepTables(id, tables && writeKeptTables(tables.source));
  }

  /** Rejects with `error` when there are none to go on with. */
  async #last(plugin: Plugin, error: TenonError): Promise<TableWorld | undefined> {
    if (plugin.running !== undefined) {
      await this.stay(plugin);
      return plugin.tables;
    }
    const kept = await this.#kept(plugin, error);
    return kept && this.#again(plugin, kept);
  }

  /** Rejects with `error` when it is not known whether there were any. */
  async #kept({ id }: Plugin, error: TenonError): Promise<KeptTables | undefined> {
    try {
      const text = await this.#versions.tablesOf(id);
      return text === undefined ? undefined : readKeptTables(text);
    } catch (cause) {
      this.#log.warn({ plugin: id, err: cause }, `what the tables of ${id} were made of could not be read`);
      throw error;
    }
  }

  #again({ id, folder, tables: present }: Plugin, kept: KeptTables): Promise<TableWorld> {
    return this.#door.prepare({ id, folder, ...kept }, present);
  }
}
