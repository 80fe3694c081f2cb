/** A copy of an application, of those it lists as extensions too, that can be changed without touching anybody's files. */
import { cp, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { closest } from '../base/closest.js';
import { TenonError } from '../base/errors.js';
import { type Application, readApplication } from '../compiler/application.js';

/** What is measured, and how it is changed. */
export interface BenchSubject {
  id: string;
  kind: 'sources' | 'library';
  /** What a change is, as one clause. */
  change: string;
  /** Change it so that its library has other bytes; `round` makes each change another one. */
  touch(round: number): Promise<void>;
}

const skipped = new Set(['node_modules', '.git']);

/**
 * Copy what `wanted` names (an id, a folder, or undefined for the only one) out of `applications` into `place`. Rejects with TypeError
 * when it is not to be found, and when it has no library that could be changed.
 */
export async function copySubject(
  wanted: string | undefined,
  applications: string,
  place: string,
): Promise<BenchSubject> {
  const all = await foldersIn(applications);
  const application = await found(wanted, all);
  await mkdir(place, { recursive: true });
  await copyWith(application, all, place, new Set());
  return subjectOf(application, path.join(place, path.basename(application.folder)));
}

async function foldersIn(applications: string): Promise<string[]> {
  const entries = await readdir(applications, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => path.join(applications, entry.name))
    .sort();
}

async function found(wanted: string | undefined, all: readonly string[]): Promise<Application> {
  if (wanted === undefined) {
    if (existsSync('config.yaml')) return readApplication(process.cwd());
    const [only] = all;
    if (only !== undefined && all.length === 1) return readApplication(only);
    const ids = all.map((folder) => path.basename(folder)).join(', ');
    throw new TypeError(
      all.length === 0 ? 'there is no application here: name one, or its folder' : `say which one: ${ids}`,
    );
  }
  if (existsSync(path.join(wanted, 'config.yaml'))) return readApplication(path.resolve(wanted));
  const application = await withId(wanted, all);
  if (application !== undefined) return application;
  const ids = all.map((folder) => path.basename(folder));
  const meant = closest(wanted, ids);
  const next = ids.length === 0 ? 'name its folder, or give --applications' : `there are ${ids.join(', ')}`;
  throw new TypeError(
    `there is no application ${JSON.stringify(wanted)}; ${meant === undefined ? next : `did you mean ${meant}?`}`,
  );
}

async function withId(id: string, all: readonly string[]): Promise<Application | undefined> {
  const named = all.filter((folder) => path.basename(folder) === id);
  for (const folder of [...named, ...all]) {
    const application = await readApplication(folder).catch((error: unknown) => {
      if (path.basename(folder) === id) throw error;
      return undefined; // another one's trouble
    });
    if (application?.id === id) return application;
  }
  return undefined;
}

async function copyWith(
  application: Application,
  all: readonly string[],
  place: string,
  copied: Set<string>,
): Promise<void> {
  if (copied.has(application.id)) return;
  copied.add(application.id);
  const { folder, config } = application;
  await cp(folder, path.join(place, path.basename(folder)), {
    recursive: true,
    filter: (file) => !skipped.has(path.basename(file)),
  });
  for (const { id } of config.extensions) {
    const other = await withId(id, all);
    if (other !== undefined) await copyWith(other, all, place, copied);
  }
}

async function subjectOf({ id, sources, prebuilt }: Application, folder: string): Promise<BenchSubject> {
  const [source] = sources;
  if (source !== undefined) {
    const file = path.join(folder, source);
    const text = await readFile(file, 'utf8');
    return {
      id,
      kind: 'sources',
      change: `a line at the end of ${source}, compiled and linked`,
      touch: (round) =>
        writeFile(file, `${text}\n__attribute__((used)) static const char tenon_bench_round[] = "round ${round}";\n`),
    };
  }
  if (prebuilt === undefined)
    throw new TenonError('SourcesMissing', `${id} has no library: tables alone are not swapped as one`, {
      next: 'name an application with sources or a library',
    });
  const file = path.join(folder, path.basename(prebuilt));
  const bytes = await readFile(file);
  return {
    id,
    kind: 'library',
    change: `${path.basename(prebuilt)} with other bytes behind its end, put in place by rename`,
    touch: async (round) => {
      await writeFile(`${file}.part`, Buffer.concat([bytes, Buffer.from(`round ${round}`.padEnd(16))]));
      await rename(`${file}.part`, file);
    },
  };
}
