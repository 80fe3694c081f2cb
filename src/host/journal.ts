/** What a host tells of its reloads and plugins: to its log, to a listener, and to whoever asks for the last ones. */
import type { TenonError } from '../base/errors.js';
import type { GuardNote } from '../binding/black-box.js';
import type { LimitedThing } from '../compiler/limits-config.js';
import type { Log } from '../base/log.js';
import { lookForTracing } from '../base/tracing.js';
import type { Outcome } from '../plugin/generation.js';
import type { Plugin } from './plugin.js';
import {
  type Attempt,
  type Phase,
  pinnedBy,
  Recorder,
  recordOutcome,
  type ReloadRecord,
  type Trigger,
} from './record.js';
import { ReloadSpan } from './tracing-reload.js';

/**
 * Told while it happens, in the turn of the event loop in which it is true. Of static plugins `plugin.serving`, without
 * `sha256`, and `plugin.stopped` are told. `generation.unloaded` is told of one that
 * was pinned and could be unloaded after all; the record of its reload says so from then on. `reload.phase` is told when
 * a phase has ended, with its time; `shut` of `plugin.stopped` are applications that need the extension and answer 503
 * until it serves; `reload` is the id of the record. `reload.rolledBack` is told when what a reload
 * brought was taken back. `host.full` is told for each image that cannot be unmapped once there are more than allowed:
 * only a fresh process gets rid of them. `plugin.quarantined` is told when one is not loaded, or runs no longer, for what it has done to
 * hosts; `crash` is the id of the report that has decided it; `plugin.released` when nothing of it is held back any more. `plugin.processEnded` is told
 * when a process of an isolated plugin has ended unasked (`replaced`: another takes its place), `plugin.processStarted` when another serves in its place; `restarts`: of all its processes by then. `plugin.guarded` is what a guard has caught it
 * at; `plugin.overSoftLimit` is told once, and again when it has doubled; `plugin.overHardLimit` comes before what is done about it.
 */
export type HostEvent =
  | { type: 'reload.started'; plugin: string; trigger: Trigger }
  | { type: 'plugin.serving'; plugin: string; generation: number; sha256?: string; from?: number }
  | { type: 'plugin.stopped'; plugin: string; generation: number; shut?: readonly string[] }
  | { type: 'generation.unloaded'; plugin: string; generation: number }
  | { type: 'host.full'; reason: string }
  | { type: 'plugin.quarantined'; plugin: string; reason: string; sha256: string; crash?: string }
  | { type: 'plugin.released'; plugin: string }
  | {
      type: 'plugin.processEnded';
      plugin: string;
      generation: number;
      pid: number;
      reason: string;
      crash: string;
      replaced: boolean;
    }
  | { type: 'plugin.processStarted'; plugin: string; generation: number; restarts: number }
  | ({ type: 'plugin.guarded' } & GuardNote)
  | {
      type: 'plugin.overSoftLimit' | 'plugin.overHardLimit';
      plugin: string;
      gauge: LimitedThing;
      value: number;
      limit: number;
    }
  | { type: 'reload.phase'; plugin: string; reload: string; phase: Phase; ms: number }
  | { type: 'reload.succeeded' | 'reload.failed' | 'reload.rolledBack'; plugin: string; record: ReloadRecord };

export interface JournalOptions {
  log: Log;
  onEvent?: ((event: HostEvent) => void) | undefined;
  /** Which try of the application in `folder` a reload of the trigger `watch` is; undefined when it is tried once. */
  attempt?: ((folder: string) => Attempt | undefined) | undefined;
}

const keptRecords = 100;

/** Keeps the last reload records, logs them, and tells the listener. */
export class Journal {
  readonly #options: JournalOptions;
  readonly #log: Log;
  readonly #records: ReloadRecord[] = [];
  readonly #attempts = new WeakMap<ReloadRecord, Attempt>();

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  /** A reload of `plugin` begins: what fills its record, and tells its phases. */
  begin(plugin: Plugin, trigger: Trigger): Recorder {
    lookForTracing();
    const attempt = trigger === 'watch' ? this.#options.attempt?.(plugin.folder) : undefined;
    const recorder: Recorder = new Recorder(plugin.id, trigger, attempt?.number, {
      ended: (phase, ms) =>
        this.tell({ type: 'reload.phase', plugin: plugin.id, reload: recorder.record.id, phase, ms }),
      trace: ReloadSpan.begin(plugin.id, trigger),
    });
    if (attempt !== undefined) this.#attempts.set(recorder.record, attempt);
    return recorder;
  }

  /** What the listener throws is its own affair: it is logged, and changes nothing. */
  tell(event: HostEvent): void {
    try {
      this.#options.onEvent?.(event);
    } catch (error) {
      this.#log.error({ err: error, event: event.type }, 'a listener of events threw');
    }
  }

  /** A generation of `plugin` serves no more, and none does; `shut` need it, and run. */
  stopped({ id }: Plugin, generation: number, shut: readonly string[]): void {
    this.tell({ type: 'plugin.stopped', plugin: id, generation, ...(shut.length === 0 ? {} : { shut }) });
    if (shut.length === 0) return;
    const they = shut.length === 1 ? `${shut[0]} needs it and answers` : `${shut.join(', ')} need it and answer`;
    this.#log.warn({ plugin: id, shut }, `${id} stopped; ${they} 503 until it serves`);
  }

  /** A reload of `plugin` is over: its record, which is told. */
  write(plugin: Plugin, recorder: Recorder): ReloadRecord {
    const record = recorder.finish();
    plugin.lastReload = record;
    this.#records.push(record);
    if (this.#records.length > keptRecords) this.#records.shift();
    recorder.inside(() => this.#report(plugin, record));
    this.tell({
      type: record.outcome === 'failed' ? 'reload.failed' : 'reload.succeeded',
      plugin: plugin.id,
      record,
    });
    return record;
  }

  /** What `record` brought is gone again, because of `error`: the build before it serves. */
  takenBack(plugin: Plugin, record: ReloadRecord, error: TenonError): void {
    const { code, message, details } = error;
    record.outcome = 'rolledBack';
    record.error = { code, message, details };
    plugin.error = error;
    const serving = plugin.running?.number;
    this.#log.error({ plugin: plugin.id, code, reload: record.id, generation: serving }, `${message}; taken back`);
    this.tell({ type: 'reload.rolledBack', plugin: plugin.id, record });
  }

  /** What `record` brought should be gone, because of `error`, and is not. */
  notTakenBack(record: ReloadRecord, { code, message, details }: TenonError): void {
    record.error = { code, message, details };
  }

  /** The generation that a record calls pinned has ended otherwise. */
  correct(plugin: string, generation: number, outcome: Outcome): void {
    const record = this.#records.find((one) => one.plugin === plugin && pinnedBy(one) === generation);
    if (record !== undefined) recordOutcome(record, outcome);
  }

  /** The last 100 records, newest first. */
  reloads(filter: { plugin?: string | undefined; limit?: number | undefined }): ReloadRecord[] {
    const { plugin, limit = keptRecords } = filter;
    return this.#records
      .filter((record) => plugin === undefined || record.plugin === plugin)
      .toReversed()
      .slice(0, limit);
  }

  #report(plugin: Plugin, record: ReloadRecord): void {
    const log = this.#log;
    const facts = { plugin: plugin.id, trigger: record.trigger, generation: record.to?.generation, ms: record.totalMs };
    for (const warning of record.warnings) log.warn({ plugin: plugin.id }, warning);
    if (record.error !== undefined) {
      const serving =
        plugin.running === undefined ? 'nothing is served for it' : `generation ${plugin.running.number} serves on`;
      const { code, message, details } = record.error;
      const again = this.#attempts.get(record)?.triesAgain(code) === true;
      // Nothing is wrong while an extension is on its way.
      const level = details['coming'] === true ? 'info' : again ? 'warn' : 'error';
      const sentence = `${message}; ${serving}${again ? '; it is tried again' : ''}`;
      log[level]({ ...facts, code, reload: record.id, attempts: record.attempts }, sentence);
    } else if (record.applied !== undefined && record.applied.length > 0)
      log.info({ ...facts, applied: record.applied }, `takes up ${record.applied.join(', ')} of its config`);
    else if (record.unchanged) log.debug(facts, 'unchanged: the same library runs already');
    else
      log.info({ ...facts, phases: record.phases }, record.to === undefined ? 'plugin is disabled' : 'plugin serves');
    if (record.unload === 'pinned')
      log.warn(
        { plugin: plugin.id, generation: pinnedBy(record) },
        `its image stays mapped: ${record.pinnedReason ?? ''}`,
      );
  }
}
