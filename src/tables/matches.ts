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

  read(filter: Filter, depth: number): RecordMatcher {
    if (depth > depthLimit) throw invalid(`the filter is nested deeper than ${depthLimit}`);
    if ('and' in filter) {
      const parts = this.#parts('and', filter.and, depth);
      return (record) => parts.every((part) => part(record));
    }
    if ('or' in filter) {
      const parts = this.#parts('or', filter.or, depth);
      return (record) => parts.some((part) => part(record));
    }
    if ('not' in filter) {
      const part = this.read(asObject(filter.not), depth + 1);
      return (record) => !part(record);
    }
    this.#conditions += 1;
    if (this.#conditions > conditionLimit) throw invalid(`the filter has more than ${conditionLimit} conditions`);
    return this.#condition(filter);
  }

  #parts(name: string, filters: unknown, depth: number): RecordMatcher[] {
    if (!Array.isArray(filters)) throw invalid(`\`${name}\` of the filter is no list`);
    return filters.map((part) => this.read(asObject(part), depth + 1));
  }

  #condition({ field, op, value }: Condition): RecordMatcher {
    if (typeof field !== 'string') throw invalid('a condition of the filter names no field');
    const path = field.split('.');
    const type = typeAt(this.#definition, path, field);
    const test = testOf(field, op, value, type);
    return (record) => test(scalarOf(valueAt(record, path), type));
  }
}

/** What stands in the record, made comparable: a date is its milliseconds. Lists and objects stay. */
function scalarOf(value: unknown, type: FieldType): unknown {
  if (value === undefined) return null;
  return type.kind === 'Date' && typeof value === 'string' ? Date.parse(value) : value;
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
  // Below a field nothing but the JSON text is kept: a date there is compared as text.
  return rest.length > 0 && type.kind === 'Date' ? { kind: 'String' } : type;
}

function testOf(field: string, op: string, value: unknown, type: FieldType): (found: unknown) => boolean {
  const operand = (given: unknown): Scalar => operandOf(field, given, type);
  const text = (given: unknown): string => {
    if (typeof given === 'string') return given;
    throw invalid(`${field}: ${op} asks for text, not for ${JSON.stringify(given)}`);
  };
  switch (op) {
    case 'eq':
      return equalTo(operand(value));
    case 'ne':
      return not(equalTo(operand(value)));
    case 'lt':
      return ordered(operand(value), (order) => order < 0);
    case 'le':
      return ordered(operand(value), (order) => order <= 0);
    case 'gt':
      return ordered(operand(value), (order) => order > 0);
    case 'ge':
      return ordered(operand(value), (order) => order >= 0);
    case 'in':
      return oneOf(field, op, value, operand);
    case 'nin':
      return not(oneOf(field, op, value, operand));
    case 'contains':
      return type.kind === 'List'
        ? hasItem(operandOf(field, value, type.item ?? type))
        : textTest(text(value), includes);
    case 'starts':
      return textTest(text(value), (found, part) => found.startsWith(part));
    case 'ends':
      return textTest(text(value), (found, part) => found.endsWith(part));
    case 'like':
      return likeTest(text(value));
    case 'null':
      if (typeof value !== 'boolean') throw invalid(`${field}: null asks for true or false`);
      return (found) => (found === null) === value;
    default:
      throw invalid(`${field}: ${JSON.stringify(op)} is no operator of a filter`);
  }
}

function not(test: (found: unknown) => boolean): (found: unknown) => boolean {
  return (found) => !test(found);
}

function equalTo(operand: Scalar): (found: unknown) => boolean {
  return (found) => found === operand;
}

function oneOf(
  field: string,
  op: string,
  value: unknown,
  operand: (given: unknown) => Scalar,
): (found: unknown) => boolean {
  if (!Array.isArray(value)) throw invalid(`${field}: ${op} asks for a list of values`);
  const operands = new Set<unknown>(value.map(operand));
  return (found) => operands.has(found);
}

function hasItem(operand: Scalar): (found: unknown) => boolean {
  return (found) => Array.isArray(found) && found.includes(operand);
}

function includes(found: string, part: string): boolean {
  return found.includes(part);
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
export function compareText(left: string, right: string): number {
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

function operandOf(field: string, given: unknown, type: FieldType): Scalar {
  if (given === null) return null;
  const wrong = (): TenonError => invalid(`${field}: ${JSON.stringify(given)} does not fit ${type.kind}`);
  switch (type.kind) {
    case 'ID':
      if (typeof given === 'number' && Number.isSafeInteger(given)) return String(given);
      if (typeof given === 'string') return given;
      throw wrong();
    case 'String':
      if (typeof given === 'string') return given;
      throw wrong();
    case 'Enum':
      if (typeof given === 'string' && type.values?.includes(given) === true) return given;
      throw wrong();
    case 'Int':
      if (Number.isSafeInteger(given)) return given as number;
      throw wrong();
    case 'Float':
      if (typeof given === 'number') return given;
      throw wrong();
    case 'Boolean':
      if (typeof given === 'boolean') return given;
      throw wrong();
    case 'Date': {
      const ms = typeof given === 'string' ? Date.parse(given) : given;
      if (Number.isSafeInteger(ms)) return ms as number;
      throw wrong();
    }
    case 'Any':
      if (typeof given === 'string' || typeof given === 'number' || typeof given === 'boolean') return given;
      throw wrong();
    case 'List':
    case 'Object':
      throw invalid(`${field}: a ${type.kind} cannot be compared`);
  }
}

function asObject(part: unknown): Filter {
  if (typeof part === 'object' && part !== null && !Array.isArray(part)) return part as Filter;
  throw invalid('a part of the filter is no object');
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
