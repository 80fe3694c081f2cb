/** The tools that build a plugin, looked for on PATH. */
import { execFile } from 'node:child_process';
import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { TenonError } from '../base/errors.js';

/** Environment of a build, as the caller has it. Only the variables named in {@link buildEnvironment} are used. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface Toolchain {
  cmake: string;
  /** Undefined: CMake's makefiles are used. */
  ninja: string | undefined;
  /** C compiler as CC names it or as found. */
  cc: string;
  /** C++ compiler as CXX names it or as found. */
  cxx: string;
}

/**
 * Find CMake, Ninja or make, and compilers on `env.PATH`; `CC` and `CXX` go before what is found.
 * Throws `ToolchainMissing` with everything that is missing in `details.missing`.
 */
export function findToolchain(env: Environment): Toolchain {
  const find = (...names: string[]): string | undefined => {
    for (const name of names) {
      const found = path.isAbsolute(name) ? (executable(name) ? name : undefined) : onPath(name, env.PATH ?? '');
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const missing: string[] = [];
  const need = (what: string, ...names: string[]): string => {
    const found = find(...names);
    if (found === undefined) missing.push(what);
    return found ?? '';
  };
  const compiler = (variable: 'CC' | 'CXX', what: string, ...names: string[]): string => {
    const asked = env[variable]?.trim();
    if (!asked) return need(what, ...names);
    // CMake takes a launcher in front ("ccache gcc") and flags behind.
    if (find(asked.split(/\s+/)[0] ?? '') === undefined) missing.push(`${what} that ${variable} names (${asked})`);
    return asked;
  };
  const cmake = need('CMake', 'cmake');
  const ninja = find('ninja');
  if (ninja === undefined) need('Ninja or make', 'make');
  const cc = compiler('CC', 'a C compiler', 'cc', 'gcc', 'clang');
  const cxx = compiler('CXX', 'a C++ compiler', 'c++', 'g++', 'clang++');
  if (missing.length > 0)
    throw new TenonError('ToolchainMissing', `plugins cannot be built here: missing ${missing.join(', ')}`, {
      next:
        process.platform === 'darwin'
          ? 'run `xcode-select --install` and `brew install cmake ninja`'
          : 'install them, e.g. `apt install g++ cmake ninja-build`, and see that PATH leads to them',
      details: { missing, path: env.PATH ?? '' },
    });
  return { cmake, ninja, cc, cxx };
}

/** What a build sees of the environment: the same texts from any shell, and nothing that changes its result unseen. */
export function buildEnvironment(env: Environment, toolchain: Toolchain): Record<string, string> {
  const clean: Record<string, string> = { LANG: 'C', LC_ALL: 'C', CC: toolchain.cc, CXX: toolchain.cxx };
  const passed = [
    'PATH',
    'HOME',
    'TMPDIR',
    'npm_config_nodedir',
    'SDKROOT',
    'DEVELOPER_DIR',
    'CCACHE_DIR',
    'PKG_CONFIG_PATH',
  ];
  for (const name of passed) {
    const value = env[name];
    if (value !== undefined) clean[name] = value;
  }
  return clean;
}

/** Tools that a compiler starts, and folders that it searches, without being told. */
const unsaid = ['as', 'ld', 'mold', 'ld.lld', 'ld.gold'];
const searched = ['/usr/include', '/usr/local/include'];
const versions = new Map<string, Promise<string>>();

/**
 * One text that changes whenever one of the tools does: where they are, their files, and what compilers say of their
 * version. A compiler is asked again only when a file changed.
 */
export async function identify(toolchain: Toolchain, env: Environment): Promise<string> {
  const search = env.PATH ?? '';
  const words = [
    toolchain.cmake,
    toolchain.ninja ?? 'make',
    ...unsaid,
    ...`${toolchain.cc} ${toolchain.cxx}`.split(/\s+/),
  ];
  // A launcher passes on to the next of its name, so every one of the name counts.
  const files = words.flatMap((word) =>
    path.isAbsolute(word) ? [word] : directories(search).map((directory) => path.join(directory, word)),
  );
  const named = words.flatMap((word) => (path.isAbsolute(word) ? path.basename(word) : []));
  const twins = named.flatMap((word) => directories(search).map((directory) => path.join(directory, word)));
  const places = [...new Set([...files, ...twins, ...searched])].map(placeOf).filter((place) => place !== '');
  const { SDKROOT = '', DEVELOPER_DIR = '', PKG_CONFIG_PATH = '' } = env;
  const said = JSON.stringify([toolchain, places, SDKROOT, DEVELOPER_DIR, PKG_CONFIG_PATH]);
  let version = versions.get(said);
  if (version === undefined) {
    versions.clear();
    version = askVersions(toolchain, env);
    versions.set(said, version);
  }
  return `${said}\n${await version}`;
}

async function askVersions(toolchain: Toolchain, env: Environment): Promise<string> {
  const ask = async (command: string): Promise<string> => {
    const [program = '', ...parameters] = command.split(/\s+/);
    const options = { env: buildEnvironment(env, toolchain), timeout: 10_000 };
    return promisify(execFile)(program, [...parameters, '--version'], options).then(
      ({ stdout }) => stdout,
      (error: unknown) => String(error),
    );
  };
  return (await Promise.all([ask(toolchain.cc), ask(toolchain.cxx)])).join('\n');
}

function placeOf(file: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    const times = searched.includes(file) ? [mtimeNs] : [dev, ino, size, mtimeNs, ctimeNs];
    return [file, realpathSync(file), ...times].join(' ');
  } catch {
    return '';
  }
}

function directories(search: string): string[] {
  return search.split(path.delimiter).filter((directory) => path.isAbsolute(directory));
}

function onPath(name: string, search: string): string | undefined {
  return directories(search)
    .map((directory) => path.join(directory, name))
    .find(executable);
}

function executable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
