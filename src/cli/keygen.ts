/** `tenon keygen`: a key to sign bundles with. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { replaceFile } from '../base/replace-file.js';
import { publicKeyText } from '../bundle/minisign.js';
import { makeSecretKey, secretKeyText } from '../bundle/secret-key.js';
import { newPassword, type PasswordFlags } from './password.js';

export interface KeygenFlags extends PasswordFlags {
  /** Files of the key, without `.key` and `.pub`. */
  out: string;
  /** False: the secret key is not encrypted. */
  password: boolean;
  force?: true;
  json?: true;
}

const forEverybody = 0o644;

/** Rejects with `KeyInvalid` when there are keys of that name, and with TypeError where no password can be asked for. */
export async function keygen(flags: KeygenFlags): Promise<void> {
  if (!flags.password && flags.passwordFile !== undefined)
    throw new TypeError('option password-file: --no-password is given, too');
  const out = path.resolve(flags.out);
  const files = { secretKey: `${out}.key`, publicKey: `${out}.pub` };
  const there = Object.values(files).find((file) => existsSync(file));
  if (there !== undefined && flags.force !== true)
    throw new TenonError('KeyInvalid', `${there} is there already: whoever trusts it does not trust another one`, {
      next: 'choose another --out, or say --force when nobody needs it any more',
      details: { file: there },
    });
  const password = flags.password ? await newPassword(flags) : undefined;
  const key = makeSecretKey();
  await replaceFile(files.secretKey, await secretKeyText(key, password), { durable: true });
  await replaceFile(files.publicKey, publicKeyText(key.publicKey), { durable: true, mode: forEverybody });
  if (flags.json === true) {
    const { keyId, publicKey } = key;
    process.stdout.write(`${JSON.stringify({ keyId, key: publicKey.text, files })}\n`);
    return;
  }
  process.stdout.write(`${key.publicKey.text}\n`);
  process.stderr.write(
    `key ${key.keyId}: ${files.secretKey} is the secret one, ${files.publicKey} may be given away\n`,
  );
}
