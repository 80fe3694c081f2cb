/** From an application's sources to its library. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { type Application, librarySuffix } from './application.js';
import { type Diagnostic, describe, parseDiagnostics } from './diagnostics.js';
import { generateProject } from './generate.js';
import { type Ran, run } from './run.js';
import { buildEnvironment, type Environment, findToolchain, type Toolchain } from './toolchain.js';

export { describe as describeWarning } from './diagnostics.js';

export interface CompileOptions {
  /** Absolute. Builds are kept in `cache/builds/<id>` of it; one build per application at a time. */
  dataDirectory: string;
  /** The environment the tools are looked for in, see `buildEnvironment`. */
  env: Environment;
  /** For the whole build, in ms; 300,000 when absent. */
  timeoutMs?: number;
  /** Bytes of compiler output that are looked at; 1 MiB when absent. */
  outputLimit?: number;
  /** Kills the build with everything it started; `compile` then throws the signal's reason. */
  signal?: AbortSignal;
}

export interface Built {
  /** Absolute path of the library. It is only ever replaced by rename. */
  library: string;
  /** False when the library is byte for byte what it was before. */
  changed: boolean;
  ms: number;
  /** For `describeWarning`. Those of files that were compiled this time. */
  warnings: Diagnostic[];
}

/**
 * Build the library of `application`; a prebuilt one is returned as it is. An unchanged input is a no-op.
 * Throws `ToolchainMissing`, `SourcesMissing`, `BuildTimeout`, and `BuildFailed` with
 * `details: {file, line, column, diagnostics}`. After a failure the library of before is still there.
 */
export async function compile(application: Application, options: CompileOptions): Promise<Built> {
  const began = performance.now();
  const { dataDirectory, env, timeoutMs = 300_000, outputLimit = 1024 * 1024, signal } = options;
  if (!path.isAbsolute(dataDirectory)) throw new TypeError(`dataDirectory must be absolute, got "${dataDirectory}"`);
  const since = (): number => performance.now() - began;
  if (application.prebuilt !== undefined)
    return { library: application.prebuilt, changed: false, ms: since(), warnings: [] };

  if (dataDirectory.includes(';'))
    throw new TenonError('BuildFailed', `CMake cannot build below a path with a semicolon: ${dataDirectory}`, {
      next: 'choose another data directory',
      details: { dataDirectory },
    });
  const toolchain = findToolchain(env);
  const directory = path.join(dataDirectory, 'cache', 'builds', application.id);
  const build = path.join(directory, 'build');
  await mkdir(directory, { recursive: true });
  await forgetOther(directory, build, toolchain);
  await generateProject(application, directory);

  const attempt = async (): Promise<{ ran: Ran; diagnostics: Diagnostic[] }> => {
    const { program, parameters } = commandOf(toolchain, directory, build);
    const timeLimitMs = Math.max(1, timeoutMs - since());
    const env = buildEnvironment(options.env, toolchain);
    const ran = await run(program, parameters, { cwd: directory, env, timeLimitMs, outputLimit, signal });
    return { ran, diagnostics: parseDiagnostics(ran.output, application.folder, application.sources) };
  };
  const fresh = !existsSync(build);
  let { ran, diagnostics } = await attempt();
  // A build that fails without saying what is wrong with the sources is itself what is wrong.
  if (!fresh && ran.status !== 0 && ran.killed === undefined && !diagnostics.some(isError)) {
    await rm(build, { recursive: true, force: true });
    ({ ran, diagnostics } = await attempt());
  }
  signal?.throwIfAborted();
  if (ran.killed === 'timeout')
    throw new TenonError('BuildTimeout', `the build of ${application.id} was not done after ${timeoutMs} ms`, {
      next: 'look for code that takes the compiler long, or raise the time limit',
      details: { timeoutMs, output: ran.output.slice(-4096) },
    });
  if (ran.status !== 0) throw failure(application, ran, diagnostics);
  const library = path.join(directory, application.id + librarySuffix);
  const changed = await deliver(path.join(build, 'Release', application.id + librarySuffix), library);
  return { library, changed, ms: since(), warnings: diagnostics.filter((each) => each.severity === 'warning') };
}

/** Drop the configured build when other tools, or another place, made it. */
async function forgetOther(directory: string, build: string, toolchain: Toolchain): Promise<void> {
  const stamp = path.join(directory, 'toolchain.json');
  const now = `${JSON.stringify({ directory, ...toolchain })}\n`;
  if ((await readFile(stamp, 'utf8').catch(() => undefined)) === now) return;
  await rm(build, { recursive: true, force: true });
  await writeFile(stamp, now);
}

/** cmake-js configures and builds; from then on the configured build is driven directly, which saves it 140 ms. */
function commandOf(toolchain: Toolchain, directory: string, build: string): { program: string; parameters: string[] } {
  const { ninja, cmake } = toolchain;
  const cached = existsSync(path.join(build, 'CMakeCache.txt'));
  if (cached && ninja !== undefined && existsSync(path.join(build, 'build.ninja')))
    return { program: ninja, parameters: ['-C', build] };
  if (cached && ninja === undefined && existsSync(path.join(build, 'Makefile')))
    return { program: cmake, parameters: ['--build', build, '--parallel', '2'] };
  const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
  const generator = ninja === undefined ? 'Unix Makefiles' : 'Ninja';
  const command = cached ? 'rebuild' : 'build';
  const parameters = [cmakeJs, command, '-d', directory, '-O', build, '-c', cmake, '-G', generator, '-B', 'Release'];
  // A compiler behind a launcher cannot be said like this; CMake takes it from CC and CXX.
  const { cc, cxx } = toolchain;
  if (!/\s/.test(cc + cxx)) parameters.push('--cc', cc, '--cxx', cxx);
  return { program: process.execPath, parameters };
}

function isError(diagnostic: Diagnostic): boolean {
  return diagnostic.severity === 'error';
}

function failure(application: Application, ran: Ran, diagnostics: Diagnostic[]): TenonError {
  const errors = diagnostics.filter(isError);
  const first = errors[0];
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  const last = ran.output.trimEnd().split('\n').at(-1) ?? '';
  const sentence =
    first === undefined ? `${application.id}: the build ended with status ${ran.status}: ${last}` : describe(first);
  return new TenonError('BuildFailed', sentence + more, {
    next: 'correct it and save; the build that serves now goes on',
    details: {
      application: application.id,
      ...(first === undefined ? {} : { file: first.file, line: first.line, column: first.column }),
      diagnostics: diagnostics.slice(0, 100),
      output: ran.output.slice(0, 16 * 1024),
    },
  });
}

/** Put a copy of `built` at `library` by rename, unless it is the same. */
async function deliver(built: string, library: string): Promise<boolean> {
  const bytes = await readFile(built);
  const before = await readFile(library).catch(() => undefined);
  if (before?.equals(bytes)) return false;
  const fresh = `${library}.${process.pid}.tmp`;
  try {
    await writeFile(fresh, bytes, { mode: 0o755 });
    await rename(fresh, library);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
  return true;
}
