/** How JSON Schemas (2020-12) are built from others, and what one that somebody else wrote may come to. */
import { refers } from './references.js';

/** A schema that is no truth value. */
export type SchemaObject = Readonly<Record<string, unknown>>;

/** One thing wrong in a JSON value: where, as JSON pointer (RFC 6901), and what. */
export interface Flaw {
  readonly pointer: string;
  readonly message: string;
}

/** A schema that cannot be used; `pointer` is the place in it. */
export class SchemaFlawed extends Error {
  readonly pointer: string;

  constructor({ pointer, message }: Flaw) {
    super(message);
    this.name = 'SchemaFlawed';
    this.pointer = pointer;
  }
}

const alone = [
  'additionalProperties',
  'unevaluatedProperties',
  'propertyNames',
  'items',
  'contains',
  'unevaluatedItems',
  'not',
  'if',
  'then',
  'else',
  'contentSchema',
] as const;
const listed = ['prefixItems', 'allOf', 'anyOf', 'oneOf'] as const;
const mapped = ['properties', 'patternProperties', 'dependentSchemas', '$defs', 'definitions'] as const;

const dialect = 'https://json-schema.org/draft/2020-12/schema';

/** Bytes of JSON. */
export const schemaLimit = 64 * 1024;
const depthLimit = 32;
const countLimit = 2000;
const patternLimit = 256;

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `pointer`, one segment further. */
export function below(pointer: string, segment: string | number): string {
  return `${pointer}/${String(segment).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** The segments of a pointer. */
export function segmentsOf(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The own member `key` of `object`, if it has one. */
export function ownMember(object: SchemaObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** The schemas directly in `schema`, each with its pointer. */
function* inside(schema: SchemaObject, at: string): Generator<[string, unknown]> {
  for (const key of alone) if (Object.hasOwn(schema, key)) yield [below(at, key), schema[key]];
  for (const key of listed) {
    const list = ownMember(schema, key);
    if (Array.isArray(list)) for (const [index, one] of list.entries()) yield [below(below(at, key), index), one];
  }
  for (const key of mapped) {
    const map = ownMember(schema, key);
    if (isObject(map)) for (const [name, one] of Object.entries(map)) yield [below(below(at, key), name), one];
  }
}

/** What is not allowed in a schema from outside, the first such thing; that it is a schema at all is looked at elsewhere. */
export function shapeFlaw(root: unknown): Flaw | undefined {
  const waiting: [string, unknown, number][] = [['', root, 0]];
  let count = 0;
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [pointer, schema, depth] = next;
    count += 1;
    if (count > countLimit) return { pointer, message: `holds more than ${countLimit} schemas` };
    if (depth > depthLimit) return { pointer, message: `is deeper than ${depthLimit} schemas in each other` };
    if (!isObject(schema)) continue;
    const flaw = flawOf(schema, pointer);
    if (flaw !== undefined) return flaw;
    for (const [place, one] of inside(schema, pointer)) waiting.push([place, one, depth + 1]);
  }
  return undefined;
}

function flawOf(schema: SchemaObject, at: string): Flaw | undefined {
  for (const key of ['$ref', '$dynamicRef']) {
    const target = ownMember(schema, key);
    if (target !== undefined && !(typeof target === 'string' && target.startsWith('#')))
      return { pointer: below(at, key), message: 'must begin with "#": nothing outside of the schema is fetched' };
  }
  if (Object.hasOwn(schema, '$id'))
    return { pointer: below(at, '$id'), message: 'is not allowed: nothing refers to this schema by name' };
  const named = ownMember(schema, '$schema');
  if (named !== undefined && (typeof named !== 'string' || named.replace(/#$/, '') !== dialect))
    return { pointer: below(at, '$schema'), message: `must be ${dialect}` };
  const patterns = ownMember(schema, 'patternProperties');
  const texts: [string, unknown][] = [[below(at, 'pattern'), ownMember(schema, 'pattern')]];
  if (isObject(patterns))
    for (const name of Object.keys(patterns)) texts.push([below(below(at, 'patternProperties'), name), name]);
  for (const [pointer, text] of texts) {
    const message = typeof text === 'string' ? patternFlaw(text) : undefined;
    if (message !== undefined) return { pointer, message };
  }
  if (isSecret(schema) && !mayBeKnown(ownMember(schema, 'default')))
    return { pointer: below(at, 'default'), message: 'gives a secret in clear; use ${NAME} or ${file:NAME}' };
  return undefined;
}

function patternFlaw(text: string): string | undefined {
  if (text.length > patternLimit) return `is a pattern of more than ${patternLimit} characters`;
  try {
    return void new RegExp(text, 'u');
  } catch (error) {
    return `is no pattern: ${(error as Error).message}`;
  }
}

/** Whether what it describes is a secret. */
export function isSecret(schema: SchemaObject): boolean {
  return ownMember(schema, 'writeOnly') === true || ownMember(schema, 'format') === 'password';
}

/** Whether the value of a secret may be written down: nothing in it is one. */
export function mayBeKnown(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  if (typeof value === 'string') return refers(value);
  return typeof value === 'object' && Object.values(value).every(mayBeKnown);
}

/**
 * Pointers of what is secret in `value`: of everything that any schema which may speak of it says so of, whatever the value
 * itself is like. May take long for a hostile schema.
 */
export function secretPlaces(root: unknown, value: unknown): Set<string> {
  const secrets = new Set<string>();
  const seen = new Map<unknown, Set<string>>();
  const visit = (schema: unknown, inner: unknown, at: string): void => {
    if (!isObject(schema)) return;
    const places = seen.get(schema) ?? new Set();
    if (places.has(at)) return;
    seen.set(schema, places.add(at));
    if (isSecret(schema)) secrets.add(at);
    for (const key of ['$ref', '$dynamicRef']) visit(referred(root, ownMember(schema, key)), inner, at);
    for (const key of ['not', 'if', 'then', 'else'] as const) visit(ownMember(schema, key), inner, at);
    for (const key of ['allOf', 'anyOf', 'oneOf'] as const) {
      const list = ownMember(schema, key);
      if (Array.isArray(list)) for (const one of list) visit(one, inner, at);
    }
    const dependent = ownMember(schema, 'dependentSchemas');
    if (isObject(dependent)) for (const one of Object.values(dependent)) visit(one, inner, at);
    if (Array.isArray(inner))
      for (const [index, item] of inner.entries())
        for (const one of forItem(schema, index)) visit(one, item, below(at, index));
    else if (isObject(inner))
      for (const [name, member] of Object.entries(inner))
        for (const one of forMember(schema, name)) visit(one, member, below(at, name));
  };
  visit(root, value, '');
  return secrets;
}

function forItem(schema: SchemaObject, index: number): unknown[] {
  const first = ownMember(schema, 'prefixItems');
  const others = ['items', 'contains', 'unevaluatedItems'].map((key) => ownMember(schema, key));
  return [...(Array.isArray(first) ? [first[index] as unknown] : []), ...others];
}

function forMember(schema: SchemaObject, name: string): unknown[] {
  const properties = ownMember(schema, 'properties');
  const own = isObject(properties) ? ownMember(properties, name) : undefined;
  const patterns = ownMember(schema, 'patternProperties');
  const matching = Object.entries(isObject(patterns) ? patterns : {})
    .filter(([pattern]) => new RegExp(pattern, 'u').test(name))
    .map(([, one]) => one);
  if (own !== undefined || matching.length > 0) return [own, ...matching];
  return [ownMember(schema, 'additionalProperties'), ownMember(schema, 'unevaluatedProperties')];
}

/** The schema that `#…` leads to. An anchor is looked for everywhere. */
function referred(root: unknown, reference: unknown): unknown {
  if (typeof reference !== 'string') return undefined;
  const fragment = decoded(reference.slice(1));
  if (fragment === '') return root;
  if (!fragment.startsWith('/')) return anchored(root, fragment);
  return segmentsOf(fragment).reduce<unknown>(
    (found, segment) =>
      typeof found === 'object' && found !== null ? ownMember(found as SchemaObject, segment) : undefined,
    root,
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function anchored(root: unknown, name: string): unknown {
  const waiting = [root];
  for (let schema = waiting.pop(); schema !== undefined; schema = waiting.pop()) {
    if (!isObject(schema)) continue;
    if (ownMember(schema, '$anchor') === name || ownMember(schema, '$dynamicAnchor') === name) return schema;
    for (const [, one] of inside(schema, '')) if (one !== undefined) waiting.push(one);
  }
  return undefined;
}
