/** `tokens.json` of the data directory: what is kept of tokens, and its strict reader. */
import { TenonError } from '../base/errors.js';
import { JsonRefused, strictJson } from '../bundle/strict-json.js';
import { idGrammar } from '../compiler/config.js';
import { type Scope, scopes } from './operation.js';

/** What is kept of a token. */
export interface KeptToken {
  /** Unique on its host. */
  readonly name: string;
  /** As it stands in the token itself. */
  readonly id: string;
  /** SHA-256 of the token, hexadecimal. */
  readonly sha256: string;
  readonly scopes: readonly Scope[];
  /** Ids of the plugins it is limited to; absent: it is not. */
  readonly plugins?: readonly string[];
  /** ISO 8601, as are all times here. */
  readonly createdAt: string;
  /** As the audit log names who made it. */
  readonly createdBy: string;
  readonly expiresAt?: string;
  readonly lastUsedAt?: string;
}

/** Largest file, bytes; what the limits below allow is less. */
export const tokensFileLimit = 2 * 1024 * 1024;
export const mostTokens = 100;
const mostPlugins = 100;
const wordsLimit = 200;
const depthLimit = 4;

export const nameGrammar = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const tokenIdGrammar = /^[0-9a-f]{8}$/;
const hashGrammar = /^[0-9a-f]{64}$/;

/** What somebody says of a token is not as it must be. */
export class TokenRefused extends Error {
  override readonly name = 'TokenRefused';
}

/** Throws {@link TokenRefused}. */
export function nameIn(value: unknown): string {
  if (typeof value === 'string' && nameGrammar.test(value)) return value;
  throw new TokenRefused('name: must be at most 63 letters, digits, ".", "_" and "-", the first a letter or digit');
}

/** Each once, in the order of {@link scopes}. Throws {@link TokenRefused}. */
export function scopesIn(value: unknown): readonly Scope[] {
  const given = listIn('scopes', value);
  const [unknown] = given.filter((one) => !scopes.includes(one as Scope));
  if (unknown !== undefined)
    throw new TokenRefused(`scopes: ${JSON.stringify(unknown)} is none of ${scopes.join(', ')}`);
  if (given.length === 0) throw new TokenRefused(`scopes: at least one of ${scopes.join(', ')} is needed`);
  return scopes.filter((scope) => given.includes(scope));
}

/** Undefined when absent. Throws {@link TokenRefused}. */
export function pluginsIn(value: unknown): readonly string[] | undefined {
  if (value === undefined) return undefined;
  const given = listIn('plugins', value);
  if (given.length === 0 || given.length > mostPlugins)
    throw new TokenRefused(`plugins: 1 to ${mostPlugins} ids are needed, or leave it out for all plugins`);
  const [wrong] = given.filter((id) => typeof id !== 'string' || !idGrammar.test(id));
  if (wrong !== undefined) throw new TokenRefused(`plugins: ${JSON.stringify(wrong)} is no id of a plugin`);
  return [...new Set(given as string[])];
}

function listIn(name: string, value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TokenRefused(`${name}: must be a list`);
  return value;
}

/** A token with `admin` may everything, also make itself another one: a list of plugins would be no limit. Throws {@link TokenRefused}. */
export function requireLimits(allowed: readonly Scope[], plugins: readonly string[] | undefined): void {
  if (plugins !== undefined && allowed.includes('admin'))
    throw new TokenRefused('plugins: a token with the scope admin cannot be limited to plugins');
}

/** Text of the file. */
export function textOf(tokens: readonly KeptToken[]): string {
  return `${JSON.stringify({ tokens }, undefined, 2)}\n`;
}

/** What the file says. Throws `TokensInvalid` for whatever this host has not written. */
export function parseTokens(bytes: Uint8Array, file: string): readonly KeptToken[] {
  try {
    const { tokens } = membersOf(strictJson(bytes, depthLimit), 'it', ['tokens']);
    const read = listIn('tokens', tokens).map(tokenOf);
    if (read.length > mostTokens) throw new TokenRefused(`it has ${read.length} tokens, more than ${mostTokens}`);
    for (const key of ['name', 'id', 'sha256'] as const)
      if (new Set(read.map((token) => token[key])).size < read.length)
        throw new TokenRefused(`two tokens have the same ${key}`);
    return read;
  } catch (error) {
    if (!(error instanceof TokenRefused) && !(error instanceof JsonRefused)) throw error;
    const place = error instanceof JsonRefused ? `${error.pointer || 'it'} ` : '';
    throw unusable(file, `${place}${error.message}`, error);
  }
}

/** That of the file nothing can be used, and why. */
export function unusable(file: string, why: string, cause: unknown): TenonError {
  return new TenonError('TokensInvalid', `${file}: ${why}`, {
    next: 'correct it, or remove it and make the tokens anew; until then the admin token alone is admitted',
    details: { file },
    cause,
  });
}

const members = [
  'name',
  'id',
  'sha256',
  'scopes',
  'plugins',
  'createdAt',
  'createdBy',
  'expiresAt',
  'lastUsedAt',
] as const;

function tokenOf(value: unknown, at: number): KeptToken {
  try {
    const given = membersOf(value, 'it', members);
    const { createdBy } = given;
    if (typeof createdBy !== 'string' || createdBy.length > wordsLimit) throw new TokenRefused('createdBy: is no text');
    const allowed = scopesIn(given['scopes']);
    const plugins = pluginsIn(given['plugins']);
    requireLimits(allowed, plugins);
    const expiresAt = timeIn('expiresAt', given['expiresAt']);
    const lastUsedAt = timeIn('lastUsedAt', given['lastUsedAt']);
    const createdAt = timeIn('createdAt', given['createdAt']);
    if (createdAt === undefined) throw new TokenRefused('createdAt: is missing');
    return {
      name: nameIn(given['name']),
      id: matching('id', given['id'], tokenIdGrammar),
      sha256: matching('sha256', given['sha256'], hashGrammar),
      scopes: allowed,
      ...(plugins === undefined ? {} : { plugins }),
      createdAt,
      createdBy,
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(lastUsedAt === undefined ? {} : { lastUsedAt }),
    };
  } catch (error) {
    if (!(error instanceof TokenRefused)) throw error;
    throw new TokenRefused(`token ${at + 1}: ${error.message}`);
  }
}

function matching(name: string, value: unknown, grammar: RegExp): string {
  if (typeof value === 'string' && grammar.test(value)) return value;
  throw new TokenRefused(`${name}: must look like ${grammar.source}`);
}

function timeIn(name: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) && !Number.isNaN(Date.parse(value)))
    return value;
  throw new TokenRefused(`${name}: must be a time as 2026-01-31T12:00:00.000Z`);
}

function membersOf(value: unknown, what: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TokenRefused(`${what} must be an object`);
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new TokenRefused(`${JSON.stringify(unknown)} is not known; there are ${known.join(', ')}`);
  return value as Readonly<Record<string, unknown>>;
}
