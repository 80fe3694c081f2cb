/** Which tables a plugin has, and is to have. */
import type { Log } from '../base/log.js';
import type { Application } from './applications.js';
import type { Plugin } from './plugin.js';
import type { TableDoor, TableWorld } from './table-world.js';

/** What tables a plugin is to have after a reload. */
export interface WantedTables {
  /** Undefined for none. */
  readonly key: string | undefined;
  /** Makes them, or gives those it has when they are the same; absent for none. */
  readonly prepare: (() => Promise<TableWorld>) | undefined;
}

export class PluginTables {
  readonly #door: TableDoor;
  readonly #log: Log;

  constructor(door: TableDoor, log: Log) {
    this.#door = door;
    this.#log = log;
  }

  /** @param application what it is now; undefined when that cannot be read: then its tables stay what they are */
  wanted(plugin: Plugin, application: Application | undefined): WantedTables {
    const present = plugin.tables;
    if (application === undefined) return { key: present?.key, prepare: present && (() => Promise.resolve(present)) };
    const { tables } = application;
    return { key: tables?.key, prepare: tables && (() => this.#door.prepare(application, present)) };
  }

  /** From here on its tables are these. Those it had are let go of: who listens to them is told to come again. */
  async take(plugin: Plugin, tables: TableWorld | undefined): Promise<void> {
    const before = plugin.tables;
    plugin.tables = tables;
    if (before === undefined || before === tables) return;
    if (tables === undefined) this.#door.release(plugin.id);
    await before
      .close()
      .catch((error: unknown) => this.#log.error({ plugin: plugin.id, err: error }, 'its tables did not close'));
  }
}
