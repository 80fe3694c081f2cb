/** The tools that build a plugin, looked for on PATH. */
import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { placeOf } from './fingerprint.js';
import type { Ran } from './run.js';
import { crossCompilerMissing, modulesOf, type Target } from './target.js';

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
  /** What is built for; undefined: this machine. */
  target?: Target;
}

/**
 * Find CMake, Ninja or make, and compilers on `env.PATH`; `CC` and `CXX`, which are for this machine, go before what is
 * found. Throws `ToolchainMissing` with everything that is missing in `details.missing`.
 */
export function findToolchain(env: Environment, target?: Target): Toolchain {
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
  if (target !== undefined && missing.length === 0) {
    const names = [`${target.triple}-gcc`, `${target.triple}-g++`] as const;
    const [cc = '', cxx = ''] = names.map((name) => need(name, name));
    if (missing.length > 0) throw crossCompilerMissing(target, missing, env.PATH ?? '');
    return { cmake, ninja, cc, cxx, target };
  }
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
    ...(toolchain.target === undefined ? ['PKG_CONFIG_PATH'] : []),
  ];
  for (const name of passed) {
    const value = env[name];
    if (value !== undefined) clean[name] = value;
  }
  return toolchain.target === undefined ? clean : { ...clean, ...modulesOf(toolchain.target) };
}

/** Tools that are started without being named. */
const unsaid = ['as', 'ld', 'mold', 'ld.lld', 'ld.gold', 'pkg-config', 'pkgconf'];

/** What the tools are. */
export interface Identity {
  /** Changes with each tool, and with every folder in which libraries are looked for. */
  text: string;
  /** Absolute paths of the folders that the compilers search for headers by themselves. */
  searched: readonly string[];
}

/** What compilers say of themselves. */
interface Answers {
  version: string;
  searched: readonly string[];
  /** Absolute paths of folders with libraries. */
  libraries: readonly string[];
}

const answers = new Map<string, Answers>();

/** Runs a tool of the build within its limits. */
export type Ask = (program: string, parameters: readonly string[]) => Promise<Ran>;

/**
 * Where the tools are, their files, and what compilers say of their version. A compiler is asked again only when a file
 * changed; `begin` waits for when it may be. Throws `BuildFailed` when a compiler does not say what it is.
 */
export async function identify(toolchain: Toolchain, env: Environment, begin: () => Promise<Ask>): Promise<Identity> {
  const search = env.PATH ?? '';
  const { target } = toolchain;
  const words = [
    toolchain.cmake,
    toolchain.ninja ?? 'make',
    ...unsaid,
    ...(target === undefined ? [] : ['as', 'ld', 'ld.bfd'].map((tool) => `${target.triple}-${tool}`)),
    ...`${toolchain.cc} ${toolchain.cxx}`.split(/\s+/),
  ];
  // A launcher passes on to the next of its name, so every one of the name counts.
  const files = words.flatMap((word) =>
    path.isAbsolute(word) ? [word] : directories(search).map((directory) => path.join(directory, word)),
  );
  const named = words.flatMap((word) => (path.isAbsolute(word) ? path.basename(word) : []));
  const twins = named.flatMap((word) => directories(search).map((directory) => path.join(directory, word)));
  const places = [...new Set([...files, ...twins])].map(nameAndPlaceOf).filter((place) => place !== '');
  const { SDKROOT = '', DEVELOPER_DIR = '', PKG_CONFIG_PATH = '' } = env;
  const said = JSON.stringify([toolchain, places, SDKROOT, DEVELOPER_DIR, PKG_CONFIG_PATH]);
  let answer = answers.get(said);
  if (answer === undefined) {
    const ask = await begin();
    // Another build may have asked while this one waited.
    answer = answers.get(said) ?? (await askCompilers(toolchain, ask));
    answers.clear();
    answers.set(said, answer);
  }
  const { version, searched, libraries } = answer;
  return { text: [said, version, ...searched, ...libraries.map(nameAndPlaceOf)].join('\n'), searched };
}

async function askCompilers({ cc, cxx }: Toolchain, ask: Ask): Promise<Answers> {
  const answerOf = async (command: string, ...questions: string[]): Promise<string> => {
    const [program = '', ...parameters] = command.split(/\s+/);
    const { status, output, end } = await ask(program, [...parameters, ...questions]);
    if (status === 0) return output;
    const last = output.trimEnd().split('\n').at(-1) ?? '';
    throw new TenonError('BuildFailed', `${command} does not say what it is, ${end}: ${last}`, {
      next: 'see that CC and CXX name compilers, and that these work',
      details: { command, questions, output: output.slice(0, 4096) },
    });
  };
  // One after the other: what is left of a build that failed must have ended.
  const ofC = await answerOf(cc, '-E', '-v', '-o', '/dev/null', '-x', 'c', '/dev/null');
  const ofCxx = await answerOf(cxx, '-E', '-v', '-o', '/dev/null', '-x', 'c++', '/dev/null');
  const folders = await answerOf(cxx, '-print-search-dirs');
  const libraries = /^libraries: =?(.*)$/m.exec(folders)?.[1] ?? '';
  return {
    // The rest of it names the working directory.
    version: (`${ofC}\n${ofCxx}`.match(/^\S.*\bversion\b.*$/gm) ?? []).join('\n'),
    searched: [...new Set([...searchedIn(ofC), ...searchedIn(ofCxx)])],
    libraries: [...new Set(directories(libraries).map((folder) => path.resolve(folder)))],
  };
}

/** From what a compiler says with `-v`. */
function searchedIn(text: string): string[] {
  const list = /search starts here:\n([\s\S]*?)\nEnd of search list/.exec(text)?.[1] ?? '';
  const folders = list.split('\n').map((line) => line.trim().replace(/ \(framework directory\)$/, ''));
  return folders.filter((folder) => path.isAbsolute(folder)).map((folder) => path.resolve(folder));
}

/** Its name in place of a link's, too. */
function nameAndPlaceOf(file: string): string {
  const place = placeOf(file);
  try {
    return place === '' ? '' : [file, realpathSync.native(file), place].join(' ');
  } catch {
    return ''; // it went just now
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
