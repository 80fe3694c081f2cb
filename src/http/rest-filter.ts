/** From the filter language of addresses to the filter of the store: names are looked up, values made to fit. */
import { closest } from '../base/closest.js';
import { TenonError } from '../base/errors.js';
import type { FieldType, Filter, TableDefinition } from '../binding/store.js';
import { type Argument, type Comparator, type Comparison, type Expression, parseFiql } from './fiql.js';

type Operation = Extract<Filter, { field: string }>['op'];

const operations: Readonly<Record<Comparator, Operation>> = {
  '==': 'eq',
  '!=': 'ne',
  '=lt=': 'lt',
  '=le=': 'le',
  '=gt=': 'gt',
  '=ge=': 'ge',
  '=in=': 'in',
  '=out=': 'nin',
  '=contains=': 'contains',
  '=starts=': 'starts',
  '=ends=': 'ends',
  '=null=': 'null',
};

/** The filter written as `text` in an address. Throws `QueryInvalid` with details `position` or `field`. */
export function readFilter(text: string, definition: TableDefinition): Filter {
  return toFilter(parseFiql(text), definition);
}

/** The same of one field and the text it must be equal to. */
export function equality(field: string, text: string, definition: TableDefinition): Filter {
  const type = typeOf(field, definition);
  const quoted = isText(type);
  return { field, op: 'eq', value: operand({ text, quoted }, type, field) };
}

/** Throws `QueryInvalid` unless the table has a field of that name. */
export function checkField(name: string, definition: TableDefinition): void {
  if (definition.fields.some((field) => field.name === name)) return;
  const names = definition.fields.filter((field) => field.dropped !== true).map((field) => field.name);
  const meant = closest(name, names);
  invalid(name, `${definition.name} has no field ${JSON.stringify(name)}`, {
    next: meant === undefined ? `it has ${names.join(', ')}` : `did you mean ${meant}?`,
  });
}

function toFilter(expression: Expression, definition: TableDefinition): Filter {
  if ('and' in expression) return { and: expression.and.map((part) => toFilter(part, definition)) };
  if ('or' in expression) return { or: expression.or.map((part) => toFilter(part, definition)) };
  return condition(expression, definition);
}

function condition({ field, comparator, values }: Comparison, definition: TableDefinition): Filter {
  const type = typeOf(field, definition);
  const [first] = values as [Argument];
  if (comparator === '=null=') return { field, op: 'null', value: truth(first, `${field}=null= takes`) };
  if (comparator === '=in=' || comparator === '=out=')
    return { field, op: operations[comparator], value: values.map((value) => operand(value, type, field)) };
  if (comparator === '==' || comparator === '!=') {
    if (isText(type) && !first.quoted && first.text.includes('*')) {
      const like: Filter = { field, op: 'like', value: first.text };
      return comparator === '==' ? like : { not: like };
    }
  }
  return { field, op: operations[comparator], value: operand(first, type, field) };
}

function isText({ kind }: FieldType): boolean {
  return kind === 'ID' || kind === 'String' || kind === 'Enum';
}

/** Type of what a path leads to; below a field of type Any everything is Any. */
function typeOf(path: string, definition: TableDefinition): FieldType {
  const [name = '', ...rest] = path.split('.');
  checkField(name, definition);
  let type = (definition.fields.find((field) => field.name === name) as { type: FieldType }).type;
  for (const step of rest) {
    if (type.kind === 'Any') return type;
    if (type.kind !== 'Object')
      invalid(path, `${path}: ${step} leads into nothing, because what is before it is no object`);
    const members = type.members ?? [];
    const member = members.find((candidate) => candidate.name === step);
    if (member === undefined) {
      const names = members.map((candidate) => candidate.name);
      const meant = closest(step, names);
      invalid(path, `${path}: there is no ${JSON.stringify(step)}`, {
        next: meant === undefined ? `there are ${names.join(', ')}` : `did you mean ${meant}?`,
      });
    }
    type = member.type;
  }
  return type.kind === 'List' && type.item !== undefined ? type.item : type;
}

/** The value that an argument stands for, by the type of the field. */
function operand(argument: Argument, type: FieldType, field: string): unknown {
  const { text, quoted } = argument;
  switch (type.kind) {
    case 'Int':
      if (/^-?\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
      return unfit(argument, field, 'an Int');
    case 'Float':
      return isNumber(text) ? Number(text) : unfit(argument, field, 'a Float');
    case 'Boolean':
      return truth(argument, `${field} takes`);
    case 'Date':
      // A number is milliseconds since the epoch; the store reads every other form.
      return /^-?\d{1,16}$/.test(text) ? Number(text) : text;
    case 'Any':
      return quoted ? text : guessed(text);
    case 'ID':
    case 'String':
    case 'Enum':
    case 'List':
    case 'Object':
      return text;
    default:
      return type.kind satisfies never;
  }
}

function isNumber(text: string): boolean {
  return /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text) && Number.isFinite(Number(text));
}

/** In a field that holds anything, a bare word is what it would be in JSON, if it is something there. */
function guessed(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  return isNumber(text) ? Number(text) : text;
}

function truth({ text }: Argument, what: string): boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  throw new TenonError('QueryInvalid', `${what} true or false, not ${JSON.stringify(text)}`);
}

function unfit({ text }: Argument, field: string, what: string): never {
  return invalid(
    field,
    `${field} is ${what}, and ${JSON.stringify(text)} is none`,
    text === 'null' ? { next: `write ${field}=null=true` } : {},
  );
}

function invalid(field: string, message: string, { next }: { next?: string } = {}): never {
  throw new TenonError('QueryInvalid', message, { details: { field }, ...(next === undefined ? {} : { next }) });
}
