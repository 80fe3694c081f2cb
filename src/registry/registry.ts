/** The registry of plugins: a wish list that hosts share, known in memory, on disk and in a database. */
import { TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { wrongConfig } from './checked-row.js';
import { RegistryCopy } from './copy.js';
import type { Database, Session } from './database.js';
import type { RegistryDoor, RegistryFigures, RegistryListener, RegistryStatus, ReloadRow } from './door.js';
import { type HostIdentity, readHosts, tidy } from './host-row.js';
import { type Difference, KnownPlugins, type ReadPlugins } from './known-plugins.js';
import { migrate } from './migrate.js';
import { hintOf } from './notification.js';
import { Reading } from './reading.js';
import { isRefusal, registryError } from './registry-error.js';
import { Reports } from './reports.js';
import {
  deletePlugin,
  insertFound,
  mostPlugins,
  readAll,
  readConfigs,
  readIdentity,
  readNamed,
  updateConfig,
  updateStatus,
  writeAs,
} from './repository.js';
import type {
  ArtifactRow,
  ConfiguredPlugin,
  ConfigVersion,
  DesiredPlugin,
  EndpointRow,
  FoundPlugin,
  HostRow,
  PluginReport,
  PluginStatus,
} from './rows.js';
import { correctionOf } from './unavailable.js';

export interface RegistryOptions {
  /** Opened and closed by the registry. */
  readonly database: Database;
  /** Absolute path of the copy of what the registry was last known to say. */
  readonly copyFile: string;
  readonly host: HostIdentity;
  readonly log: Log;
  /** For the first read, before the copy has to do, ms. */
  readonly waitMs: number;
  /** Between two full reads, ms. */
  readonly reconcileMs: number;
}

const flushMs = 2000;
const tidyMs = 60 * 60 * 1000;

export class Registry implements RegistryDoor {
  readonly #options: RegistryOptions;
  readonly #known = new KnownPlugins();
  readonly #copy: RegistryCopy;
  readonly #reading: Reading;
  readonly #reports: Reports;
  /** Rows that cannot be read, and why: told once. */
  readonly #wrong = new Map<string, string>();
  /** Whether the last full read was one of everything. */
  #complete = true;
  #listener: RegistryListener | undefined;
  #tried: (() => void) | undefined;
  /** Whether `open` has resolved. */
  #begun = false;
  /** Which registry is known, and which one it is connected to. */
  #identity: string | undefined;
  #met: string | undefined;
  #listening = false;
  /** Whether everything was read since it is connected. */
  #read = false;
  #since = new Date().toISOString();
  #error: string | undefined;
  #connections = 0;
  readonly #figures: RegistryFigures = { notifications: 0, reads: 0, readSeconds: 0 };
  #told: boolean | undefined;
  #reconciling: NodeJS.Timeout | undefined;
  #tidying: NodeJS.Timeout | undefined;
  #recalling: Promise<void> | undefined;
  #opening: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: RegistryOptions) {
    const { database, copyFile, host, log } = options;
    this.#options = options;
    this.#copy = new RegistryCopy(copyFile, log);
    this.#reading = new Reading({
      all: async () => {
        const began = performance.now();
        this.#whole(await readAll(database, (name, error) => this.#tellWrong(name, error)));
        this.#figures.reads += 1;
        this.#figures.readSeconds += (performance.now() - began) / 1000;
        this.#figures.readAt = Date.now() / 1000;
      },
      named: async (names) => {
        const read = await readNamed(database, names, (name, error) => this.#tellWrong(name, error));
        for (const { name } of read.plugins) this.#wrong.delete(name);
        this.#take(this.#known.update(names, read));
      },
      failed: (error) => this.#readFailed(error),
    });
    this.#reports = new Reports({ database, host, log, revision: (name) => this.#known.get(name)?.revision });
  }

  recall(): Promise<void> {
    this.#recalling ??= this.#recall();
    return this.#recalling;
  }

  async #recall(): Promise<void> {
    const { registry, plugins } = await this.#copy.read();
    this.#identity = registry;
    this.#known.replace({ plugins, invalid: [], complete: true });
  }

  open(listener: RegistryListener): Promise<void> {
    this.#opening ??= this.#open(listener);
    return this.#opening;
  }

  async #open(listener: RegistryListener): Promise<void> {
    const { database, log, waitMs, reconcileMs } = this.#options;
    await this.recall();
    if (this.#closing !== undefined) return;
    this.#listener = listener;
    const tried = new Promise<void>((resolve) => {
      this.#tried = resolve;
    });
    database.open({
      prepare: async (session) => {
        await migrate(session);
        this.#met = await readIdentity(session);
      },
      connected: () => this.#connected(),
      lost: (error, retryMs) => this.#lost(error, retryMs),
      notified: (payload) => this.#notified(payload),
    });
    this.#reconciling = setInterval(() => this.#reading.hint(), reconcileMs).unref();
    const late = setTimeout(() => {
      log.warn(
        { registry: database.place },
        `the registry was not read within ${waitMs} ms: until it is, what was last known of it holds`,
      );
      this.#tried?.();
    }, waitMs);
    await tried;
    this.#begun = true;
    clearTimeout(late);
  }

  status(): RegistryStatus {
    const { kind, place } = this.#options.database;
    const facts = { kind, place, connected: this.#read, since: this.#since, connections: this.#connections };
    return this.#error === undefined ? facts : { ...facts, error: this.#error };
  }

  figures(): Readonly<RegistryFigures> {
    return this.#figures;
  }

  desired(name: string): DesiredPlugin | undefined {
    return this.#known.get(name);
  }

  all(): ReadonlyMap<string, DesiredPlugin> {
    return this.#known.all();
  }

  async register(found: FoundPlugin): Promise<DesiredPlugin> {
    await this.#reports.keep(found.name);
    return this.#write(`register ${found.name}`, (session) => insertFound(session, found));
  }

  setStatus(name: string, status: PluginStatus, reason?: string): Promise<DesiredPlugin> {
    return this.#write(`set the status of ${name}`, (session) => updateStatus(session, name, status, reason));
  }

  async setConfig(
    name: string,
    config: Readonly<Record<string, unknown>> | null,
    ifRevision?: number,
  ): Promise<ConfiguredPlugin> {
    const reason = config === null ? undefined : wrongConfig(config);
    if (reason !== undefined) throw configInvalid(name, reason);
    let changed = false;
    const row = await this.#write(`set the config of ${name}`, async (session) => {
      try {
        const written = await updateConfig(session, name, config, ifRevision);
        changed = written.changed;
        return written.row;
      } catch (error) {
        if (!isRefusal(error)) throw error;
        throw configInvalid(name, error instanceof Error ? `is refused: ${error.message}` : 'is refused', error);
      }
    });
    return { ...row, changed };
  }

  async remove(name: string): Promise<void> {
    await this.#transaction(`remove ${name}`, (session) => deletePlugin(session, name));
    await this.#reading.now(name).catch(() => this.#take(this.#known.update([name], { plugins: [], invalid: [] })));
  }

  configs(name: string): Promise<ConfigVersion[]> {
    return this.#ask(`tell the configs of ${name}`, (session) => readConfigs(session, name));
  }

  hosts(): Promise<HostRow[]> {
    return this.#ask('list its hosts', readHosts);
  }

  report(name: string, report: PluginReport | undefined): void {
    this.#reports.report(name, report);
  }

  serves(name: string, version: string, endpoints: readonly EndpointRow[], artifact: ArtifactRow | undefined): void {
    this.#reports.serves(name, { version, endpoints, artifact });
  }

  reloaded(row: ReloadRow): void {
    this.#reports.reloaded(row);
  }

  listens(url: string): void {
    this.#reports.listens(url);
  }

  async reconcile(): Promise<void> {
    try {
      await this.#reading.now();
    } catch (error) {
      throw registryError(error, 'be read');
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#reconciling);
    clearInterval(this.#tidying);
    this.#tried?.();
    await within(flushMs, this.#reports.close());
    this.#reading.pause(new TenonError('RegistryUnavailable', 'the registry is closed'));
    await this.#options.database.close();
    await this.#copy.flush();
  }

  #connected(): void {
    if (this.#closing !== undefined) return;
    this.#connections += 1;
    this.#listening = true;
    this.#reading.begin();
    this.#reports.begin();
  }

  #whole(read: ReadPlugins): void {
    const names = new Set(read.invalid);
    for (const name of this.#wrong.keys()) if (!names.has(name)) this.#wrong.delete(name);
    this.#tellIncomplete(read.complete);
    const difference = this.#known.replace(read);
    this.#take(this.#isAnother() ? notGone(difference) : difference);
    if (this.#listening) this.#reached();
    this.#tried?.();
  }

  /** A registry that has never heard of a plugin has not removed it. */
  #isAnother(): boolean {
    const another = this.#identity !== undefined && this.#identity !== this.#met;
    if (another)
      this.#options.log.warn(
        { registry: this.#options.database.place },
        'this is another registry than before: what it does not know is registered there',
      );
    this.#identity = this.#met;
    return another;
  }

  #reached(): void {
    if (this.#read) return;
    this.#read = true;
    this.#error = undefined;
    this.#since = new Date().toISOString();
    this.#options.log.info({ registry: this.#options.database.place }, 'the registry is connected');
    this.#tellReached(true);
    this.#tidying ??= setInterval(() => void this.#tidy(), tidyMs).unref();
    void this.#tidy();
  }

  #lost(error: Error, retryMs: number): void {
    if (this.#closing !== undefined) return;
    const { log, database } = this.#options;
    const known = this.#error !== undefined && !this.#read;
    const correction = correctionOf(error);
    log[known ? 'debug' : correction === undefined ? 'warn' : 'error'](
      { registry: database.place, retryMs },
      `the registry is away, and what was known of it last holds: ${error.message}${correction === undefined ? '' : `; ${correction}`}`,
    );
    this.#listening = false;
    this.#away(error);
    this.#reading.pause(registryError(error, 'be reached'));
    this.#reports.pause();
  }

  #readFailed(error: unknown): void {
    const { log, database } = this.#options;
    const { message } = registryError(error, 'be read');
    log.warn({ registry: database.place }, `${message}; what was known of it last holds`);
    this.#away(error);
  }

  #away(error: unknown): void {
    if (this.#read || this.#error === undefined) this.#since = new Date().toISOString();
    this.#read = false;
    this.#error = error instanceof Error ? error.message : String(error);
    this.#tellReached(false);
    this.#tried?.();
  }

  #tellReached(connected: boolean): void {
    if (this.#told === connected) return;
    this.#told = connected;
    this.#tell(() => this.#listener?.reached(connected));
  }

  #notified(payload: string): void {
    const hint = hintOf(payload);
    this.#figures.notifications += 1;
    if (hint === undefined) this.#reading.hint();
    else if (hint.revision === undefined || hint.revision > (this.#known.get(hint.name)?.revision ?? -1))
      this.#reading.hint(hint.name);
  }

  #take(difference: Difference): void {
    // Nothing runs before the start, which registers what is there.
    const { changed, gone } = this.#begun ? difference : notGone(difference);
    this.#copy.save(this.#identity, this.#known.all());
    if (changed.length === 0 && gone.length === 0) return;
    this.#reports.known(changed);
    this.#tell(() => this.#listener?.changed(changed, gone));
  }

  #tell(what: () => void): void {
    if (this.#closing !== undefined) return;
    try {
      what();
    } catch (error) {
      this.#options.log.error({ err: error }, 'what the registry says was not taken up');
    }
  }

  #tellWrong(name: string, error: TenonError): void {
    if (this.#wrong.get(name) === error.message) return;
    this.#wrong.set(name, error.message);
    this.#options.log.error({ plugin: name, code: error.code }, error.message);
  }

  #tellIncomplete(complete: boolean): void {
    if (!complete && this.#complete)
      this.#options.log.error(
        { registry: this.#options.database.place, code: 'RegistryInvalid' },
        `the registry has more than ${mostPlugins} plugins: of those after them by name the last that was known holds`,
      );
    this.#complete = complete;
  }

  /** What is written is read once more: so all that is known comes in one order, that of the reads. */
  async #write(doing: string, work: (session: Session) => Promise<DesiredPlugin>): Promise<DesiredPlugin> {
    const row = await this.#transaction(doing, work);
    await this.#reading.now(row.name).catch(() => this.#take(this.#known.update([], { plugins: [row], invalid: [] })));
    return row;
  }

  async #transaction<Result>(doing: string, work: (session: Session) => Promise<Result>): Promise<Result> {
    const { database, host } = this.#options;
    try {
      return await database.transaction(async (session) => {
        await writeAs(session, host.name);
        return work(session);
      });
    } catch (error) {
      throw registryError(error, doing);
    }
  }

  async #ask<Result>(doing: string, work: (session: Session) => Promise<Result>): Promise<Result> {
    try {
      return await work(this.#options.database);
    } catch (error) {
      throw registryError(error, doing);
    }
  }

  async #tidy(): Promise<void> {
    if (!this.#read) return;
    try {
      await this.#options.database.transaction(tidy);
    } catch (error) {
      this.#options.log.debug({ err: error }, 'the registry was not tidied');
    }
  }
}

function configInvalid(name: string, reason: string, cause?: unknown): TenonError {
  return new TenonError('ConfigInvalid', `the config of ${name} ${reason}`, { details: { plugin: name }, cause });
}

function notGone({ changed, gone }: Difference): Difference {
  return { changed: [...changed, ...gone], gone: [] };
}

/** Resolves with `work`, or after `ms`. */
async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
