/** Schemas that are drawn, and what fits them. */
import fc from 'fast-check';

export type Row = Record<string, unknown>;
export type Kind =
  | 'ID'
  | 'String'
  | 'Int'
  | 'Float'
  | 'Boolean'
  | 'Date'
  | 'Any'
  | 'State'
  | '[String!]'
  | '[Int]'
  | 'Place';

export interface DrawnField {
  name: string;
  kind: Kind;
  required: boolean;
  indexed: boolean;
}

export interface DrawnTable {
  name: string;
  /** Of GraphQL: one, many. */
  one: string;
  many: string;
  /** Name and type of the primary key, which is the first of the fields. */
  key: string;
  keyKind: Kind;
  fields: readonly DrawnField[];
  /** The table whose records this one's `ownerId` leads to. */
  owner?: string;
}

const names = ['Alpha', 'Beta', 'Gamma'];
const scalars: readonly Kind[] = ['ID', 'String', 'Int', 'Float', 'Boolean', 'Date', 'State'];
const kinds: readonly Kind[] = [...scalars, 'Any', '[String!]', '[Int]', 'Place'];

/** Whether records can be compared by it. */
export const isScalar = ({ kind }: DrawnField): boolean => scalars.includes(kind);

const field = fc
  .record({ kind: fc.constantFrom(...kinds), required: fc.boolean(), indexed: fc.boolean() })
  .map(({ kind, required, indexed }) => ({ kind, required, indexed: indexed && scalars.includes(kind) }));

/** Two or three tables; those after the first lead to it by `owner`. */
export const drawnTables: fc.Arbitrary<DrawnTable[]> = fc
  .array(
    fc.record({
      keyKind: fc.constantFrom<Kind>('ID', 'String', 'Int'),
      key: fc.constantFrom('id', 'code'),
      fields: fc.array(field, { minLength: 1, maxLength: 7, size: 'max' }),
    }),
    { minLength: 2, maxLength: 3 },
  )
  .map((tables) => {
    const ownerKind = tables[0]?.keyKind ?? 'ID';
    return tables.map(({ keyKind, key, fields }, place) => {
      const name = names[place] as string;
      const one = name.toLowerCase();
      const own = [
        { name: key, kind: keyKind, required: true, indexed: false },
        ...fields.map((each, index) => ({ ...each, name: `field${index}` })),
      ];
      const table = { name, one, many: `${one}s`, key, keyKind };
      if (place === 0) return { ...table, fields: own };
      return {
        ...table,
        fields: [...own, { name: 'ownerId', kind: ownerKind, required: false, indexed: true }],
        owner: 'Alpha',
      };
    });
  });

export function schemaOf(tables: readonly DrawnTable[]): string {
  const lines = tables.flatMap(({ name, key, fields, owner }) => [
    `type ${name} @table @export {`,
    ...fields.map(
      (each) =>
        `  ${each.name}: ${each.kind}${each.required ? '!' : ''}${each.name === key ? ' @primaryKey' : ''}${each.indexed ? ' @indexed' : ''}`,
    ),
    ...(owner === undefined
      ? tables.flatMap((other) =>
          other.owner === name ? [`  ${other.many}: [${other.name}!]! @relationship(to: "ownerId")`] : [],
        )
      : [`  owner: ${owner} @relationship(from: "ownerId")`]),
    '}',
  ]);
  return `${lines.join('\n')}\nenum State { open doing done }\ninput Place { city: String rank: Int! lines: [String!] }\n`;
}

const text = fc.oneof(
  fc.constantFrom('', 'a', 'A', 'ab', 'b', 'ä', '"', '\\', "'", ';', ',', '\n', '__proto__', '7', 'null'),
  fc.string({ unit: 'grapheme', maxLength: 6 }),
);
const integer = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.maxSafeInteger());
const float = fc
  .oneof(
    fc.integer({ min: -2, max: 2 }),
    fc.constantFrom(0.1, -2.5, 1e21, 5e-324),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  )
  .map((value) => value + 0);
const date = fc
  .oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }))
  .map((milliseconds) => new Date(milliseconds).toISOString());
const place = fc.record(
  { city: fc.option(text), rank: integer, lines: fc.option(fc.array(text, { maxLength: 2 })) },
  { requiredKeys: ['rank'] },
);
/** No objects: what is laid over them is another matter. */
const any = fc.oneof(
  text,
  integer,
  fc.boolean(),
  fc.array(fc.oneof(integer, text, fc.constant(null)), { maxLength: 2 }),
);

const values: Record<Kind, fc.Arbitrary<unknown>> = {
  ID: text,
  String: text,
  Int: integer,
  Float: float,
  Boolean: fc.boolean(),
  Date: date,
  Any: any,
  State: fc.constantFrom('open', 'doing', 'done'),
  '[String!]': fc.array(text, { maxLength: 3 }),
  '[Int]': fc.array(fc.option(integer), { maxLength: 3 }),
  Place: place,
};

const keyTexts = ['a', 'A', 'ä', 'd.e', '%/*', '__proto__'];

/** Primary keys, few enough that they meet. */
export function keysOf(kind: Kind): fc.Arbitrary<string | number> {
  return kind === 'Int' ? fc.constantFrom(-7, -1, 0, 2, 10, 9_007_199_254_740_991) : fc.constantFrom(...keyTexts);
}

/** A value that fits; keys of other tables are those that may be there. */
export function valuesOf({ name, kind }: DrawnField): fc.Arbitrary<unknown> {
  return name === 'ownerId' ? keysOf(kind) : values[kind];
}

/** What does not fit the kind. */
const unfit: Record<Kind, unknown> = {
  ID: { a: 1 },
  String: 7,
  Int: 1.5,
  Float: 'x',
  Boolean: 'true',
  Date: 'yesterday',
  Any: undefined,
  State: 'opened',
  '[String!]': [null],
  '[Int]': ['x'],
  Place: { city: 'x', rank: 'first' },
};

/** The fields of a record without its key; only some when `partial`. One in eight does not fit, and says so. */
export function bodiesOf(table: DrawnTable, partial: boolean): fc.Arbitrary<{ body: Row; fits: boolean }> {
  const others = table.fields.filter(({ name }) => name !== table.key);
  const model = Object.fromEntries(
    others.map((each) => [each.name, each.required ? valuesOf(each) : fc.option(valuesOf(each))]),
  );
  const requiredKeys = partial ? [] : others.filter(({ required }) => required).map(({ name }) => name);
  const good = fc.record(model, { requiredKeys });
  const spoilt = others.flatMap((each) => [
    ...(unfit[each.kind] === undefined ? [] : [{ [each.name]: unfit[each.kind] }]),
    ...(each.required ? [{ [each.name]: null }] : []),
  ]);
  return fc.oneof(
    { weight: 7, arbitrary: good.map((body) => ({ body, fits: true })) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(good, fc.constantFrom({ unknown: 1 }, ...spoilt))
        .map(([body, wrong]) => ({ body: { ...body, ...wrong }, fits: false })),
    },
  );
}
