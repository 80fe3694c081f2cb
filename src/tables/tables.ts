/** The tables of a host: one store, opened when the first application comes with a schema. */
import { TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Store, TableDefinition } from '../binding/store.js';
import { goneFields, redeclaredFields } from './gone-fields.js';
import { type ApplicationSchema, type Exports, readSchema, type SchemaSource } from './schema.js';
import { loadSeeds, seedNote } from './seed.js';
import type { ServedTable, ServedTables } from './served.js';
import { storeError } from './store-error.js';

/** What an application says of its tables. */
export interface TablesInput {
  application: string;
  /** In front of every path; empty at the root. */
  prefix: string;
  schemas: readonly SchemaSource[];
  surfaces: Partial<Exports>;
  /** Of the application, absolute. */
  folder: string;
  /** Patterns of the files of records that the tables begin with, relative to the folder. */
  seeds: readonly string[];
}

export interface TablesOptions {
  /** Opens the store of the data directory. */
  open: () => Promise<Store>;
  log: Log;
}

/** Tables as they are served, with what kept seed data from being loaded. */
export interface PreparedTables extends ServedTables {
  readonly seedErrors: readonly TenonError[];
}

/** Between two tries to write again when there was no space, ms. */
const healMs = 2000;

/** Opens, and closes what it opened. */
export class Tables {
  readonly #options: TablesOptions;
  /** Which application a table belongs to, by `database.Table`. */
  readonly #owners = new Map<string, string>();
  #opening: Promise<Store> | undefined;
  #store: Store | undefined;
  #watch: NodeJS.Timeout | undefined;
  #healing = false;
  #closing: Promise<void> | undefined;

  constructor(options: TablesOptions) {
    this.#options = options;
  }

  /** The store, once it was needed and could be opened. */
  get store(): Store | undefined {
    return this.#store;
  }

  /** The same, opened when it is not yet. Rejects with why it cannot be, and may be asked again then. */
  async open(): Promise<Store> {
    if (this.#closing !== undefined)
      throw new TenonError('HostClosing', 'the host is shutting down', { next: 'ask the next host' });
    this.#opening ??= this.#options.open().catch((error: unknown) => {
      this.#opening = undefined;
      throw storeError(error);
    });
    const store = await this.#opening;
    this.#store = store;
    this.#watch ??= setInterval(() => this.#healFull(store), healMs).unref();
    return store;
  }

  /**
   * Bring the store to what the application's schema says, and load the records it begins with. Rejects with
   * `SchemaInvalid`, `TableTaken`, `SchemaIncompatible`, `SeedInvalid` and what opening the store may; definitions that
   * were made stay. What it has is its own until `settle` says otherwise, also after a failure.
   */
  async prepare(input: TablesInput): Promise<PreparedTables> {
    const { application, prefix } = input;
    const schema = readSchema(input.schemas, application, input.surfaces);
    const store = await this.open();
    const names = schema.tables.map(({ definition }) => nameOf(definition));
    this.#claim(application, names);
    const served = { application, prefix, store, schema, tables: await define(store, application, schema) };
    return { ...served, seedErrors: await this.#seed(input, served) };
  }

  /** The application has these tables and no others: those may be another one's from now on; what is stored stays. */
  settle(application: string, served: ServedTables | undefined): void {
    for (const [name, owner] of this.#owners) if (owner === application) this.#owners.delete(name);
    for (const { definition } of served?.tables ?? []) this.#owners.set(nameOf(definition), application);
  }

  /** Bring the store back to what these say, after others were prepared in their place that do not come. */
  async restore({ application, store, tables }: ServedTables): Promise<void> {
    for (const { number, schema, definition } of tables) {
      if (isSame(store.definition(number), definition)) continue;
      const loosened = loosen(schema.definition, store.definition(number));
      const fits = store.incompatible(schema.definition) === undefined;
      await store.define(fits ? schema.definition : loosened).catch((error: unknown) => {
        throw storeError(error, { plugin: application, table: nameOf(definition) });
      });
    }
  }

  /** Remove the tables that this schema has made for `application`, with every record, and what is known of its seed data. */
  async purge(application: string, { schemas, surfaces }: Pick<TablesInput, 'schemas' | 'surfaces'>): Promise<void> {
    const names = readSchema(schemas, application, surfaces).tables.map(({ definition }) => nameOf(definition));
    const store = await this.open();
    for (const { number, ...table } of store.tables()) {
      const name = `${table.database}.${table.name}`;
      const owner = this.#owners.get(name) ?? application;
      if (!names.includes(name) || owner !== application) continue;
      await store.drop(number);
      await store.setNote(seedNote(application, table), '');
    }
  }

  /** Twice is fine. Nothing may use the store any more. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#watch);
    const store = await this.#opening?.catch(() => undefined); // told to whoever asked for it
    this.#store = undefined;
    await store?.close();
  }

  /** A store that ran out of space does not write again by itself. */
  #healFull(store: Store): void {
    const { log } = this.#options;
    if (store.trouble()?.code !== 'StoreFull' || this.#healing) return;
    this.#healing = true;
    store
      .resume()
      .then(
        () => log.info('tables can be written again'),
        (error: unknown) => log.warn({ code: storeError(error).code }, storeError(error).message),
      )
      .finally(() => {
        this.#healing = false;
      });
  }

  /** A file that is wrong is told of and left out: the application can serve without it. */
  async #seed({ folder, seeds }: TablesInput, { application, tables, store }: ServedTables): Promise<TenonError[]> {
    const { log } = this.#options;
    const errors: TenonError[] = [];
    for (const { file, records, error } of await loadSeeds({ folder, patterns: seeds, application, tables, store })) {
      if (records > 0) log.info({ plugin: application, file, records }, `${application}: records loaded`);
      if (error === undefined) continue;
      log.error({ plugin: application, file, code: error.code }, error.message);
      errors.push(error);
    }
    return errors;
  }

  /** Throws `TableTaken`, and then it has none more. */
  #claim(application: string, names: readonly string[]): void {
    for (const name of names) {
      const owner = this.#owners.get(name) ?? application;
      if (owner === application) continue;
      throw new TenonError('TableTaken', `${application}: the table ${name} belongs to ${owner}`, {
        next: `give it another name or database, or use ${owner}'s with the permission "tables:write:${name}"`,
        details: { plugin: application, table: name, owner },
      });
    }
    for (const name of names) this.#owners.set(name, application);
  }
}

async function define(store: Store, application: string, schema: ApplicationSchema): Promise<ServedTable[]> {
  const wanted: TableDefinition[] = [];
  for (const { definition } of schema.tables) wanted.push(await withAnew(store, application, definition));
  for (const definition of wanted) refuseIncompatible(store, application, definition);
  const tables: ServedTable[] = [];
  for (const [at, table] of schema.tables.entries()) {
    const number = await store.define(wanted[at] as TableDefinition).catch((error: unknown) => {
      throw storeError(error, { plugin: application, table: nameOf(table.definition) });
    });
    const definition = store.definition(number);
    const gone = goneFields(definition);
    tables.push({ application, number, schema: table, definition, ...(gone === undefined ? {} : { gone }) });
  }
  return tables;
}

/** Fields whose name one had that is gone, is of another type and stands in no record begin anew. */
async function withAnew(store: Store, application: string, definition: TableDefinition): Promise<TableDefinition> {
  const table = nameOf(definition);
  const redeclared = await redeclaredFields(store, definition).catch((error: unknown) => {
    throw storeError(error, { plugin: application, table });
  });
  if (redeclared.length === 0) return definition;
  for (const { name, reason, isStored } of redeclared) {
    if (!isStored) continue;
    throw new TenonError(
      'SchemaIncompatible',
      `${application}: the table ${table} had a field ${name} before, and records still have it: ${reason}`,
      {
        next: 'declare it as it was, which brings its values back; or give the new one another name; or declare it as it was, set it to null in every record, and then change it',
        details: { plugin: application, table, field: name, reason },
      },
    );
  }
  const names = new Set(redeclared.map(({ name }) => name));
  return {
    ...definition,
    fields: definition.fields.map((each) => (names.has(each.name) ? { ...each, anew: true } : each)),
  };
}

function isSame(left: TableDefinition, right: TableDefinition): boolean {
  return JSON.stringify({ ...left, revision: 0 }) === JSON.stringify({ ...right, revision: 0 });
}

/** What was let in meanwhile may be stored by now, and stays readable. */
function loosen(wanted: TableDefinition, present: TableDefinition): TableDefinition {
  const fields = wanted.fields.map((field) => {
    const now = present.fields.find(({ name, dropped }) => name === field.name && dropped !== true);
    return { ...field, type: now?.type ?? { ...field.type, required: false } };
  });
  return { ...wanted, fields };
}

function nameOf({ database, name }: TableDefinition): string {
  return `${database}.${name}`;
}

function refuseIncompatible(store: Store, application: string, definition: TableDefinition): void {
  const reason = store.incompatible(definition);
  if (reason === undefined) return;
  const table = nameOf(definition);
  throw new TenonError(
    'SchemaIncompatible',
    `${application}: the table ${table} cannot become what the schema says: ${reason}`,
    {
      next: 'keep what is stored readable: leave the field as it was, and add one with another name',
      details: { plugin: application, table, reason },
    },
  );
}
