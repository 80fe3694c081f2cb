/** What is done to one plugin when its turn has come: put a new build in place of what runs, or take it down. */
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Core, Front } from '../binding/core.js';
import type { GenerationLimits } from '../plugin/generation.js';
import type { Applications } from './applications.js';
import type { Departures } from './departures.js';
import type { Journal } from './journal.js';
import { Live } from './live.js';
import type { Plugin } from './plugin.js';
import { buildFacts, Recorder, type ReloadRecord, type Trigger } from './record.js';
import { type Admission, replace } from './replace.js';
import type { RouteBook } from './routes.js';

export interface ReloadingOptions {
  core: Core;
  front: Front;
  log: Log;
  admission: Admission;
  applications: Applications;
  limits: GenerationLimits;
  /** Calls of one plugin that may wait. */
  queueLimit: number;
  routes: RouteBook;
  journal: Journal;
  departures: Departures;
  /** Throws `HostClosing` once the host is. */
  refuseWhenClosing: () => void;
}

/** Generations of one plugin that may be on their way down at once; a further reload waits. */
const leavingLimit = 4;

/** The work of one host on its plugins. Every call has the plugin to itself: the caller gives turns. */
export class Reloading {
  readonly #options: ReloadingOptions;
  readonly #numbers = new Map<string, number>();

  constructor(options: ReloadingOptions) {
    this.#options = options;
  }

  /**
   * One reload. Resolves when the new build serves; `finished` when the old one is gone. Rejects when the new build does
   * not serve: what ran goes on, and the record says why.
   */
  async reload(plugin: Plugin, trigger: Trigger): Promise<{ finished: Promise<ReloadRecord> }> {
    if (!plugin.wanted)
      throw new TenonError('PluginStopped', `${plugin.id} was unloaded while this reload waited`, {
        next: `load ${plugin.id}`,
        details: { plugin: plugin.id },
      });
    const { journal } = this.#options;
    const recorder = new Recorder(plugin.id, trigger);
    try {
      this.#options.refuseWhenClosing();
      journal.tell({ type: 'reload.started', plugin: plugin.id, trigger });
      return await this.#replace(plugin, recorder);
    } catch (cause) {
      recorder.fail(cause);
      const error = asTenonError(cause);
      plugin.error = error;
      if (plugin.running === undefined) {
        plugin.rest = 'failed';
        closeLive(plugin);
      }
      journal.write(plugin, recorder);
      throw error;
    }
  }

  /** Its routes are gone at once; its calls end first, then it is closed. */
  async takeDown(plugin: Plugin, rest: 'stopped' | 'disabled'): Promise<void> {
    const { log, journal, routes, departures } = this.#options;
    plugin.rest = rest;
    if (plugin.running !== undefined) {
      const generation = plugin.running;
      routes.publish(plugin.id, []);
      plugin.live?.swap(undefined);
      plugin.running = undefined;
      plugin.leaving.add(generation);
      journal.tell({ type: 'plugin.stopped', plugin: plugin.id, generation: generation.number });
      const { outcome } = await generation.retire();
      closeLive(plugin);
      log.info({ plugin: plugin.id, generation: generation.number, ...outcome }, 'plugin stopped');
      departures.keep(plugin, generation);
    }
    for (const generation of plugin.leaving) await departures.tryAgain(plugin, generation);
  }

  async #replace(plugin: Plugin, recorder: Recorder): Promise<{ finished: Promise<ReloadRecord> }> {
    const { admission, applications, departures, journal, routes } = this.#options;
    const { record } = recorder;
    const old = plugin.running;
    if (old !== undefined) record.from = buildFacts(old);
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
      admission,
      id: plugin.id,
      library: built.library,
      root: plugin.folder,
      limits,
      live,
      old,
      number: () => this.#nextNumber(plugin.id),
      mayStay: old?.handle.threads.lost === 0 && JSON.stringify(limits) === JSON.stringify(old.limits),
      check: (served) => routes.check(plugin.id, served),
      publish: (served) => routes.publish(plugin.id, served),
      pinned: (generation) => departures.keep(plugin, generation),
      recorder,
    });
    plugin.error = undefined;
    if (result.unchanged) {
      record.unchanged = true;
      return { finished: Promise.resolve(journal.write(plugin, recorder)) };
    }
    const { generation } = result;
    plugin.running = generation;
    if (old !== undefined) plugin.leaving.add(old);
    journal.tell({
      type: 'plugin.serving',
      plugin: plugin.id,
      generation: generation.number,
      sha256: generation.sha256,
      ...(old === undefined ? {} : { from: old.number }),
    });
    const finished = result.retired.then(() => {
      if (old !== undefined) departures.keep(plugin, old);
      return journal.write(plugin, recorder);
    });
    departures.untilClosed(finished);
    const draining = [...plugin.leaving].filter((one) => one.state === 'draining').length;
    if (draining >= leavingLimit) await finished;
    return { finished };
  }

  async #disable(plugin: Plugin, recorder: Recorder): Promise<ReloadRecord> {
    plugin.error = undefined;
    await this.takeDown(plugin, 'disabled');
    return this.#options.journal.write(plugin, recorder);
  }

  #liveOf(plugin: Plugin, prefix: string): Live {
    const { core, front, queueLimit } = this.#options;
    plugin.live ??= new Live(core, front, { id: plugin.id, prefix, queueLimit });
    plugin.prefix = plugin.live.prefix;
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
}

function closeLive(plugin: Plugin): void {
  plugin.live?.close();
  plugin.live = undefined;
}
