/** The admin token: where it comes from. */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { TenonError } from '../base/errors.js';

/** The token of the admin API. */
export interface AdminToken {
  readonly token: string;
  /** Absent when it was given. */
  readonly file?: string;
  /** True when it was made just now. */
  readonly made: boolean;
}

/**
 * The given token, or the one kept in the data directory, which is made at the first start. Throws `SettingsInvalid` for
 * a kept one that no request could carry.
 */
export function adminToken(dataDirectory: string, given: string): AdminToken {
  if (given !== '') return { token: given, made: false };
  const file = path.join(dataDirectory, 'admin-token');
  if (existsSync(file)) {
    const token = readFileSync(file, 'utf8').trim();
    if (token.length >= 16 && !/^[\x21-\x7e]+$/.test(token))
      throw new TenonError('SettingsInvalid', `${file}: the token has a blank, or a character that is not ASCII`, {
        next: 'remove the file: a new token is made at the next start',
        details: { file },
      });
    if (token.length >= 16) return { token, file, made: false };
  }
  const token = randomBytes(32).toString('base64url');
  writeFileSync(file, `${token}\n`, { mode: 0o600 });
  chmodSync(file, 0o600);
  return { token, file, made: true };
}
