/** From the filters of GraphQL to those of the store. */
import type { Filter } from '../binding/store.js';

/** What a filter looks like once GraphQL has checked it: names of fields, each with its conditions, and `and`, `or`, `not`. */
export type FilterInput = { readonly [name: string]: unknown };

const words: ReadonlySet<string> = new Set([
  'eq',
  'ne',
  'lt',
  'le',
  'gt',
  'ge',
  'in',
  'nin',
  'contains',
  'starts',
  'ends',
  'like',
  'null',
]);

type Comparison = Extract<Filter, { field: string }>;

function isObject(value: unknown): value is FilterInput {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function all(parts: Filter[]): Filter {
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : { and: parts };
}

function conditions(field: string, given: unknown, isNested: (path: string) => boolean): Filter[] {
  if (!isObject(given)) return [];
  return Object.entries(given).flatMap(([word, value]): Filter[] => {
    const path = `${field}.${word}`;
    // A member of an object may be called like a word of the conditions.
    if (isNested(path)) return conditions(path, value, isNested);
    if (!words.has(word) || (word === 'null' && value === null)) return [];
    return [{ field, op: word as Comparison['op'], value }];
  });
}

function list(value: unknown): FilterInput[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/**
 * The filter of the store that says the same; undefined when it says nothing.
 * @param isNested whether the path is a member of an object, and no condition
 */
export function storeFilter(
  input: FilterInput | null | undefined,
  isNested: (path: string) => boolean,
): Filter | undefined {
  if (input === null || input === undefined) return undefined;
  const parts = Object.entries(input).flatMap(([name, value]): Filter[] => {
    if (name === 'and') return list(value).flatMap((part) => storeFilter(part, isNested) ?? []);
    if (name === 'or') return [{ or: list(value).map((part) => storeFilter(part, isNested) ?? { and: [] }) }];
    if (name === 'not') {
      const inner = isObject(value) ? storeFilter(value, isNested) : undefined;
      return inner === undefined ? [] : [{ not: inner }];
    }
    return conditions(name, value, isNested);
  });
  return parts.length === 0 ? undefined : all(parts);
}

/** Both, as far as there are. */
export function both(first: Filter | undefined, second: Filter | undefined): Filter | undefined {
  if (first === undefined) return second;
  return second === undefined ? first : { and: [first, second] };
}
