/** The crashes of the hosts of one data directory: what is thought of each, what is done, and what is kept of it. */
import {
  type ApartMode,
  type BegunGenerations,
  type Containment,
  type HeldBuild,
  type KeptContainment,
  movedOut,
} from '../base/containment.js';
import type { CrashAction, CrashRelease, CrashReport } from '../base/crash-report.js';
import type { Settings } from '../base/settings.js';
import { crashFolder, crashId, CrashReports } from '../base/crash-reports.js';
import { type Accused, findCrash, type HostDeath } from '../host/crash-finding.js';
import { withBegun } from './begun-generations.js';
import { readContainment, writeContainment } from './containment-file.js';
import { type CountedCrash, type CrashRules, decide, released, withBuild } from './crash-decision.js';

/** What the settings say. */
export interface CrashLimits {
  /** Reports that are kept. */
  keep: number;
  rules: CrashRules;
}

export interface CrashesOptions extends CrashLimits {
  /** The data directory, which is there. */
  data: string;
  /** Told in lines for people what could not be kept, and why. */
  warn: (line: string) => void;
}

/** A host that has ended, beside how. */
export interface DeadHost {
  pid: number;
  version: string;
  uptimeMs: number;
  /** Folder of its applications; absolute. */
  applications: string;
}

/** Who is let go of, and why. */
export interface Release {
  readonly plugin?: string | undefined;
  readonly isByHand: boolean;
  /** How it runs apart, when it is for that. */
  readonly moved?: ApartMode | undefined;
}

export interface TakenCrash {
  readonly action: CrashAction;
  /** Before the next host begins, ms. */
  readonly delayMs: number;
  readonly report: CrashReport;
  /** Whether somebody is to answer for it. */
  readonly isExplained: boolean;
}

/** The most that a report has of the output; bytes as they are written. */
const [outputLines, outputBytes] = [200, 64 * 1024];

export class Crashes {
  readonly #options: CrashesOptions;
  #limits: CrashLimits;
  #containment: Containment;
  #generations: BegunGenerations;
  #history: readonly CountedCrash[] = [];
  /** Plugins that may go on in a process of their own, as the host has told. */
  automatic: readonly string[] = [];
  /** What is being written. */
  #writing: Promise<void> = Promise.resolve();

  constructor(options: CrashesOptions) {
    const { data, warn } = options;
    this.#options = options;
    this.#limits = options;
    const { generations, ...containment } = readContainment(data, warn);
    this.#containment = containment;
    this.#generations = generations ?? {};
  }

  /** What the next host is to keep to. */
  get containment(): KeptContainment {
    const isNone = Object.keys(this.#generations).length === 0;
    return isNone ? this.#containment : { ...this.#containment, generations: this.#generations };
  }

  /** Keep to these from now on. */
  limit(limits: CrashLimits): void {
    this.#limits = limits;
  }

  /** A host has crashed. @param goesOn whether another one is wanted */
  take(death: HostDeath, { pid, version, uptimeMs, applications }: DeadHost, goesOn: boolean): TakenCrash {
    const at = new Date();
    const id = crashId(at, pid);
    const { finding, accused } = findCrash(death);
    this.#begun(withBegun(this.#generations, death.contents));
    const { action, delayMs } = goesOn ? this.#decide(id, at, finding.verdict.sentence, accused) : endOfAll;
    const host = { pid, version, node: process.versions.node, uptimeMs: Math.round(uptimeMs), applications };
    // Of one that was killed from outside it is known who was at work, not who has done it.
    const isExplained = accused !== undefined && finding.kind !== 'killed';
    return { action, delayMs, isExplained, report: { id, at: at.toISOString(), ...finding, action, host, output: [] } };
  }

  /** Keep the report of it, with the end of its output. */
  keep(whole: CrashReport): void {
    const report = withLastOutput(whole);
    const reports = this.#reports();
    this.#write(`crash report ${report.id} (${report.verdict.sentence})`, () => reports.write(report));
  }

  /** Nothing of `plugin` is held back any more, or nothing that it did in the host's process, which it has left; of none: the safe mode is over. */
  release({ plugin, isByHand, moved }: Release): void {
    this.#history = this.#history.filter((crash) => crash.plugin !== plugin);
    const before = this.#containment;
    const isMoved = plugin !== undefined && moved !== undefined;
    this.#contain(isMoved ? movedOut(before, plugin, moved) : released(before, plugin, isByHand));
    const { quarantined, bad } = this.#containment;
    const over = [...before.quarantined, ...before.bad].filter(
      (build) => !quarantined.includes(build) && !bad.includes(build),
    );
    const by = isByHand ? 'hand' : isMoved ? 'process' : 'build';
    for (const { crash = '' } of over) if (crash !== '') this.#end(crash, { at: new Date().toISOString(), by });
  }

  /** What the crash has led to is over. Its report may have been removed. */
  #end(crash: string, release: CrashRelease): void {
    this.#write(`in the crash report ${crash} that what it led to is over`, async () => {
      const reports = this.#reports();
      const report = await reports.read(crash).catch(() => undefined);
      if (report !== undefined) await reports.write({ ...report, released: release });
    });
  }

  #reports(): CrashReports {
    return new CrashReports({ folder: crashFolder(this.#options.data), keep: this.#limits.keep });
  }

  /** Hold `build` back for what the host has seen of it. */
  quarantine(build: HeldBuild): void {
    this.#contain({ ...this.#containment, quarantined: withBuild(this.#containment.quarantined, build) });
  }

  /** Resolves when all is written. */
  settled(): Promise<void> {
    return this.#writing;
  }

  #decide(
    id: string,
    at: Date,
    sentence: string,
    accused: Accused | undefined,
  ): { action: CrashAction; delayMs: number } {
    const decision = decide({
      at: performance.now(),
      accused,
      told: { reason: sentence, crash: id, since: at.toISOString() },
      containment: this.#containment,
      history: this.#history,
      rules: this.#limits.rules,
      isAutomatic: accused !== undefined && this.automatic.includes(accused.plugin),
    });
    this.#history = decision.history;
    this.#contain(decision.containment);
    return decision;
  }

  #contain(containment: Containment): void {
    if (containment === this.#containment) return;
    this.#containment = containment;
    this.#keepContainment();
  }

  #begun(generations: BegunGenerations): void {
    if (generations === this.#generations) return;
    this.#generations = generations;
    this.#keepContainment();
  }

  #keepContainment(): void {
    const kept = this.containment;
    this.#write('what is held back', () => writeContainment(this.#options.data, kept));
  }

  #write(what: string, write: () => Promise<void>): void {
    this.#writing = this.#writing.then(write).catch((error: unknown) => {
      this.#options.warn(`${what} could not be kept: ${error instanceof Error ? error.message : String(error)}`);
    });
  }
}

/** As these settings have them. */
export function limitsOf({ crashReports, crashLimit, crashWindowMs }: Settings): CrashLimits {
  return { keep: crashReports, rules: { limit: crashLimit, windowMs: crashWindowMs } };
}

function withLastOutput(report: CrashReport): CrashReport {
  let bytes = 0;
  const { output } = report;
  const first = output.findLastIndex((line, index) => {
    bytes += Buffer.byteLength(JSON.stringify(line));
    return bytes > outputBytes || output.length - index > outputLines;
  });
  if (first < 0) return report;
  const gap = `${first + 1} lines of output before those that are here`;
  return { ...report, output: output.slice(first + 1), gaps: [...report.gaps, gap] };
}

const endOfAll = { action: 'ended', delayMs: 0 } as const;
