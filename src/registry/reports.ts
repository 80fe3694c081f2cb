/** What this host tells the registry: kept while it is away, written together, one statement at a time. */
import { TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Database } from './database.js';
import type { ReloadRow } from './door.js';
import {
  forgetPlugin,
  type HostIdentity,
  type Serving,
  stopHost,
  touchHost,
  writeHost,
  writeServing,
} from './host-row.js';
import { KeptReloads } from './kept-reloads.js';
import { isRefusal } from './registry-error.js';
import { writeAs } from './repository.js';
import type { PluginReport } from './rows.js';
import { storable, storableJson } from './storable.js';

export interface ReportsOptions {
  readonly database: Database;
  readonly host: HostIdentity;
  readonly log: Log;
  /** Revision of a plugin as it is known; undefined: it is not registered. */
  readonly revision: (name: string) => number | undefined;
}

const gatherMs = 100;
const heartbeatMs = 10_000;
const retryTimes = { first: 500, most: 10_000 };
const mostMessage = 2000;

export class Reports {
  readonly #options: ReportsOptions;
  /** JSON of what the host runs, by name. */
  readonly #running = new Map<string, string>();
  readonly #unsaid = new Set<string>();
  /** Plugins whose folder is gone, and the revision up to which their row may go too. */
  readonly #gone = new Map<string, number>();
  readonly #serving = new Map<string, Serving>();
  readonly #reloads: KeptReloads;
  #url: string | undefined;
  /** Whether the whole row is to be written. */
  #anew = true;
  #beat = false;
  #connected = false;
  #ended = false;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #due = 0;
  #heartbeat: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #forgetting: Promise<void> | undefined;

  constructor(options: ReportsOptions) {
    this.#options = options;
    this.#reloads = new KeptReloads(options.host.id, options.log);
  }

  /** There is a connection: everything that is known is written. */
  begin(): void {
    this.#connected = true;
    this.#failures = 0;
    this.#anew = true;
    this.#heartbeat ??= setInterval(() => this.#live(), heartbeatMs).unref();
    this.#soon(0);
  }

  pause(): void {
    this.#connected = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  report(name: string, report: PluginReport | undefined): void {
    if (report === undefined) {
      const revision = this.#options.revision(name);
      if (revision !== undefined) this.#gone.set(name, revision);
      this.#running.delete(name);
      this.#serving.delete(name);
    } else {
      const text = asText(report);
      const before = this.#running.get(name);
      this.#gone.delete(name);
      if (text === before) return;
      this.#running.set(name, text);
    }
    this.#unsaid.add(name);
    this.#soon();
  }

  serves(name: string, serving: Serving): void {
    this.#serving.set(name, serving);
    this.#soon();
  }

  reloaded(row: ReloadRow): void {
    this.#reloads.add(row);
    this.#soon();
  }

  listens(url: string): void {
    this.#url = storable(url);
    this.#beat = true;
    this.#soon();
  }

  /** It is there again: resolves when its row cannot go any more. */
  async keep(name: string): Promise<void> {
    this.#gone.delete(name);
    await this.#forgetting?.catch(() => {}); // whoever began it is told
  }

  /** Plugins are known that were not: what they serve may be written now. */
  known(names: readonly string[]): void {
    if (names.some((name) => this.#serving.has(name))) this.#soon();
  }

  /** Writes what waits and says that the host has stopped, when there is a connection; nothing is written afterwards. */
  async close(): Promise<void> {
    this.#ended = true;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#timer);
    if (!this.#connected) return;
    await this.#writing;
    const { database, host, log } = this.#options;
    const untold = (error: unknown): void =>
      log.debug({ err: error }, 'what this host had to tell the registry at its end was not written');
    await this.#writeAll().catch(untold);
    await stopHost(database, host).catch(untold);
  }

  #live(): void {
    this.#beat = true;
    this.#soon(0);
  }

  #soon(waitMs = this.#failures > 0 ? retryTimes.first : gatherMs): void {
    if (this.#ended || !this.#connected || this.#writing !== undefined) return;
    const due = performance.now() + waitMs;
    if (this.#timer !== undefined && this.#due <= due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => this.#write(), waitMs);
  }

  #write(): void {
    this.#timer = undefined;
    this.#writing = this.#writeAll().then(
      () => this.#wrote(),
      (error: unknown) => this.#failed(error),
    );
  }

  #wrote(): void {
    this.#writing = undefined;
    this.#failures = 0;
    if (this.#isWaiting()) this.#soon();
  }

  #failed(error: unknown): void {
    this.#writing = undefined;
    // Whatever the row has become: the next try does not build upon it.
    this.#anew = true;
    if (!this.#connected) return;
    const waitMs = Math.min(retryTimes.most, retryTimes.first * 2 ** Math.min(this.#failures, 10));
    // A connection that broke has told so itself.
    const told = this.#failures > 0 || (error instanceof TenonError && error.code === 'RegistryUnavailable');
    this.#options.log[told ? 'debug' : 'warn'](
      { err: error, retryMs: waitMs },
      'what this host runs cannot be written to the registry; it is tried again',
    );
    this.#failures += 1;
    this.#soon(waitMs);
  }

  #isWaiting(): boolean {
    const some = this.#anew || this.#beat || this.#unsaid.size > 0 || this.#gone.size > 0;
    return some || this.#reloads.waiting || this.#writable().length > 0;
  }

  /** A plugin that is not registered yet waits until it is. */
  #writable(): [string, Serving][] {
    return [...this.#serving].filter(([name]) => this.#options.revision(name) !== undefined);
  }

  async #writeAll(): Promise<void> {
    const steps = [
      () => this.#writeRow(),
      ...this.#writable().map(
        ([name, serving]) =>
          () =>
            this.#writeServing(name, serving),
      ),
      ...[...this.#gone.keys()].map((name) => () => this.#forget(name)),
      () => this.#reloads.write(this.#options.database),
    ];
    const errors: unknown[] = [];
    // What the database does not let this host write holds up nothing else.
    for (const step of steps) await step().catch((error: unknown) => errors.push(error));
    if (errors.length > 0) throw errors[0];
  }

  async #writeRow(): Promise<void> {
    const { database, host } = this.#options;
    const names = [...this.#unsaid];
    const whole = this.#anew;
    if (!whole && names.length === 0 && !this.#beat) return;
    const said = whole ? [...this.#running.keys()] : names.filter((name) => this.#running.has(name));
    const entries = said.map((name) => `${JSON.stringify(name)}:${this.#running.get(name) ?? 'null'}`);
    const plugins = `{${entries.join(',')}}`;
    const gone = names.filter((name) => !this.#running.has(name));
    this.#unsaid.clear();
    this.#anew = false;
    this.#beat = false;
    if (whole) await writeHost(database, host, this.#url, plugins);
    else if (!(await touchHost(database, host.id, this.#url, plugins, gone))) {
      this.#anew = true;
      await this.#writeRow();
    }
  }

  async #writeServing(name: string, serving: Serving): Promise<void> {
    const { database, host, log } = this.#options;
    try {
      const revision = await database.transaction(async (session) => {
        await writeAs(session, host.name);
        return writeServing(session, name, serving);
      });
      if (revision !== undefined && this.#gone.has(name)) this.#gone.set(name, revision);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      log.warn({ plugin: name, err: error }, `the registry refuses what ${name} serves, which is left out`);
    }
    if (this.#serving.get(name) === serving) this.#serving.delete(name);
  }

  async #forget(name: string): Promise<void> {
    const revision = this.#gone.get(name);
    if (revision === undefined) return;
    const { database, host } = this.#options;
    this.#forgetting = database.transaction(async (session) => {
      await writeAs(session, host.name);
      await forgetPlugin(session, host.id, name, revision);
    });
    await this.#forgetting;
    if (this.#gone.get(name) === revision) this.#gone.delete(name);
  }
}

function asText({ error, ...report }: PluginReport): string {
  const told = error && { code: error.code, message: error.message.slice(0, mostMessage) };
  return storableJson({ ...report, error: told });
}
