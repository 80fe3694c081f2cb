/** What happened in one reload: who asked, from what to what, how long each phase took, how it ended. */
import { randomUUID } from 'node:crypto';
import { asTenonError, type ErrorCode } from '../base/errors.js';
import type { Generation, Outcome } from '../plugin/generation.js';

/** Who asked for a reload: the start of the host, a change of files, a person or program, the registry, a config that was set. */
export type Trigger = 'start' | 'watch' | 'api' | 'registry' | 'config' | 'rollback';

/** Parts of a reload, in the order in which they run. */
export const phases = [
  'detect',
  'build',
  'admit',
  'stage',
  'open',
  'initialize',
  'migrate',
  'swap',
  'drain',
  'unload',
  'verify',
] as const;
export type Phase = (typeof phases)[number];

/** One build of a plugin as a record names it. */
export interface BuildFacts {
  generation: number;
  version: string;
  sha256: string;
}

export interface ReloadRecord {
  id: string;
  plugin: string;
  trigger: Trigger;
  /** Absent at a first load. */
  from?: BuildFacts;
  /** Absent when the new build was never opened, and when nothing had changed. */
  to?: BuildFacts;
  /** ISO 8601. */
  startedAt: string;
  /** Milliseconds; a phase that did not run is absent. */
  phases: { [Name in Phase]?: number };
  /** Milliseconds from the request to the end of the last phase. */
  totalMs: number;
  outcome: 'succeeded' | 'failed' | 'rolledBack';
  /** True when the library is the one that runs: nothing was done. */
  unchanged?: true;
  /** True when a kept build was loaded, and not what the application is now. */
  kept?: true;
  /** Keys of its config that were taken up all the same. */
  applied?: string[];
  error?: { code: ErrorCode; message: string; details: Record<string, unknown> };
  /** What a person should know although it went well. */
  warnings: string[];
  /** Which try it was, from 1: the watch tries a reload again when it failed for a reason that may pass. */
  attempts: number;
  /**
   * How the generation that was left behind ended: the old one, or the new one of a reload that failed. `pinned` becomes
   * `clean` when what held it lets go later.
   */
  unload?: Outcome['unload'];
  pinnedReason?: string;
}

/** Which try of an application a reload is, as whoever asks for the tries knows it. */
export interface Attempt {
  /** From 1. */
  readonly number: number;
  /** Whether it is tried again when it fails with this code. */
  triesAgain: (code: ErrorCode) => boolean;
}

/** Say in `record` how the generation that was left behind ended. */
export function recordOutcome(record: ReloadRecord, outcome: Outcome): void {
  record.unload = outcome.unload;
  if (outcome.unload === 'pinned') record.pinnedReason = outcome.reason;
  else delete record.pinnedReason;
}

/** Number of the generation that `record` says is pinned; undefined when it says so of none. */
export function pinnedBy(record: ReloadRecord): number | undefined {
  if (record.unload !== 'pinned') return undefined;
  return (record.outcome === 'failed' ? record.to : record.from)?.generation;
}

/** What a record tells of the build that `generation` runs. */
export function buildFacts(generation: Generation): BuildFacts {
  return { generation: generation.number, version: generation.version, sha256: generation.sha256 };
}

/** Milliseconds with three decimals. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** Follows one reload while it runs. */
export interface ReloadTrace {
  /** Run `work` as a part of the reload. */
  inside<T>(work: () => T): T;
  /** Run `work` as a phase. */
  phase<T>(phase: Phase, work: () => T | Promise<T>): Promise<T>;
  /** A phase has ended that took `ms`. Several of them, one after the other, may be told of at once. */
  passed(phase: Phase, ms: number): void;
  /** It is over, as `record` says. */
  end(record: ReloadRecord): void;
}

/** What fills a record tells while it does. */
export interface RecorderOptions {
  /** Told when a phase has ended, with its time in ms; a phase may run twice. */
  ended?: (phase: Phase, ms: number) => void;
  trace?: ReloadTrace | undefined;
}

/** Fills one record while the reload runs. */
export class Recorder {
  readonly record: ReloadRecord;
  readonly #begin = performance.now();
  readonly #options: RecorderOptions;

  constructor(plugin: string, trigger: Trigger, attempts = 1, options: RecorderOptions = {}) {
    this.#options = options;
    this.record = {
      id: randomUUID(),
      plugin,
      trigger,
      startedAt: new Date().toISOString(),
      phases: {},
      totalMs: 0,
      outcome: 'succeeded',
      warnings: [],
      attempts,
    };
  }

  /** Run `work` as `phase`; its time counts also when it fails, and adds up when the phase runs twice. */
  async time<T>(phase: Phase, work: () => T | Promise<T>): Promise<T> {
    const begin = performance.now();
    try {
      return await (this.#options.trace?.phase(phase, work) ?? work());
    } finally {
      this.#count(phase, performance.now() - begin);
    }
  }

  add(phase: Phase, ms: number): void {
    this.#options.trace?.passed(phase, ms);
    this.#count(phase, ms);
  }

  /** Run `work` as a part of the reload, for who follows it. */
  inside<T>(work: () => T): T {
    const { trace } = this.#options;
    return trace === undefined ? work() : trace.inside(work);
  }

  warn(sentence: string): void {
    this.record.warnings.push(sentence);
  }

  left(outcome: Outcome): void {
    recordOutcome(this.record, outcome);
  }

  fail(cause: unknown): void {
    const { code, message, details } = asTenonError(cause);
    this.record.outcome = 'failed';
    this.record.error = { code, message, details };
  }

  finish(): ReloadRecord {
    this.record.totalMs = rounded(performance.now() - this.#begin);
    this.#options.trace?.end(this.record);
    return this.record;
  }

  #count(phase: Phase, ms: number): void {
    this.record.phases[phase] = rounded((this.record.phases[phase] ?? 0) + ms);
    this.#options.ended?.(phase, rounded(ms));
  }
}
