/** Tells extensions what applications set there, while both run. */
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { ExtensionUse } from '../compiler/config.js';
import type { Generation } from '../plugin/generation.js';
import type { Consumer } from './extensions.js';
import type { Plugin } from './plugin.js';

/** Of an application that sets nothing. */
const none = '{}';

export interface ExtensionSettingsOptions {
  log: Log;
  plugins: ReadonlyMap<string, Plugin>;
  /** Give the plugin a new generation of the same library; resolves when that serves. */
  anew: (plugin: Plugin) => Promise<unknown>;
}

export class ExtensionSettings {
  readonly #options: ExtensionSettingsOptions;

  constructor(options: ExtensionSettingsOptions) {
    this.#options = options;
  }

  /**
   * Every extension of `uses` that runs knows what `application` sets there, when this resolves. Rejects with `ConfigInvalid`
   * when one refuses it, and with `LifecycleTimeout` when one has no time for it: there what was holds.
   */
  async tell(application: string, uses: readonly ExtensionUse[]): Promise<void> {
    for (const { id, settings } of uses) {
      try {
        await this.#tell(id, application, settings);
      } catch (cause) {
        throw refused(id, application, application, uses, cause);
      }
    }
  }

  /**
   * Ask `next`, which is about to serve, for what applications that run set there: it has begun with all of `consumers`. Rejects
   * with `ConfigInvalid` for what the generation that runs has taken or was just told, unless `lenient`, and with
   * `LifecycleTimeout`. The result: whose settings are still to be asked for, or are not taken.
   */
  async confirm(
    plugin: Plugin,
    next: Generation,
    consumers: readonly Consumer[],
    lenient: boolean,
  ): Promise<Set<string>> {
    const { log, plugins } = this.#options;
    const { id, running, told, asked, unasked } = plugin;
    const open = new Set<string>();
    for (const { application, settings } of consumers) {
      if (settings === none) continue;
      const consumer = plugins.get(application);
      if (consumer?.running !== undefined)
        try {
          await next.configure(application, settings);
          continue;
        } catch (cause) {
          const wasTaken = running !== undefined && told.get(application) === settings && !unasked.has(application);
          const isBeingTold = running !== undefined && asked.get(application) === settings;
          const error = refused(id, id, application, consumer.applied?.uses ?? [], cause);
          if (error.code === 'LifecycleTimeout' || ((wasTaken || isBeingTold) && !lenient)) throw error;
          // The application is tried again, and that is logged.
          log.debug({ plugin: id, code: error.code, details: error.details }, error.message);
        }
      open.add(application);
    }
    return open;
  }

  /**
   * What `application` sets with these, and no other, is in force: who came up beside it with what was set before is told. An
   * extension that does not take it is logged.
   */
  async keepOnly(application: string, uses: readonly ExtensionUse[]): Promise<void> {
    const { plugins } = this.#options;
    const left: Plugin[] = [];
    const behind: [Plugin, string][] = [];
    for (const plugin of plugins.values()) {
      const { id, running, told, asked } = plugin;
      const settings = uses.findLast((use) => use.id === id)?.settings;
      if (settings === undefined && told.has(application)) {
        left.push(plugin);
        continue;
      }
      const isBehind = told.get(application) !== settings && asked.get(application) !== settings;
      asked.delete(application);
      if (settings !== undefined && running !== undefined && isBehind) behind.push([plugin, settings]);
    }
    // Asked of all of them at once: who is told next must not find that one of them still knows it.
    await Promise.all([
      ...left.map((plugin) => this.#leave(plugin, application)),
      ...behind.map(([plugin, settings]) => this.#catchUp(plugin, application, settings)),
    ]);
  }

  /**
   * A generation of `plugin` serves now. Of `consumers`, as they are now, whoever set something else since it was opened is still
   * to be asked for, and who is not among them any more is told as gone.
   */
  serves(plugin: Plugin, consumers: readonly Consumer[]): void {
    const { asked, told, unasked } = plugin;
    const now = new Map(consumers.map(({ application, settings }) => [application, settings]));
    for (const [application, settings] of now)
      if (told.get(application) !== settings && asked.get(application) !== settings) unasked.add(application);
    for (const application of told.keys()) if (!now.has(application)) void this.#leave(plugin, application);
  }

  /** The application runs with `settings` already. */
  async #catchUp(plugin: Plugin, application: string, settings: string): Promise<void> {
    const { id, asked } = plugin;
    try {
      await this.#tell(id, application, settings);
    } catch (error) {
      plugin.unasked.add(application);
      this.#options.log.warn({ plugin: id, err: error }, `${id} does not take what ${application} sets there`);
    }
    if (asked.get(application) === settings) asked.delete(application);
  }

  /** `application` does not list it any more. */
  async #leave(plugin: Plugin, application: string): Promise<void> {
    const { id, asked } = plugin;
    try {
      await this.#tell(id, application, '');
    } catch (error) {
      this.#options.log.warn(
        { plugin: id, err: error },
        `${id} does not take that ${application} does not list it any more`,
      );
    }
    if (asked.get(application) === '') asked.delete(application);
  }

  /**
   * What was to come into force does not: the extensions know again what `application` sets as it runs, when this resolves;
   * `uses` is undefined when it does not run. One that does not take it is logged.
   */
  async takeBack(application: string, uses: readonly ExtensionUse[] | undefined): Promise<void> {
    const { log, plugins } = this.#options;
    if (uses === undefined) {
      for (const { asked } of plugins.values()) if (asked.get(application) !== '') asked.delete(application);
      return;
    }
    // One that comes up may wait for this very application: it is not waited for here.
    for (const { id, settings } of uses.filter((use) => plugins.get(use.id)?.running !== undefined))
      await this.#tell(id, application, settings).catch((error: unknown) =>
        log.error({ plugin: id, err: error }, `${id} does not take back what ${application} was to set there`),
      );
    await this.keepOnly(application, uses);
  }

  /** Its turn tells what was asked last: another may have been asked while it waited. */
  async #tell(id: string, application: string, settings: string, isAnew = false): Promise<void> {
    const { anew, plugins } = this.#options;
    const plugin = plugins.get(id);
    if (plugin === undefined) return;
    const { asked } = plugin;
    const isBeingTold = asked.has(application);
    asked.set(application, settings);
    const began = (json: string): boolean => (plugin.told.get(application) ?? '') === json;
    const knows = (json: string): boolean => began(json) && !plugin.unasked.has(application);
    // One that does not run may be coming up with what was set before: its turn is waited for.
    if (plugin.running !== undefined && !isBeingTold && knows(settings)) return;
    const answer = await plugin.turns.take(`settings of ${application}`, async () => {
      const last = asked.get(application);
      if (last === undefined || plugin.running === undefined || knows(last)) return 'taken';
      const outcome = await plugin.running.configure(application, last);
      // Another generation would begin with nothing else than this one did.
      if (outcome === 'reload' && !began(last)) return outcome;
      const told = new Map(plugin.told);
      if (last === '') told.delete(application);
      else told.set(application, last);
      plugin.told = told;
      plugin.unasked.delete(application);
      return 'taken';
    });
    if (answer !== 'reload' || isAnew) return;
    // Nobody would take down what came after one that leaves.
    if (plugin.leave === undefined) await anew(plugin);
    // It may refuse what the one before wanted a new generation for; of anything newer somebody else asks.
    if (asked.get(application) === settings) await this.#tell(id, application, settings, true);
  }
}

/**
 * What is refused does not pass when it is told again; what nobody had time for may.
 * @param plugin whose reload fails with it
 */
function refused(
  id: string,
  plugin: string,
  application: string,
  uses: readonly ExtensionUse[],
  cause: unknown,
): TenonError {
  const { code, message } = asTenonError(cause);
  const isRefused = code === 'LifecycleFailed' || code === 'ConfigInvalid';
  const at = uses.findIndex((use) => use.id === id);
  return new TenonError(
    isRefused ? 'ConfigInvalid' : code,
    `${id} does not take what ${application} sets there: ${message}`,
    {
      next: isRefused
        ? `correct \`settings\` of ${id} under \`extensions\` of ${application}`
        : `see what ${id} logged`,
      details: { plugin, application, extension: id, ...(at < 0 ? {} : { pointer: `/extensions/${at}/settings` }) },
      cause,
    },
  );
}
