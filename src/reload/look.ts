/** How the files of an application look from outside; what is in them is not read. */
import { type Dirent, lstatSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Rules } from './rules.js';

interface Stamp {
  readonly text: string;
  /** When the system saw the last change of the file, ms since 1970; 0 when it is not known. */
  readonly changedMs: number;
}

/** Files relative to the folder, each with how it looks; empty when there are none. */
export type Look = ReadonlyMap<string, Stamp>;

/** How `folder` (absolute) looks now. Symbolic links are not followed, `below` is not entered. */
export function lookAt(folder: string, rules: Rules, below: (file: string) => boolean): Look {
  const look = new Map<string, Stamp>();
  const walk = (directory: string): void => {
    for (const entry of entriesOf(path.join(folder, directory))) {
      const file = directory === '' ? entry.name : `${directory}/${entry.name}`;
      if (rules.excludes(file) || below(path.join(folder, file))) continue;
      if (entry.isDirectory()) walk(file);
      else if (rules.watches(file)) look.set(file, stampOf(path.join(folder, file)));
    }
  };
  if (isFolder(folder)) walk('');
  return look;
}

/** Files that look different in the two, or are in one of them only. */
export function differences(before: Look, after: Look): string[] {
  const files: string[] = [];
  for (const [file, { text }] of after) if (before.get(file)?.text !== text) files.push(file);
  for (const file of before.keys()) if (!after.has(file)) files.push(file);
  return files;
}

export function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return []; // gone, or not to be read: nothing of it can be seen
  }
}

/** The same for two directories only if they are one; empty when there is none. */
export function identityOf(folder: string): string {
  try {
    const { dev, ino } = lstatSync(folder, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return '';
  }
}

function isFolder(file: string): boolean {
  try {
    return lstatSync(file).isDirectory();
  } catch {
    return false;
  }
}

/** Of a link to a file that of the file, else that of the link. */
function stampOf(file: string): Stamp {
  try {
    const target = statSync(file, { bigint: true, throwIfNoEntry: false });
    const { dev, ino, size, mtimeNs, ctimeNs } = target?.isFile() === true ? target : lstatSync(file, { bigint: true });
    return { text: `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`, changedMs: Number(ctimeNs / 1000n) / 1000 };
  } catch {
    return { text: 'gone', changedMs: 0 };
  }
}
