import { execFile, execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const include = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'native', 'include');
const run = promisify(execFile);
const strict = ['-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wconversion', '-Werror', '-fsyntax-only'];

const headers = readdirSync(path.join(include, 'tenon'), { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.(?:h|hpp)$/.test(file))
  .sort();

function present(compiler: string): boolean {
  try {
    execFileSync(compiler, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const languages = [
  { name: 'C11', extension: 'c', compilers: ['gcc', 'clang'], standard: 'c11' },
  { name: 'C17', extension: 'c', compilers: ['gcc', 'clang'], standard: 'c17' },
  { name: 'C++17', extension: 'cpp', compilers: ['g++', 'clang++'], standard: 'c++17' },
  { name: 'C++20', extension: 'cpp', compilers: ['g++', 'clang++'], standard: 'c++20' },
];

describe('each header of the contract compiles alone', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-headers-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('covers the headers that there are', () => {
    expect(headers).toEqual(expect.arrayContaining(['entry.h', 'host.h', 'plugin.h', 'types.h', 'tenon.hpp']));
    expect(headers).toEqual(expect.arrayContaining(['ext/http.h', 'ext/log.h', 'ext/state.h']));
  });

  for (const { name, extension, compilers, standard } of languages) {
    for (const compiler of compilers.filter(present)) {
      it(`as ${name} with ${compiler}`, async () => {
        for (const header of headers.filter((file) => extension === 'cpp' || file.endsWith('.h'))) {
          const source = path.join(folder, `${compiler}-${standard}.${extension}`);
          // Twice: a header must bear being included again. The object keeps the file from being empty.
          const line = `#include <tenon/${header}>\n`;
          await writeFile(source, `${line}${line}extern int nothing;\n`);
          const outcome = run(compiler, [`-std=${standard}`, ...strict, '-I', include, source]);
          await expect(outcome, header).resolves.toMatchObject({ stderr: '' });
        }
      });
    }
  }
});
