/** Processes of isolated plugins: what has ended, and what takes its place, is told and reported. */
import type { CrashReport } from '../base/crash-report.js';
import { crashId } from '../base/crash-reports.js';
import type { Log } from '../base/log.js';
import { version } from '../base/version.js';
import type { ProcessEnd } from '../binding/isolation.js';
import type { Generation } from '../plugin/generation.js';
import type { HostEvent } from './journal.js';
import type { Plugin } from './plugin.js';
import { faultCode, signalNumber } from './signal-names.js';

export interface ProcessWatchOptions {
  log: Log;
  tell: (event: HostEvent) => void;
  plugins: () => Iterable<Pick<Plugin, 'id' | 'running' | 'leaving'>>;
  /** What the ids of requests begin with. */
  requests: string;
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
    for (const { running, leaving } of this.#options.plugins())
      for (const generation of [...(running === undefined ? [] : [running]), ...leaving]) this.#lookAt(generation);
  }

  #lookAt(generation: Generation): void {
    const { isolation, ends } = generation.library;
    if (isolation === undefined || ends === undefined) return;
    const { id: plugin, number } = generation;
    const { log, report, tell } = this.#options;
    for (const end of ends.take()) {
      const { pid, how } = end;
      const crash = this.#reportOf(generation, end);
      log.error({ plugin, generation: number, pid, crash: crash.id }, crash.verdict.sentence);
      report(crash);
      this.#waiting.add(generation);
      tell({ type: 'plugin.processEnded', plugin, generation: number, pid, reason: how, crash: crash.id });
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
    const at = new Date(end.at);
    const inside = {
      plugin,
      generation,
      work: step ?? '',
      ...(request === undefined ? {} : { request: `${this.#options.requests}-${request}` }),
    };
    const where = step === undefined ? '' : ` in ${step}`;
    return {
      id: crashId(at, pid),
      at: at.toISOString(),
      kind: killed ? 'killed' : signal === undefined ? 'exit' : 'signal',
      ...(signal === undefined ? {} : { signal }),
      ...(status === undefined ? {} : { status }),
      ...(code === undefined || signal === undefined ? {} : { code: faultCode(signalNumber(signal), code) }),
      ...(address === undefined ? {} : { address }),
      verdict: {
        culprit: { plugin, generation, sha256, unloaded: false, ...(step === undefined ? {} : { inside }) },
        suspects: [],
        because: ['it was in a process of its own'],
        sentence: `${plugin} generation ${generation}: its process ${pid} ${how}${where}`,
      },
      action: 'processRestarted',
      process: { pid, uptimeMs },
      host: {
        pid: process.pid,
        version,
        node: process.versions.node,
        uptimeMs: Math.round(process.uptime() * 1000),
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
      gaps: killed || frames.length > 0 || signal === undefined ? [] : ['the process did not say where it was'],
    };
  }
}
