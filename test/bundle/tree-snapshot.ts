/** Everything about a folder and what is in it, so that whatever is done there shows. */
import { lstatSync, readdirSync } from 'node:fs';
import path from 'node:path';

/** One line for `folder` and for each name below it: its inode, kind, size and times. */
export function snapshot(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true }).map(String);
  return ['', ...names.sort()].map((name) => {
    const { ino, mode, size, nlink, mtimeNs, ctimeNs } = lstatSync(path.join(folder, name), { bigint: true });
    return [name, ino, mode, size, nlink, mtimeNs, ctimeNs].join(' ');
  });
}
