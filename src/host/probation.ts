/** The time after a reload in which the new generation must show that it does as well as the one before. */
import type { Settings } from '../base/config.js';
import { asTenonError, TenonError } from '../base/errors.js';
import type { CallCounters } from '../binding/call-counters.js';
import type { Generation } from '../plugin/generation.js';
import type { Live } from './live.js';

/** What a generation is measured by while it is on probation. */
export interface ProbationLimits {
  /** How long it lasts, ms; 0: there is none. */
  ms: number;
  /** Share of its calls that may fail, 0 to 1, unless as many failed before. */
  faultRate: number;
  /** How many times slower than before its calls may be, at the 95th percentile. */
  slowFactor: number;
}

/** What the settings of a host say of it. */
export function probationOf(
  settings: Pick<Settings, 'probationMs' | 'probationFaultPercent' | 'probationSlowFactor'>,
): ProbationLimits {
  return {
    ms: settings.probationMs,
    faultRate: settings.probationFaultPercent / 100,
    slowFactor: settings.probationSlowFactor,
  };
}

const lookMs = 100;
const healthMs = 1000;
/** How a process ended that the host has not killed, though somebody has. */
const killedBySomebody = 'was ended by SIGKILL';
/** Fewer calls than these say nothing. */
const enoughCalls = 20;
const enoughSamples = 20;
/** Handlers that are faster than this are not called slow, whatever came before, µs. */
const fastUs = 10_000;

/** Watches one generation from `begin` until its time is over, it fails, or `end`. */
export class Probation {
  readonly #generation: Generation;
  readonly #live: Live;
  readonly #before: CallCounters;
  readonly #limits: ProbationLimits;
  #failed: (error: TenonError) => void;
  readonly #passed: () => void;
  readonly #end: number;
  #timer: NodeJS.Timeout | undefined;
  #healthAt = 0;

  /** One of these is called, once, unless it is ended before: `failed` with what is wrong. */
  constructor(
    live: Live,
    generation: Generation,
    before: CallCounters,
    limits: ProbationLimits,
    { failed, passed }: { failed: (error: TenonError) => void; passed: () => void },
  ) {
    this.#live = live;
    this.#generation = generation;
    this.#before = before;
    this.#limits = limits;
    this.#failed = failed;
    this.#passed = passed;
    this.#end = performance.now() + limits.ms;
  }

  begin(): void {
    this.#later();
  }

  /** Look no more. Ending twice is fine. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // What it would have done then may keep a whole state alive.
    this.#failed = () => {};
  }

  #later(): void {
    this.#timer = setTimeout(() => void this.#look(), lookMs).unref();
  }

  async #look(): Promise<void> {
    const { swaps } = this.#live;
    // While it hands over it saves, and waits: that says nothing of how it serves.
    const serves = (): boolean => this.#live.current === this.#generation && this.#live.swaps === swaps;
    const wrong = serves() ? (this.#process() ?? this.#calls() ?? (await this.#health())) : undefined;
    if (this.#timer === undefined) return;
    if (wrong !== undefined && serves()) {
      const failed = this.#failed;
      this.end();
      failed(wrong);
    } else if (performance.now() < this.#end) this.#later();
    else {
      this.end();
      this.#passed();
    }
  }

  #process(): TenonError | undefined {
    const processes = this.#generation.library.isolation?.processes ?? [];
    const ends = processes.reduce(
      (sum, { pid, restarts, lastEnd }) => sum + restarts + (pid === 0 && lastEnd ? 1 : 0),
      0,
    );
    // The first time it may have been anybody.
    const ended = processes.find(({ lastEnd }) => lastEnd !== '' && (ends > 1 || lastEnd !== killedBySomebody));
    return ended === undefined ? undefined : this.#wrong(`its process ${ended.lastEnd}`, {});
  }

  #calls(): TenonError | undefined {
    const { calls, faults, p95Us = 0, samples } = this.#generation.counters;
    const before = this.#before;
    const { faultRate, slowFactor } = this.#limits;
    const usual = before.calls < enoughCalls ? 0 : before.faults / before.calls;
    if (calls >= enoughCalls && faults / calls > Math.max(faultRate, usual))
      return this.#wrong(`${faults} of its ${calls} calls failed`, { calls, faults, before });
    const { p95Us: beforeUs = 0 } = before;
    const measured = samples >= enoughSamples && before.samples >= enoughSamples;
    if (measured && p95Us > fastUs && p95Us > slowFactor * beforeUs)
      return this.#wrong(`its calls take ${ms(p95Us)} ms, and took ${ms(beforeUs)} ms before (95th percentile)`, {
        p95Us,
        before,
      });
    return undefined;
  }

  async #health(): Promise<TenonError | undefined> {
    if (performance.now() < this.#healthAt) return undefined;
    this.#healthAt = performance.now() + healthMs;
    try {
      await this.#generation.health();
      return undefined;
    } catch (error) {
      const { message, code } = asTenonError(error);
      return this.#wrong(message, { cause: code });
    }
  }

  #wrong(sentence: string, facts: Record<string, unknown>): TenonError {
    const { id, number, sha256 } = this.#generation;
    return new TenonError('ProbationFailed', `${id} generation ${number} did not pass its probation: ${sentence}`, {
      next: 'correct the plugin and save; the build before it serves meanwhile',
      details: { plugin: id, generation: number, sha256, ...facts },
    });
  }
}

function ms(us: number): string {
  return (us / 1000).toFixed(1);
}
