/** Takes down what runs and is on the kill list. */
import { asTenonError, type TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Plugin } from './plugin.js';

export interface KillingOptions {
  log: Log;
  /** Rejects with `BundleKilled` when the library or manifest with this hash may not be loaded. */
  refuseKilled: (id: string, sha256: string) => Promise<void>;
  /** Asked when the plugin's turn has come. */
  takeDown: (plugin: Plugin) => Promise<void>;
}

export class Killing {
  readonly #options: KillingOptions;
  /** Why the list cannot be asked, as it was logged last. */
  #trouble: string | undefined;

  constructor(options: KillingOptions) {
    this.#options = options;
  }

  /** All at once. Rejects with why one could not be taken down, when every other is. That the list cannot be used is logged once. */
  async endKilled(plugins: readonly Plugin[]): Promise<void> {
    let trouble: TenonError | undefined;
    const ends = plugins.map(async (plugin) => {
      const ended = await this.#end(plugin);
      trouble ??= ended;
    });
    const failures = (await Promise.allSettled(ends)).filter((end) => end.status === 'rejected');
    this.#tell(trouble);
    if (failures.length > 0) throw asTenonError(failures[0]?.reason);
  }

  /** Why it is not known whether it was killed, if so. */
  async #end(plugin: Plugin): Promise<TenonError | undefined> {
    const first = await this.#whyNot(plugin);
    if (first?.code !== 'BundleKilled') return first;
    try {
      await plugin.turns.take('kill', async () => {
        const error = await this.#whyNot(plugin);
        if (error?.code !== 'BundleKilled') return;
        plugin.error = error;
        await this.#options.takeDown(plugin);
      });
    } catch (error) {
      this.#options.log.error({ plugin: plugin.id, err: error }, `${plugin.id} was killed and could not be taken down`);
      throw error;
    }
    return undefined;
  }

  async #whyNot({ id, running, bundle }: Plugin): Promise<TenonError | undefined> {
    for (const sha256 of [running?.sha256, running && bundle?.sha256]) {
      if (sha256 === undefined) continue;
      const error = await this.#options.refuseKilled(id, sha256).then(() => undefined, asTenonError);
      if (error !== undefined) return error;
    }
    return undefined;
  }

  #tell(trouble: TenonError | undefined): void {
    if (trouble !== undefined && trouble.message !== this.#trouble)
      this.#options.log.error(
        { code: trouble.code },
        `what was killed cannot be known, and what runs goes on until it can: ${trouble.message}`,
      );
    this.#trouble = trouble?.message;
  }
}
