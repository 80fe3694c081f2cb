/** The tools that compile plugins, as `tenon doctor` finds them: each by itself, and whether they make a library together. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Environment } from '../base/config.js';
import { asTenonError, describeError } from '../base/errors.js';
import { buildEnvironment, findToolchain } from '../compiler/toolchain.js';
import { type Answer, failed, missing, type Probe } from './doctor-finding.js';
import { installing, type Package } from './doctor-packages.js';

const execute = promisify(execFile);

const runMs = 8000;
const consequence =
  'applications with sources cannot be compiled here; bundles and libraries that come compiled can be served';
/** What the projects that Tenon generates ask for. */
const leastCmake = [3, 18] as const;

interface Tool {
  what: string;
  package: Package;
  /** Programs that will do, best first. */
  names: readonly string[];
  /** Variable that names it. */
  variable?: 'CC' | 'CXX';
}

const tools: readonly Tool[] = [
  { what: 'C compiler', package: 'c', names: ['cc', 'gcc', 'clang'], variable: 'CC' },
  { what: 'C++ compiler', package: 'c++', names: ['c++', 'g++', 'clang++'], variable: 'CXX' },
  { what: 'CMake', package: 'cmake', names: ['cmake'] },
  { what: 'Ninja or make', package: 'ninja', names: ['ninja', 'make'] },
];

export function toolProbes(env: Environment): Probe[] {
  return [
    ...tools.map((tool) => ({ what: tool.what, look: () => lookAt(tool, env), why: consequence })),
    { what: 'compiling', look: () => compileOne(env), why: consequence },
  ];
}

async function lookAt(tool: Tool, env: Environment): Promise<Answer | string> {
  const { variable, names } = tool;
  const install = installing(tool.package, env);
  const named = variable === undefined ? undefined : env[variable]?.trim();
  const commands = named ? [named] : names;
  let trouble: string | undefined;
  for (const command of commands) {
    const [program = '', ...words] = command.split(/\s+/);
    try {
      const { stdout } = await execute(program, [...words, '--version'], { timeout: runMs, env: environment(env) });
      const line = stdout.split('\n')[0]?.trim() ?? '';
      if (tool.package === 'cmake' && isOld(line))
        return failed(
          `${line}; ${leastCmake.join('.')} or newer is needed`,
          consequence,
          `${install}, or get a newer one from cmake.org`,
        );
      return `${command}: ${line}`;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR')
        trouble ??= `${command} does not run: ${message.split('\n')[0] ?? ''}`;
    }
  }
  if (trouble !== undefined) return failed(trouble, consequence, install);
  if (named)
    return missing(
      `${variable} names ${named}, which is not on PATH`,
      consequence,
      `correct ${variable}, or ${install}`,
    );
  return missing(`none of ${names.join(', ')} is on PATH`, consequence, install);
}

function isOld(line: string): boolean {
  const [, major = '0', minor = '0'] = /(\d+)\.(\d+)/.exec(line) ?? [];
  const [least, further] = leastCmake;
  return Number(major) < least || (Number(major) === least && Number(minor) < further);
}

/** Both compilers with their headers, and the linker, on a library of a line. */
async function compileOne(env: Environment): Promise<Answer | string> {
  const chain = (() => {
    try {
      return findToolchain(env);
    } catch (error) {
      return asTenonError(error);
    }
  })();
  if (!('cc' in chain)) return failed(`not tried: ${chain.message}`, consequence, 'get what is missing above');
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-doctor-'));
  const began = performance.now();
  try {
    const all = [
      [chain.cc, 'one.c', '#include <stdint.h>\n#include <string.h>\nint32_t one(void) { return 1; }\n', 'c'],
      [chain.cxx, 'two.cc', '#include <new>\n#include <cstdint>\nint32_t two() { return *new int32_t(2); }\n', 'c++'],
    ] as const;
    for (const [command, file, text, of] of all) {
      const [program = '', ...words] = command.split(/\s+/);
      const source = path.join(folder, file);
      await writeFile(source, text);
      const parameters = [...words, '-shared', '-fPIC', '-o', path.join(folder, `${file}.so`), source];
      try {
        await execute(program, parameters, { timeout: runMs, env: buildEnvironment(env, chain) });
      } catch (error) {
        const { stderr = '', message } = error as Error & { stderr?: string };
        const said =
          stderr.split('\n').find((line) => /error|cannot|not found/.test(line)) ?? message.split('\n')[0] ?? '';
        return failed(`${command} makes no library: ${said.replaceAll(folder, '.')}`, consequence, installing(of, env));
      }
    }
    return `C and C++ become libraries, in ${Math.round(performance.now() - began)} ms`;
  } catch (error) {
    return failed(
      `not tried: ${describeError(error)}`,
      consequence,
      `make ${os.tmpdir()} writable, or name another folder with TMPDIR`,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Its messages in English, and nothing of a terminal. */
function environment(env: Environment): NodeJS.ProcessEnv {
  return { ...env, LC_ALL: 'C', LANG: 'C' };
}
