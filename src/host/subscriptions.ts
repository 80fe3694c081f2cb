/** Listeners for one type of event each. */
import type { Log } from '../base/log.js';
import type { HostEvent } from './journal.js';

/** The event of a type. */
export type EventOf<Type extends HostEvent['type'], Each extends HostEvent = HostEvent> = Each extends HostEvent
  ? Type extends Each['type']
    ? Each & { readonly type: Type }
    : never
  : never;

type Told = (event: HostEvent) => unknown;

/** Who listens to which type, in order of coming. */
export class Subscriptions {
  readonly #listeners = new Map<string, Set<Told>>();
  readonly #log: Log;

  /** @param log where it is told what a listener throws or rejects with; that keeps nothing from the others */
  constructor(log: Log) {
    this.#log = log;
  }

  /** Tell `listener` of every event of `type`; what is returned ends that. Throws TypeError. */
  on<Type extends HostEvent['type']>(type: Type, listener: (event: EventOf<Type>) => unknown): () => void {
    if (!eventTypes.includes(type)) throw new TypeError(`on: there is no event ${JSON.stringify(type)}`);
    if (typeof listener !== 'function') throw new TypeError(`on: the listener of ${type} is no function`);
    const own: Told = (event) => listener(event as EventOf<Type>);
    const all = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, all.add(own));
    return () => void all.delete(own);
  }

  /** Tell those who listen to this type. */
  readonly tell = (event: HostEvent): void => {
    for (const listener of this.#listeners.get(event.type) ?? [])
      try {
        const result = listener(event);
        if (result instanceof Promise) result.catch((error: unknown) => this.#fail(error, event));
      } catch (error) {
        this.#fail(error, event);
      }
  };

  #fail(error: unknown, { type }: HostEvent): void {
    this.#log.error({ err: error, event: type }, 'a listener of events threw');
  }
}

const known: Record<HostEvent['type'], true> = {
  'reload.started': true,
  'reload.phase': true,
  'reload.succeeded': true,
  'reload.failed': true,
  'reload.rolledBack': true,
  'plugin.serving': true,
  'plugin.stopped': true,
  'generation.unloaded': true,
  'host.full': true,
  'plugin.quarantined': true,
  'plugin.released': true,
  'plugin.processEnded': true,
  'plugin.processStarted': true,
  'plugin.guarded': true,
  'plugin.overSoftLimit': true,
  'plugin.overHardLimit': true,
};

/** Every type of event. */
const eventTypes = Object.keys(known) as readonly HostEvent['type'][];
