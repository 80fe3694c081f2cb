/** Processes of isolated plugins: what has ended, and what takes its place, is told and reported. */
import type { CrashReport } from '../base/crash-report.js';
import { crashId } from '../base/crash-reports.js';
import type { Log } from '../base/log.js';
import { version } from '../base/version.js';
import type { ProcessEnd } from '../binding/isolation.js';
import type { Generation } from '../plugin/generation.js';
import type { HostEvent } from './journal.js';
import { faultCode, signalNumber } from './signal-names.js';

export interface ProcessWatchOptions {
  log: Log;
  tell: (event: HostEvent) => void;
  /** Those in processes of their own; one that is closed is taken out once all has been told. */
  generations: Set<Generation>;
  /** What the ids of requests begin with. */
  requests: string;
  /** Folder of the applications; absolute. */
  applications: string;
  /** Told of each end, to be kept. */
  report: (report: CrashReport) => void;
}

export class ProcessWatch {
  readonly #options: ProcessWatchOptions;
  /** How often each generation's processes were replaced, by then. */
  readonly #restarts = new WeakMap<Generation, number>();
  /** Those of which a process has ended, and none has taken its place yet. */
  readonly #waiting = new WeakSet<Generation>();

  constructor(options: ProcessWatchOptions) {
    this.#options = options;
  }

  look(): void {
    const { generations } = this.#options;
    for (const generation of generations) {
      // What ends later than that was asked to.
      const isOver = generation.state === 'closed';
      this.#lookAt(generation);
      if (isOver) generations.delete(generation);
    }
  }

  #lookAt(generation: Generation): void {
    const { isolation } = generation.library;
    if (isolation === undefined) return;
    const { id: plugin, number } = generation;
    const { log, report, tell } = this.#options;
    for (const end of isolation.takeEnds()) {
      const { pid, how, replaced } = end;
      const crash = this.#reportOf(generation, end);
      log.error({ plugin, generation: number, pid, crash: crash.id }, crash.verdict.sentence);
      report(crash);
      if (replaced) this.#waiting.add(generation);
      tell({ type: 'plugin.processEnded', plugin, generation: number, pid, reason: how, crash: crash.id, replaced });
    }
    if (!this.#waiting.has(generation)) return;
    const { processes } = isolation;
    const restarts = processes.reduce((sum, process) => sum + process.restarts, 0);
    const before = this.#restarts.get(generation) ?? 0;
    if (restarts === before) return;
    if (processes.every(({ pid }) => pid !== 0)) this.#waiting.delete(generation);
    this.#restarts.set(generation, restarts);
    log.info({ plugin, generation: number, restarts }, `${plugin}: another process has taken its place`);
    tell({ type: 'plugin.processStarted', plugin, generation: number, restarts });
  }

  #reportOf({ id: plugin, number: generation, sha256 }: Generation, end: ProcessEnd): CrashReport {
    const { pid, how, signal, status, code, address, killed, step, request, uptimeMs, frames = [], output = [] } = end;
    const isOverflow = signal !== undefined && end.overflow === true;
    const at = new Date(end.at);
    const inside = {
      plugin,
      generation,
      work: step ?? '',
      ...(request === undefined ? {} : { request: `${this.#options.requests}-${request}` }),
    };
    const where = step === undefined ? '' : ` in ${step}`;
    const party = { plugin, generation, sha256, unloaded: false, ...(step === undefined ? {} : { inside }) };
    // It may have done so itself, somebody else may have, or the system for want of memory.
    const isUnclear = !killed && signal === 'SIGKILL';
    return {
      id: crashId(at, pid),
      at: at.toISOString(),
      kind: killed || isUnclear ? 'killed' : signal === undefined ? 'exit' : 'signal',
      ...(signal === undefined ? {} : { signal }),
      ...(status === undefined ? {} : { status }),
      ...(code === undefined || signal === undefined ? {} : { code: faultCode(signalNumber(signal), code) }),
      ...(address === undefined ? {} : { address }),
      ...(isOverflow ? { stackOverflow: true } : {}),
      verdict: {
        ...(isUnclear ? {} : { culprit: party }),
        suspects: isUnclear ? [party] : [],
        because: [
          'it was in a process of its own',
          ...(isUnclear ? ['the host has sent it no SIGKILL: somebody has, or the system, when memory ran out'] : []),
        ],
        sentence: `${plugin} generation ${generation}: its process ${pid} ${how}${isOverflow ? ' (stack overflow)' : ''}${where}`,
      },
      action: end.replaced ? 'processRestarted' : 'ended',
      process: { pid, uptimeMs },
      host: {
        pid: process.pid,
        version,
        node: process.versions.node,
        uptimeMs: Math.round(process.uptime() * 1000),
        applications: this.#options.applications,
      },
      registers: {},
      frames: frames.map(({ address: place, file, offset }, index) => ({
        address: place,
        found: index === 0 ? 'pc' : 'unwound',
        ...(file === 'plugin' ? { plugin, generation, sha256 } : file === undefined ? {} : { file }),
        ...(offset === undefined ? {} : { offset }),
      })),
      threads: [],
      output,
      gaps:
        killed || isUnclear || frames.length > 0 || signal === undefined
          ? []
          : ['the process did not say where it was'],
    };
  }
}
