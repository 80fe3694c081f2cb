/** The little of `node:fs/promises` that the living set uses, in memory: no disk decides the order of a rehearsal. */
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

function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === 'string' ? Buffer.from(content) : Buffer.from(content);
}

/** Only here does a file make anybody wait: it is where another order would matter. */
export async function open(file: string, flags: string | number): Promise<object> {
  await order().turn(`open ${file}`);
  if (flags === 'wx') place(file, new Uint8Array(), 0);
  const opened = find(file);
  return {
    async stat() {
      const { bytes, changed } = opened;
      if (opened.restless > 0) opened.changed++;
      return {
        isFile: () => true,
        size: BigInt(bytes.byteLength),
        ino: 1n,
        dev: 1n,
        mtimeNs: changed,
        ctimeNs: changed,
      };
    },
    async read(into: Uint8Array, at: number, size: number, from: number) {
      const piece = opened.bytes.subarray(from, from + size);
      into.set(piece, at);
      return { bytesRead: piece.byteLength };
    },
    async writeFile(content: string | Uint8Array) {
      opened.bytes = bytesOf(content);
    },
    async datasync() {},
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
