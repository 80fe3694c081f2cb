/** What stands before the handlers of static plugins: their extensions, which ask on the core's threads. */
import type { Core, GenerationHandle } from '../binding/core.js';
import type { Chains, Gatekeeping } from './chains.js';
import type { CheckedStatic } from './checked-static.js';
import type { Live, ServedRoute } from './live.js';

export interface StaticGatesOptions {
  readonly core: Core;
  readonly chains: Chains;
  readonly limits: { readonly lifecycleMs: number; readonly deadlineMs: number; readonly concurrency: number };
}

interface OpenGate {
  readonly live: Live;
  readonly handle: GenerationHandle;
}

export class StaticGates {
  readonly #options: StaticGatesOptions;
  readonly #open = new Map<string, OpenGate>();

  constructor(options: StaticGatesOptions) {
    this.#options = options;
  }

  /** Throws `RouteInvalid` when somebody is to be known, and none of its extensions can know anybody. */
  check(definition: CheckedStatic, routes: readonly ServedRoute[]): void {
    this.#options.chains.check(definition.id, gatekeeping(definition), routes);
  }

  /** From here on `Chains.gateOf` has its gate, when it lists extensions. */
  async open(definition: CheckedStatic): Promise<void> {
    const { id, extensions, prefix } = definition;
    if (extensions.length === 0) return;
    const { chains, core, limits } = this.#options;
    const { lifecycleMs, deadlineMs, concurrency } = limits;
    const live = chains.take(id);
    const handle = live.makeHandle({
      number: 1,
      descriptor: core.codelessPlugin,
      root: '',
      prefix,
      deadlineMs,
      bodyLimit: 0,
      concurrency,
    });
    this.#open.set(id, { live, handle });
    await handle.create(lifecycleMs);
    await handle.initialize(lifecycleMs);
    await handle.routes(lifecycleMs);
    await handle.ready(lifecycleMs);
    live.enter(handle);
    chains.set(id, live, gatekeeping(definition));
  }

  /** Nobody waits at it any more. Fine for one that is not open. */
  async close(id: string): Promise<void> {
    const gate = this.#open.get(id);
    if (gate === undefined) return;
    this.#open.delete(id);
    const { chains, limits } = this.#options;
    const { live, handle } = gate;
    live.enter(undefined);
    handle.retire();
    // Who is in an extension still has its own deadline.
    await handle.drain(limits.deadlineMs + limits.lifecycleMs);
    await handle.shutdown(limits.lifecycleMs);
    await handle.destroy(limits.lifecycleMs);
    await handle.stop(limits.lifecycleMs);
    handle.close();
    chains.release(id, live);
  }
}

function gatekeeping({ extensions, auth }: CheckedStatic): Gatekeeping {
  return { uses: extensions.map((id) => ({ id, required: true, settings: '{}' })), auth, self: false };
}
