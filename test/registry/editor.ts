/** Somebody who edits the registry at random, and knows what it says afterwards. */
import { isDeepStrictEqual } from 'node:util';
import { Client } from 'pg';
import type { Random } from '../tables/random.js';

type Config = Readonly<Record<string, unknown>>;

/** What a row says. */
export interface Wished {
  status: string;
  /** Undefined: not pinned. */
  pin: string | undefined;
  config: Config | null;
}

/** What was asked for since the beginning, of one plugin. */
export interface Asked {
  edits: number;
  /** Edits that a host may begin a generation for. */
  generations: number;
  /** Those of them that may give the build that runs once more. */
  again: number;
}

/** An entry of `hosts.plugins`. */
interface Entry {
  readonly state?: string;
  readonly revision?: number;
  readonly error?: object;
}

export interface EditorOptions {
  readonly url: string;
  readonly random: Random;
  readonly plugins: readonly string[];
  /** Versions that each host has. */
  readonly versions: readonly string[];
  /** Whether a config of it gives a new generation. */
  readonly reloadsOnConfig: (plugin: string) => boolean;
}

export class Editor {
  readonly rows = new Map<string, Wished>();
  readonly asked = new Map<string, Asked>();
  /** Whether rows may be deleted: a host that starts registers what it has. */
  deletes = true;
  readonly #options: EditorOptions;
  #client: Client | undefined;
  #serial = 0;

  constructor(options: EditorOptions) {
    this.#options = options;
    for (const name of options.plugins) {
      this.rows.set(name, { status: 'active', pin: undefined, config: null });
      this.asked.set(name, { edits: 0, generations: 0, again: 0 });
    }
  }

  /** Connect, also once more. */
  async connect(): Promise<void> {
    await this.close();
    const client = new Client({ connectionString: this.#options.url });
    client.on('error', () => {}); // whoever asks next is told
    await client.connect();
    this.#client = client;
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => {}); // the server is gone
  }

  async sql<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
    if (this.#client === undefined) throw new Error('the editor is not connected');
    return (await this.#client.query<Row>(text, values)).rows;
  }

  /** One edit of one plugin. */
  async edit(): Promise<void> {
    const { random, plugins } = this.#options;
    const name = random.one(plugins);
    const row = this.rows.get(name);
    if (row === undefined) return this.insert(name);
    await random.one([
      () => this.#config(name, row),
      () => this.#config(name, row),
      () => this.#status(name, row),
      () => this.#status(name, row),
      () => this.#pin(name, row),
      () => this.#pin(name, row),
      () => this.reload(name),
      () => (this.deletes ? this.#delete(name) : this.touch(name)),
      () => this.touch(name),
    ])();
  }

  /** Register it as it was never before. */
  async insert(name: string): Promise<void> {
    const { random, versions } = this.#options;
    const pin = random.below(2) === 0 ? undefined : random.one(versions);
    const row = { status: random.below(4) === 0 ? 'disabled' : 'active', pin, config: this.#anyConfig() };
    await this.sql(
      `INSERT INTO plugins (name, source_path, status, version, pinned, config) VALUES ($1, $1, $2, $3, $4, $5)`,
      [name, row.status, row.pin ?? null, row.pin !== undefined, json(row.config)],
    );
    this.rows.set(name, row);
    this.#ask(name, 1);
  }

  /** A change that no host has anything to do for. */
  async touch(name: string): Promise<void> {
    await this.sql('UPDATE plugins SET binary_path = $2 WHERE name = $1', [name, `for people ${++this.#serial}`]);
    this.#ask(name, 0);
  }

  /** A new generation of what runs. */
  async reload(name: string): Promise<void> {
    await this.sql('UPDATE plugins SET reload_at = clock_timestamp() WHERE name = $1', [name]);
    this.#ask(name, 1, true);
  }

  /** How the rows are different from what was written; undefined when they are not. */
  async difference(): Promise<unknown> {
    const rows = await this.sql<{ name: string; status: string; version: string; pinned: boolean; config: Config }>(
      'SELECT name, status, version, pinned, config FROM plugins',
    );
    const found = new Map<string, Wished>(
      rows.map(({ name, status, version, pinned, config }) => [
        name,
        { status, pin: pinned ? version : undefined, config },
      ]),
    );
    return isDeepStrictEqual(found, this.rows) ? undefined : { found, written: this.rows };
  }

  /** Which hosts have not come to what the rows say, and with what; empty when `count` hosts have. */
  async behind(count: number): Promise<string[]> {
    const rows = await this.sql<{ name: string; revision: string }>('SELECT name, revision FROM plugins');
    const hosts = await this.sql<{ pid: number; plugins: Record<string, Entry> }>(
      'SELECT pid, plugins FROM hosts WHERE stopped_at IS NULL',
    );
    const late = hosts.flatMap(({ pid, plugins }) => [
      ...rows
        .filter(({ name, revision }) => (plugins[name]?.revision ?? -1) < Number(revision))
        .map(({ name, revision }) => `${pid}: ${name} at ${plugins[name]?.revision} of ${revision}`),
      ...Object.keys(plugins)
        .filter((name) => !rows.some((row) => row.name === name))
        .map((name) => `${pid}: ${name} is there still`),
    ]);
    return hosts.length === count ? late : [...late, `${hosts.length} hosts of ${count}`];
  }

  async #config(name: string, row: Wished): Promise<void> {
    row.config = this.#anyConfig();
    await this.sql('UPDATE plugins SET config = $2 WHERE name = $1', [name, json(row.config)]);
    this.#ask(name, this.#options.reloadsOnConfig(name) ? 1 : 0, this.#options.reloadsOnConfig(name));
  }

  async #status(name: string, row: Wished): Promise<void> {
    const before = row.status;
    row.status = this.#options.random.one(['active', 'active', 'active', 'disabled', 'quarantined', 'invalid']);
    await this.sql('UPDATE plugins SET status = $2 WHERE name = $1', [name, row.status]);
    this.#ask(name, row.status === 'active' && before !== 'active' ? 1 : 0);
  }

  async #pin(name: string, row: Wished): Promise<void> {
    const { random, versions } = this.#options;
    const before = row.pin;
    row.pin = random.one([undefined, ...versions]);
    if (row.pin === undefined) await this.sql('UPDATE plugins SET pinned = false WHERE name = $1', [name]);
    else await this.sql('UPDATE plugins SET version = $2, pinned = true WHERE name = $1', [name, row.pin]);
    this.#ask(name, before === row.pin ? 0 : 1);
  }

  async #delete(name: string): Promise<void> {
    await this.sql('DELETE FROM plugins WHERE name = $1', [name]);
    this.rows.delete(name);
    this.#ask(name, 0);
  }

  #anyConfig(): Config | null {
    return this.#options.random.below(4) === 0 ? null : { serial: ++this.#serial };
  }

  #ask(name: string, generations: number, again = false): void {
    const asked = this.asked.get(name);
    if (asked === undefined) throw new Error(`${name} is not known`);
    asked.edits += 1;
    asked.generations += generations;
    asked.again += again ? generations : 0;
  }
}

function json(config: Config | null): string | null {
  return config === null ? null : JSON.stringify(config);
}
