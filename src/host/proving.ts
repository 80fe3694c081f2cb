/** When a generation has shown that it is well: until then a crash of the host is put down to its being new. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Generation } from '../plugin/generation.js';
import type { Plugin } from './plugin.js';
import type { Quarantining } from './quarantining.js';
import type { Versions } from './versions.js';

/** Between two questions to one that is not well, ms. */
const againMs = 1000;
/** Of a start, for an answer, ms: one that takes longer serves meanwhile. */
const patienceMs = 100;

export class Proving {
  readonly #quarantining: Pick<Quarantining, 'proved'>;
  readonly #versions: Pick<Versions, 'proves'>;
  /** Whether it is well, as it was asked last or is being asked. */
  readonly #asked = new WeakMap<Generation, Promise<boolean>>();

  constructor(quarantining: Pick<Quarantining, 'proved'>, versions: Pick<Versions, 'proves'>) {
    this.#quarantining = quarantining;
    this.#versions = versions;
  }

  /** Ask `generation`, which is ready and about to serve, for at most 100 ms. One that is not well serves all the same. */
  async askFirst(generation: Generation): Promise<void> {
    await Promise.race([this.#ask(generation), sleep(patienceMs, undefined, { ref: false })]);
  }

  /**
   * `generation` serves, and has nothing to show but that it is well: it is asked until it is, or until it serves no more.
   * @param isNew whether it came from the application, and was not kept
   */
  async begin(plugin: Plugin, generation: Generation, isNew: boolean): Promise<void> {
    let isWell = await (this.#asked.get(generation) ?? this.#ask(generation));
    while (!isWell && plugin.running === generation) {
      await sleep(againMs, undefined, { ref: false });
      // While it hands over, its control thread is busy.
      if (plugin.running === generation && plugin.live?.current === generation) isWell = await this.#ask(generation);
    }
    if (plugin.running === generation) this.#quarantining.proved(plugin, generation.sha256, isNew);
  }

  /** Never rejects. */
  #ask(generation: Generation): Promise<boolean> {
    const asked = generation.health().then(
      () => {
        generation.markServing();
        this.#versions.proves(generation.id, generation.sha256);
        return true;
      },
      () => false,
    );
    this.#asked.set(generation, asked);
    return asked;
  }
}
