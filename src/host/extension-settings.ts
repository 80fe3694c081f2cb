/** Tells extensions what applications set there, while both run. */
import { asTenonError, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { ExtensionUse } from '../compiler/config.js';
import type { Plugin } from './plugin.js';

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
   * when one refuses it: there what was holds.
   */
  async tell(application: string, uses: readonly ExtensionUse[]): Promise<void> {
    for (const { id, settings } of uses) {
      try {
        await this.#tell(id, application, settings);
      } catch (cause) {
        const { message } = asTenonError(cause);
        throw new TenonError('ConfigInvalid', `${id} does not take what ${application} sets there: ${message}`, {
          next: `correct \`settings\` of ${id} under \`extensions\` of ${application}`,
          details: { plugin: application, extension: id },
          cause,
        });
      }
    }
  }

  /** `application` uses these and no other. One that does not take it is logged. */
  async keepOnly(application: string, uses: readonly ExtensionUse[]): Promise<void> {
    const { log, plugins } = this.#options;
    const left = [...plugins.values()].filter(
      ({ id, told }) => told.has(application) && !uses.some((use) => use.id === id),
    );
    for (const { id } of left)
      await this.#tell(id, application, '').catch((error: unknown) =>
        log.warn({ plugin: id, err: error }, `${id} does not take that ${application} does not list it any more`),
      );
  }

  async #tell(id: string, application: string, settings: string): Promise<void> {
    const { anew, plugins } = this.#options;
    const plugin = plugins.get(id);
    if (plugin === undefined) return;
    const knows = (): boolean => plugin.running === undefined || (plugin.told.get(application) ?? '') === settings;
    if (knows()) return;
    const answer = await plugin.turns.take(`settings of ${application} ${settings}`, async () => {
      if (plugin.running === undefined || knows()) return 'taken';
      const outcome = await plugin.running.configure(application, settings);
      const told = new Map(plugin.told);
      if (settings === '') told.delete(application);
      else told.set(application, settings);
      if (outcome === 'taken') plugin.told = told;
      return outcome;
    });
    if (answer === 'reload') await anew(plugin);
  }
}
