/** How many crashes there were, by plugin and kind: of all hosts with one data directory, also those whose reports are gone. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { CrashKind, CrashReport } from '../base/crash-report.js';
import { crashFolder, type CrashReports } from '../base/crash-reports.js';
import { readRegular } from '../base/regular.js';
import { replaceFile } from '../base/replace-file.js';

/** Crashes that are put down to one plugin. */
export interface CrashCount {
  /** Its id; empty for those of which it is not known, and those of the host. */
  readonly plugin: string;
  readonly kind: CrashKind;
  readonly count: number;
}

export interface CrashFigures {
  readonly crashes: readonly CrashCount[];
  /** Hosts that were begun anew after one that crashed. */
  readonly restarts: number;
}

interface Counted {
  /** By `kind plugin`. */
  readonly counts: Readonly<Record<string, number>>;
  readonly restarts: number;
  /** Reports that are in it, as far as they are still there. */
  readonly ids: readonly string[];
}

const fileLimit = 1024 * 1024;
/** For a file system to show a later change of a folder as another one, ms. */
const sameMs = 1000;
const kinds: readonly string[] = ['signal', 'exit', 'killed', 'hang'] satisfies CrashKind[];
const none: Counted = { counts: {}, restarts: 0, ids: [] };

/** Counts the reports that came since the host before this one has counted; each is counted once, however many are kept. */
export class CrashCounts {
  readonly #reports: CrashReports;
  readonly #file: string;
  readonly #folder: string;
  #figures: CrashFigures = figuresOf(none);
  /** When the folder of the reports had changed last as they were counted; undefined when they have to be counted again. */
  #changed: number | undefined;
  #counting: Promise<void> | undefined;

  /** @param data data directory; absolute */
  constructor(reports: CrashReports, data: string) {
    this.#reports = reports;
    this.#folder = crashFolder(data);
    this.#file = path.join(data, 'crash-counts.json');
  }

  /**
   * What there is now: the report of a crash is written while the next host begins. Never rejects: while reports cannot be read it is
   * what was counted last.
   */
  async figures(): Promise<CrashFigures> {
    this.#counting ??= this.#look()
      .catch(() => {}) // asked again with the next question
      .finally(() => (this.#counting = undefined));
    await this.#counting;
    return this.#figures;
  }

  async #look(): Promise<void> {
    const { mtimeMs } = await stat(this.#folder).catch(() => ({ mtimeMs: 0 })); // none yet: but there may be counts
    if (mtimeMs === this.#changed) return;
    const settled = Date.now() - mtimeMs > sameMs;
    this.#figures = figuresOf(await this.#count());
    this.#changed = settled ? mtimeMs : undefined;
  }

  async #count(): Promise<Counted> {
    const [before, { reports }] = await Promise.all([this.#read(), this.#reports.list()]);
    const known = new Set(before.ids);
    const fresh = reports.filter(({ id }) => !known.has(id));
    const now = fresh.reduce(withReport, { ...before, ids: reports.map(({ id }) => id) });
    if (fresh.length > 0) {
      await replaceFile(this.#file, `${JSON.stringify(now)}\n`).catch(() => {}); // they are counted again
    }
    return now;
  }

  async #read(): Promise<Counted> {
    try {
      const read: unknown = JSON.parse((await readRegular(this.#file, fileLimit)).toString('utf8'));
      return isCounted(read) ? read : none;
    } catch {
      return none; // there is none yet, or it is damaged: the reports that are kept are counted
    }
  }
}

/** Whom it counts for: the culprit, or the only suspect. */
function partyOf({ verdict: { culprit, suspects } }: CrashReport): string {
  return culprit?.plugin ?? (suspects.length === 1 ? (suspects[0]?.plugin ?? '') : '');
}

/** A process of a plugin is no host. */
function withReport(counted: Counted, report: CrashReport): Counted {
  if (report.process !== undefined) return counted;
  const { counts, restarts, ids } = counted;
  const key = `${report.kind} ${partyOf(report)}`;
  return {
    counts: { ...counts, [key]: (counts[key] ?? 0) + 1 },
    restarts: restarts + (['gaveUp', 'ended'].includes(report.action) ? 0 : 1),
    ids,
  };
}

function figuresOf({ counts, restarts }: Counted): CrashFigures {
  const crashes = Object.entries(counts).flatMap(([key, count]) => {
    const [kind = '', plugin = ''] = key.split(' ');
    return kinds.includes(kind) ? [{ plugin, kind: kind as CrashKind, count }] : [];
  });
  return { crashes, restarts };
}

function isCounted(value: unknown): value is Counted {
  if (typeof value !== 'object' || value === null) return false;
  const { counts, restarts, ids } = value as Record<string, unknown>;
  const isCount = (count: unknown): boolean => Number.isSafeInteger(count) && Number(count) >= 0;
  return (
    typeof counts === 'object' &&
    counts !== null &&
    Object.values(counts).every(isCount) &&
    isCount(restarts) &&
    Array.isArray(ids) &&
    ids.every((id) => typeof id === 'string')
  );
}
