/** Asks the compiler's preprocessor what of an application's own files is compiled as part of a source. */
import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { packageRoot } from '../base/package-root.js';
import type { Application } from './application.js';
import type { Located } from './locate.js';
import type { Profile } from './profile.js';
import { readRegular } from '../base/regular.js';
import type { Ran } from './run.js';
import type { Language } from './scan.js';
import type { Toolchain } from './toolchain.js';

export interface Preprocessor {
  toolchain: Toolchain;
  located: Located;
  profile: Profile;
  /** Absolute paths of folders that the compilers search for headers by themselves. */
  searched: readonly string[];
  /** Absolute, and nobody else's: where its output is put meanwhile. */
  directory: string;
  /** Runs a tool of the build that may write files of `fileLimit` bytes. */
  ask: (program: string, parameters: readonly string[], fileLimit: number) => Promise<Ran>;
  signal?: AbortSignal | undefined;
}

export interface Unit {
  /** Relative to the application's folder. */
  file: string;
  language: Language;
  /** Compiled behind tenon.hpp. */
  precompiled: boolean;
}

/** What remains of the application's own files, vendored folders left out. */
export interface Expanded {
  text: string;
  /** Relative to the application's folder; the file that a line of `text` is of, and its line there. */
  origin(line: number): { file: string; line: number };
  /** Own files that were read, likewise relative. */
  files: Set<string>;
}

/** Largest text that comes out, bytes. */
const textLimit = 128 * 1024 * 1024;
const include = path.join(packageRoot, 'native', 'include');

/** What cmake/tenon.cmake and the generated project tell the compiler, as far as macros and headers depend on it. */
function flagsOf(language: Language, { located, profile }: Preprocessor): string[] {
  const optimized = profile === 'release' ? ['-DNDEBUG', '-O2'] : ['-O0'];
  const sanitized = profile === 'sanitize' ? ['-O1', '-fsanitize=address,undefined'] : [];
  const folders = [include, ...located.includes].flatMap((folder) => ['-isystem', folder]);
  const standard = language === 'c' ? '-std=gnu11' : '-std=gnu++17';
  return ['-Dplugin_EXPORTS', ...folders, ...optimized, '-fPIC', ...sanitized, ...located.compileOptions, standard];
}

/** Undefined when the preprocessor fails, for which the compiler will give the reasons. Throws the reason of the signal. */
export async function preprocess(
  application: Application,
  { file, language, precompiled }: Unit,
  preprocessor: Preprocessor,
): Promise<Expanded | undefined> {
  const { toolchain, directory, ask, signal } = preprocessor;
  const [program = '', ...own] = (language === 'c' ? toolchain.cc : toolchain.cxx).split(/\s+/);
  // Of no run before: what a host that was killed has left running may still write there.
  const output = path.join(directory, `preprocessed.${randomUUID()}.tmp`);
  const before = precompiled ? ['-include', path.join(include, 'tenon', 'tenon.hpp')] : [];
  const parameters = [...own, '-E', '-w', ...flagsOf(language, preprocessor), ...before];
  parameters.push('-o', output, path.join(application.folder, file));
  await mkdir(directory, { recursive: true });
  try {
    const ran = await ask(program, parameters, textLimit);
    signal?.throwIfAborted();
    if (ran.status !== 0) return undefined;
    return ownLines(application, (await readRegular(output, textLimit)).toString('utf8'));
  } finally {
    await rm(output, { force: true });
  }
}

/** GCC writes a letter of a name that is not ASCII by its number. */
function withLetters(text: string): string {
  return text.replace(/\\(?:u([0-9a-f]{4})|U([0-9a-f]{8}))/gi, (whole, short?: string, long?: string) => {
    const number = Number.parseInt(short ?? long ?? '', 16);
    return number < 0x80 || number > 0x10ffff ? whole : String.fromCodePoint(number);
  });
}

/** Of preprocessed text, the lines of the application's files. */
function ownLines(application: Application, text: string): Expanded {
  const { folder, config } = application;
  const ownOf = (place: string): string | undefined => {
    const file = path.relative(folder, path.resolve(folder, place));
    const foreign = file.startsWith('..') || path.isAbsolute(file) || place.startsWith('<');
    return foreign || config.dependencies.vendored.some((name) => file.startsWith(`${name}/`)) ? undefined : file;
  };
  const marker = /^# (\d+) "((?:[^"\\]|\\.){0,4096})"([ \d]*)$/gm;
  const parts: string[] = [];
  /** Where each part begins in the text, and in its file. */
  const starts: { at: number; file: string; line: number }[] = [];
  const files = new Set<string>();
  const stack: (string | undefined)[] = [];
  let lines = 1;
  let line = 1;
  let from = 0;
  const keep = (to: number): void => {
    const file = stack.at(-1);
    if (file === undefined || to <= from) return;
    const part = text.slice(from, to);
    starts.push({ at: lines, file, line });
    parts.push(part);
    for (let at = part.indexOf('\n'); at !== -1; at = part.indexOf('\n', at + 1)) lines += 1;
  };
  for (let found = marker.exec(text); found !== null; found = marker.exec(text)) {
    keep(found.index);
    const [whole, row = '1', name = '', flags = ''] = found;
    // A #line changes the name without a flag: what is read is still the same file.
    if (stack.length === 0 || / 1\b/.test(flags)) {
      const own = ownOf(name.replace(/\\([\\"])/g, '$1'));
      if (own !== undefined) files.add(own);
      stack.push(own);
    } else if (/ 2\b/.test(flags)) stack.pop();
    line = Number(row);
    from = found.index + whole.length + 1;
    marker.lastIndex = from;
  }
  keep(text.length);
  const origin = (asked: number): { file: string; line: number } => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle]?.at ?? 0) <= asked) low = middle;
      else high = middle - 1;
    }
    const start = starts[low];
    return { file: start?.file ?? '', line: (start?.line ?? 1) + asked - (start?.at ?? 1) };
  };
  return { text: withLetters(parts.join('')), origin, files };
}
