/** The little of `node:fs/promises` that the living set uses, in memory: no disk decides the order of a rehearsal. */
import { constants } from 'node:fs';
import { order } from './order.js';

interface File {
  bytes: Uint8Array;
  /** Times that it changes while it is read. */
  restless: number;
  changed: bigint;
}

const files = new Map<string, File>();

/** Nothing is there. */
export function wipe(): void {
  files.clear();
}

/** A file as somebody else writes it; it changes under its first `restless` readers. */
export function place(file: string, bytes: Uint8Array, restless: number): void {
  files.set(file, { bytes, restless, changed: 0n });
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
  const opened = isDirectory ? { bytes: new Uint8Array(), restless: 0, changed: 0n } : find(file);
  return {
    async stat({ bigint = false } = {}) {
      const { bytes, changed } = opened;
      if (opened.restless > 0) opened.changed++;
      const size = bigint ? BigInt(bytes.byteLength) : bytes.byteLength;
      return { isFile: () => !isDirectory, size, ino: 1n, dev: 1n, mtimeNs: changed, ctimeNs: changed };
    },
    async read(into: Uint8Array, at: number, size: number, from: number) {
      const piece = opened.bytes.subarray(from, from + size);
      into.set(piece, at);
      return { bytesRead: piece.byteLength };
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
    async close() {
      if (opened.restless > 0) opened.restless--;
    },
  };
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
