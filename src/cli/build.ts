/** `tenon build`: compile and check applications without a host, and with `--test` run their tests. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir } from 'node:fs/promises';
import path from 'node:path';
import { processEnvironment, resolveSettings } from '../base/config.js';
import { makeDataDirectory } from '../base/data-directory.js';
import { asTenonError, TenonError } from '../base/errors.js';
import { librarySuffix, readApplication } from '../compiler/application.js';
import { compile, type Profile } from '../compiler/build.js';
import type { Diagnostic } from '../compiler/diagnostics.js';
import { Hold, recoverBuilds, testsIn } from '../compiler/hold.js';
import { Admission } from './admission.js';
import { diagnosticLine, diagnosticsOf } from './complaints.js';
import { homeOf } from './home.js';
import { unlessInterrupted } from './interrupt.js';
import { type TableComplaints, tableComplaints } from './table-complaints.js';
import { runTests, type TestReport } from './test-run.js';

export interface BuildFlags {
  release?: true;
  debug?: true;
  sanitize?: true;
  test?: true;
  json?: true;
  data?: string;
}

/** What became of one application; the shape that `--json` prints. */
export interface Outcome {
  id: string;
  /** Absolute. */
  folder: string;
  ok: boolean;
  /** Of the build, without the tests. */
  ms: number;
  /** Absolute; absent when it was not compiled. */
  library?: string;
  /** False when the library is what it was before. */
  changed?: boolean;
  /** True when the result was known and nothing was compiled. */
  cached?: boolean;
  /** What the compiler said, and what is wrong in schema and seed data: files are relative to the folder, lines and columns count from 1, 0 is unknown. */
  diagnostics: Diagnostic[];
  error?: { code: string; message: string; next?: string };
  /** With `--test`; absent when the application has none. */
  tests?: TestReport;
}

export interface BuildReport {
  /** Everything was built and would be loaded, and with `--test` there were tests and all passed. */
  ok: boolean;
  profile: Profile;
  applications: Outcome[];
}

/** Whether `folder` is an application: it has a config, or a library of its name. */
function isApplication(folder: string): boolean {
  return ['config.yaml', path.basename(folder) + librarySuffix].some((file) => existsSync(path.join(folder, file)));
}

/**
 * The applications that `folder` (absolute) stands for: itself, those in its `applications/`, or those in it.
 * Throws TypeError when there is none.
 */
async function applicationsOf(folder: string): Promise<string[]> {
  if (isApplication(folder)) return [folder];
  const below = path.join(folder, 'applications');
  const parent = existsSync(below) ? below : folder;
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) throw new TypeError(`there is no folder ${folder}`);
  const found = entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => path.join(parent, entry.name))
    .filter(isApplication)
    .sort();
  if (found.length === 0) throw new TypeError(`there is no application in ${parent}: none has a config.yaml`);
  return found;
}

interface Wanted {
  profile: Profile;
  test: boolean;
  data: string | undefined;
  signal: AbortSignal;
  /** Which folder has which id, of those built so far. */
  owners: Map<string, string>;
  /** Data directories that what was killed has been looked for in. */
  recovered: Set<string>;
  admission: Admission;
}

async function buildOne(folder: string, wanted: Wanted): Promise<Outcome> {
  const { profile, test, data, signal, owners, recovered, admission } = wanted;
  const began = performance.now();
  const outcome: Outcome = { id: path.basename(folder), folder, ok: false, ms: 0, diagnostics: [] };
  let ofTables: TableComplaints = { diagnostics: [] };
  try {
    const env = processEnvironment();
    const { settings } = resolveSettings({ flags: { data }, directory: homeOf(folder, process.cwd()) });
    const application = await readApplication(folder);
    outcome.id = application.id;
    const other = owners.get(application.id);
    if (other !== undefined)
      throw new TenonError('ConfigInvalid', `its app_id ${application.id} is that of ${other} too`, {
        next: 'give one of them another app_id, or build it with a --data of its own',
        details: { folder, other },
      });
    owners.set(application.id, folder);
    makeDataDirectory(settings.data);
    if (!recovered.has(settings.data)) {
      recovered.add(settings.data);
      for (const { directory, error } of await recoverBuilds(settings.data))
        process.stderr.write(`what a killed build left in ${directory} could not be removed: ${String(error)}\n`);
    }
    const options = { dataDirectory: settings.data, env, timeoutMs: settings.buildMs, signal, profile };
    ofTables = await tableComplaints(application, settings);
    const built = await compile(application, options);
    outcome.library = built.library;
    outcome.changed = built.changed;
    outcome.cached = built.cached;
    outcome.ms = Math.round(built.ms);
    outcome.diagnostics = [...ofTables.diagnostics, ...built.warnings];
    if (ofTables.error !== undefined) throw ofTables.error;
    const sanitize = profile === 'sanitize' && application.prebuilt === undefined;
    outcome.diagnostics.push(...(await admission.check(application, built.library, settings, !sanitize)));
    outcome.ok = true;
    if (test) {
      const parent = testsIn(settings.data);
      await mkdir(parent, { recursive: true });
      // Of its own: somebody else may be testing the same application.
      const directory = await mkdtemp(path.join(parent, `${application.id}-`));
      const hold = await Hold.take(directory, { timeLimitMs: settings.buildMs, signal });
      try {
        const mark = await hold.disturb();
        const report = await runTests(application, built.library, { ...options, directory, sanitize, mark });
        if (report !== undefined) outcome.tests = report;
        outcome.ok = (report?.failed ?? 0) === 0;
      } finally {
        await hold.discard();
      }
    }
  } catch (error) {
    signal.throwIfAborted();
    const known = asTenonError(error);
    outcome.ok = false;
    if (outcome.library === undefined) outcome.ms = Math.round(performance.now() - began);
    outcome.error = {
      code: known.code,
      message: known.message,
      ...(known.next === undefined ? {} : { next: known.next }),
    };
    if (known !== ofTables.error) outcome.diagnostics = [...ofTables.diagnostics, ...diagnosticsOf(known.details)];
  }
  return outcome;
}

/** For people, on standard error; the library's path goes to standard output. */
function print(outcome: Outcome, { profile, test, owners }: Wanted, directory: string): void {
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const { id, ok, ms, library, folder, diagnostics, error, tests } = outcome;
  for (const each of diagnostics) say(diagnosticLine(each, folder, directory));
  if (library !== undefined) {
    process.stdout.write(`${library}\n`);
    say(`${id}: ${outcome.cached === true ? 'known' : 'built'} (${profile}), ${ms} ms`);
  }
  if (error !== undefined)
    say(
      `${owners.get(id) === folder ? id : path.relative(directory, folder) || id}: ${error.code}: ${error.message}${error.next === undefined ? '' : `; ${error.next}`}`,
    );
  if (tests !== undefined) {
    if (!ok && tests.output !== '') say(tests.output);
    for (const { name, ok: passed, complaints } of tests.cases)
      if (!passed) say(`${id}: failed: ${name}${complaints.map((each) => `\n  ${each}`).join('')}`);
    say(`${id}: ${tests.passed} tests passed, ${tests.failed} failed`);
  } else if (test && error === undefined) say(`${id}: no tests (test/*.cpp)`);
}

/**
 * Build what `folders` stand for (the working directory when empty), side by side. Resolves to the exit status: 0, or 1
 * when an application was not built or, with `test`, one of its tests failed or there is none at all. Rejects with
 * TypeError for a folder that stands for nothing.
 */
export async function build(folders: readonly string[], flags: BuildFlags): Promise<number> {
  const directory = process.cwd();
  const asked = folders.length === 0 ? [directory] : folders.map((folder) => path.resolve(directory, folder));
  const applications = [...new Set((await Promise.all(asked.map(applicationsOf))).flat())];
  return unlessInterrupted((signal) => buildAll(applications, flags, { directory, signal }));
}

async function buildAll(
  applications: readonly string[],
  flags: BuildFlags,
  { directory, signal }: { directory: string; signal: AbortSignal },
): Promise<number> {
  const wanted: Wanted = {
    profile: flags.sanitize === true ? 'sanitize' : flags.debug === true ? 'debug' : 'release',
    test: flags.test === true,
    data: flags.data === undefined ? undefined : path.resolve(directory, flags.data),
    signal,
    owners: new Map(),
    recovered: new Set(),
    admission: new Admission(),
  };
  try {
    const outcomes = await Promise.all(
      applications.map(async (folder) => {
        const outcome = await buildOne(folder, wanted);
        if (flags.json !== true) print(outcome, wanted, directory);
        return outcome;
      }),
    );
    const tested = !wanted.test || outcomes.some(({ tests }) => tests !== undefined);
    const report: BuildReport = {
      ok: tested && outcomes.every(({ ok }) => ok),
      profile: wanted.profile,
      applications: outcomes,
    };
    if (flags.json === true) process.stdout.write(`${JSON.stringify(report)}\n`);
    return report.ok ? 0 : 1;
  } finally {
    // What the compilers started would outlive this process.
    await wanted.admission.close();
  }
}
