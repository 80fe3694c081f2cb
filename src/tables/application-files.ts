/** Finds and reads the files of an application that tables are made from. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import picomatch from 'picomatch';
import { TenonError } from '../base/errors.js';
import { readRegular } from '../base/regular.js';

/**
 * Files below `folder` (absolute) that one of `patterns` names, relative to it, "/" between segments, sorted. What is hidden and
 * `node_modules` are left out. Throws `SourceOutside` for a link that is named, and `ApplicationUnreadable`.
 */
export async function findFiles(folder: string, patterns: readonly string[]): Promise<string[]> {
  const matchers = patterns.map((glob) => picomatch(glob, { noextglob: true, nonegate: true, regex: false }));
  const named = (file: string): boolean => matchers.some((matches) => matches(file));
  const files: string[] = [];
  const walk = async (below: string): Promise<void> => {
    for (const entry of await readdir(path.join(folder, below), { withFileTypes: true })) {
      if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
      const file = below === '' ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) await walk(file);
      else if (entry.isFile() && named(file)) files.push(file);
      else if (entry.isSymbolicLink() && named(file)) throw linked(folder, file);
    }
  };
  try {
    await walk('');
  } catch (error) {
    throw unreadable(folder, '.', error);
  }
  return files.sort();
}

/**
 * The bytes of `file`, relative to `folder`; undefined when they are more than `limit`. Throws `ApplicationUnreadable`.
 */
export async function readFileOf(folder: string, file: string, limit: number): Promise<Buffer | undefined> {
  try {
    return await readRegular(path.join(folder, file), limit);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EFBIG') return undefined;
    throw unreadable(folder, file, error);
  }
}

function linked(folder: string, file: string): TenonError {
  return new TenonError('SourceOutside', `${file}: a symbolic link is not followed`, {
    next: 'put the file itself there',
    details: { file, folder },
  });
}

function unreadable(folder: string, file: string, error: unknown): TenonError {
  if (error instanceof TenonError) return error;
  const { code, message, path: place } = error as NodeJS.ErrnoException;
  const shown = place === undefined ? file : path.relative(folder, place) || '.';
  return new TenonError(
    'ApplicationUnreadable',
    `the application ${path.basename(folder)} cannot be read: ${shown}: ${code ?? message}`,
    {
      next: 'let the user of the host read it, or take it out of the folder',
      details: { folder, path: place ?? path.join(folder, file), reason: code ?? message },
      cause: error,
    },
  );
}
