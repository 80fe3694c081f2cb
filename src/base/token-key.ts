/** The key of which those are made that plugins sign tokens with. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { keepPrivate } from './data-directory.js';
import { TenonError } from './errors.js';
import type { Log } from './log.js';
import { replaceFileSync } from './replace-file.js';

const keyBytes = 32;

/**
 * The one kept in the data directory, its owner's alone; it is made at the first start. Throws `SettingsInvalid` for a
 * kept one that is damaged.
 */
export function tokenKey(dataDirectory: string, log: Log): Buffer {
  const file = path.join(dataDirectory, 'token-key');
  if (!existsSync(file)) replaceFileSync(file, randomBytes(keyBytes));
  const key = readFileSync(file);
  if (key.byteLength !== keyBytes)
    throw new TenonError('SettingsInvalid', `${file}: has ${key.byteLength} bytes, a key has ${keyBytes}`, {
      next: 'put a copy of it back, or remove it: a new one is made at the next start, and no token signed before is valid',
      details: { file },
    });
  keepPrivate(file, log);
  return key;
}
