/** Generations on their way out of the process: those whose calls still end, and those whose image cannot be unmapped. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../base/log.js';
import { Generation } from '../plugin/generation.js';
import type { Journal } from './journal.js';
import type { Plugin } from './plugin.js';

/**
 * Between looks at the pinned generations, whose threads tell nobody when they come back, ms: at first, and at most, as
 * they double until another one is pinned.
 */
const firstLookMs = 250;
const lastLookMs = 2000;

/** Keeps after every generation that was taken down until its image is unmapped. */
export class Departures {
  readonly #log: Log;
  readonly #journal: Journal;
  readonly #leaving = new Map<Generation, Plugin>();
  readonly #finishing = new Set<Promise<unknown>>();
  readonly #pinned: () => void;
  /** Those that are looked after. */
  readonly #held = new Map<Generation, Plugin>();
  #round = 0;
  #closing = false;

  /** `pinned` is called when one has turned out to be. */
  constructor(log: Log, journal: Journal, pinned: () => void) {
    this.#log = log;
    this.#journal = journal;
    this.#pinned = pinned;
  }

  /** Every generation that is still there, with its plugin, which may itself be gone. */
  get leaving(): ReadonlyMap<Generation, Plugin> {
    return this.#leaving;
  }

  /** No call enters `generation` any more. */
  begin(plugin: Plugin, generation: Generation): void {
    plugin.leaving.add(generation);
    this.#leaving.set(generation, plugin);
  }

  /** `generation` has been taken down: one that could not be unloaded stays listed, and is tried again. */
  keep(plugin: Plugin, generation: Generation): void {
    if (generation.state === 'closed') {
      this.#end(plugin, generation);
      return;
    }
    this.begin(plugin, generation);
    this.#pinned();
    if (generation.pinnedForGood) return;
    this.#held.set(generation, plugin);
    void this.#lookAfter();
  }

  /** Unload a pinned generation when what held it has let go, and correct what its record says. */
  async tryAgain(plugin: Plugin, generation: Generation): Promise<void> {
    if (Generation.released([generation]).length === 0) return;
    await this.#retire(plugin, generation);
  }

  async #retire(plugin: Plugin, generation: Generation): Promise<void> {
    const retiring = generation.retire();
    this.untilClosed(retiring);
    const { outcome } = await retiring;
    if (!plugin.leaving.has(generation)) return;
    this.#journal.correct(plugin.id, generation.number, outcome);
    if (outcome.unload === 'pinned') return;
    this.#end(plugin, generation);
    this.#log.info({ plugin: plugin.id, generation: generation.number }, 'its image is unmapped after all');
    this.#journal.tell({ type: 'generation.unloaded', plugin: plugin.id, generation: generation.number });
  }

  /** Closing waits for `work`, which never rejects. */
  untilClosed(work: Promise<unknown>): void {
    this.#finishing.add(work);
    const over = (): void => void this.#finishing.delete(work);
    work.then(over, over);
  }

  /** Look after no pinned one any more; resolves when all that is under way has ended. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.allSettled(this.#finishing);
  }

  #end(plugin: Plugin, generation: Generation): void {
    plugin.leaving.delete(generation);
    this.#leaving.delete(generation);
  }

  /** Look again and again, in the place of whoever did so before. */
  async #lookAfter(): Promise<void> {
    const round = ++this.#round;
    for (let ms = firstLookMs; this.#held.size > 0; ms = Math.min(ms * 2, lastLookMs)) {
      await sleep(ms, undefined, { ref: false });
      if (this.#closing || round !== this.#round) return;
      for (const generation of this.#held.keys())
        if (generation.state === 'closed' || generation.pinnedForGood) this.#held.delete(generation);
      for (const generation of Generation.released(this.#held.keys())) {
        const plugin = this.#held.get(generation);
        if (plugin !== undefined) void this.#retire(plugin, generation);
      }
    }
  }
}
