/** The tests of an application: one program made of test/*.cpp, which opens the built library by itself. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import type { Application } from '../compiler/application.js';
import { CoreShare } from '../compiler/cores.js';
import { describe, parseDiagnostics } from '../compiler/diagnostics.js';
import { inMiB, type Ran, type RunOptions, run, usualLimits } from '../compiler/run.js';
import { testCompiler, testSources } from '../compiler/tests.js';
import { buildEnvironment, type Environment, findToolchain, type Toolchain } from '../compiler/toolchain.js';

export interface TestOptions {
  /** Absolute, there, and nobody else's: where the program is put. */
  directory: string;
  /** The environment the compiler is looked for in. */
  env: Environment;
  /** Build it for a library of the profile `sanitize`. */
  sanitize: boolean;
  /** For compiling and for running, each, ms. */
  timeoutMs: number;
  signal: AbortSignal;
  /** Of every process that is started, see `Hold`. */
  mark: string;
}

export interface TestCase {
  name: string;
  ok: boolean;
  /** `file:line: what does not hold`, one each. */
  complaints: string[];
}

export interface TestReport {
  passed: number;
  failed: number;
  cases: TestCase[];
  /** What the program printed beside its report: the words of the plugin, and of the sanitizers. */
  output: string;
}

/** Of the compiler that is looked at, and of the program before it is ended, bytes. */
const outputLimit = 4 * 1024 ** 2;
/** Of the last words of a program: lines, and characters of each. */
const wordsShown = 3;
const wordShown = 200;
/** Every file of tests has run(): to include the header here would double the time. */
const main = `namespace tenon::testing {
int run(int, char**);
}
int main(int argc, char** argv) { return tenon::testing::run(argc, argv); }
`;

/** What the compiling of one application's tests, and their run, have in common. */
interface Bench extends TestOptions {
  application: Application;
  /** Relative to the application's folder. */
  sources: string[];
  toolchain: Toolchain;
  program: string;
  limits: Pick<RunOptions, 'timeLimitMs' | 'outputLimit' | 'signal' | 'mark' | 'sweep'>;
}

/**
 * Compile the tests of `application` and run them on `library`; undefined when it has none. Nothing they start outlives
 * them. Throws `BuildFailed` when they do not compile, `BuildTimeout`, `ToolchainMissing`.
 */
export async function runTests(
  application: Application,
  library: string,
  options: TestOptions,
): Promise<TestReport | undefined> {
  const { directory, env, timeoutMs, signal, mark } = options;
  const sources = await testSources(application);
  if (sources.length === 0) return undefined;

  const limits = { timeLimitMs: timeoutMs, outputLimit, signal, mark, sweep: true };
  const program = path.join(directory, 'tests');
  const bench = { ...options, application, sources, toolchain: findToolchain(env), program, limits };
  const share = new CoreShare(signal);
  try {
    await share.take();
    await compileTests(bench);
    return reportOf(await runProgram(bench, library));
  } finally {
    await share.giveBack();
  }
}

async function compileTests(bench: Bench): Promise<void> {
  const { application, sources, toolchain, program, limits, directory, env, sanitize, timeoutMs, signal } = bench;
  const { id, folder } = application;
  await writeFile(path.join(directory, 'main.cpp'), main);
  const [compiler, ...parameters] = testCompiler(application, toolchain, sanitize);
  parameters.push(
    path.join(directory, 'main.cpp'),
    ...sources.map((source) => path.join(folder, source)),
    '-o',
    program,
    '-ldl',
    '-pthread',
  );
  const environment = { ...buildEnvironment(env, toolchain), TMPDIR: directory };
  const compiled = await run(compiler, parameters, {
    ...limits,
    cwd: directory,
    env: environment,
    limits: usualLimits,
  });
  signal.throwIfAborted();
  if (compiled.killed === 'timeout')
    throw new TenonError('BuildTimeout', `the tests of ${id} were not compiled after ${timeoutMs} ms`, {
      next: 'look for code that takes the compiler long, or raise limits.buildMs',
    });
  if (compiled.status === 0) return;
  const diagnostics = parseDiagnostics(compiled.output, folder, sources);
  const first = diagnostics.find(({ severity }) => severity === 'error');
  const sentence = first === undefined ? `the tests of ${id} were not built, ${compiled.end}` : describe(first);
  throw new TenonError('BuildFailed', sentence, {
    next: 'correct the test',
    details: { application: id, diagnostics: diagnostics.slice(0, 100), output: compiled.output.slice(0, 16 * 1024) },
  });
}

async function runProgram(bench: Bench, library: string): Promise<Ran> {
  const { application, program, limits, directory, env, sanitize, signal } = bench;
  const { memory } = usualLimits;
  const temporary = path.join(directory, 'tmp');
  await mkdir(temporary);
  const environment: Record<string, string> = {
    LANG: 'C',
    LC_ALL: 'C',
    TMPDIR: temporary,
    UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
    ASAN_OPTIONS: `hard_rss_limit_mb=${memory / 1024 ** 2}`,
  };
  for (const name of ['PATH', 'HOME']) if (env[name] !== undefined) environment[name] = env[name];
  try {
    const ran = await run(program, [library], {
      ...limits,
      cwd: application.folder,
      env: environment,
      floodLimit: outputLimit,
      // The sanitizers reserve terabytes of address space, and watch what is used of it themselves.
      limits: { ...usualLimits, memory: sanitize ? undefined : memory },
    });
    signal.throwIfAborted();
    return ran;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

function reportOf(ran: Ran): TestReport {
  const { cases, planned, running, other } = readTap(ran.output);
  const left = planned - cases.length;
  if (left > 0 || ran.killed !== undefined || (ran.status !== 0 && cases.every(({ ok }) => ok))) {
    const last = cases.at(-1);
    if (last?.name.endsWith('# a signal ended it') === true) last.complaints.push(`${left} more tests were not run`);
    else if (running === undefined)
      cases.push({ name: 'the test program', ok: false, complaints: [`${ran.end}, with ${left} tests to go`] });
    else {
      const rest = left > 1 ? `, and ${left - 1} more tests were not run` : '';
      cases.push({ name: running.name, ok: false, complaints: [`${ran.end}${rest}`, ...lastWords(running.said)] });
    }
  }
  if (/\bbad_alloc\b|Cannot allocate memory|hard rss limit exhausted/.test(ran.output))
    cases
      .findLast(({ ok }) => !ok)
      ?.complaints.push(`a test program has ${inMiB(usualLimits.memory)} of memory, and no more`);
  const failed = cases.filter(({ ok }) => !ok).length;
  return { passed: cases.length - failed, failed, cases, output: other.join('\n') };
}

/** What the end of a program was about: the findings of sanitizers, which have pages of figures after them, or its last lines. */
function lastWords(said: readonly string[]): string[] {
  const findings = said.filter((line) => /: runtime error: |^SUMMARY: \w*Sanitizer: /.test(line));
  return (findings.length > 0 ? findings : said.slice(-wordsShown)).map((line) => line.slice(0, wordShown));
}

interface Tap {
  cases: TestCase[];
  planned: number;
  /** The test that has not ended, with what was printed since it began. */
  running: { name: string; said: string[] } | undefined;
  other: string[];
}

function readTap(output: string): Tap {
  const tap: Tap = { cases: [], planned: 0, running: undefined, other: [] };
  for (const line of output.split('\n')) {
    const [, not, name] = /^(not )?ok \d+ - (.*)$/.exec(line) ?? [];
    const [, begun] = /^# running (.*)$/.exec(line) ?? [];
    if (name !== undefined) {
      tap.cases.push({ name, ok: not === undefined, complaints: [] });
      tap.running = undefined;
    } else if (begun !== undefined) tap.running = { name: begun, said: [] };
    else if (line.startsWith('# ')) tap.cases.at(-1)?.complaints.push(line.slice(2));
    else if (/^1\.\.\d+$/.test(line)) tap.planned = Number(line.slice(3));
    else if (line !== '') {
      tap.other.push(line);
      tap.running?.said.push(line);
    }
  }
  return tap;
}
