/** Crash reports as they are kept: one file each, `ID.json`, in a folder of a data directory. */
import { constants, mkdirSync } from 'node:fs';
import { open, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { CrashReport } from './crash-report.js';
import { TenonError } from './errors.js';
import { replaceFile } from './replace-file.js';

/** One is some ten kilobytes. */
const reportBytes = 1024 * 1024;
const names = /^(\d{8}-\d{6}-\d{3}-\d{1,10})\.json$/;
const folderMode = 0o700;
/** Of the processes of one plugin; more of them say the same again. */
const keptOfProcesses = 10;
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;

export interface CrashFilter {
  /** Id of a plugin: those that were put down to it, or perhaps to it. */
  plugin?: string | undefined;
  limit?: number | undefined;
}

export interface ListedCrashes {
  /** The newest first. */
  readonly reports: readonly CrashReport[];
  /** Files that are none, and why. */
  readonly skipped: readonly { readonly file: string; readonly reason: string }[];
}

/** Where the reports of the hosts with the data directory `data` are. */
export function crashFolder(data: string): string {
  return path.join(data, 'crashes');
}

/** Id of the report of a crash of the process `pid` at `at`: later ones sort behind it. */
export function crashId(at: Date, pid: number): string {
  const [day = '', time = ''] = at.toISOString().slice(0, -1).split('T');
  return `${day.replaceAll('-', '')}-${time.replaceAll(':', '').replace('.', '-')}-${pid}`;
}

/** Ids of plugins that a crash is put down to, or perhaps to. */
export function blamed({ verdict: { culprit, suspects } }: CrashReport): string[] {
  return [...(culprit === undefined ? [] : [culprit]), ...suspects].map(({ plugin }) => plugin);
}

/** The reports of one data directory. Several processes may read them; one writes. */
export class CrashReports {
  readonly #folder: string;
  readonly #keep: number;

  /** @param keep how many of hosts are kept: when one more is written, the oldest goes */
  constructor({ folder, keep = Number.POSITIVE_INFINITY }: { folder: string; keep?: number }) {
    this.#folder = folder;
    this.#keep = keep;
  }

  /** Keep `report`, for its owner alone. Rejects with what the system says, and with RangeError when it is too large to be read again. */
  async write(report: CrashReport): Promise<void> {
    const text = `${JSON.stringify(report, undefined, 2)}\n`;
    const bytes = Buffer.byteLength(text);
    if (bytes > reportBytes) throw new RangeError(`it would have ${bytes} bytes, a report has at most ${reportBytes}`);
    mkdirSync(this.#folder, { recursive: true, mode: folderMode });
    await replaceFile(this.#file(report.id), text, { durable: true });
    await this.#makeRoom();
  }

  /** Of ends of hosts, and of processes of each plugin, by themselves: none takes the place of another party's. */
  async #makeRoom(): Promise<void> {
    if (this.#keep === Number.POSITIVE_INFINITY) return;
    const { reports } = await this.list();
    const byPlugin = new Map<string, string[]>();
    for (const report of reports) {
      if (report.process === undefined) continue;
      const plugin = blamed(report)[0] ?? '';
      byPlugin.set(plugin, [...(byPlugin.get(plugin) ?? []), report.id]);
    }
    const ofProcesses = new Set([...byPlugin.values()].flat());
    const ofHosts = (await this.#ids()).filter((id) => !ofProcesses.has(id));
    const most = Math.min(this.#keep, keptOfProcesses);
    const over = [...ofHosts.slice(this.#keep), ...[...byPlugin.values()].flatMap((ids) => ids.slice(most))];
    for (const id of over) await this.remove(id);
  }

  /** Rejects with what the system says of the folder. */
  async list({ plugin, limit = Number.POSITIVE_INFINITY }: CrashFilter = {}): Promise<ListedCrashes> {
    const reports: CrashReport[] = [];
    const skipped: { file: string; reason: string }[] = [];
    for (const id of await this.#ids()) {
      if (reports.length >= limit) break;
      try {
        const report = await this.#read(id);
        if (plugin === undefined || blamed(report).includes(plugin)) reports.push(report);
      } catch (error) {
        skipped.push({ file: this.#file(id), reason: error instanceof Error ? error.message : String(error) });
      }
    }
    return { reports, skipped };
  }

  /** Rejects with `CrashNotFound`, also for a file that is no report. */
  async read(id: string): Promise<CrashReport> {
    if (!names.test(`${id}.json`)) throw notFound(id);
    try {
      return await this.#read(id);
    } catch (cause) {
      throw notFound(id, cause);
    }
  }

  /** False when it is not there. */
  async remove(id: string): Promise<boolean> {
    if (!names.test(`${id}.json`)) return false;
    try {
      await rm(this.#file(id));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  }

  #file(id: string): string {
    return path.join(this.#folder, `${id}.json`);
  }

  /** The newest first. */
  async #ids(): Promise<string[]> {
    try {
      const files = await readdir(this.#folder);
      return files
        .flatMap((file) => names.exec(file)?.[1] ?? [])
        .toSorted()
        .toReversed();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  async #read(id: string): Promise<CrashReport> {
    const handle = await open(this.#file(id), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const stat = await handle.stat();
      const { size } = stat;
      if (!stat.isFile()) throw new TypeError('it is no file');
      if (size > reportBytes) throw new RangeError(`it has ${size} bytes, a report has at most ${reportBytes}`);
      const report: unknown = JSON.parse(await handle.readFile('utf8'));
      if (!isReport(report) || report.id !== id) throw new TypeError('it is no crash report');
      return report;
    } finally {
      await handle.close();
    }
  }
}

function notFound(id: string, cause?: unknown): TenonError {
  const why = cause instanceof Error && (cause as NodeJS.ErrnoException).code !== 'ENOENT' ? `: ${cause.message}` : '';
  return new TenonError('CrashNotFound', `there is no crash report ${JSON.stringify(id)}${why}`, {
    next: 'list them with `tenon crashes`',
    details: { crash: id },
    cause,
  });
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function areTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

function areAll(value: unknown, is: (one: Fields) => boolean): boolean {
  return Array.isArray(value) && value.every((one) => isFields(one) && is(one));
}

function isParty({ plugin, generation, sha256, unloaded, inside }: Fields): boolean {
  return (
    typeof plugin === 'string' &&
    typeof generation === 'number' &&
    typeof sha256 === 'string' &&
    typeof unloaded === 'boolean' &&
    (inside === undefined || (isFields(inside) && isWork(inside)))
  );
}

function isWork({ plugin, generation, work }: Fields): boolean {
  return typeof plugin === 'string' && typeof generation === 'number' && typeof work === 'string';
}

function isThread({ tid, kind, inside, before }: Fields): boolean {
  return (
    typeof tid === 'number' &&
    typeof kind === 'string' &&
    (inside === undefined || (isFields(inside) && isWork(inside))) &&
    areAll(before, isWork)
  );
}

/** Whether all is there that whoever shows a report relies on. */
function isReport(value: unknown): value is CrashReport {
  if (!isFields(value)) return false;
  const { verdict, host, thread } = value;
  return (
    ['id', 'at', 'kind', 'action'].every((name) => typeof value[name] === 'string') &&
    isFields(verdict) &&
    typeof verdict['sentence'] === 'string' &&
    areTexts(verdict['because']) &&
    areAll(verdict['suspects'], isParty) &&
    (verdict['culprit'] === undefined || (isFields(verdict['culprit']) && isParty(verdict['culprit']))) &&
    isFields(host) &&
    (host['applications'] === undefined || typeof host['applications'] === 'string') &&
    isFields(value['registers']) &&
    (thread === undefined || (isFields(thread) && isThread(thread))) &&
    areAll(value['threads'], isThread) &&
    areAll(value['frames'], ({ address, found }) => typeof address === 'string' && typeof found === 'string') &&
    areTexts(value['output']) &&
    areTexts(value['gaps'])
  );
}
