/** The tests of an application: one program made of test/*.cpp, which opens the built library by itself. */
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { TenonError } from '../base/errors.js';
import type { Application } from '../compiler/application.js';
import { describe, parseDiagnostics } from '../compiler/diagnostics.js';
import { run } from '../compiler/run.js';
import { buildEnvironment, type Environment, findToolchain } from '../compiler/toolchain.js';

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

const include = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'native', 'include');
const outputLimit = 1024 * 1024;
/** Every file of tests has run(): to include the header here would double the time. */
const main = `namespace tenon::testing {
int run(int, char**);
}
int main(int argc, char** argv) { return tenon::testing::run(argc, argv); }
`;

/**
 * Compile the tests of `application` and run them on `library`; undefined when it has none.
 * Throws `BuildFailed` when they do not compile, `BuildTimeout`, `ToolchainMissing`.
 */
export async function runTests(
  application: Application,
  library: string,
  { directory, env, sanitize, timeoutMs, signal }: TestOptions,
): Promise<TestReport | undefined> {
  const { id, folder } = application;
  const entries = await readdir(path.join(folder, 'test'), { withFileTypes: true }).catch(() => []);
  const sources = entries
    .filter((entry) => entry.isFile() && /\.(?:cc|cpp|cxx)$/.test(entry.name))
    .map((entry) => `test/${entry.name}`)
    .sort();
  if (sources.length === 0) return undefined;

  const toolchain = findToolchain(env);
  const environment = buildEnvironment(env, toolchain);
  await writeFile(path.join(directory, 'main.cpp'), main);
  const program = path.join(directory, 'tests');
  const [compiler = '', ...flags] = toolchain.cxx.split(/\s+/);
  const sanitizers = sanitize ? ['-fsanitize=address,undefined', '-fno-omit-frame-pointer'] : [];
  const parameters = [...flags, '-std=c++17', '-g', '-Wall', '-Wextra', `-ffile-prefix-map=${folder}/=`, ...sanitizers];
  parameters.push('-isystem', include, path.join(directory, 'main.cpp'));
  parameters.push(...sources.map((source) => path.join(folder, source)), '-o', program, '-ldl', '-pthread');
  const limits = { timeLimitMs: timeoutMs, outputLimit, signal };
  const compiled = await run(compiler, parameters, { cwd: directory, env: environment, ...limits });
  signal.throwIfAborted();
  if (compiled.killed === 'timeout')
    throw new TenonError('BuildTimeout', `the tests of ${id} were not compiled after ${timeoutMs} ms`, {
      next: 'look for code that takes the compiler long, or raise limits.buildMs',
    });
  if (compiled.status !== 0) {
    const diagnostics = parseDiagnostics(compiled.output, folder, sources);
    const first = diagnostics.find(({ severity }) => severity === 'error');
    throw new TenonError('BuildFailed', first === undefined ? `the tests of ${id} were not built` : describe(first), {
      next: 'correct the test',
      details: { application: id, diagnostics: diagnostics.slice(0, 100), output: compiled.output.slice(0, 16 * 1024) },
    });
  }

  const halting = { UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1' };
  const ran = await run(program, [library], { cwd: folder, env: { ...environment, ...halting }, ...limits });
  signal.throwIfAborted();
  const { cases, planned, other } = readTap(ran.output);
  const left = planned - cases.length;
  if (left > 0 || (ran.status !== 0 && cases.every(({ ok }) => ok))) {
    const how =
      ran.killed === 'timeout' ? `was ended after ${timeoutMs} ms` : `ended with status ${ran.status ?? 'none'}`;
    const last = cases.at(-1);
    if (last?.ok === false) last.complaints.push(`${left} more tests were not run`);
    else cases.push({ name: 'the test program', ok: false, complaints: [`it ${how}, with ${left} tests to go`] });
  }
  const failed = cases.filter(({ ok }) => !ok).length;
  return { passed: cases.length - failed, failed, cases, output: other.join('\n') };
}

function readTap(output: string): { cases: TestCase[]; planned: number; other: string[] } {
  const cases: TestCase[] = [];
  const other: string[] = [];
  let planned = 0;
  for (const line of output.split('\n')) {
    const [, not, name] = /^(not )?ok \d+ - (.*)$/.exec(line) ?? [];
    if (name !== undefined) cases.push({ name, ok: not === undefined, complaints: [] });
    else if (line.startsWith('# ')) cases.at(-1)?.complaints.push(line.slice(2));
    else if (/^1\.\.\d+$/.test(line)) planned = Number(line.slice(3));
    else if (line !== '') other.push(line);
  }
  return { cases, planned, other };
}
