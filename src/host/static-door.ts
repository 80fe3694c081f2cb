/** What stands between the requests for a static plugin and its life: who is in it, and what it goes by. */
import { setTimeout as sleep } from 'node:timers/promises';
import { TenonError } from '../base/errors.js';
import type { StaticConfig } from './static-plugin.js';

/** A request that is in a handler. */
export interface StaticCall {
  /** Whether it is an event stream that has begun. */
  readonly streams: boolean;
  /** Nobody waits for its answer any more. */
  cut: (reason: TenonError) => void;
}

/** One life of a static plugin, from its routes on. */
export class StaticDoor {
  readonly plugin: string;
  readonly #config: () => StaticConfig;
  readonly #calls = new Set<StaticCall>();
  #left: (() => void) | undefined;
  #closed = false;
  /** Requests that have ended, and those that its handlers failed, missed or answered with 5xx. */
  ended = 0;
  faults = 0;

  constructor(plugin: string, config: () => StaticConfig) {
    this.plugin = plugin;
    this.#config = config;
  }

  get config(): StaticConfig {
    return this.#config();
  }

  get waiting(): number {
    return this.#calls.size;
  }

  /** A request is about to enter a handler. The result is to be called when it has left. Throws `PluginStopped`. */
  enter(call: StaticCall): () => void {
    if (this.#closed) throw this.#stopped();
    this.#calls.add(call);
    return () => {
      if (this.#calls.delete(call) && this.#calls.size === 0) this.#left?.();
    };
  }

  /** Event streams end, which nothing else would end. */
  endStreams(): void {
    for (const call of this.#calls) if (call.streams) call.cut(this.#stopped());
  }

  /** Nobody enters from here on. Who is in it has `drainMs` to leave, and is cut off then. */
  async close(drainMs: number): Promise<void> {
    this.#closed = true;
    this.endStreams();
    if (this.#calls.size === 0) return;
    const over = new AbortController();
    const left = new Promise<void>((resolve) => {
      this.#left = resolve;
    });
    await Promise.race([left, sleep(drainMs, undefined, { signal: over.signal }).catch(() => {})]);
    over.abort();
    for (const call of this.#calls) call.cut(this.#stopped());
  }

  #stopped(): TenonError {
    return new TenonError('PluginStopped', `${this.plugin} is taken down`, {
      next: `POST /api/v1/plugins/${this.plugin}/load`,
      details: { plugin: this.plugin },
    });
  }
}
