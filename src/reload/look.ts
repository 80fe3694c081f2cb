/** How the files of an application look from outside; what is in them is not read. */
import { type Dirent, lstatSync, opendirSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { Rules } from './rules.js';

interface Stamp {
  readonly text: string;
  /** When the system saw the last change of the file, ms since 1970; 0 when it is not known. */
  readonly changedMs: number;
}

/** Files relative to the folder, each with how it looks; empty when there are none. */
export type Look = ReadonlyMap<string, Stamp>;

/** After so many files, or so many ms, everybody else has a turn of the event loop. */
const sliceFiles = 256;
const sliceMs = 4;

/**
 * How `folder` (absolute) looks now. Symbolic links are not followed, `below` is not entered. A folder of a few files is
 * looked at within one turn of the event loop, a larger one bit by bit: what is seen of it is not of one moment.
 */
export async function lookAt(folder: string, rules: Rules, below: (file: string) => boolean): Promise<Look> {
  const look = new Map<string, Stamp>();
  if (!isFolder(folder)) return look;
  let end = performance.now() + sliceMs;
  let files = 0;
  for (const file of filesIn(folder, '', rules, below)) {
    if (file !== undefined) look.set(file, stampOf(path.join(folder, file)));
    if (++files < sliceFiles && performance.now() < end) continue;
    await turn();
    end = performance.now() + sliceMs;
    files = 0;
  }
  return look;
}

/** The same of a file by itself; empty when there is none. */
export function lookAtFile(file: string): Look {
  try {
    if (!lstatSync(file).isFile()) return new Map();
  } catch {
    return new Map(); // gone, or not to be read
  }
  return new Map([[path.basename(file), stampOf(file)]]);
}

/** The files that count, by name; undefined for each entry that was read on the way. */
function* filesIn(
  folder: string,
  directory: string,
  rules: Rules,
  below: (file: string) => boolean,
): Generator<string | undefined> {
  const entries: Dirent[] = [];
  for (const entry of eachEntryOf(path.join(folder, directory))) {
    entries.push(entry);
    yield undefined;
  }
  entries.sort((one, other) => (one.name < other.name ? -1 : 1));
  for (const entry of entries) {
    const file = directory === '' ? entry.name : `${directory}/${entry.name}`;
    if (rules.excludes(file) || below(path.join(folder, file))) yield undefined;
    else if (entry.isDirectory()) yield* filesIn(folder, file, rules, below);
    else yield rules.watches(file) ? file : undefined;
  }
}

function* eachEntryOf(directory: string): Generator<Dirent> {
  try {
    const open = opendirSync(directory, { bufferSize: sliceFiles });
    try {
      for (let entry = open.readSync(); entry !== null; entry = open.readSync()) yield entry;
    } finally {
      open.closeSync();
    }
  } catch {
    return; // gone, or not to be read: nothing of it can be seen
  }
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
