/** The tests of an application: which sources they are, and how these are compiled. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Application } from './application.js';
import type { Toolchain } from './toolchain.js';

const include = path.resolve(import.meta.dirname, '..', '..', 'native', 'include');

/** Relative to the application's folder, sorted. */
export async function testSources(application: Application): Promise<string[]> {
  const entries = await readdir(path.join(application.folder, 'test'), { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile() && /\.(?:cc|cpp|cxx)$/.test(entry.name))
    .map((entry) => `test/${entry.name}`)
    .sort();
}

/** The compiler, then what it is told. `sanitize`: for a library of the profile of that name. */
export function testCompiler({ folder }: Application, { cxx }: Toolchain, sanitize: boolean): [string, ...string[]] {
  const [compiler = '', ...own] = cxx.split(/\s+/);
  const sanitizers = sanitize ? ['-fsanitize=address,undefined', '-fno-omit-frame-pointer'] : [];
  const told = ['-std=c++17', '-g', '-Wall', '-Wextra', `-ffile-prefix-map=${folder}/=`, ...sanitizers];
  return [compiler, ...own, ...told, '-isystem', include];
}
