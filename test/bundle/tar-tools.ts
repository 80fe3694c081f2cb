/** GNU tar and bsdtar, as others have them. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';

function firstThatSays(names: readonly string[], word: string): string | undefined {
  return names.find((name) => spawnSync(name, ['--version'], { encoding: 'utf8' }).stdout?.includes(word));
}

const gnuTar = firstThatSays(['tar', 'gtar'], 'GNU tar');
const bsdTar = firstThatSays(['bsdtar', 'tar'], 'bsdtar');
const environment = { ...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC' };

/**
 * Why there is nothing to compare with, for `describe.skipIf` and for the name of what is left out; undefined: there is both.
 * Throws in CI, where both must be.
 */
export const noTars: string | undefined =
  gnuTar === undefined || bsdTar === undefined
    ? 'GNU tar or bsdtar is not installed (Debian: tar, libarchive-tools)'
    : undefined;
if (noTars !== undefined && process.env['CI'] !== undefined) throw new Error(noTars);

/** What a program found in an archive. */
export interface Found {
  /** Names of files, in the order of the archive. */
  readonly listed: readonly string[];
  /** Bytes of files, by path. */
  readonly extracted: ReadonlyMap<string, Buffer>;
}

function readTree(folder: string, inner = ''): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  chmodSync(path.join(folder, inner), 0o700);
  for (const entry of readdirSync(path.join(folder, inner), { withFileTypes: true })) {
    const name = inner === '' ? entry.name : `${inner}/${entry.name}`;
    const file = path.join(folder, name);
    if (entry.isDirectory()) {
      for (const [below, bytes] of readTree(folder, name)) files.set(below, bytes);
    } else if (entry.isFile()) {
      chmodSync(file, 0o600);
      files.set(name, readFileSync(file));
    } else throw new Error(`${name} is neither a file nor a folder`);
  }
  return files;
}

/** A line of a list; bsdtar writes bytes of characters that it does not know as octal numbers. */
function named(line: string): string {
  const bytes = Buffer.from(line).toString('latin1');
  const whole = bytes.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  return Buffer.from(whole, 'latin1').toString('utf8');
}

function foundBy(program: string, words: readonly string[], archive: string, target: string): Found {
  mkdirSync(target);
  const run = (given: readonly string[]): string =>
    execFileSync(program, given, { encoding: 'utf8', env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const listed = run(['-tzf', archive, ...words])
    .split('\n')
    .map(named);
  run(['-xzf', archive, '-C', target, '--no-same-owner', ...words]);
  // Not all folders are listed with a slash.
  const isFile = (name: string): boolean => name !== '' && !lstatSync(path.join(target, name)).isDirectory();
  return { listed: listed.filter(isFile), extracted: readTree(target) };
}

/** What both find in `archive`; throws when one of them fails. */
export function foundByTars(archive: Buffer): Readonly<Record<'gnu' | 'bsd', Found>> {
  if (gnuTar === undefined || bsdTar === undefined) throw new Error(noTars);
  const home = mkdtempSync(path.join(os.tmpdir(), 'tenon-tars-'));
  try {
    const file = path.join(home, 'archive.tgz');
    writeFileSync(file, archive);
    return {
      gnu: foundBy(gnuTar, ['--quoting-style=literal'], file, path.join(home, 'gnu')),
      bsd: foundBy(bsdTar, [], file, path.join(home, 'bsd')),
    };
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** An archive of `folder`'s content that GNU tar or bsdtar makes. */
export function madeByTar(kind: 'gnu' | 'bsd', folder: string, words: readonly string[]): Buffer {
  const program = kind === 'gnu' ? gnuTar : bsdTar;
  if (program === undefined) throw new Error(noTars);
  const home = mkdtempSync(path.join(os.tmpdir(), 'tenon-tars-'));
  try {
    // Not to a pipe: bsdtar fills up what it writes to one.
    const file = path.join(home, 'archive.tgz');
    execFileSync(program, ['-czf', file, '-C', folder, ...words, ...readdirSync(folder).sort()], { env: environment });
    return readFileSync(file);
  } finally {
    rmSync(home, { recursive: true });
  }
}
