/** Goes through cells of the fault matrix, each in a host that is well. */
import { FaultyHost } from './faulty-host.js';
import { type Kind, type Place } from './kinds.js';
import { observe, type Observed, spoils } from './observe.js';

/** Nothing is quarantined, hangs are found soon, and what the host gives up it gives up soon. */
const settings = `registry:
  enabled: false
hotReload:
  enabled: false
probation:
  ms: 0
log:
  level: warn
crashes:
  limit: 100
  windowMs: 1000
  hangMs: 2000
  reports: 2000
pinned:
  images: 10000
limits:
  lifecycleMs: 1000
  drainMs: 500
`;

/** One host after the other, a new one wherever the last is spoiled. */
export class MatrixHost {
  #host: FaultyHost | undefined;

  async observe(kind: Kind, place: Place): Promise<Observed> {
    this.#host ??= await FaultyHost.start(['fault'], settings);
    let observed: Observed | undefined;
    try {
      observed = await observe(this.#host, kind, place);
      return observed;
    } finally {
      if (observed === undefined || spoils(kind, observed)) await this.close();
    }
  }

  async close(): Promise<void> {
    const host = this.#host;
    this.#host = undefined;
    await host?.close();
  }
}
