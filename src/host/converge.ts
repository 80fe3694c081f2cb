/** Brings what this host runs to what the registry says: one step for notifications, full reads and calls of the API. */
import { asTenonError, type ErrorCode, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { RegistryDoor, RegistryListener, RegistryStatus } from '../registry/door.js';
import type { DesiredPlugin, HostRow, PluginReport } from '../registry/rows.js';
import type { Applications } from './applications.js';
import type { Desires } from './desired.js';
import type { HostEvent } from './journal.js';
import { mayPass } from './passing.js';
import { isHeldBack, type PluginView } from './plugin.js';
import type { Plugins } from './plugins.js';
import { Reporting } from './reporting.js';
import { Turns } from './turns.js';

export interface ConvergenceOptions {
  door: RegistryDoor;
  desires: Desires;
  host: Pick<Plugins, 'list' | 'show' | 'bring' | 'forget' | 'converge'>;
  applications: Pick<Applications, 'exists' | 'find' | 'folderOf'>;
  log: Log;
}

/** Steps that are taken at once. */
const atOnce = 4;
const mostTries = 3;
/** A host that was not seen for so long is none, ms. */
const aliveMs = 60_000;
/** Before the first of them, ms; doubled before each further one. */
const firstTryMs = 1000;

export class Convergence implements RegistryListener {
  readonly #options: ConvergenceOptions;
  readonly #reporting: Reporting;
  readonly #turns = new Map<string, Turns>();
  /** What brings a plugin itself to what it writes of it. */
  readonly #alone = new Map<string, Promise<void>>();
  /** No longer registered, and not taken down yet. */
  readonly #gone = new Set<string>();
  /** Those of them that are being taken down. */
  readonly #unregistered = new Set<string>();
  /** Whose applications went here, with the revision of their rows then: those rows may go, too. */
  readonly #left = new Map<string, number>();
  /** What was told before the applications were looked at for the first time. */
  readonly #early = new Set<string>();
  /** How often what failed was tried again. */
  readonly #tries = new Map<string, number>();
  readonly #queue: (() => void)[] = [];
  #opened: Promise<void> | undefined;
  #running = 0;
  #begun = false;
  #closed = false;

  constructor(options: ConvergenceOptions) {
    this.#options = options;
    this.#reporting = new Reporting({
      ...options,
      leaves: (id) => this.#gone.has(id),
      wrote: (id) => this.changed([id], []),
    });
  }

  /** Begin to connect. Resolves when it is known what is wished, by the registry or by what was known of it last. */
  open(): Promise<void> {
    this.#opened ??= this.#options.door.open(this);
    return this.#opened;
  }

  /** What was known last is known, and nothing is connected to. */
  recall(): Promise<void> {
    return this.#options.door.recall();
  }

  status(): RegistryStatus {
    return this.#options.door.status();
  }

  hosts(): Promise<HostRow[]> {
    return this.#options.door.hosts();
  }

  changed(names: readonly string[], gone: readonly string[]): void {
    for (const name of gone) this.#gone.add(name);
    for (const name of names) this.#gone.delete(name);
    for (const name of [...names, ...gone])
      if (this.#begun) void this.converge(name);
      else this.#early.add(name);
  }

  reached(connected: boolean): void {
    if (!connected) return;
    this.#options.desires.readInFull();
    if (this.#begun) this.#reporting.registerAll();
  }

  /** What the host tells. */
  observe(event: HostEvent): void {
    this.#reporting.observe(event);
  }

  /** Resolves when all that was to be registered is, or could not be. */
  registered(): Promise<void> {
    return this.#reporting.registered();
  }

  /** Resolves when it is registered, or could not be. */
  async register(id: string): Promise<void> {
    if (this.#options.desires.of(id) !== undefined || this.#viewOf(id) === undefined) return;
    this.#reporting.register(id);
    await this.#reporting.registered();
  }

  /** Its application is gone here. */
  forgotten(id: string): void {
    const { desires, door } = this.#options;
    const revision = desires.of(id)?.revision;
    desires.forget(id);
    // Registered again meanwhile: its application is there, and the step that comes next tells of it.
    if (revision !== undefined && this.#unregistered.has(id)) return;
    if (revision === undefined) this.#left.delete(id);
    else this.#left.set(id, revision);
    door.report(id, undefined);
  }

  /** The applications were looked at: what was told meanwhile is done, from now on at once. */
  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    const { door } = this.#options;
    for (const name of new Set([...this.#early, ...door.all().keys()])) void this.converge(name);
    this.#early.clear();
    this.#reporting.registerAll();
  }

  /** What was told is done, and what is not registered is not, from here on. */
  close(): void {
    this.#closed = true;
  }

  /** Whether it is to run on every host, from now on; what it is here then. Rejects when it is to, and does not serve here. */
  async setStatus(id: string, status: 'active' | 'disabled'): Promise<PluginView | undefined> {
    const { desires, door } = this.#options;
    await this.register(id);
    // Nothing is different for the registry, and somebody wants it tried.
    const tries = desires.of(id)?.status === status && this.#viewOf(id)?.state !== 'running';
    await door.setStatus(id, status);
    if (tries) desires.again(id);
    await this.converge(id);
    const view = this.#viewOf(id);
    const rests = view?.state === 'failed' || isHeldBack(view?.error);
    if (status === 'active' && rests && view?.state !== 'running' && view?.error !== undefined)
      throw new TenonError(view.error.code as ErrorCode, view.error.message, { details: view.error.details });
    return view;
  }

  /** It is registered no more, and is gone here; what it is here then, for one that is part of the program. */
  async remove(id: string): Promise<PluginView | undefined> {
    const { desires, door } = this.#options;
    await this.register(id);
    const wasRegistered = desires.of(id) !== undefined;
    await door.remove(id);
    if (!wasRegistered)
      throw new TenonError('PluginNotFound', `${id} is not registered`, {
        next: 'list the plugins with GET /api/v1/plugins',
        details: { plugin: id },
      });
    await this.converge(id);
    return this.#viewOf(id);
  }

  /** Its application was removed here with all that was known of it: so is its row, unless another host than `self` lives and has it. */
  async purge(id: string, self: string): Promise<void> {
    const { desires, door } = this.#options;
    if (desires.of(id) === undefined || door.status().kind === 'none') return;
    const alive = (await door.hosts()).filter(({ seenAt }) => Date.now() - Date.parse(seenAt) < aliveMs);
    const others = alive.filter((host) => host.id !== self && host.stoppedAt === null);
    if (!others.some(({ plugins }) => Object.hasOwn(plugins, id))) await door.remove(id);
  }

  /** Do `work`, which writes what a plugin should be and brings it there itself: nothing else of it is taken up meanwhile. */
  async alone<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    const done = work();
    const settled = done.then(
      () => {},
      () => {},
    );
    this.#alone.set(name, settled);
    void settled.then(() => {
      if (this.#alone.get(name) === settled) this.#alone.delete(name);
    });
    return done;
  }

  /** What there is to do for one plugin is done when this resolves. It never rejects: what went wrong is reported. */
  converge(name: string): Promise<void> {
    const turns = this.#turns.get(name) ?? new Turns();
    this.#turns.set(name, turns);
    const over = (): void => {
      if (turns.idle) this.#turns.delete(name);
    };
    const work = turns.take('converge', async () => {
      await this.#alone.get(name);
      await this.#enter();
      try {
        if (!this.#closed) await this.#step(name);
      } catch (error) {
        this.#options.log.error({ plugin: name, err: error }, `${name} could not be brought to what the registry says`);
      } finally {
        this.#leave();
      }
    });
    void work.then(over);
    return work;
  }

  async #step(name: string): Promise<void> {
    const { desires, host } = this.#options;
    const desired = desires.of(name);
    if (desired === undefined && this.#gone.has(name)) {
      this.#unregistered.add(name);
      try {
        await host.forget(name);
        // Also what was missing here is no more.
        this.forgotten(name);
      } finally {
        this.#unregistered.delete(name);
      }
      this.#gone.delete(name);
      return;
    }
    const known = this.#viewOf(name);
    const folder = known?.folder ?? (desired && (await this.#folderOf(desired)));
    if (folder === undefined) {
      if (desired !== undefined) this.#isMissing(desired);
      return;
    }
    if (known === undefined || !desires.isHeeded(name)) {
      // It is recorded where it happens. What served before may have calls for long: they hold up no further step.
      const work = known?.type === 'static' ? host.converge(name) : host.bring(folder, 'registry');
      const error = await work.then(
        () => undefined,
        (cause: unknown) => asTenonError(cause),
      );
      this.#tryLater(name, error);
      if (this.#viewOf(name) === undefined) {
        if (desired !== undefined) this.#isMissing(desired, wrongFolder(desired, folder));
        return;
      }
    }
    desires.cameTo(name, desired?.revision ?? 0);
    this.#reporting.report(name);
    // Nobody has registered it, or another host could not load what this one runs.
    if (desired === undefined || this.#viewOf(name)?.state === 'running') this.#reporting.register(name);
  }

  /** What failed, and may pass, is tried again a little later, a few times. */
  #tryLater(name: string, error: TenonError | undefined): void {
    const tries = error !== undefined && mayPass(error.code) ? (this.#tries.get(name) ?? 0) : mostTries;
    if (tries >= mostTries) {
      this.#tries.delete(name);
      return;
    }
    this.#tries.set(name, tries + 1);
    const again = (): void => {
      if (this.#closed || this.#viewOf(name)?.error?.code !== error?.code) return;
      this.#options.desires.again(name);
      void this.converge(name);
    };
    setTimeout(again, firstTryMs * 2 ** tries).unref();
  }

  #isMissing({ name, revision }: DesiredPlugin, trouble?: TenonError): void {
    const { desires, door, log } = this.#options;
    if (this.#left.get(name) === revision) return;
    this.#left.delete(name);
    desires.cameTo(name, revision);
    if (trouble !== undefined) log.warn({ plugin: name, code: trouble.code }, trouble.message);
    const error = trouble === undefined ? {} : { error: { code: trouble.code, message: trouble.message } };
    const report: PluginReport = { state: 'missing', revision, ...error };
    door.report(name, report);
  }

  /** Folder of its application, where that is here. */
  async #folderOf({ name, sourcePath }: DesiredPlugin): Promise<string | undefined> {
    const { applications } = this.#options;
    const folder = sourcePath === null ? undefined : applications.folderOf(sourcePath);
    return folder !== undefined && (await applications.exists(folder)) ? folder : applications.find(name);
  }

  #viewOf(id: string): PluginView | undefined {
    try {
      return this.#options.host.show(id);
    } catch (error) {
      if (asTenonError(error).code === 'PluginNotFound') return undefined;
      throw error;
    }
  }

  async #enter(): Promise<void> {
    if (this.#running >= atOnce) await new Promise<void>((resolve) => void this.#queue.push(resolve));
    else this.#running += 1;
  }

  #leave(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
}

function wrongFolder({ name }: DesiredPlugin, folder: string): TenonError {
  return new TenonError('RegistryInvalid', `${name}: what is in ${folder} is another application`, {
    next: 'correct source_path, or set it to NULL',
    details: { plugin: name, folder },
  });
}
