/**
 * Builds the plugins of the tests. One file of this folder is one plugin, in C or C++; a library is compiled once per content and
 * kept in the temporary directory, so every suite may ask for what it needs.
 */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = path.dirname(fileURLToPath(import.meta.url));
const include = path.resolve(here, '..', '..', 'native', 'include');

export interface PluginBuild {
  /** Macros: `{ PLUGIN_ID: '"counter"' }`. */
  defines?: Record<string, string>;
  /** Flags after all others. */
  flags?: string[];
  /** In place of gcc or g++: another one, of another machine, or with another libc. */
  compiler?: string;
}

/** What every plugin is built with, and what a test library needs beside it. */
const flags = [
  '-O2',
  '-fPIC',
  '-shared',
  '-fvisibility=hidden',
  '-fno-semantic-interposition',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-Wl,-Bsymbolic',
  '-Wl,-z,now,-z,relro',
  '-Wl,--build-id',
  '-Wl,--exclude-libs,ALL',
];

let headers: Promise<string> | undefined;

async function digestOfHeaders(): Promise<string> {
  const hash = createHash('sha256');
  const files = (await readdir(include, { recursive: true })).filter((file) => /\.hp{0,2}$/.test(file)).toSorted();
  for (const file of files) hash.update(file).update(await readFile(path.join(include, file)));
  for (const file of (await readdir(here)).filter((name) => name.endsWith('.h')).toSorted())
    hash.update(file).update(await readFile(path.join(here, file)));
  return hash.digest('hex');
}

/** Absolute path of the library made of `test/plugins/<name>.c`, or `.cpp`. It must not be changed: other tests use it too. */
export async function buildPlugin(name: string, build: PluginBuild = {}): Promise<string> {
  const plain = path.join(here, `${name}.c`);
  const inC = existsSync(plain);
  const source = inC ? plain : `${plain}pp`;
  headers ??= digestOfHeaders();
  const defines = Object.entries(build.defines ?? {}).map(([macro, value]) => `-D${macro}=${value}`);
  const compiler = build.compiler ?? (inC ? 'gcc' : 'g++');
  const words = [
    inC ? '-std=gnu11' : '-std=c++17',
    ...flags,
    ...(compiler.includes('clang') ? [] : ['-fno-gnu-unique']),
    `-I${include}`,
    ...defines,
    source,
    ...(build.flags ?? []),
  ];
  const key = createHash('sha256')
    .update(await headers)
    .update(await readFile(source))
    .update([compiler, ...words].join('\0'))
    .digest('hex');
  const directory = path.join(os.tmpdir(), `tenon-test-plugins-${os.userInfo().uid}`);
  const library = path.join(directory, `${name}-${key.slice(0, 24)}.so`);
  if (existsSync(library)) return library;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const fresh = `${library}.${randomBytes(6).toString('hex')}`;
  try {
    await run(compiler, [...words, '-o', fresh], { timeout: 60_000 });
    await rename(fresh, library);
  } finally {
    await rm(fresh, { force: true });
  }
  return library;
}
