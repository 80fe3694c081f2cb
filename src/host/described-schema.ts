/** JSON that somebody else wrote for the API's document: looked through before a word of it is shown. */
import { isObject } from '../compiler/schema-shape.js';

/** What cannot be taken: where, as JSON pointer, and why. */
export class DescriptionFlawed extends Error {
  readonly pointer: string;

  constructor(pointer: string, message: string) {
    super(`${pointer === '' ? 'it' : pointer} ${message}`);
    this.name = 'DescriptionFlawed';
    this.pointer = pointer;
  }
}

/** Throws {@link DescriptionFlawed} for a value that is not of its kind. */
export type Check = (value: unknown, pointer: string) => void;

const depthLimit = 64;
const countLimit = 20_000;
const reference = /^#\/components\/schemas\/([A-Za-z][\w.]{0,200})$/;
/** They would give a part of the document another name, or lead out of it. */
const unheard = ['$id', '$anchor', '$dynamicRef', '$dynamicAnchor', '$schema', '$vocabulary', '__proto__'];

/** The names of schemas that `root` refers to. Throws {@link DescriptionFlawed} for any other reference, and for JSON beyond all bounds. */
export function namesReferred(root: unknown): Set<string> {
  const names = new Set<string>();
  let count = 0;
  const visit = (value: unknown, pointer: string, depth: number): void => {
    count += 1;
    if (count > countLimit) throw new DescriptionFlawed('', `has more than ${countLimit} values`);
    if (depth > depthLimit) throw new DescriptionFlawed('', `is deeper than ${depthLimit} levels`);
    if (typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      const at = below(pointer, key);
      if (unheard.includes(key)) throw new DescriptionFlawed(at, 'is not read here');
      if (key !== '$ref' || Array.isArray(value)) {
        visit(inner, at, depth + 1);
        continue;
      }
      const [, name] = (typeof inner === 'string' ? reference.exec(inner) : null) ?? [];
      if (name === undefined)
        throw new DescriptionFlawed(at, 'leads elsewhere: a schema of a table is "#/components/schemas/NAME"');
      names.add(name);
    }
  };
  visit(root, '', 0);
  return names;
}

export function below(pointer: string, key: string | number): string {
  return `${pointer}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

function kind(what: string, is: (value: unknown) => boolean): Check {
  return (value, pointer) => {
    if (!is(value)) throw new DescriptionFlawed(pointer, `must be ${what}`);
  };
}

export const text = kind('a text', (value) => typeof value === 'string');
export const flag = kind('true or false', (value) => typeof value === 'boolean');
export const anything: Check = () => {};

export function oneOf(...values: readonly string[]): Check {
  return kind(`one of ${values.join(', ')}`, (value) => values.includes(value as string));
}

export function list(check: Check): Check {
  return (value, pointer) => {
    if (!Array.isArray(value)) throw new DescriptionFlawed(pointer, 'must be a list');
    for (const [at, one] of value.entries()) check(one, below(pointer, at));
  };
}

/** An object whose keys are of this form. */
export function mapping(key: RegExp, check: Check): Check {
  return (value, pointer) => {
    if (!isObject(value)) throw new DescriptionFlawed(pointer, 'must be an object');
    for (const [name, one] of Object.entries(value)) {
      if (!key.test(name)) throw new DescriptionFlawed(below(pointer, name), 'is no name that can stand here');
      check(one, below(pointer, name));
    }
  };
}

/** An object with these members, and with `x-…`. */
export function members(checks: Readonly<Record<string, Check>>, required: readonly string[] = []): Check {
  return (value, pointer) => {
    if (!isObject(value)) throw new DescriptionFlawed(pointer, 'must be an object');
    for (const [name, one] of Object.entries(value)) {
      const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
      if (check !== undefined) check(one, below(pointer, name));
      else if (!name.startsWith('x-'))
        throw new DescriptionFlawed(below(pointer, name), `is not read here, only ${Object.keys(checks).join(', ')}`);
    }
    for (const name of required) if (!Object.hasOwn(value, name)) throw new DescriptionFlawed(pointer, `lacks ${name}`);
  };
}

const number = kind('a number', (value) => typeof value === 'number');
const count = kind('a whole number from 0', (value) => Number.isInteger(value) && (value as number) >= 0);
const types = ['null', 'boolean', 'object', 'array', 'number', 'string', 'integer'];
const type = kind(`one of ${types.join(', ')}, or a list of them`, (value) =>
  Array.isArray(value)
    ? value.length > 0 && value.every((one) => types.includes(one as string))
    : types.includes(value as string),
);
const pattern: Check = (value, pointer) => {
  text(value, pointer);
  try {
    new RegExp(value as string, 'u');
  } catch {
    throw new DescriptionFlawed(pointer, 'is no pattern');
  }
};

/** A JSON Schema (2020-12), keywords that are not known among them. */
export const schema: Check = (value, pointer) => {
  if (typeof value === 'boolean') return;
  if (!isObject(value)) throw new DescriptionFlawed(pointer, 'must be a JSON Schema');
  for (const [keyword, one] of Object.entries(value))
    if (Object.hasOwn(keywords, keyword)) keywords[keyword]?.(one, below(pointer, keyword));
};

const inner: Check = (value, pointer) => schema(value, pointer);
const schemas = list(inner);
const named = mapping(/^/, inner);

const keywords: Readonly<Record<string, Check>> = {
  type,
  enum: list(anything),
  required: list(text),
  pattern,
  ...Object.fromEntries(
    ['title', 'description', 'format', '$comment', 'contentEncoding', 'contentMediaType'].map((name) => [name, text]),
  ),
  ...Object.fromEntries(['deprecated', 'readOnly', 'writeOnly', 'uniqueItems'].map((name) => [name, flag])),
  ...Object.fromEntries(
    ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'].map((name) => [name, number]),
  ),
  ...Object.fromEntries(
    [
      'minLength',
      'maxLength',
      'minItems',
      'maxItems',
      'minProperties',
      'maxProperties',
      'minContains',
      'maxContains',
    ].map((name) => [name, count]),
  ),
  ...Object.fromEntries(
    [
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
    ].map((name) => [name, inner]),
  ),
  ...Object.fromEntries(['allOf', 'anyOf', 'oneOf', 'prefixItems'].map((name) => [name, schemas])),
  ...Object.fromEntries(['properties', 'patternProperties', 'dependentSchemas', '$defs'].map((name) => [name, named])),
  dependentRequired: mapping(/^/, list(text)),
  examples: list(anything),
};
