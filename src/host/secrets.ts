/** Secrets that configs refer to: variables of the environment, and files of one directory. */
import path from 'node:path';
import type { Environment } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import { readRegular } from '../base/regular.js';
import { partsOf, type Reference } from '../compiler/references.js';
import { below, isObject } from '../compiler/schema-shape.js';

/** Where secrets are. */
export interface SecretPlaces {
  readonly environment: Environment;
  /** Absolute path of the directory of the files; it need not exist. */
  readonly secrets: string;
}

/** Largest file of a secret, bytes. */
const fileLimit = 64 * 1024;
/** Of all texts of one config, once their references are resolved, bytes. */
const textLimit = 1024 * 1024;

/**
 * `config` with what its texts refer to in place of the references. Rejects with `SecretMissing`, and with `ConfigInvalid` for
 * what only looks like a reference. No error says a value.
 */
export async function resolveSecrets(plugin: string, config: unknown, places: SecretPlaces): Promise<unknown> {
  const known = new Map<string, string>();
  let left = textLimit;

  const valueOf = async (reference: Reference, pointer: string): Promise<string> => {
    const key = `${reference.kind} ${reference.name}`;
    const value = known.get(key) ?? (await read(plugin, reference, pointer, places));
    known.set(key, value);
    return value;
  };
  const textOf = async (text: string, pointer: string): Promise<string> => {
    let whole = '';
    for (const part of text.includes('${') ? partsOf(text) : [text]) {
      if (typeof part === 'string') whole += part;
      else if ('kind' in part) whole += await valueOf(part, pointer);
      else throw noReference(plugin, pointer);
    }
    left -= Buffer.byteLength(whole);
    if (left < 0)
      throw new TenonError(
        'ConfigInvalid',
        `the config of ${plugin} has more than ${textLimit} bytes with its secrets`,
        {
          next: 'refer to smaller ones',
          details: { plugin, errors: [{ pointer, message: 'is too large with its secrets' }] },
        },
      );
    return whole;
  };
  const resolve = async (value: unknown, pointer: string): Promise<unknown> => {
    if (typeof value === 'string') return textOf(value, pointer);
    if (Array.isArray(value)) {
      const items: unknown[] = [];
      for (const [index, item] of value.entries()) items.push(await resolve(item, below(pointer, index)));
      return items;
    }
    if (!isObject(value)) return value;
    const members: [string, unknown][] = [];
    for (const [name, member] of Object.entries(value))
      members.push([name, await resolve(member, below(pointer, name))]);
    return Object.fromEntries(members);
  };
  return resolve(config, '');
}

function noReference(plugin: string, pointer: string): TenonError {
  const message = 'has a "${" that begins no reference';
  return new TenonError('ConfigInvalid', `the config of ${plugin}: ${pointer} ${message}`, {
    next: 'write ${NAME} for a variable, ${file:NAME} for a file, and $${ for the two characters themselves',
    details: { plugin, errors: [{ pointer, message }] },
  });
}

async function read(
  plugin: string,
  { kind, name }: Reference,
  pointer: string,
  { environment, secrets }: SecretPlaces,
): Promise<string> {
  const missing = (why: string, next: string): TenonError =>
    new TenonError('SecretMissing', `the config of ${plugin} refers at ${pointer} to ${why}`, {
      next: `${next}, then reload ${plugin}`,
      details: { plugin, pointer, kind, name },
    });
  if (kind === 'variable') {
    const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
    if (value === undefined)
      throw missing(`the variable ${name}, which is not set`, `start the host with ${name} in its environment`);
    return value;
  }
  const file = path.join(secrets, name);
  const bytes = await readRegular(file, fileLimit).catch((error: NodeJS.ErrnoException) => {
    const whys: Record<string, string> = { ENOENT: 'is not there', EFBIG: `has more than ${fileLimit} bytes` };
    const why =
      whys[error.code ?? ''] ?? (error.code === undefined ? 'is no regular file' : `cannot be read (${error.code})`);
    throw missing(`the file ${name}, which ${why}`, `write ${file}`);
  });
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes).replace(/\n$/, '');
  } catch {
    throw missing(`the file ${name}, which is no UTF-8`, `write ${file} as text`);
  }
}
