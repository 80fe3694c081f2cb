/** What the query of an address asks of a table. */
import { closest } from '../base/closest.js';
import { TenonError } from '../base/errors.js';
import type { Filter, TableDefinition, TableQuery } from '../binding/store.js';
import { beginsWithComparator } from './fiql.js';
import { checkField, equality, readFilter } from './rest-filter.js';

/** Parameters that are not fields, by what they are for. */
const listParameters = ['filter', 'sort', 'select', 'limit', 'offset', 'cursor', 'count'] as const;

/** Records in a page by default, and at most. */
export const pageLimits = { usual: 100, most: 10_000 } as const;

/** A list that was asked for. */
export interface ListQuery {
  filter: Filter | undefined;
  order: NonNullable<TableQuery['order']>;
  /** Undefined: all. */
  fields: string[] | undefined;
  /** Undefined: not given. */
  limit: number | undefined;
  offset: number;
  after: string | undefined;
  backwards: boolean;
  count: boolean;
}

/** One part of a query, `name=value`, still with its percent escapes. */
interface Piece {
  raw: string;
  name: string;
  value: string;
}

/** The query of a request target, without the question mark; empty without one. */
export function queryOf(target: string): string {
  const begin = target.indexOf('?');
  return begin < 0 ? '' : target.slice(begin + 1);
}

/**
 * Read the query of a list. Everything that is no parameter is a filter; several are joined by and. Throws
 * `QueryInvalid` or `CursorInvalid`.
 */
export function readListQuery(query: string, definition: TableDefinition): ListQuery {
  const given = new Map<string, string>();
  const filters: Filter[] = [];
  for (const piece of piecesOf(query)) {
    if (piece.name === 'filter') filters.push(readFilter(decoded(piece.value), definition));
    else if (isParameter(piece)) give(given, piece);
    else filters.push(looseFilter(piece, definition));
  }
  return {
    filter: filters.length > 1 ? { and: filters } : filters[0],
    order: readOrder(given.get('sort'), definition),
    fields: readFields(given.get('select'), definition),
    limit: readNumber(given, 'limit', 1),
    offset: readNumber(given, 'offset', 0) ?? 0,
    ...readCursor(given.get('cursor')),
    count: readTruth(given.get('count')),
  };
}

/** Read a query that may have these parameters only: name to value. Throws `QueryInvalid`. */
export function readParameters(query: string, known: readonly string[]): Map<string, string> {
  const given = new Map<string, string>();
  for (const piece of piecesOf(query)) {
    if (!known.includes(piece.name)) unknownParameter(piece.name, known);
    give(given, piece);
  }
  return given;
}

/** The fields that `select` names, in its order; undefined: all. Throws `QueryInvalid`. */
export function readFields(text: string | undefined, definition: TableDefinition): string[] | undefined {
  if (text === undefined) return undefined;
  const names = text.split(',').map((name) => name.trim());
  for (const name of names) checkSelected(name, definition);
  return [...new Set(names)];
}

/** What `cursor` is in a link to the page behind the record of `cursor`, or before it. */
export function linkCursor(cursor: string, backwards: boolean): string {
  return `${backwards ? 'b' : 'f'}${cursor}`;
}

/** The same query with another cursor, fit for a Link header. */
export function queryWithCursor(query: string, cursor: string): string {
  const rest = piecesOf(query).filter(({ raw, name }) => !/^(?:cursor|offset)=(?!=)/.test(raw) || name === '');
  return [...rest.map(({ raw }) => linkSafe(raw)), `cursor=${encodeURIComponent(cursor)}`].join('&');
}

function piecesOf(query: string): Piece[] {
  return query
    .split('&')
    .filter((raw) => raw !== '')
    .map((raw) => {
      const equals = raw.indexOf('=');
      const name = decoded(equals < 0 ? raw : raw.slice(0, equals));
      return { raw, name, value: equals < 0 ? '' : raw.slice(equals + 1) };
    });
}

/** Percent escapes read as UTF-8, `+` as a space: as forms are written. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new TenonError(
      'QueryInvalid',
      `${JSON.stringify(text)} has a percent escape that is cut short or is no UTF-8`,
      {
        next: 'escape the bytes of UTF-8, and a percent sign itself as %25',
      },
    );
  }
}

/** `limit=5` is a parameter, `limit==5` and `limit=gt=5` are about a field. */
function isParameter({ name, raw, value }: Piece): boolean {
  if (!(listParameters as readonly string[]).includes(name)) return false;
  return !raw.includes('=') || !beginsWithComparator(`=${decoded(value)}`);
}

function looseFilter({ raw, name, value }: Piece, definition: TableDefinition): Filter {
  const simple = raw.includes('=') && /^\w[\w.]*$/.test(name) && !beginsWithComparator(`=${decoded(value)}`);
  if (!simple) {
    if (/^\w+$/.test(name) && !raw.includes('=') && !hasField(name, definition)) unknownName(name, definition);
    return readFilter(decoded(raw), definition);
  }
  const [head = ''] = name.split('.');
  if (!hasField(head, definition)) unknownName(head, definition);
  const second = /[;,][\s(+]*[A-Za-z][\w.]*(?:[=<>]|!=)/.exec(value);
  if (second !== null)
    throw new TenonError(
      'QueryInvalid',
      `${JSON.stringify(raw)} compares with = and goes on behind ${second[0][0] ?? ''}`,
      {
        next: `write ${name}== in an expression, or %${second[0].charCodeAt(0).toString(16).toUpperCase()} for the character`,
        details: { field: name },
      },
    );
  return equality(name, decoded(value), definition);
}

function hasField(name: string, definition: TableDefinition): boolean {
  return definition.fields.some((field) => field.name === name);
}

function give(given: Map<string, string>, { name, value }: Piece): void {
  if (given.has(name)) throw new TenonError('QueryInvalid', `${name} is given twice`, { details: { parameter: name } });
  given.set(name, decoded(value));
}

function unknownName(name: string, definition: TableDefinition): never {
  const fields = definition.fields.filter((field) => field.dropped !== true).map((field) => field.name);
  return unknownParameter(name, [...fields, ...listParameters], ` and no field of ${definition.name}`);
}

function unknownParameter(name: string, known: readonly string[], also = ''): never {
  const meant = closest(name, known);
  const there = known.length === 0 ? 'there are none here' : `there are ${known.join(', ')}`;
  throw new TenonError('QueryInvalid', `${JSON.stringify(name)} is no parameter${also}`, {
    next: meant === undefined ? there : `did you mean ${meant}?`,
    details: { parameter: name },
  });
}

function checkSelected(name: string, definition: TableDefinition): void {
  if (name === '')
    throw new TenonError('QueryInvalid', 'select has an empty name', { details: { parameter: 'select' } });
  checkField(name, definition);
}

/** `a`, `+a` (whose plus a form reads as a space) and `-b`, with commas between them. */
function readOrder(text: string | undefined, definition: TableDefinition): ListQuery['order'] {
  if (text === undefined) return [];
  const order = text.split(',').map((part) => {
    const field = part.replace(/^[ +-]/, '').trim();
    if (field === '')
      throw new TenonError('QueryInvalid', 'sort has an empty name', { details: { parameter: 'sort' } });
    checkField(field, definition);
    return part.startsWith('-') ? { field, descending: true } : { field };
  });
  return order;
}

function readNumber(given: ReadonlyMap<string, string>, name: string, least: number): number | undefined {
  const text = given.get(name);
  if (text === undefined) return undefined;
  const number = Number(text);
  if (/^\d{1,15}$/.test(text) && number >= least) return number;
  throw new TenonError('QueryInvalid', `${name} is a whole number from ${least}, not ${JSON.stringify(text)}`, {
    details: { parameter: name },
  });
}

function readTruth(text: string | undefined): boolean {
  if (text === undefined || text === 'false') return false;
  if (text === 'true') return true;
  throw new TenonError('QueryInvalid', `count is true or false, not ${JSON.stringify(text)}`, {
    details: { parameter: 'count' },
  });
}

function readCursor(text: string | undefined): { after: string | undefined; backwards: boolean } {
  if (text === undefined) return { after: undefined, backwards: false };
  if (!/^[fb]./.test(text)) throw new TenonError('CursorInvalid', `${JSON.stringify(text)} is no cursor`);
  return { after: text.slice(1), backwards: text.startsWith('b') };
}

/** Bytes that a target may have and a link may not, escaped. */
function linkSafe(raw: string): string {
  return raw.replaceAll(/[^!#-;=?-~]/g, (character) => encodeURIComponent(character));
}
