import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TableDefinition } from '../src/binding/store.js';
import { RestWorld } from './tables/rest-world.js';

const names = ['id', 'title', 'state', 'priority', 'weight', 'urgent', 'tags', 'address', 'extra'] as const;
const definition: TableDefinition = {
  database: 'model',
  name: 'Thing',
  primaryKey: 'id',
  fields: [
    { name: 'id', type: { kind: 'ID', required: true } },
    { name: 'title', type: { kind: 'String', required: true }, indexed: true },
    { name: 'state', type: { kind: 'Enum', values: ['open', 'done'] }, indexed: true },
    { name: 'priority', type: { kind: 'Int' }, indexed: true },
    { name: 'weight', type: { kind: 'Float' } },
    { name: 'urgent', type: { kind: 'Boolean' } },
    { name: 'tags', type: { kind: 'List', item: { kind: 'String', required: true } } },
    { name: 'address', type: { kind: 'Object', members: [{ name: 'city', type: { kind: 'String' } }] } },
    { name: 'extra', type: { kind: 'Any' } },
  ],
};

type Thing = Record<string, unknown>;
type Model = Map<string, Thing>;

const key = fc.constantFrom('a', 'b', 'c', 'd e', 'f/g', 'ä', '%', 'h;i,j', '*', "'");
const text = fc.oneof(
  fc.constantFrom('', 'a', 'A', 'ab', '*', '"', "'", ';', ',', '\\', '\u0000', '\n'),
  fc.string({ unit: 'grapheme', maxLength: 6 }),
);
const number = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.maxSafeInteger());
const weight = fc
  .oneof(fc.constantFrom(0, 0.1, -2.5, 1e21, 5e-324), fc.double({ noNaN: true, noDefaultInfinity: true }))
  .map((value) => value + 0);
const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary);
const changes = {
  state: optional(fc.constantFrom('open', 'done')),
  priority: optional(number),
  weight: optional(weight),
  urgent: optional(fc.boolean()),
  tags: optional(fc.array(text, { maxLength: 3 })),
  address: optional(fc.record({ city: optional(text) }, { requiredKeys: [] })),
  extra: optional(fc.oneof(text, number, fc.boolean(), fc.array(number, { maxLength: 2 }))),
};
const body = fc.record({ title: text, ...changes }, { requiredKeys: ['title'] });
const patch = fc.record({ title: text, ...changes }, { requiredKeys: [] });
const wrong = fc.oneof(
  fc.constantFrom<Thing>(
    {},
    { title: null },
    { title: 1 },
    { title: 'x', state: 'opened' },
    { title: 'x', tags: [null] },
    { title: 'x', more: 1 },
  ),
);

/** A field, a filter on it as it is written, and what it means. */
interface Condition {
  written: string;
  meets: (thing: Thing) => boolean;
}

const quoted = (value: string): string => `"${value.replaceAll(/["\\]/g, '\\$&')}"`;
const order = (left: unknown, right: unknown): number => {
  if (left === null || right === null) return left === right ? 0 : left === null ? -1 : 1;
  if (typeof left === 'string') return Buffer.compare(Buffer.from(left), Buffer.from(right as string));
  return Number(left) - Number(right);
};
const value = (thing: Thing, field: string): unknown => thing[field] ?? null;

const comparisons: Record<string, (difference: number) => boolean> = {
  '==': (difference) => difference === 0,
  '!=': (difference) => difference !== 0,
  '=lt=': (difference) => difference < 0,
  '=le=': (difference) => difference <= 0,
  '=gt=': (difference) => difference > 0,
  '=ge=': (difference) => difference >= 0,
};

function compared(field: string, operands: fc.Arbitrary<unknown>): fc.Arbitrary<Condition> {
  return fc
    .record({ operator: fc.constantFrom(...Object.keys(comparisons)), operand: operands })
    .map(({ operator, operand }) => ({
      written: `${field}${operator}${typeof operand === 'string' ? quoted(operand) : String(operand)}`,
      meets: (thing) => (comparisons[operator] as (difference: number) => boolean)(order(value(thing, field), operand)),
    }));
}

function ofText(operator: string, meets: (whole: string, part: string) => boolean): fc.Arbitrary<Condition> {
  return text.map((part) => ({
    written: `title${operator}${quoted(part)}`,
    meets: ({ title }) => meets(title as string, part),
  }));
}

const leaf = fc.oneof<fc.Arbitrary<Condition>[]>(
  compared('id', key),
  compared('title', text),
  compared('state', fc.constantFrom('open', 'done')),
  compared('priority', number),
  compared('weight', weight),
  compared('urgent', fc.boolean()),
  ofText('=starts=', (whole, part) => whole.startsWith(part)),
  ofText('=ends=', (whole, part) => whole.endsWith(part)),
  ofText('=contains=', (whole, part) => whole.includes(part)),
  fc.constantFrom('a', 'A', 'b').map((letter) => ({
    written: `title==*${letter}*`,
    meets: ({ title }: Thing) => (title as string).includes(letter),
  })),
  text.map((tag) => ({
    written: `tags=contains=${quoted(tag)}`,
    meets: ({ tags }: Thing) => ((tags ?? []) as string[]).includes(tag),
  })),
  fc.array(number, { minLength: 1, maxLength: 3 }).map((list) => ({
    written: `priority=in=(${list.join(',')})`,
    meets: ({ priority }: Thing) => list.includes(priority as number),
  })),
  fc.constantFrom(...names).chain((field) =>
    fc.boolean().map((wanted) => ({
      written: `${field}=null=${String(wanted)}`,
      meets: (thing: Thing) => (value(thing, field) === null) === wanted,
    })),
  ),
);
const condition: fc.Arbitrary<Condition> = fc.letrec<{ node: Condition }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc
      .record({ and: fc.boolean(), parts: fc.array(tie('node'), { minLength: 1, maxLength: 3 }) })
      .map(({ and, parts }) => ({
        written: `(${parts.map(({ written }) => written).join(and ? ';' : ',')})`,
        meets: (thing: Thing) =>
          and ? parts.every((part) => part.meets(thing)) : parts.some((part) => part.meets(thing)),
      })),
  ),
})).node;

type Step =
  | { do: 'put' | 'post' | 'upsert'; key: string; body: Thing }
  | { do: 'patch'; key: string; body: Thing }
  | { do: 'delete' | 'get'; key: string }
  | { do: 'wrong'; key: string; body: Thing }
  | { do: 'conditional'; key: string; body: Thing; stale: boolean }
  | { do: 'many'; bodies: Thing[]; upsert: boolean; lines: boolean }
  | { do: 'list'; condition: Condition; sort: string[]; limit: number };

const list = fc.record({
  do: fc.constant('list' as const),
  condition,
  sort: fc.uniqueArray(
    fc.constantFrom('id', '-id', 'title', '-title', 'state', '-priority', 'priority', '-weight', 'urgent'),
    {
      maxLength: 2,
      selector: (field) => field.replace('-', ''),
    },
  ),
  limit: fc.integer({ min: 1, max: 4 }),
});
const step: fc.Arbitrary<Step> = fc.oneof<fc.Arbitrary<Step>[]>(
  fc.record({ do: fc.constantFrom('put', 'post', 'upsert'), key, body }),
  fc.record({ do: fc.constant('patch'), key, body: patch }),
  fc.record({ do: fc.constantFrom('delete', 'get'), key }),
  fc.record({ do: fc.constant('wrong'), key, body: wrong }),
  fc.record({ do: fc.constant('conditional'), key, body, stale: fc.boolean() }),
  fc.record({
    do: fc.constant('many'),
    bodies: fc.array(
      fc.tuple(key, body).map(([id, rest]) => ({ id, ...rest })),
      { maxLength: 4 },
    ),
    upsert: fc.boolean(),
    lines: fc.boolean(),
  }),
  list,
);

/** A record as it is stored: fields in the order of the definition. */
function stored(thing: Thing): Thing {
  return Object.fromEntries(names.filter((name) => thing[name] !== undefined).map((name) => [name, thing[name]]));
}

/** RFC 7396 as tables have it: null is stored. */
function merged(old: Thing, change: Thing): Thing {
  const { address, ...rest } = change;
  if (address === undefined) return stored({ ...old, ...rest });
  const before = old['address'];
  const both = typeof address === 'object' && address !== null && typeof before === 'object' && before !== null;
  return stored({ ...old, ...rest, address: both ? { ...before, ...address } : address });
}

function sorted(things: Thing[], sort: readonly string[]): Thing[] {
  return things.toSorted((left, right) => {
    const last = sort.at(-1)?.startsWith('-') === true ? '-id' : 'id';
    for (const part of [...sort, last]) {
      const field = part.replace('-', '');
      const difference = order(value(left, field), value(right, field));
      if (difference !== 0) return part.startsWith('-') ? -difference : difference;
    }
    return 0;
  });
}

let world: RestWorld;
beforeAll(async () => {
  world = await RestWorld.open([definition]);
});
afterAll(() => world.close());

async function pages(query: string): Promise<Thing[]> {
  const found: Thing[] = [];
  for (let target: string | undefined = `/Thing?${query}`; target !== undefined; ) {
    const { status, json, headers, text: sent } = await world.ask('GET', target);
    if (status !== 200) throw new Error(`${target}: ${sent}`);
    found.push(...(json as Thing[]));
    target = /<\/todo([^>]*)>; rel="next"/.exec(headers.get('link') ?? '')?.[1];
  }
  return found;
}

/** Do the step over REST and in the model; both must agree. */
async function perform(model: Model, act: Step): Promise<void> {
  if (act.do === 'list') {
    const { written, meets } = act.condition;
    const query = new URLSearchParams({
      filter: written,
      limit: String(act.limit),
      ...(act.sort.length > 0 ? { sort: act.sort.join(',') } : {}),
    });
    expect(await pages(query.toString())).toEqual(sorted([...model.values()].filter(meets), act.sort));
    return;
  }
  if (act.do === 'many') {
    const sent = act.lines ? act.bodies.map((one) => JSON.stringify(one)).join('\n') : JSON.stringify(act.bodies);
    const type = act.lines ? 'application/x-ndjson' : 'application/json';
    const reply = await world.ask('POST', `/Thing${act.upsert ? '?mode=upsert' : ''}`, sent, { 'content-type': type });
    const next = new Map(model);
    for (const [index, one] of act.bodies.entries()) {
      if (!act.upsert && next.has(one['id'] as string)) {
        expect(reply).toMatchObject({ status: 409, json: { error: 'RecordExists', details: { index } } });
        return;
      }
      next.set(one['id'] as string, stored(one));
    }
    expect([200, 201]).toContain(reply.status);
    expect(reply.json).toEqual(act.bodies.map(stored));
    for (const [id, thing] of next) model.set(id, thing);
    return;
  }
  const target = `/Thing/${encodeURIComponent(act.key)}`;
  const there = model.get(act.key);
  const known = there !== undefined;
  switch (act.do) {
    case 'get': {
      const { status, json } = await world.ask('GET', target);
      expect([status, json]).toMatchObject(known ? [200, there] : [404, { error: 'RecordNotFound' }]);
      return;
    }
    case 'put':
    case 'upsert': {
      const whole = { id: act.key, ...act.body };
      const { status, json } = await (act.do === 'put'
        ? world.ask('PUT', target, act.body)
        : world.ask('POST', '/Thing?mode=upsert', whole));
      expect([status, json]).toEqual([known ? 200 : 201, stored(whole)]);
      model.set(act.key, stored(whole));
      return;
    }
    case 'post': {
      const whole = { id: act.key, ...act.body };
      const { status, json } = await world.ask('POST', '/Thing', whole);
      expect([status, json]).toMatchObject(known ? [409, { error: 'RecordExists' }] : [201, stored(whole)]);
      if (!known) model.set(act.key, stored(whole));
      return;
    }
    case 'patch': {
      const { status, json } = await world.ask('PATCH', target, act.body);
      if (!known) expect(status).toBe(404);
      else {
        model.set(act.key, merged(there, act.body));
        expect([status, json]).toEqual([200, model.get(act.key)]);
      }
      return;
    }
    case 'delete':
      expect((await world.ask('DELETE', target)).status).toBe(known ? 204 : 404);
      model.delete(act.key);
      return;
    case 'wrong':
      expect(await world.ask('PUT', target, act.body)).toMatchObject({ status: 400, json: { error: 'RecordInvalid' } });
      return;
    case 'conditional': {
      const etag = (await world.ask('GET', target)).headers.get('etag');
      const tag = act.stale || etag === null ? '"0123456789abcdef"' : etag;
      const { status } = await world.ask('PUT', target, act.body, { 'if-match': tag });
      expect(status).toBe(tag === etag ? 200 : 412);
      if (tag === etag) model.set(act.key, stored({ id: act.key, ...act.body }));
      return;
    }
    default:
      act satisfies never;
  }
}

test('REST does what a map in memory does', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
      await world.clear();
      const model: Model = new Map();
      for (const act of steps) await perform(model, act);
      expect(await pages('')).toEqual(sorted([...model.values()], []));
    }),
    { numRuns: 30 },
  );
});

test('no query is too odd: it is read or refused', async () => {
  const words = [
    ...names,
    'address.city',
    'extra.x',
    'limit',
    'sort',
    'select',
    'filter',
    'cursor',
    'offset',
    'count',
    'x',
  ];
  const signs = [
    '=',
    '==',
    '!=',
    '=gt=',
    '=in=',
    '=null=',
    '=x=',
    '<',
    '>',
    ';',
    ',',
    '(',
    ')',
    '*',
    "'",
    '%22',
    '%00',
    '+',
    '-',
    '&',
    '%ff',
    '%',
  ];
  const values = [
    '1',
    '-1',
    '1e999',
    'true',
    'null',
    '2026-01-31',
    'f',
    'b',
    'fAAAAAAAA',
    'bAAAAAAAA',
    '9'.repeat(30),
    '%C3%A4',
  ];
  const query = fc
    .array(fc.constantFrom(...words, ...signs, ...signs, ...values), { maxLength: 12 })
    .map((parts) => parts.join(''));
  await world.clear();
  await world.ask('PUT', '/Thing/a', { title: 'x', tags: ['y'], address: { city: 'z' } });
  await fc.assert(
    fc.asyncProperty(query, async (odd) => {
      const { status, json, text: sent } = await world.ask('GET', `/Thing?${odd}`);
      if (status === 200) expect(Array.isArray(json)).toBe(true);
      else
        expect([status, json], sent).toMatchObject([
          400,
          { error: expect.stringMatching(/^(?:Query|Cursor)Invalid$/) as string },
        ]);
    }),
    { numRuns: 500 },
  );
});

test('no body is too odd: it is stored or refused', async () => {
  const pieces = [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\',
    'u0000',
    '"id"',
    '"title"',
    '"a"',
    '"tags"',
    'null',
    '1',
    '-',
    '1e5',
    'true',
    ' ',
    '\n',
    '\u00ff',
    '__proto__',
  ];
  const odd = fc.oneof(
    fc.array(fc.constantFrom(...pieces), { maxLength: 20 }).map((parts) => parts.join('')),
    fc.jsonValue().map((json) => JSON.stringify(json)),
    fc.record({ id: key, title: text, extra: fc.jsonValue() }).map((record) => JSON.stringify([record])),
  );
  const type = fc.constantFrom('application/json', 'application/x-ndjson');
  const target = fc.constantFrom(
    ['POST', '/Thing?mode=upsert'] as const,
    ['PUT', '/Thing/a'] as const,
    ['PATCH', '/Thing/a'] as const,
  );
  await fc.assert(
    fc.asyncProperty(target, odd, type, async ([method, place], sent, contentType) => {
      const { status, json } = await world.ask(method, place, sent, { 'content-type': contentType });
      if (status >= 300) expect([400, 404, 415]).toContain(status);
      if (status === 400)
        expect(json).toMatchObject({ error: expect.stringMatching(/^(?:RecordInvalid|BadRequest)$/) as string });
    }),
    { numRuns: 300 },
  );
});
