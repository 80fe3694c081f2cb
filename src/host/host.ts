/** The living set: which plugins there are, and the one place that changes it. */
import path from 'node:path';
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Core, Front } from '../binding/core.js';
import type { GenerationLimits } from '../plugin/generation.js';
import type { Application, Applications } from './applications.js';
import { Live, type ServedRoute } from './live.js';
import { Plugin, type PluginSummary, type PluginView } from './plugin.js';
import { buildFacts, Recorder, type ReloadRecord, type Trigger } from './record.js';
import { type Admission, replace } from './replace.js';
import { RouteBook } from './routes.js';

/** Told while it happens, in the turn of the event loop in which it is true. */
export type HostEvent =
  | { type: 'reload.started'; plugin: string; trigger: Trigger }
  | { type: 'plugin.serving'; plugin: string; generation: number; sha256: string; from?: number }
  | { type: 'plugin.stopped'; plugin: string; generation: number }
  | { type: 'reload.succeeded' | 'reload.failed'; plugin: string; record: ReloadRecord };

export interface HostOptions {
  core: Core;
  front: Front;
  log: Log;
  admission: Admission;
  applications: Applications;
  limits: GenerationLimits;
  /** Calls of one plugin that may wait. */
  queueLimit: number;
  /** First segments of paths that no plugin may serve. */
  reserved: readonly string[];
  /** Given all routes whenever they change, before a call can come through a new one; may throw to refuse them. */
  onRoutes: (routes: readonly ServedRoute[]) => void;
  onEvent?: ((event: HostEvent) => void) | undefined;
}

const keptRecords = 100;
/** Generations of one plugin that may be on their way down at once; a further reload waits. */
const leavingLimit = 4;

export class Host {
  readonly #options: HostOptions;
  readonly #plugins = new Map<string, Plugin>();
  readonly #routes: RouteBook;
  readonly #records: ReloadRecord[] = [];
  readonly #finishing = new Set<Promise<ReloadRecord>>();
  readonly #numbers = new Map<string, number>();
  #discovered = false;
  #closing: Promise<void> | undefined;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#routes = new RouteBook(options.reserved, options.onRoutes);
  }

  /** True once the applications directory was read and everything in it was tried, until closing begins. */
  get ready(): boolean {
    return this.#discovered && this.#closing === undefined;
  }

  /** Scan the applications directory: new ones are loaded, changed ones reloaded, gone ones unloaded. A bad one stops no other. */
  async discover(trigger: Trigger): Promise<void> {
    const folders = await this.#options.applications.folders();
    const known = [...this.#plugins.values()].map((plugin) => plugin.folder);
    const queue = [...new Set([...folders, ...known])];
    const worker = async (): Promise<void> => {
      for (let folder = queue.shift(); folder !== undefined; folder = queue.shift())
        await this.refresh(folder, trigger).catch(() => {}); // logged and recorded where it happened
    };
    await Promise.all([worker(), worker()]);
    this.#discovered = true;
  }

  /** Bring the plugin of an application's folder to what the folder says now. Undefined when nothing was to be done. */
  async refresh(folder: string, trigger: Trigger): Promise<ReloadRecord | undefined> {
    this.#refuseWhenClosing();
    const { applications } = this.#options;
    const plugins = [...this.#plugins.values()].filter((plugin) => plugin.folder === folder);
    if (!(await applications.exists(folder))) {
      for (const plugin of plugins) await this.#forget(plugin);
      return undefined;
    }
    const [known] = plugins;
    let application: Application;
    try {
      application = await applications.read(folder);
    } catch {
      // The reload meets the same error, and reports it.
      const plugin = known ?? this.#enter(path.basename(folder), folder);
      if (plugin.state === 'stopped') return undefined;
      return this.#reload(plugin, trigger);
    }
    const plugin = known?.id === application.id ? known : this.#enter(application.id, folder);
    if (plugin.state === 'stopped') return undefined;
    const record = await this.#reload(plugin, trigger);
    for (const other of plugins) if (other !== plugin) await this.#forget(other);
    return record;
  }

  /** Load a plugin that is not running; one that runs stays as it is. */
  async load(id: string, trigger: Trigger = 'api'): Promise<PluginView> {
    const plugin = await this.#find(id);
    if (plugin.running === undefined) await this.#reload(plugin, trigger);
    return this.show(id);
  }

  /**
   * Build and load what the application is now, in place of what runs. At most one reload of a plugin runs and one
   * waits; asking again while one waits joins it. Resolves when the old generation is gone, or pinned; rejects when the
   * new one does not serve, and the old one goes on.
   */
  async reload(id: string, trigger: Trigger = 'api'): Promise<ReloadRecord> {
    return this.#reload(await this.#find(id), trigger);
  }

  /** Stop a plugin. Its routes are gone at once; calls in flight end first. A stopped one stays listed and can be loaded. */
  async unload(id: string): Promise<PluginView> {
    this.#refuseWhenClosing();
    const plugin = this.#known(id);
    await this.#stop(plugin, 'stopped');
    return this.show(id);
  }

  /** What everybody may see, by id. */
  summaries(): PluginSummary[] {
    return this.list().map(({ id }) => this.#known(id).summary(this.#routes.of(id)));
  }

  list(): PluginView[] {
    return [...this.#plugins.keys()].sort().map((id) => this.show(id));
  }

  /** Throws `PluginNotFound`. */
  show(id: string): PluginView {
    return this.#known(id).view(this.#routes.of(id));
  }

  /** The last 100 reload records, newest first. */
  reloads(filter: { plugin?: string | undefined; limit?: number | undefined } = {}): ReloadRecord[] {
    const { plugin, limit = keptRecords } = filter;
    return this.#records
      .filter((record) => plugin === undefined || record.plugin === plugin)
      .toReversed()
      .slice(0, limit);
  }

  /** Ask every running plugin whether it can serve; the message of each that cannot, by id. */
  async health(): Promise<Map<string, string>> {
    const sick = new Map<string, string>();
    await Promise.all(
      [...this.#plugins.values()].map(async (plugin) => {
        const generation = plugin.running;
        // While it hands over, its control thread is busy, and a question would wait past its deadline.
        if (generation === undefined || plugin.live?.current !== generation) return;
        try {
          await generation.health();
        } catch (error) {
          if (plugin.running === generation) sick.set(plugin.id, asTenonError(error).message);
        }
      }),
    );
    return sick;
  }

  /** Take every plugin down. Rejects when one could not be closed; closing twice is fine. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    this.#options.applications.abort();
    await Promise.all([...this.#plugins.values()].map((plugin) => this.#stop(plugin, 'stopped')));
    await Promise.allSettled(this.#finishing);
    for (const plugin of this.#plugins.values())
      for (const generation of plugin.leaving)
        this.#options.log.warn(
          { plugin: plugin.id, generation: generation.number, outcome: generation.outcome },
          'its image stays mapped',
        );
  }

  #refuseWhenClosing(): void {
    if (this.#closing !== undefined)
      throw new TenonError('HostClosing', 'the host is shutting down', { next: 'ask the next host' });
  }

  #known(id: string): Plugin {
    const plugin = this.#plugins.get(id);
    if (plugin !== undefined) return plugin;
    throw new TenonError('PluginNotFound', `there is no plugin ${JSON.stringify(id)}`, {
      next: 'see GET /plugins for those there are',
      details: { plugin: id, known: [...this.#plugins.keys()] },
    });
  }

  /** A known plugin, or one whose application has appeared since. */
  async #find(id: string): Promise<Plugin> {
    this.#refuseWhenClosing();
    if (!this.#plugins.has(id)) {
      const folder = await this.#options.applications.find(id);
      if (folder !== undefined) return this.#enter(id, folder);
    }
    return this.#known(id);
  }

  #enter(id: string, folder: string): Plugin {
    const other = this.#plugins.get(id);
    if (other !== undefined && other.folder === folder) return other;
    if (other !== undefined) {
      const error = new TenonError('ConfigInvalid', `${folder}: the app_id ${id} belongs to ${other.folder}`, {
        next: 'give one of the two another app_id',
        details: { plugin: id, folder, other: other.folder },
      });
      this.#options.log.error({ plugin: id, code: error.code, details: error.details }, error.message);
      throw error;
    }
    const plugin = new Plugin(id, folder);
    this.#plugins.set(id, plugin);
    return plugin;
  }

  async #reload(plugin: Plugin, trigger: Trigger): Promise<ReloadRecord> {
    const { finished } = await plugin.turns.take('reload', () => this.#replace(plugin, trigger));
    return finished;
  }

  /** One reload. Resolves when the new build serves; `finished` when the old one is gone. */
  async #replace(plugin: Plugin, trigger: Trigger): Promise<{ finished: Promise<ReloadRecord> }> {
    const recorder = new Recorder(plugin.id, trigger);
    const { record } = recorder;
    try {
      this.#refuseWhenClosing();
      this.#options.onEvent?.({ type: 'reload.started', plugin: plugin.id, trigger });
      const old = plugin.running;
      if (old !== undefined) record.from = buildFacts(old);
      const { applications } = this.#options;
      const application = await recorder.time('detect', () => applications.read(plugin.folder));
      if (application.id !== plugin.id)
        throw new TenonError('PluginIdMismatch', `${plugin.folder} is now ${application.id}, not ${plugin.id}`, {
          next: `load ${application.id}`,
          details: { plugin: plugin.id, found: application.id },
        });
      if (!application.enabled) return { finished: this.#disable(plugin, recorder) };
      const built = await recorder.time('build', () => applications.build(application));
      for (const warning of built.warnings) recorder.warn(warning);
      const live = this.#liveOf(plugin, application.prefix);
      const limits: GenerationLimits = { ...this.#options.limits, ...application.limits };
      const result = await replace({
        admission: this.#options.admission,
        id: plugin.id,
        library: built.library,
        root: plugin.folder,
        limits,
        live,
        old,
        number: () => this.#nextNumber(plugin.id),
        mayStay: JSON.stringify(limits) === JSON.stringify(old?.limits),
        check: (routes) => this.#routes.check(plugin.id, routes),
        publish: (routes) => this.#routes.publish(plugin.id, routes),
        pinned: (generation) => plugin.leaving.add(generation),
        recorder,
      });
      plugin.error = undefined;
      if (result.unchanged) {
        record.unchanged = true;
        return { finished: Promise.resolve(this.#finish(plugin, recorder)) };
      }
      const { generation } = result;
      plugin.running = generation;
      this.#options.onEvent?.({
        type: 'plugin.serving',
        plugin: plugin.id,
        generation: generation.number,
        sha256: generation.sha256,
        ...(old === undefined ? {} : { from: old.number }),
      });
      if (old !== undefined) plugin.leaving.add(old);
      const finished = result.retired.then(() => {
        if (old?.state === 'closed') plugin.leaving.delete(old);
        return this.#finish(plugin, recorder);
      });
      this.#finishing.add(finished);
      void finished.finally(() => this.#finishing.delete(finished));
      const draining = [...plugin.leaving].filter((one) => one.state === 'draining').length;
      if (draining >= leavingLimit) await finished;
      return { finished };
    } catch (cause) {
      recorder.fail(cause);
      const error = asTenonError(cause);
      plugin.error = error;
      if (plugin.running === undefined) {
        plugin.rest = 'failed';
        closeLive(plugin);
      }
      this.#finish(plugin, recorder);
      throw error;
    }
  }

  async #disable(plugin: Plugin, recorder: Recorder): Promise<ReloadRecord> {
    plugin.error = undefined;
    await this.#takeDown(plugin, 'disabled');
    return this.#finish(plugin, recorder);
  }

  #stop(plugin: Plugin, rest: 'stopped' | 'disabled'): Promise<void> {
    return plugin.turns.take(rest, () => this.#takeDown(plugin, rest));
  }

  async #takeDown(plugin: Plugin, rest: 'stopped' | 'disabled'): Promise<void> {
    plugin.rest = rest;
    if (plugin.running !== undefined) {
      const generation = plugin.running;
      this.#routes.publish(plugin.id, []);
      plugin.live?.swap(undefined);
      plugin.running = undefined;
      this.#options.onEvent?.({ type: 'plugin.stopped', plugin: plugin.id, generation: generation.number });
      plugin.leaving.add(generation);
      const { outcome } = await generation.retire();
      closeLive(plugin);
      this.#options.log.info({ plugin: plugin.id, generation: generation.number, ...outcome }, 'plugin stopped');
    }
    for (const generation of plugin.leaving) {
      if (generation.state === 'pinned' && generation.handle.leases === 0) await generation.retire();
      if (generation.state === 'closed') plugin.leaving.delete(generation);
    }
  }

  async #forget(plugin: Plugin): Promise<void> {
    await this.#stop(plugin, 'stopped');
    this.#plugins.delete(plugin.id);
  }

  #liveOf(plugin: Plugin, prefix: string): Live {
    const { core, front, queueLimit } = this.#options;
    plugin.live ??= new Live(core, front, { id: plugin.id, prefix, queueLimit });
    if (plugin.live.prefix === prefix) return plugin.live;
    const [from, to] = [plugin.live.prefix || '/', prefix || '/'];
    throw new TenonError('ConfigInvalid', `${plugin.id}: route_prefix changed from ${from} to ${to} while it runs`, {
      next: `unload ${plugin.id}, then load it`,
      details: { plugin: plugin.id, from, to },
    });
  }

  #nextNumber(id: string): number {
    const number = (this.#numbers.get(id) ?? 0) + 1;
    this.#numbers.set(id, number);
    return number;
  }

  #finish(plugin: Plugin, recorder: Recorder): ReloadRecord {
    const record = recorder.finish();
    plugin.lastReload = record;
    this.#records.push(record);
    if (this.#records.length > keptRecords) this.#records.shift();
    const { log } = this.#options;
    const facts = { plugin: plugin.id, trigger: record.trigger, generation: record.to?.generation, ms: record.totalMs };
    for (const warning of record.warnings) log.warn({ plugin: plugin.id }, warning);
    if (record.error !== undefined) {
      const serving =
        plugin.running === undefined ? 'nothing is served for it' : `generation ${plugin.running.number} serves on`;
      log.error({ ...facts, code: record.error.code, reload: record.id }, `${record.error.message}; ${serving}`);
    } else if (record.unchanged) log.debug(facts, 'unchanged: the same library runs already');
    else
      log.info(
        { ...facts, phases: record.phases },
        plugin.running === undefined ? 'plugin is disabled' : 'plugin serves',
      );
    if (record.unload === 'pinned')
      log.warn(
        { plugin: plugin.id, generation: record.from?.generation },
        `its image stays mapped: ${record.pinnedReason ?? ''}`,
      );
    this.#options.onEvent?.({
      type: record.outcome === 'succeeded' ? 'reload.succeeded' : 'reload.failed',
      plugin: plugin.id,
      record,
    });
    return record;
  }
}

function closeLive(plugin: Plugin): void {
  plugin.live?.close();
  plugin.live = undefined;
}
