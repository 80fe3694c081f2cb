/** Whether a parsed record meets a filter: what native/core/filter.h says, on values of JavaScript. */
import { closest } from '../base/closest.js';
import { TenonError } from '../base/errors.js';
import type { FieldType, Filter, TableDefinition } from '../binding/store.js';

/** Says whether a record of the table meets the filter. */
export type RecordMatcher = (record: Record<string, unknown>) => boolean;

type Condition = Extract<Filter, { field: string }>;
type Scalar = string | number | boolean | null;

const conditionLimit = 256;
const depthLimit = 16;
const operandLimit = 1024;

/** Throws `QueryInvalid` when the filter does not fit the table. */
export function recordMatcher(definition: TableDefinition, filter: Filter): RecordMatcher {
  return new FilterReader(definition).read(filter, 1);
}

class FilterReader {
  readonly #definition: TableDefinition;
  #conditions = 0;

  constructor(definition: TableDefinition) {
    this.#definition = definition;
  }

  /** `given` may be anything. */
  read(given: unknown, depth: number): RecordMatcher {
    if (depth > depthLimit) throw invalid(`the filter is nested deeper than ${depthLimit}`);
    this.#conditions += 1;
    if (this.#conditions > conditionLimit) throw invalid(`the filter has more than ${conditionLimit} conditions`);
    if (typeof given !== 'object' || given === null || Array.isArray(given))
      throw invalid('a condition of a filter is an object');
    const filter = given as Filter;
    const names = Object.keys(filter).toSorted().join();
    if ('and' in filter && names === 'and') {
      const parts = this.#parts('and', filter.and, depth);
      return (record) => parts.every((part) => part(record));
    }
    if ('or' in filter && names === 'or') {
      const parts = this.#parts('or', filter.or, depth);
      return (record) => parts.some((part) => part(record));
    }
    if ('not' in filter && names === 'not') {
      const part = this.read(filter.not, depth + 1);
      return (record) => !part(record);
    }
    if ('field' in filter && names === 'field,op,value') return this.#condition(filter);
    throw invalid('a condition of a filter has one of `and`, `or` and `not`, or else `field`, `op` and `value`');
  }

  #parts(name: string, filters: unknown, depth: number): RecordMatcher[] {
    if (!Array.isArray(filters)) throw invalid(`\`${name}\` of a filter is a list`);
    return filters.map((part) => this.read(part, depth + 1));
  }

  #condition({ field, op, value }: Condition): RecordMatcher {
    if (typeof field !== 'string' || typeof op !== 'string') throw invalid('`field` and `op` of a filter are text');
    const path = field.split('.');
    const found = typeAt(this.#definition, path, field);
    const item = found.kind === 'List' && op === 'contains';
    const type = item ? (found.item ?? found) : found;
    if (!fits(type, op, item)) throw invalid(`${field} is ${type.kind}, and ${op} is not for it`);
    // Within an object or a list a date is its text.
    const test = testOf({ field, op, type, item, textual: path.length > 1 || item }, value);
    const dated = type.kind === 'Date' && path.length === 1 && !item;
    return (record) => test(dated ? msOf(valueAt(record, path)) : valueAt(record, path));
  }
}

function fits({ kind }: FieldType, op: string, item: boolean): boolean {
  if (op === 'null') return true;
  if (kind === 'List' || kind === 'Object') return false;
  return item || isText(kind) || kind === 'Any' || !['contains', 'starts', 'ends', 'like'].includes(op);
}

function isText(kind: FieldType['kind']): boolean {
  return kind === 'ID' || kind === 'String' || kind === 'Enum';
}

function msOf(value: unknown): unknown {
  return typeof value === 'string' ? Date.parse(value) : value;
}

function valueAt(record: Record<string, unknown>, path: readonly string[]): unknown {
  let value: unknown = record;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return null;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

function typeAt(definition: TableDefinition, path: readonly string[], field: string): FieldType {
  const [first = '', ...rest] = path;
  let type = definition.fields.find(({ name }) => name === first)?.type;
  if (type === undefined) throw unknownField(definition, first, field);
  for (const name of rest) {
    if (type.kind === 'Any') return type;
    const member: FieldType | undefined = type.members?.find((one) => one.name === name)?.type;
    if (member === undefined) throw invalid(`${field}: ${definition.name} has no such field`);
    type = member;
  }
  return type;
}

/** What is compared with what a filter brings. */
interface Operands {
  field: string;
  op: string;
  type: FieldType;
  /** An item of a list. */
  item: boolean;
  /** Dates are compared as text. */
  textual: boolean;
}

function testOf(asked: Operands, value: unknown): (found: unknown) => boolean {
  const { field, op } = asked;
  switch (op) {
    case 'eq':
      return equalTo(operandOf(asked, value));
    case 'ne':
      return not(equalTo(operandOf(asked, value)));
    case 'lt':
      return ordered(operandOf(asked, value), (order) => order < 0);
    case 'le':
      return ordered(operandOf(asked, value), (order) => order <= 0);
    case 'gt':
      return ordered(operandOf(asked, value), (order) => order > 0);
    case 'ge':
      return ordered(operandOf(asked, value), (order) => order >= 0);
    case 'in':
      return oneOf(asked, value);
    case 'nin':
      return not(oneOf(asked, value));
    case 'contains':
      return contains(asked.item ? operandOf(asked, value) : textOf(asked, value));
    case 'starts':
      return textTest(textOf(asked, value), (found, part) => found.startsWith(part));
    case 'ends':
      return textTest(textOf(asked, value), (found, part) => found.endsWith(part));
    case 'like':
      return likeTest(textOf(asked, value));
    case 'null':
      if (typeof value !== 'boolean') throw invalid(`${field}: null asks for true or false`);
      return (found) => (found === null) === value;
    default:
      throw invalid(`a filter has no op ${JSON.stringify(op)}`);
  }
}

function not(test: (found: unknown) => boolean): (found: unknown) => boolean {
  return (found) => !test(found);
}

function equalTo(operand: Scalar): (found: unknown) => boolean {
  return (found) => found === operand;
}

function oneOf(asked: Operands, value: unknown): (found: unknown) => boolean {
  const { field } = asked;
  if (!Array.isArray(value)) throw invalid(`${field}: ${asked.op} asks for a list of values`);
  if (value.length > operandLimit) throw invalid(`${field} is compared with more than ${operandLimit} values`);
  const operands = new Set<unknown>(value.map((one) => operandOf(asked, one)));
  return (found) => operands.has(found);
}

/** A list has it as an item, a text as a part. */
function contains(operand: Scalar): (found: unknown) => boolean {
  return (found) => {
    if (Array.isArray(found)) return found.includes(operand);
    return typeof found === 'string' && typeof operand === 'string' && found.includes(operand);
  };
}

function textTest(operand: string, test: (found: string, operand: string) => boolean): (found: unknown) => boolean {
  return (found) => typeof found === 'string' && test(found, operand);
}

/** `*` stands for anything; without a regular expression, whose time nobody could foretell. */
function likeTest(pattern: string): (found: unknown) => boolean {
  const [head = '', ...middle] = pattern.split('*');
  const tail = middle.pop();
  if (tail === undefined) return equalTo(pattern);
  return (found) => {
    if (typeof found !== 'string' || found.length < head.length + tail.length) return false;
    if (!found.startsWith(head) || !found.endsWith(tail)) return false;
    const end = found.length - tail.length;
    let at = head.length;
    for (const part of middle) {
      const begin = found.indexOf(part, at);
      if (begin < 0 || begin + part.length > end) return false;
      at = begin + part.length;
    }
    return true;
  };
}

/** Null comes first; values of different kinds have no order. */
function ordered(operand: Scalar, holds: (order: number) => boolean): (found: unknown) => boolean {
  return (found) => {
    const order = compare(found, operand);
    return order !== undefined && holds(order);
  };
}

function compare(left: unknown, right: Scalar): number | undefined {
  if (left === null || right === null) return Number(left !== null) - Number(right !== null);
  if (typeof left === 'string' && typeof right === 'string') return compareText(left, right);
  if (typeof left === 'number' && typeof right === 'number') return left - right;
  if (typeof left === 'boolean' && typeof right === 'boolean') return Number(left) - Number(right);
  return undefined;
}

/** In the order of the UTF-8 bytes, in which surrogates come behind all other units. */
function compareText(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const a = left.charCodeAt(i);
    const b = right.charCodeAt(i);
    if (a !== b) return rank(a) - rank(b);
  }
  return left.length - right.length;
}

function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

function textOf({ field, op }: Operands, given: unknown): string {
  if (typeof given === 'string') return given;
  throw invalid(`${field}: ${op} asks for text, not for ${JSON.stringify(given)}`);
}

function operandOf({ field, type, textual }: Operands, given: unknown): Scalar {
  if (given === null) return null;
  const operand = scalarOf(type, given, textual);
  if (operand !== undefined) return operand;
  throw invalid(`${field} is ${type.kind} and not to be compared with ${JSON.stringify(given)?.slice(0, 60)}`);
}

/** `given` as a value of the type; undefined when it is none. */
function scalarOf({ kind, values }: FieldType, given: unknown, textual: boolean): Scalar | undefined {
  const whole = typeof given === 'number' && Number.isSafeInteger(given);
  if (kind === 'Date') {
    const ms = whole ? given : readDate(given);
    if (ms === undefined || ms < dates.first || ms > dates.last) return undefined;
    return textual ? new Date(ms).toISOString() : ms;
  }
  if (kind === 'ID' && whole) return String(given);
  if (kind === 'Enum' && values?.includes(given as string) !== true) return undefined;
  if (isText(kind)) return typeof given === 'string' ? given : undefined;
  if (kind === 'Int') return whole ? given : undefined;
  if (kind === 'Float') return typeof given === 'number' ? given : undefined;
  if (kind === 'Boolean') return typeof given === 'boolean' ? given : undefined;
  return typeof given === 'string' || typeof given === 'number' || typeof given === 'boolean' ? given : undefined;
}

/** Milliseconds at the ends of the years 0000 to 9999. */
const dates = { first: -62_167_219_200_000, last: 253_402_300_799_999 } as const;
const isoDate = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/;

/** Milliseconds of a text as the store reads dates: of ISO 8601, or of milliseconds in digits. */
function readDate(given: unknown): number | undefined {
  if (typeof given !== 'string') return undefined;
  if (/^-?\d{1,15}$/.test(given)) return Number(given);
  const ms = isoDate.test(given) ? Date.parse(given) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

function unknownField({ name, fields }: TableDefinition, first: string, field: string): TenonError {
  const meant = closest(
    first,
    fields.map((one) => one.name),
  );
  return invalid(`${field}: ${name} has no such field${meant === undefined ? '' : `; did you mean ${meant}?`}`);
}

function invalid(message: string): TenonError {
  return new TenonError('QueryInvalid', message, { next: 'see docs/tables.md, "Filters"' });
}
