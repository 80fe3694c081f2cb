/** What kind of machine this is. */
import { closeSync, openSync, readSync } from 'node:fs';

/** The loader that a program asks for is named in its first page: that of musl, where Node was built for musl. */
function usesMusl(): boolean {
  if (process.platform !== 'linux') return false;
  try {
    const head = Buffer.alloc(4096);
    const file = openSync(process.execPath, 'r');
    try {
      readSync(file, head, 0, head.length, 0);
    } finally {
      closeSync(file);
    }
    return head.includes('/ld-musl-');
  } catch {
    return false; // a Node that may be run and not read
  }
}

/** Whether the C library of this process is musl. */
export const isMusl = usesMusl();

/** `linux-x64`, `darwin-arm64`, `linux-x64-musl`: operating system and architecture as Node names them, and musl. */
export const machineName = `${process.platform}-${process.arch}${isMusl ? '-musl' : ''}`;
