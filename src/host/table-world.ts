/** The tables of one application as its plugin has them: what its routes answer, and what its code may reach. */
import type { GenerationOptions } from '../binding/core.js';
import type { Store } from '../binding/store.js';
import type { ServedTables } from '../tables/served.js';
import type { PreparedTables, Tables } from '../tables/tables.js';
import type { TableSource } from './kept-tables.js';
import type { ServedRoute } from './live.js';

/** Stays from generation to generation, with all who listen to its changes, until the schema becomes another. */
export interface TableWorld {
  /** Equal for the same schema, the same records to begin with, and the same prefix; no other's while those could not be written. */
  readonly key: string;
  /** What it was made of. */
  readonly source: TableSource;
  /** What came of that. */
  readonly served: PreparedTables;
  readonly store: Store;
  /** Whose tables the plugin names without saying so. */
  readonly database: string;
  /** Tables of other databases that it asks for: `read:database.Table`, `write:database.*`. */
  readonly grants: readonly string[];
  readonly routes: readonly ServedRoute[];
  /** Names of the tables. */
  readonly names: readonly string[];
  /** End what goes on over its routes: listeners are told to come again. Twice is fine. */
  close(): Promise<void>;
}

/** Makes the tables of applications. */
export interface TableDoor {
  /**
   * The tables that an application's schema says. Rejects with `SchemaInvalid`, `SchemaIncompatible`, `SeedInvalid`, `TableTaken` and with
   * why the store cannot be opened. What it has done stays when the reload fails after it: tables, fields and indexes only come.
   * @param present what the running generation has; the result is this very one when nothing is different
   */
  prepare(source: TableSource, present: TableWorld | undefined): Promise<TableWorld>;
  /** These are the tables of the application, after `prepare` and whatever became of it: others may have all the rest. */
  settle(id: string, world: TableWorld | undefined): void;
  /** They will be needed: what takes long is begun. */
  openSoon(): void;
  /** `world` goes on after others were prepared in its place. Rejects with what the store may. */
  restore(world: TableWorld): Promise<void>;
}

/** Tables that others let a plugin read. */
export interface LentTables {
  readonly store: Store;
  readonly grants: readonly string[];
}

/** What of these worlds whoever lists their applications as extensions may read; undefined for nothing. */
export function lentBy(worlds: readonly (TableWorld | undefined)[]): LentTables | undefined {
  const shared = worlds.flatMap((world) => world?.served.tables.filter(({ schema }) => schema.shared === true) ?? []);
  const store = worlds.find((world) => world !== undefined)?.store;
  if (store === undefined || shared.length === 0) return undefined;
  return { store, grants: shared.map(({ definition }) => `read:${definition.database}.${definition.name}`) };
}

/** What the code of the plugin `id` may reach of the tables of a host; of one that is `bound`, whatever it is permitted. */
export function tablesFor(
  id: string,
  world: TableWorld | undefined,
  lent: LentTables | undefined,
  bound: boolean,
): Pick<GenerationOptions, 'store' | 'database' | 'grants'> | undefined {
  const store = world?.store ?? lent?.store;
  if (store === undefined) return undefined;
  const asked = bound ? [] : (world?.grants ?? []);
  return { store, database: world?.database ?? id, grants: [...asked, ...(lent?.grants ?? [])] };
}

/** The plugin's own routes, and of those of its tables all that it does not answer itself. */
export function withTables(own: readonly ServedRoute[], tables: TableWorld | undefined): ServedRoute[] {
  if (tables === undefined) return [...own];
  const taken = new Set(own.map(shapeOf));
  return [...own, ...tables.routes.filter((route) => !taken.has(shapeOf(route)))];
}

/** Two patterns that match the same paths have the same shape. */
export function shapeOf(route: Pick<ServedRoute, 'method' | 'path'>): string {
  return `${route.method} ${route.path.replaceAll(/\/:[^/]+/g, '/:')}`;
}

/** What an application's tables are served by. */
export interface TableRoutes {
  readonly routes: readonly ServedRoute[];
  close(): Promise<void>;
}

/** Makes the tables of a host's applications out of their schemas. */
export class TableWorlds implements TableDoor {
  readonly #tables: Tables;
  readonly #serve: (served: ServedTables) => TableRoutes;

  /** @param serve what they are served by; nothing is served until its routes are published */
  constructor(tables: Tables, serve: (served: ServedTables) => TableRoutes) {
    this.#tables = tables;
    this.#serve = serve;
  }

  openSoon(): void {
    this.#tables.open().catch(() => {}); // whoever needs it is told
  }

  async prepare(source: TableSource, present: TableWorld | undefined): Promise<TableWorld> {
    const { id, prefix, folder, tables } = source;
    const { key, grants, ...input } = tables;
    if (present?.key === key) return present;
    const served = await this.#tables.prepare({ application: id, prefix, folder, ...input });
    const serving = this.#serve(served);
    const names = served.tables.map(({ definition }) => definition.name);
    const isPassing = served.seedErrors.some(({ code }) => code === 'StoreFull' || code === 'StoreFailed');
    return {
      // Not what is wanted: the next reload tries again.
      key: isPassing ? `${key} without all of its seed data` : key,
      source,
      served,
      store: served.store,
      database: id,
      grants,
      routes: serving.routes,
      names,
      close: () => serving.close(),
    };
  }

  settle(id: string, world: TableWorld | undefined): void {
    this.#tables.settle(id, world?.served);
  }

  restore({ served }: TableWorld): Promise<void> {
    return this.#tables.restore(served);
  }
}
