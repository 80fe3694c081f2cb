/** Where the native parts of this package are: files that are made for one kind of machine. */
import { closeSync, existsSync, openSync, readdirSync, readSync } from 'node:fs';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { isMusl, machineName } from '../base/machine-name.js';
import { packageRoot, prebuilds } from '../base/package-root.js';

const folders = [path.join(packageRoot, 'build', 'Release'), prebuilds];
const headBytes = 4096;
const elfMagic = '\x7fELF';
const machineOffset = 18;

function head(file: string): Buffer {
  const bytes = Buffer.alloc(headBytes);
  const descriptor = openSync(file, 'r');
  try {
    return bytes.subarray(0, readSync(descriptor, bytes, 0, headBytes, 0));
  } finally {
    closeSync(descriptor);
  }
}

/** Why a file is of no use here, as far as its first page tells; a library's libc shows when it is opened only. */
function whyForeign(file: string): string | undefined {
  const bytes = head(file);
  const own = head(process.execPath);
  const isElf = (each: Buffer): boolean => each.toString('latin1', 0, 4) === elfMagic;
  if (!isElf(bytes) || !isElf(own)) return undefined;
  const machine = (each: Buffer): string => each.toString('latin1', machineOffset, machineOffset + 2);
  if (machine(bytes) !== machine(own)) return `${file} is for another processor`;
  const loader = /\/lib\w*\/(ld-[\w.-]+)\0/.exec(bytes.toString('latin1'))?.[1];
  if (loader !== undefined && loader.startsWith('ld-musl-') !== isMusl)
    return `${file} is for ${isMusl ? 'glibc, and this Node is built for musl' : 'musl, and this Node is built for glibc'}`;
  return undefined;
}

function whyUnusable(folder: string, files: readonly string[]): string | undefined {
  const missing = files.filter((file) => !existsSync(path.join(folder, file)));
  if (missing.length > 0) return `${folder} has no ${missing.join(' and no ')}`;
  return files.map((file) => whyForeign(path.join(folder, file))).find((reason) => reason !== undefined);
}

/** Names of the machines that the package has all of `files` for. */
function prebuiltFor(files: readonly string[]): string[] {
  const parent = path.dirname(prebuilds);
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .filter((name) => files.every((file) => existsSync(path.join(parent, name, file))))
    .sort();
}

/** The error for native parts that are not there or cannot be used; `reasons` says so of each place. */
export function nativePartMissing(files: readonly string[], reasons: readonly string[], cause?: unknown): TenonError {
  const isClone = existsSync(path.join(packageRoot, 'binding.gyp'));
  const others = prebuiltFor(files);
  return new TenonError(
    'NativePartMissing',
    `There are no native parts that run on ${machineName}: ${reasons.join('; ')}` +
      (others.length === 0 ? '' : `; prebuilt are those for ${others.join(', ')}`),
    {
      next: isClone
        ? 'run `npm run build:native` (needs a C++ compiler)'
        : `install a package of Tenon that has prebuilds/${machineName}; ` +
          '`npm ci && npm run build:prebuilds && npm pack` makes it in a clone of Tenon on such a machine',
      details: { machine: machineName, looked: folders },
      cause,
    },
  );
}

/**
 * Absolute path of the folder that the native parts are taken from, all of `files` from one. Throws `NativePartMissing`.
 */
export function nativeFolder(files: readonly string[]): string {
  const reasons: string[] = [];
  for (const folder of folders) {
    const reason = whyUnusable(folder, files);
    if (reason === undefined) return folder;
    reasons.push(reason);
  }
  throw nativePartMissing(files, reasons);
}
