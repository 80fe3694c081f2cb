/** `wishes.json` in a data directory: what a host that begins anew leaves to the next one. */
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { replaceFileSync } from '../base/replace-file.js';
import type { Wish, Wishes } from '../index.js';

const name = 'wishes.json';

/** For its owner alone. */
export function leaveWishes(data: string, wishes: Wishes): void {
  replaceFileSync(path.join(data, name), `${JSON.stringify(wishes)}\n`);
}

/** What was left, once: the next to ask finds nothing. Undefined when there is nothing; throws SyntaxError for a damaged file. */
export function takeWishes(data: string): Wishes | undefined {
  const file = path.join(data, name);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  rmSync(file);
  const { plugins, hotReload } = JSON.parse(text) as Partial<Wishes>;
  if (hotReload === undefined || !Array.isArray(plugins) || !plugins.every(isWish))
    throw new SyntaxError(`${file} is not what a host leaves`);
  return { plugins, hotReload };
}

function isWish(value: unknown): value is Wish {
  const { id, folder, sha256 } = (value ?? {}) as Record<string, unknown>;
  return typeof id === 'string' && typeof folder === 'string' && (sha256 === undefined || typeof sha256 === 'string');
}
