/** Puts plugins into quarantine while they run, and lets go of what is held back. */
import { crashOf, type HeldBuild } from '../base/containment.js';
import { TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Containing } from './containing.js';
import type { Journal } from './journal.js';
import type { Plugin } from './plugin.js';

export interface QuarantiningOptions {
  log: Log;
  containing: Containing;
  journal: Journal;
  /** Asked when the plugin's turn has come. */
  takeDown: (plugin: Plugin) => Promise<void>;
}

export class Quarantining {
  readonly #options: QuarantiningOptions;
  /** What was said of each plugin. */
  readonly #told = new Map<string, HeldBuild>();

  constructor(options: QuarantiningOptions) {
    this.#options = options;
  }

  /** The build that runs is not loaded again, by no host, until somebody lets go of it. Resolves when it is taken down. */
  async begin(plugin: Plugin, reason: string): Promise<void> {
    const { containing, takeDown } = this.#options;
    const { id, running } = plugin;
    if (running === undefined) return;
    const { isolated } = plugin;
    const isolation =
      running.library.isolation !== undefined ? 'process' : isolated?.mode === 'auto' ? 'auto' : undefined;
    const since = new Date().toISOString();
    const held = { plugin: id, sha256: running.sha256, reason, since };
    containing.quarantine({ ...held, ...(isolation && { isolation }) });
    this.tell(plugin);
    await plugin.turns.take('quarantine', async () => {
      if (plugin.running !== running) return;
      const down = takeDown(plugin);
      // No thread of it comes for them, and the fresh process would wait for them, too.
      running.handle.giveUpQueued();
      await down;
    });
  }

  /** The same, where it runs, and this host is to begin anew. */
  beginAndLeave(plugin: Plugin | undefined, reason: string): void {
    if (plugin?.running === undefined) return;
    const { journal, log } = this.#options;
    const { id } = plugin;
    const failed = (error: unknown): void => log.error({ plugin: id, err: error }, `${id} could not be taken down`);
    void this.begin(plugin, reason).catch(failed);
    journal.tell({ type: 'host.full', reason: `${id}: ${reason}` });
  }

  /** It does not run because it is in quarantine: say so, once. */
  tell(plugin: Plugin): void {
    const { containing, journal, log } = this.#options;
    const why = containing.whyQuarantined(plugin.id);
    const held = containing.quarantineOf(plugin.id);
    if (why === undefined || held === undefined) return;
    plugin.error = why;
    if (this.#told.get(plugin.id) === held) return;
    this.#told.set(plugin.id, held);
    const { reason, sha256 } = held;
    const crash = crashOf(held);
    log.error({ plugin: plugin.id, code: why.code, sha256, ...crash }, why.message);
    journal.tell({ type: 'plugin.quarantined', plugin: plugin.id, reason, sha256, ...crash });
  }

  /** Nothing of it is held back any more. Whether anything was. */
  release(id: string): boolean {
    const was = this.#options.containing.release(id);
    if (was) this.#released(id, 'by hand');
    return was;
  }

  /** Plugins may be loaded again. Throws `NotQuarantined` when they may. */
  endSafeMode(): void {
    if (!this.#options.containing.endSafeMode())
      throw new TenonError('NotQuarantined', 'the host is not in safe mode', { next: 'name a plugin to release' });
    this.#options.log.warn('the safe mode has ended by hand: plugins are loaded');
  }

  /** It serves, where its `isolated` says: what it did in the host's process is over when it has left that. */
  serves({ id, isolated }: Plugin): void {
    if (this.#options.containing.serves(id, isolated)) this.#released(id, 'for it runs in a process of its own');
  }

  /** Its running generation has shown that it is well; `isNew` when it came from the application, and was not kept. */
  proved({ id }: Plugin, sha256: string, isNew: boolean): void {
    if (this.#options.containing.proved(id, sha256, isNew))
      this.#released(id, `for its new build ${sha256.slice(0, 12)}`);
  }

  #released(id: string, why: string): void {
    this.#options.log.info({ plugin: id }, `${id} is released, ${why}`);
    this.#options.journal.tell({ type: 'plugin.released', plugin: id });
  }
}

/** Nothing of it could be let go of. */
export function notHeld({ id }: { id: string }): TenonError {
  return new TenonError('NotQuarantined', `${id} is not in quarantine, and no build of it is held back`, {
    next: 'see GET /api/v1/plugins',
    details: { plugin: id },
  });
}
