/** Goes back to the build before one that did not pass its probation. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Departures } from './departures.js';
import type { Journal } from './journal.js';
import type { Plugin } from './plugin.js';
import type { Begun, LateFailure, ReloadRequest } from './reload-request.js';
import type { Versions } from './versions.js';

export interface TakingBackOptions {
  journal: Journal;
  departures: Departures;
  versions: Versions;
  begin: (plugin: Plugin, request: Pick<ReloadRequest, 'byHand' | 'version' | 'passOver'>) => Promise<Begun>;
  /** Look at the application again. */
  refresh: (folder: string) => void;
  isClosing: () => boolean;
}

export class TakingBack {
  readonly #options: TakingBackOptions;

  constructor(options: TakingBackOptions) {
    this.#options = options;
  }

  /** The one before it serves again, when this resolves. What keeps it from that may pass, and is waited for a little. */
  async takeBack(plugin: Plugin, failure: LateFailure): Promise<void> {
    const { generation, record, error } = failure;
    for (let waitMs = 1000; ; waitMs *= 2)
      try {
        // The one before may be gone, or have failed itself: then it is the one before that.
        const from = record.trigger === 'rollback' || waitMs > 1000 ? undefined : record.from?.sha256;
        await plugin.turns.take('take back', () => this.#takeBackTo(plugin, failure, from));
        return;
      } catch (cause) {
        if (waitMs > 4000 || plugin.running !== generation || this.#options.isClosing()) {
          this.#options.journal.notTakenBack(record, error);
          throw cause;
        }
        await sleep(waitMs, undefined, { ref: false });
      }
  }

  async #takeBackTo(plugin: Plugin, failure: LateFailure, to: string | undefined): Promise<void> {
    const { departures, journal, versions } = this.#options;
    const { generation, record, error, given, finished } = failure;
    if (plugin.running !== generation || !plugin.wanted) return;
    const isApart = generation.library.isolation !== undefined;
    versions.condemn(plugin.id, generation.sha256, { reason: error.message, isApart });
    const outlasted = plugin.outlasted === generation;
    const version = await versions.find(plugin.id, to, generation.sha256);
    const back = await this.#options.begin(plugin, { byHand: false, version, passOver: { given } });
    departures.untilClosed(back.finished);
    departures.untilClosed(finished.then(() => journal.takenBack(plugin, record, error)));
    // A build that could not take over from the one that failed may well take over from the one before it.
    if (outlasted) this.#options.refresh(plugin.folder);
  }
}
