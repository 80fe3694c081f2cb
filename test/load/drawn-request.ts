/** Requests that a document allows, and requests that it does not, as fast-check draws them. */
import fc from 'fast-check';
import type { ApiDocument, Documented } from './documented.js';

type Json = Readonly<Record<string, unknown>>;

export interface DrawnRequest {
  readonly operation: string;
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
  /** Whether it is sent from another address: who sends wrong tokens is not listened to for a while. */
  readonly isStranger: boolean;
  /** One of these it has to be answered with; undefined: nothing is sure. */
  readonly expected: readonly number[] | undefined;
}

/** What the host has, so that some of what is drawn is there. */
export interface Surroundings {
  readonly token: string;
  readonly host: string;
  /** Values of parameters, by name, of which some are likely. */
  readonly likely: Readonly<Record<string, fc.Arbitrary<string>>>;
  /** Bodies of operations, by id. */
  readonly bodies: Readonly<Record<string, fc.Arbitrary<Buffer>>>;
  /** How often an operation is drawn. */
  readonly weightOf: (operation: Documented) => number;
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const junk = fc.oneof(fc.string({ maxLength: 12 }), fc.string({ unit: 'binary', maxLength: 8 }), fc.constant(''));
/** Of requests, one in so many is wrong in this way. */
const seldom = 12;
/** Of a body that is too large, bytes. */
const largest = 1024 * 1024;

/** Values of a schema. */
function valuesOf(schema: Json, schemas: ApiDocument['schemas'], depth = 0): fc.Arbitrary<unknown> {
  const { $ref: reference, type, enum: listed, const: only } = schema;
  if (typeof reference === 'string') {
    const named = schemas[reference.replace('#/components/schemas/', '')];
    return named === undefined || depth > 4 ? fc.constant({}) : valuesOf(named, schemas, depth + 1);
  }
  if (Array.isArray(listed)) return fc.constantFrom(...(listed as unknown[]));
  if (only !== undefined) return fc.constant(only);
  if (Array.isArray(type))
    return fc.oneof(...(type as string[]).map((each) => valuesOf({ ...schema, type: each }, schemas, depth)));
  const [least, most] = [schema['minimum'] ?? 0, schema['maximum'] ?? 5000] as number[];
  switch (type) {
    case 'string':
      return typeof schema['pattern'] === 'string'
        ? fc.stringMatching(new RegExp(schema['pattern'], 'u'), { size: 'small' })
        : fc.string({ unit: 'grapheme', maxLength: 20 });
    case 'integer':
    case 'number':
      return fc.integer({ min: least ?? 0, max: most ?? 5000 });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return fc.array(valuesOf(schema['items'] as Json, schemas, depth + 1), {
        minLength: (schema['minItems'] ?? 0) as number,
        maxLength: 3,
      });
    case 'object':
      return objectsOf(schema, schemas, depth);
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}

function objectsOf(schema: Json, schemas: ApiDocument['schemas'], depth: number): fc.Arbitrary<unknown> {
  if (schema['properties'] === undefined)
    return fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 1 }));
  const members = Object.entries(schema['properties'] as Readonly<Record<string, Json>>).map(
    ([name, member]) => [name, valuesOf(member, schemas, depth + 1)] as const,
  );
  return fc.record(Object.fromEntries(members), { requiredKeys: (schema['required'] ?? []) as string[] });
}

/** Bodies, mostly of the schema. */
function bodiesOf(operation: Documented, schemas: ApiDocument['schemas']): fc.Arbitrary<Buffer | undefined> {
  const schema = operation.body?.['application/json']?.schema;
  const asText = (value: unknown): Buffer => Buffer.from(JSON.stringify(value) ?? '');
  const wrong = fc.oneof(
    fc.jsonValue().map(asText),
    junk.map((text) => Buffer.from(text)),
    fc.constant(undefined),
    fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom('{"a":', '[[[[', '"\\ud800"', '{"__proto__":{}}', 'nullnull').map((text) => Buffer.from(text)),
  );
  if (schema === undefined) return wrong;
  return fc.oneof({ weight: 3, arbitrary: valuesOf(schema, schemas).map(asText) }, { weight: 1, arbitrary: wrong });
}

/** What is drawn of everything beside the operation. */
interface Faults {
  readonly method: string | undefined;
  readonly unknown: string | undefined;
  readonly twice: boolean;
  readonly token: 'right' | 'none' | 'wrong';
  readonly isLarge: boolean;
  readonly host: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

function rarely<Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> {
  return fc.oneof({ weight: seldom, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
}

const faults: fc.Arbitrary<Faults> = fc.record({
  method: rarely(fc.constantFrom(...methods)),
  unknown: rarely(fc.constantFrom('x', 'dryrun', '__proto__', 'a[b]', 'constructor')),
  twice: fc.oneof({ weight: seldom, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  token: fc.oneof(
    { weight: seldom * 2, arbitrary: fc.constant('right' as const) },
    { weight: 1, arbitrary: fc.constantFrom('none' as const, 'wrong' as const) },
  ),
  isLarge: fc.oneof({ weight: seldom * 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  host: rarely(fc.constantFrom('evil.example', 'localhost.evil.example', '')),
  headers: fc.oneof(
    { weight: 4, arbitrary: fc.constant({}) },
    {
      weight: 1,
      arbitrary: fc.dictionary(
        fc.constantFrom(
          'if-match',
          'if-none-match',
          'last-event-id',
          'content-type',
          'accept',
          'content-encoding',
          'range',
        ),
        fc.constantFrom(
          '*',
          '"a"',
          'W/"a", "b"',
          'a',
          '',
          'gzip',
          'application/json',
          'multipart/form-data',
          'bytes=0-1',
          '1-1',
        ),
        { maxKeys: 3 },
      ),
    },
  ),
});

/** Requests of one operation. */
function requestsOf(operation: Documented, document: ApiDocument, around: Surroundings): fc.Arbitrary<DrawnRequest> {
  const values = operation.parameters
    .filter((parameter) => parameter.in !== 'header')
    .map((parameter) => {
      const likely = around.likely[parameter.name];
      const one = fc.oneof(
        ...(likely === undefined ? [] : [{ weight: 6, arbitrary: likely }]),
        { weight: 2, arbitrary: valuesOf(parameter.schema, document.schemas) },
        ...(parameter.name === 'to' ? [] : [{ weight: 1, arbitrary: junk }]),
      );
      const given = parameter.in === 'path' ? one : fc.option(one, { nil: undefined, freq: 2 });
      return given.map((value) => ({ parameter, value }));
    });
  const bodies = around.bodies[operation.id] ?? bodiesOf(operation, document.schemas);
  return fc
    .tuple(fc.tuple(...values), bodies, faults)
    .map(([given, body, fault]) => build({ operation, given, body, fault }, around));
}

interface Parts {
  readonly operation: Documented;
  readonly given: readonly { parameter: Documented['parameters'][number]; value: unknown }[];
  readonly body: Buffer | undefined;
  readonly fault: Faults;
}

function build({ operation, given, body, fault }: Parts, around: Surroundings): DrawnRequest {
  const { id, scope } = operation;
  let { path } = operation;
  const query: string[] = [];
  for (const { parameter, value } of given) {
    if (value === undefined) continue;
    const { name } = parameter;
    const all = (Array.isArray(value) ? value : [value]).map((each) => encodeURIComponent(textOf(each)));
    if (parameter.in === 'path') path = path.replace(`{${name}}`, all[0] === undefined || all[0] === '' ? 'x' : all[0]);
    else for (const one of fault.twice ? [...all, ...all] : all) query.push(`${name}=${one}`);
  }
  if (fault.unknown !== undefined) query.push(`${encodeURIComponent(fault.unknown)}=1`);
  const method = fault.method ?? operation.method;
  const isTooLarge = fault.isLarge && operation.limit !== undefined && operation.limit <= largest;
  const isBare = method === 'GET' || method === 'HEAD';
  return {
    operation: id,
    method,
    target: query.length === 0 ? path : `${path}?${query.join('&')}`,
    headers: {
      host: fault.host ?? around.host,
      ...(fault.token === 'none'
        ? {}
        : { authorization: `Bearer ${fault.token === 'right' ? around.token : 'wrong'}` }),
      ...(id === 'installPlugin' ? { 'content-type': 'application/gzip' } : {}),
      ...fault.headers,
    },
    body: isBare ? undefined : isTooLarge ? Buffer.alloc((operation.limit ?? 0) + 1, ' ') : body,
    isStranger: fault.token === 'wrong',
    expected: scope === undefined ? undefined : expectedOf({ operation, given, body, fault }, method, isTooLarge),
  };
}

/** Of an operation with a scope. */
function expectedOf({ operation, given, fault }: Parts, method: string, isTooLarge: boolean): number[] | undefined {
  if (fault.host === '') return undefined;
  if (fault.host !== undefined) return [421];
  if (fault.token === 'none') return [401];
  if (fault.token === 'wrong') return [401, 429];
  if (method !== operation.method) return undefined;
  const asked = given.filter(({ parameter, value }) => parameter.in === 'query' && value !== undefined);
  const isTwice = fault.twice && asked.some(({ parameter }) => parameter.schema['type'] !== 'array');
  if (fault.unknown !== undefined || isTwice || asked.some(isWrong)) return [400];
  // What says that it is compressed is not even looked at.
  return isTooLarge && fault.headers['content-encoding'] === undefined ? [413] : undefined;
}

function isWrong({ parameter, value }: Parts['given'][number]): boolean {
  const { type } = parameter.schema;
  if (type === 'boolean') return !/^(?:true|false)$/.test(textOf(value));
  return type === 'integer' && !/^-?\d{1,16}$/.test(textOf(value));
}

/** As the query of an address has it; what is no text of Unicode cannot be in one. */
function textOf(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString();
}

/** Requests of all operations of a document. */
export function drawnRequests(document: ApiDocument, around: Surroundings): fc.Arbitrary<DrawnRequest> {
  return fc.oneof(
    ...document.operations.map((operation) => ({
      weight: around.weightOf(operation),
      arbitrary: requestsOf(operation, document, around),
    })),
  );
}
