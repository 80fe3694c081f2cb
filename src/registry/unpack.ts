/** Writes an archive of a database directory to disk. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';

const block = 512;
const largest = 256 * 1024 * 1024;

/**
 * `archive`: a gzipped tar of files and folders, as PGlite dumps one. `directory` is made and must not be there. Throws what the
 * system says, or an Error that names what is wrong with the archive; what was written stays then.
 */
export function unpack(archive: string, directory: string): void {
  const bytes = inflated(archive);
  mkdirSync(directory, { mode: 0o700 });
  for (let at = 0; at + block <= bytes.length && bytes[at] !== 0; ) {
    const name = textAt(bytes, at, 100);
    const size = Number.parseInt(textAt(bytes, at + 124, 12), 8) || 0;
    const kind = textAt(bytes, at + 156, 1);
    const content = bytes.subarray(at + block, at + block + size);
    const place = path.join(directory, name);
    if (!place.startsWith(directory + path.sep) || content.length !== size)
      throw new Error(`${archive} is damaged: entry ${name}`);
    if (kind === '5') mkdirSync(place, { recursive: true, mode: 0o700 });
    else writeFileSync(place, content, { mode: 0o600 });
    at += block + Math.ceil(size / block) * block;
  }
}

function inflated(archive: string): Buffer {
  const bytes = readFileSync(archive);
  try {
    return gunzipSync(bytes, { maxOutputLength: largest });
  } catch (cause) {
    throw new Error(`${archive} is damaged: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** A text that ends at its first NUL. */
function textAt(bytes: Buffer, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? length : end).trim();
}
