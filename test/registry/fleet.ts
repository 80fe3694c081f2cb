/** Hosts that share one registry, each with data and applications of its own. */
import { rm } from 'node:fs/promises';
import type { CreateHostOptions, PluginReport } from '../../src/index.js';
import { until, World } from '../load/world.js';
import type { PostgresServer } from './postgres.js';

/** An entry of `hosts.plugins` as it is read. */
export type Reported = Partial<PluginReport>;

export class Fleet {
  readonly worlds: World[] = [];
  readonly #server: PostgresServer;
  readonly #database: string;

  private constructor(server: PostgresServer, database: string) {
    this.#server = server;
    this.#database = database;
  }

  static async make(server: PostgresServer, count: number): Promise<Fleet> {
    const url = await server.database();
    const fleet = new Fleet(server, new URL(url).pathname.slice(1));
    for (let at = 0; at < count; at++) fleet.worlds.push(await World.make());
    return fleet;
  }

  get url(): string {
    return this.#server.url(this.#database);
  }

  /** Put a library into the application `id` of every host. */
  async publish(id: string, library: string): Promise<void> {
    for (const world of this.worlds) await world.publish(id, library);
  }

  async start(options: CreateHostOptions = {}): Promise<void> {
    for (const world of this.worlds) await world.start({ ...options, registry: true, databaseUrl: this.url });
  }

  /** What a statement answers, by psql. */
  sql(statement: string): Promise<string> {
    return this.#server.psql(statement, this.#database);
  }

  /** Run a statement; then every host has come to what it says of `plugin`. */
  async steer(statement: string, plugin = 'service'): Promise<void> {
    await this.sql(statement);
    await this.converged(plugin);
  }

  /** Every host has come to the revision of `plugin`, or has nothing of it when it is not registered. */
  async converged(plugin = 'service'): Promise<void> {
    const behind = `SELECT count(*) FROM hosts LEFT JOIN plugins ON plugins.name = '${plugin}'
      WHERE stopped_at IS NULL AND
        CASE WHEN plugins.name IS NULL THEN hosts.plugins ? '${plugin}'
        ELSE coalesce((hosts.plugins -> '${plugin}' ->> 'revision')::bigint, -1) < plugins.revision END`;
    const count = `SELECT count(*) FROM hosts WHERE stopped_at IS NULL`;
    await until(`all hosts have come to ${plugin}`, async () => {
      const [rest, all] = (await this.sql(`SELECT (${behind}), (${count})`)).split('|').map(Number);
      return rest === 0 && all === this.worlds.length;
    });
  }

  /** What each host says that it has of `plugin`. */
  async reports(plugin = 'service'): Promise<Reported[]> {
    const rows = await this.sql(
      `SELECT coalesce(plugins -> '${plugin}', '{}') FROM hosts WHERE stopped_at IS NULL ORDER BY started_at`,
    );
    return rows.split('\n').map((row) => JSON.parse(row) as Reported);
  }

  /** The status of a GET of each host. */
  async statuses(target: string): Promise<number[]> {
    return Promise.all(this.worlds.map(async (world) => (await world.get(target)).status));
  }

  async close(): Promise<void> {
    await Promise.all(this.worlds.map((world) => world.close()));
    await Promise.all(this.worlds.map(({ directory }) => rm(directory, { recursive: true, force: true })));
  }
}
