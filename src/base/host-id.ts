/** Who a host is to others: the same at each start from one data directory. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { replaceFileSync } from './replace-file.js';

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The UUID that is kept as `host-id` in the data directory; made when there is none, or none that can be read. */
export function hostId(data: string): string {
  const file = path.join(data, 'host-id');
  const kept = read(file);
  if (uuid.test(kept)) return kept;
  const made = randomUUID();
  replaceFileSync(file, `${made}\n`);
  return made;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
