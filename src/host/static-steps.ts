/** The steps of a static plugin's life: each has a deadline, and none can do harm by what it throws. */
import { TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { StaticConfig, StaticContext } from './static-plugin.js';

export type StaticStep = 'initialize' | 'ready' | 'changed' | 'health' | 'shutdown';

export interface StaticStepsOptions {
  readonly id: string;
  readonly log: Log;
  /** For each step, ms. */
  readonly lifecycleMs: number;
  /** What an `initialize` has begun is to end, although nobody has waited for it: a step `shutdown`. */
  readonly undo: (context: StaticContext) => unknown;
  /** A `changed` that nobody has waited for has succeeded: the plugin has a config that is not in force. */
  readonly changedLate?: () => Promise<void>;
}

export class StaticSteps {
  readonly #options: StaticStepsOptions;
  /** Those that have missed their deadline, and have not ended since. */
  readonly #late = new Set<StaticStep>();

  constructor(options: StaticStepsOptions) {
    this.#options = options;
  }

  /** Rejects with `LifecycleFailed`, with what `work` has thrown as its cause, and with `LifecycleTimeout`. */
  async run(step: StaticStep, config: StaticConfig, work: (context: StaticContext) => unknown): Promise<void> {
    const { id, lifecycleMs } = this.#options;
    const [late] = this.#late;
    // Two of the same at once, or a new life beside what is left of the old one, is nothing that anybody has written.
    if (late !== undefined && (step === 'initialize' || this.#late.has(step)))
      throw this.#error('LifecycleTimeout', step, `has to wait: ${late} has missed its deadline and goes on`);
    const abort = new AbortController();
    const worked = (async () => void (await work({ plugin: id, config, signal: abort.signal })))();
    let timer: NodeJS.Timeout | undefined;
    const missed = new Promise<'missed'>((resolve) => {
      timer = setTimeout(resolve, lifecycleMs, 'missed');
    });
    try {
      if ((await Promise.race([worked, missed])) !== 'missed') return;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw this.#error('LifecycleFailed', step, `failed: ${why}`, cause);
    } finally {
      clearTimeout(timer);
    }
    const error = this.#error('LifecycleTimeout', step, `has not ended within ${lifecycleMs} ms`);
    this.#late.add(step);
    abort.abort(error);
    void this.#awaitLate(step, config, worked);
    throw error;
  }

  async #awaitLate(step: StaticStep, config: StaticConfig, worked: Promise<void>): Promise<void> {
    const { id, log, undo, changedLate } = this.#options;
    let ended = false;
    try {
      await worked;
      ended = true;
      log.warn({ plugin: id, step }, `${id}: ${step} has ended after its deadline`);
      if (step === 'initialize') await this.run('shutdown', config, undo);
    } catch (error) {
      log.warn({ plugin: id, step, err: error }, `${id}: ${step} has failed after its deadline`);
    } finally {
      this.#late.delete(step);
    }
    if (ended && step === 'changed') await changedLate?.();
  }

  #error(code: 'LifecycleFailed' | 'LifecycleTimeout', step: StaticStep, what: string, cause?: unknown): TenonError {
    const { id } = this.#options;
    return new TenonError(code, `${id}: ${step} ${what}`, { details: { plugin: id, step }, cause });
  }
}
