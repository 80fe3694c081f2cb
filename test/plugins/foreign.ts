/** Plugins for other machines than this one: of another architecture, with another libc, or with one that is not there yet. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { accessSync, constants } from 'node:fs';
import { promisify } from 'node:util';
import { buildPlugin } from './build.js';

const run = promisify(execFile);

function isInstalled(command: string): boolean {
  return (process.env['PATH'] ?? '').split(path.delimiter).some((folder) => {
    try {
      accessSync(path.join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Why there is no `compiler` to test with; undefined: there is one. Throws in CI, where one must be. */
function missing(compiler: string, debian: string): string | undefined {
  if (isInstalled(compiler)) return undefined;
  const reason = `${compiler} is not installed (Debian has it in ${debian})`;
  if (process.env['CI'] !== undefined) throw new Error(reason);
  return reason;
}

/** The architecture that is not this one's, and its compiler. */
export const foreignArch = process.arch === 'arm64' ? 'x64' : 'arm64';
const foreignTriplet = process.arch === 'arm64' ? 'x86_64-linux-gnu' : 'aarch64-linux-gnu';
export const crossCompiler = `${foreignTriplet}-gcc`;
export const noCrossCompiler = missing(crossCompiler, `gcc-${foreignTriplet.replaceAll('_', '-')}`);
export const muslCompiler = 'musl-gcc';
export const noMuslCompiler = missing(muslCompiler, 'musl-tools');

/** Absolute path of a plugin that needs GLIBC_2.99 of libc.so.6. */
export async function pluginOfTheFuture(): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-future-'));
  try {
    const stub = path.join(folder, 'libc.so');
    await writeFile(path.join(folder, 'stub.c'), 'int future_of_libc(void) { return 1; }\n');
    await writeFile(path.join(folder, 'stub.map'), 'GLIBC_2.99 { global: future_of_libc; };\n');
    await run('gcc', [
      '-shared',
      '-fPIC',
      '-nostdlib',
      '-Wl,-soname,libc.so.6',
      `-Wl,--version-script=${path.join(folder, 'stub.map')}`,
      path.join(folder, 'stub.c'),
      '-o',
      stub,
    ]);
    return await buildPlugin('future_libc', { flags: ['-nostdlib', stub] });
  } finally {
    await rm(folder, { recursive: true });
  }
}
