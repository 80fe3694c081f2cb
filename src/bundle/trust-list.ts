/** What a trust list says: its JSON, checked member for member. */
import { TenonError } from '../base/errors.js';
import { type PublicKey, readPublicKey, wrongComment } from './minisign.js';
import { below, JsonRefused, strictJson } from './strict-json.js';

/** A key that is trusted. */
export interface TrustedKey {
  /** The line of a minisign public key. */
  readonly key: string;
  readonly keyId: string;
  /** Ids of plugins, or patterns of them with `*`. */
  readonly plugins: readonly string[];
  /** For people: whose it is. */
  readonly name: string;
}

/** What may not be loaded. */
export interface Killed {
  /** SHA-256 of a library, or of a bundle's manifest, hexadecimal. */
  readonly sha256: string;
  readonly reason: string;
}

export interface TrustList {
  readonly keys: readonly TrustedKey[];
  readonly killed: readonly Killed[];
}

/** Largest trust list, bytes. */
export const trustLimit = 1024 * 1024;
const depthLimit = 8;
const pluginsLimit = 100;
const wildcardLimit = 8;
const wordsLimit = 500;

const patternGrammar = /^[a-z0-9*][a-z0-9_*-]{0,62}$/;
const hashGrammar = /^[0-9a-f]{64}$/;
const keyIdGrammar = /^[0-9A-F]{16}$/;

/** Something that is not as it must be, at a JSON pointer. */
export class TrustRefused extends Error {
  readonly pointer: string;

  constructor(pointer: string, message: string) {
    super(message);
    this.name = 'TrustRefused';
    this.pointer = pointer;
  }
}

type Members = Readonly<Record<string, unknown>>;

function membersOf(value: unknown, pointer: string, known: readonly string[]): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TrustRefused(pointer, 'must be an object');
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new TrustRefused(below(pointer, unknown), `is not known; there are ${known.join(', ')}`);
  return value as Members;
}

function listOf(value: unknown, pointer: string): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new TrustRefused(pointer, 'must be a list');
  return value;
}

function wordsOf(value: unknown, pointer: string): string {
  if (value === undefined) return '';
  const wrong = typeof value === 'string' ? wrongComment(value, wordsLimit) : 'is no text';
  if (wrong !== undefined) throw new TrustRefused(pointer, wrong);
  return value as string;
}

function patternOf(value: unknown, pointer: string): string {
  if (typeof value === 'string' && patternGrammar.test(value) && value.split('*').length <= wildcardLimit + 1)
    return value;
  throw new TrustRefused(pointer, `must be the id of a plugin, or a pattern of ids with at most ${wildcardLimit} "*"`);
}

function publicKeyOf(value: unknown, pointer: string): PublicKey {
  try {
    return readPublicKey(typeof value === 'string' ? value : '');
  } catch (error) {
    throw new TrustRefused(pointer, `must be the line of a public key of minisign: ${(error as Error).message}`);
  }
}

/** Throws {@link TrustRefused}. `keyId` may be there: then it must be the one of the key. */
export function trustedKeyOf(value: unknown, pointer = ''): TrustedKey {
  const { key: line, keyId: given, name, plugins } = membersOf(value, pointer, ['key', 'keyId', 'name', 'plugins']);
  const { keyId, text } = publicKeyOf(line, below(pointer, 'key'));
  if (given !== undefined && given !== keyId)
    throw new TrustRefused(below(pointer, 'keyId'), `must be ${keyId}, which is in the key, or absent`);
  const place = below(pointer, 'plugins');
  const patterns = listOf(plugins, place).map((pattern, at) => patternOf(pattern, below(place, at)));
  if (patterns.length === 0 || patterns.length > pluginsLimit)
    throw new TrustRefused(place, `must have 1 to ${pluginsLimit} ids of plugins, or patterns; "*" is every plugin`);
  return { key: text, keyId, name: wordsOf(name, below(pointer, 'name')), plugins: [...new Set(patterns)] };
}

/** Throws {@link TrustRefused}. */
export function killedOf(value: unknown, pointer = ''): Killed {
  const { sha256, reason } = membersOf(value, pointer, ['sha256', 'reason']);
  return { sha256: hashOf(sha256, below(pointer, 'sha256')), reason: wordsOf(reason, below(pointer, 'reason')) };
}

/** Throws {@link TrustRefused}. */
export function hashOf(value: unknown, pointer = ''): string {
  if (typeof value === 'string' && hashGrammar.test(value)) return value;
  throw new TrustRefused(pointer, 'must be a SHA-256 as 64 hexadecimal digits, in lower case');
}

/** Throws {@link TrustRefused}. */
export function keyIdIn(value: unknown, pointer = ''): string {
  if (typeof value === 'string' && keyIdGrammar.test(value)) return value;
  throw new TrustRefused(pointer, 'must be the id of a key: 16 hexadecimal digits, in upper case');
}

function unique<Item>(items: readonly Item[], nameOf: (item: Item) => string, pointer: string): readonly Item[] {
  const names = new Set<string>();
  for (const [at, item] of items.entries()) {
    if (names.has(nameOf(item))) throw new TrustRefused(below(pointer, at), `is there twice: ${nameOf(item)}`);
    names.add(nameOf(item));
  }
  return items;
}

function checkedList(bytes: Uint8Array): TrustList {
  const { keys, killed } = membersOf(strictJson(bytes, depthLimit), '', ['keys', 'killed']);
  const trusted = listOf(keys, '/keys').map((key, at) => trustedKeyOf(key, `/keys/${at}`));
  const gone = listOf(killed, '/killed').map((entry, at) => killedOf(entry, `/killed/${at}`));
  return {
    keys: unique(trusted, ({ keyId }) => keyId, '/keys'),
    killed: unique(gone, ({ sha256 }) => sha256, '/killed'),
  };
}

/** Read a trust list. Throws `KeyInvalid` with `details: {file, pointer}`. */
export function parseTrustList(bytes: Uint8Array, file: string): TrustList {
  try {
    return checkedList(bytes);
  } catch (error) {
    if (!(error instanceof TrustRefused) && !(error instanceof JsonRefused)) throw error;
    throw unusable(file, `${error.pointer === '' ? 'it' : error.pointer} ${error.message}`, error);
  }
}

/** Why nothing can be asked of the trust list in `file`. */
export function unusable(file: string, reason: string, cause: unknown): TenonError {
  const pointer = cause instanceof TrustRefused || cause instanceof JsonRefused ? { pointer: cause.pointer } : {};
  return new TenonError('KeyInvalid', `${file}: the trust list cannot be used: ${reason}`, {
    next: 'correct the file; until then nothing new is loaded, because it may have been killed',
    details: { file, ...pointer },
    cause,
  });
}

/** The text of its file. */
export function trustText({ keys, killed }: TrustList): string {
  const lines = keys.map(({ key, name, plugins }) => ({ key, name, plugins }));
  return `${JSON.stringify({ keys: lines, killed }, undefined, 2)}\n`;
}

/** Whether `pattern`, an id in which `*` stands for anything, is one of `id`. */
export function matchesId(pattern: string, id: string): boolean {
  const parts = pattern.split('*');
  const [first = '', last = ''] = [parts.shift(), parts.pop()];
  if (!pattern.includes('*')) return pattern === id;
  const end = id.length - last.length;
  let at = first.length;
  if (at > end || !id.startsWith(first) || !id.endsWith(last)) return false;
  for (const part of parts) {
    const found = id.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
