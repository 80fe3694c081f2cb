import { execFile } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import { stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = path.dirname(fileURLToPath(import.meta.url));
const include = path.resolve(here, '..', '..', 'native', 'include');
const kibibyte = 1024;
/** About what a library has beside its table. */
const aroundTable = 15 * kibibyte;

/** What a plugin of this bench is. */
export interface Kind {
  /** Id of the plugin. */
  id: string;
  name: string;
  source: 'plugin.c' | 'plugin.cpp';
  /** Bytes of the whole library, about; as small as it gets when 0. */
  size: number;
  state: boolean;
}

/** The plugins that are replaced. */
const kinds: readonly Kind[] = [
  { id: 'small', name: 'C, 20 KB', source: 'plugin.c', size: 20 * kibibyte, state: false },
  { id: 'state', name: 'C, 20 KB, state', source: 'plugin.c', size: 20 * kibibyte, state: true },
  { id: 'cplusplus', name: 'C++', source: 'plugin.cpp', size: 0, state: false },
  { id: 'middle', name: 'C, 500 KB', source: 'plugin.c', size: 500 * kibibyte, state: false },
  { id: 'large', name: 'C, 20 MB', source: 'plugin.c', size: 20 * kibibyte * kibibyte, state: false },
];

/** A plugin, built twice: absolute paths of two libraries with different content, and the bytes of the first. */
export interface Built extends Kind {
  builds: readonly [string, string];
  bytes: number;
}

/** What a build answers. */
export function markOf(id: string, build: number): string {
  return `${id}, build ${build}`;
}

/** Bytes that do not compress and are the same in every run. */
function table(size: number, build: number): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, build), Buffer.alloc(16));
  return cipher.update(Buffer.alloc(size));
}

async function make(kind: Kind, build: number, folder: string): Promise<string> {
  const { id, source, size, state } = kind;
  const file = path.join(folder, `${id}-${build}.so`);
  const bytes = path.join(folder, `${id}-${build}.bin`);
  await writeFile(bytes, table(Math.max(1, size - aroundTable), build));
  const c = source.endsWith('.c');
  const apple = process.platform === 'darwin';
  const words = [c ? '-std=gnu11' : '-std=c++17', '-O2', '-fPIC', '-shared', `-I${include}`];
  const hidden = ['-fvisibility=hidden', ...(c ? [] : ['-fvisibility-inlines-hidden'])];
  const elf = ['-fno-semantic-interposition', '-Wl,-Bsymbolic', '-Wl,-z,now,-z,relro', '-Wl,--build-id'];
  const macros = [`-DID="${id}"`, `-DMARK="${markOf(id, build)}"`, `-DTABLE="${bytes}"`, ...(state ? ['-DSTATE'] : [])];
  const flags = [...words, ...hidden, ...(apple ? [] : elf), ...(apple || c ? [] : ['-fno-gnu-unique']), ...macros];
  await promisify(execFile)(c ? 'cc' : 'c++', [...flags, path.join(here, source), '-o', file]);
  return file;
}

/** Compile every plugin of this bench into `folder`, twice each; some of them only when `quick`. */
export function makeLibraries(folder: string, quick: boolean): Promise<Built[]> {
  const wanted = quick ? kinds.filter(({ id }) => id !== 'cplusplus' && id !== 'middle') : kinds;
  return Promise.all(
    wanted.map(async (kind) => {
      const builds = [await make(kind, 1, folder), await make(kind, 2, folder)] as const;
      return { ...kind, builds, bytes: (await stat(builds[0])).size };
    }),
  );
}

/** Compile the loop in C; absolute path of the program. */
export async function makeLoop(folder: string): Promise<string> {
  const program = path.join(folder, 'loop');
  await promisify(execFile)('cc', ['-std=gnu11', '-O2', path.join(here, 'loop.c'), '-o', program, '-ldl']);
  return program;
}
