/** The little of `node:fs/promises` that the living set uses, in memory: no disk decides the order of a rehearsal. */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { TenonError } from '../../src/base/errors.js';
import type { Image } from '../../src/plugin/admit.js';
import { order } from './order.js';

interface File {
  bytes: Uint8Array;
  /** Times that it changes while it is read. */
  restless: number;
}

const files = new Map<string, File>();

/** Nothing is there. */
export function wipe(): void {
  files.clear();
}

/** A file as somebody else writes it; it changes under its first `restless` readers. */
export function place(file: string, bytes: Uint8Array, restless: number): void {
  files.set(file, { bytes, restless });
}

function find(file: string): File {
  const found = files.get(file);
  if (found === undefined) throw Object.assign(new Error(`ENOENT: ${file}`), { code: 'ENOENT' });
  return found;
}

/** Only here does a file make anybody wait: it is where another order would matter. A directory is always there. */
export async function open(file: string, flags: string | number): Promise<object> {
  await order().turn(`open ${file}`);
  if (flags === 'wx' || (typeof flags === 'number' && (flags & constants.O_EXCL) !== 0)) {
    if (files.has(file)) throw Object.assign(new Error(`EEXIST: ${file}`), { code: 'EEXIST' });
    place(file, new Uint8Array(), 0);
  }
  const isDirectory = [...files.keys()].some((other) => other.startsWith(`${file}/`));
  const opened = isDirectory ? { bytes: new Uint8Array(), restless: 0 } : find(file);
  return {
    async stat() {
      return { isFile: () => !isDirectory, size: opened.bytes.byteLength };
    },
    async readFile() {
      return Buffer.from(opened.bytes);
    },
    /** After what was written before. */
    async writeFile(content: string | Uint8Array) {
      opened.bytes = Buffer.concat([opened.bytes, Buffer.from(content as Uint8Array)]);
    },
    async datasync() {},
    async sync() {},
    async close() {},
  };
}

/** `readImage` of the host that is rehearsed. */
export async function readImage(file: string): Promise<Image> {
  await order().turn(`read ${file}`);
  const found = find(file);
  if (found.restless > 0) {
    found.restless--;
    throw new TenonError('ImageChanging', `${file} changed while it was read`);
  }
  return { bytes: found.bytes, sha256: createHash('sha256').update(found.bytes).digest('hex') };
}

export async function mkdir(): Promise<void> {}

export async function readFile(file: string): Promise<string> {
  return Buffer.from(find(file).bytes).toString();
}

export async function readdir(directory: string): Promise<string[]> {
  return [...files.keys()]
    .filter((file) => file.startsWith(`${directory}/`))
    .map((file) => file.slice(directory.length + 1));
}

export async function rename(from: string, to: string): Promise<void> {
  files.set(to, find(from));
  files.delete(from);
}

export async function rm(file: string): Promise<void> {
  files.delete(file);
}
