/** Reloads that wait to be written to the registry. */
import type { Log } from '../base/log.js';
import type { Session } from './database.js';
import type { ReloadRow } from './door.js';
import { insertReloads } from './host-row.js';
import { isRefusal } from './registry-error.js';
import { storableJson } from './storable.js';

const most = 1000;
const atOnce = 100;

/** At most 1,000: the oldest go first. */
export class KeptReloads {
  readonly #host: string;
  readonly #log: Log;
  readonly #rows: ReloadRow[] = [];
  #lost = 0;

  constructor(host: string, log: Log) {
    this.#host = host;
    this.#log = log;
  }

  get waiting(): boolean {
    return this.#rows.length > 0;
  }

  add(row: ReloadRow): void {
    this.#rows.push(row);
    if (this.#rows.length <= most) return;
    this.#rows.shift();
    this.#lost += 1;
  }

  /** Writes all; what the database refuses is left out. Rejects when it cannot be written now. */
  async write(session: Session): Promise<void> {
    if (this.#lost > 0)
      this.#log.warn({ lost: this.#lost }, `${this.#lost} reloads are not in the registry: it was away for too long`);
    this.#lost = 0;
    while (this.#rows.length > 0) {
      const rows = latest(this.#rows.splice(0, atOnce));
      try {
        await this.#insert(session, rows);
      } catch (error) {
        this.#rows.unshift(...rows);
        this.#lost += this.#rows.splice(0, Math.max(0, this.#rows.length - most)).length;
        throw error;
      }
    }
  }

  async #insert(session: Session, rows: readonly ReloadRow[]): Promise<void> {
    const write = (some: readonly ReloadRow[]): Promise<void> => insertReloads(session, this.#host, storableJson(some));
    try {
      await write(rows);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      for (const row of rows) await write([row]).catch((one: unknown) => this.#refused(row, one));
    }
  }

  #refused(row: ReloadRow, error: unknown): void {
    if (!isRefusal(error)) throw error;
    this.#log.warn(
      { reload: row.id, plugin: row.plugin, err: error },
      'the registry refuses a reload, which is left out',
    );
  }
}

/** Of those with one id the last: a reload that was taken back is told again. */
function latest(rows: readonly ReloadRow[]): ReloadRow[] {
  return [...new Map(rows.map((row) => [row.id, row])).values()];
}
