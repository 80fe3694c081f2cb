import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FieldType } from '../src/binding/store.js';
import type { TenonError } from '../src/base/errors.js';
import { readTree } from './architecture/tree.js';
import { temporaryStore } from './tables/temporary-store.js';
import type { SchemaProblem } from '../src/tables/schema-problems.js';
import { type ApplicationSchema, readSchema, type SchemaSource } from '../src/tables/schema.js';

function read(text: string): ApplicationSchema {
  return readSchema([{ file: 'schema.graphql', text }], 'todo');
}

function refusal(sources: readonly SchemaSource[]): TenonError {
  try {
    readSchema(sources, 'todo');
  } catch (error) {
    return error as TenonError;
  }
  return expect.unreachable('the schema was accepted');
}

function problemsOf(text: string): SchemaProblem[] {
  const error = refusal([{ file: 'schema.graphql', text }]);
  expect(error.code).toBe('SchemaInvalid');
  return error.details['problems'] as SchemaProblem[];
}

/** `text` without its mark `^`, and where that stood. */
function unmarked(text: string): { text: string; line: number; column: number } {
  const before = text.slice(0, text.indexOf('^')).split('\n');
  return { text: text.replace('^', ''), line: before.length, column: (before.at(-1) ?? '').length + 1 };
}

const key = 'id: ID! @primaryKey';

describe('a schema', () => {
  it('has tables with the types, the key, the indexes and the roles that are written', () => {
    const { tables } = read(`
      type Task @table(database: "work", expiration: 60) {
        id: ID! @primaryKey
        title: String!
        rank: Int @indexed
        cost: Float
        done: Boolean!
        due: Date @expiresAt
        extra: Any
        state: State! @indexed
        tags: [String!]!
        place: Place
        made: Date! @createdTime
        changed: Float @updatedTime
      }
      enum State { open closed }
      input Place { city: String!, lines: [[Int]] }
    `);
    expect(tables.map(({ definition }) => definition)).toEqual([
      {
        database: 'work',
        name: 'Task',
        primaryKey: 'id',
        expirationMs: 60_000,
        fields: [
          { name: 'id', type: { kind: 'ID', required: true } },
          { name: 'title', type: { kind: 'String', required: true } },
          { name: 'rank', type: { kind: 'Int' }, indexed: true },
          { name: 'cost', type: { kind: 'Float' } },
          { name: 'done', type: { kind: 'Boolean', required: true } },
          { name: 'due', type: { kind: 'Date' }, role: 'expiresAt' },
          { name: 'extra', type: { kind: 'Any' } },
          { name: 'state', type: { kind: 'Enum', values: ['open', 'closed'], required: true }, indexed: true },
          { name: 'tags', type: { kind: 'List', item: { kind: 'String', required: true }, required: true } },
          {
            name: 'place',
            type: {
              kind: 'Object',
              members: [
                { name: 'city', type: { kind: 'String', required: true } },
                { name: 'lines', type: { kind: 'List', item: { kind: 'List', item: { kind: 'Int' } } } },
              ],
            },
          },
          { name: 'made', type: { kind: 'Date', required: true }, role: 'createdTime' },
          { name: 'changed', type: { kind: 'Float' }, role: 'updatedTime' },
        ],
      },
    ]);
  });

  it('is of the database of its application unless it names another', () => {
    expect(read(`type A @table { ${key} }`).tables[0]?.definition.database).toBe('todo');
  });

  it('keeps the names of enums and nested types, and all descriptions', () => {
    const { tables, enums, objects } = read(`
      "A task" type Task @table {
        "Its id" ${key}
        """
        How it stands
        """
        state: [State!]
        place: Place!
      }
      "How" enum State { open closed }
      "Where" type Place { "The town" city: String! }
    `);
    expect(tables[0]).toMatchObject({
      description: 'A task',
      fields: [
        { name: 'id', description: 'Its id', written: 'ID!' },
        { name: 'state', description: 'How it stands', written: '[State!]' },
        { name: 'place', written: 'Place!' },
      ],
    });
    expect(enums).toEqual([{ name: 'State', description: 'How', values: ['open', 'closed'] }]);
    expect(objects).toEqual([
      {
        name: 'Place',
        description: 'Where',
        members: [
          { name: 'city', description: 'The town', written: 'String!', type: { kind: 'String', required: true } },
        ],
      },
    ]);
  });

  it('may be empty, and may stand in several files', () => {
    expect(read('')).toEqual({ application: 'todo', tables: [], enums: [], objects: [] });
    expect(read('\uFEFF# nothing yet\n').tables).toEqual([]);
    const files = [
      { file: 'a.graphql', text: `type A @table { ${key} state: State b: B @relationship(from: "id") }` },
      { file: 'b.graphql', text: `enum State { on } type B @table { ${key} }` },
    ];
    expect(readSchema(files, 'todo').tables.map(({ definition }) => definition.name)).toEqual(['A', 'B']);
  });

  it('may declare for editors what it is made of', () => {
    const declared = 'scalar Date scalar Any directive @table(database: String, expiration: Int) on OBJECT';
    expect(read(`${declared} type A @table { ${key} at: Date }`).tables).toHaveLength(1);
  });

  it('stores no relationship, and says how it is followed', () => {
    const { tables } = read(`
      type Person @table { ${key} tasks: [Task!]! @relationship(to: "owner") home: House @relationship(from: "houseId") houseId: String }
      type Task @table { number: Int! @primaryKey owner: ID! @indexed "Who" person: Person! @relationship(from: "owner") }
      type House @table { ${key} }
    `);
    expect(tables.map(({ definition }) => definition.fields.map(({ name }) => name))).toEqual([
      ['id', 'houseId'],
      ['number', 'owner'],
      ['id'],
    ]);
    expect(tables.map(({ relationships }) => relationships)).toEqual([
      [
        { name: 'tasks', table: 'Task', kind: 'many', field: 'owner', required: true },
        { name: 'home', table: 'House', kind: 'one', field: 'houseId', required: false },
      ],
      [{ name: 'person', description: 'Who', table: 'Person', kind: 'one', field: 'owner', required: true }],
      [],
    ]);
  });

  it('is the one of docs/tables.md', () => {
    const text = /^```graphql\n([\s\S]*?)^```$/m.exec(readTree().get('docs/tables.md') ?? '')?.[1] ?? '';
    const { tables, enums, objects } = read(text);
    expect(tables.map(({ definition, relationships }) => [definition.name, relationships.length])).toEqual([
      ['Person', 1],
      ['Task', 1],
    ]);
    expect([...enums, ...objects].map(({ name }) => name)).toEqual(['State', 'Place']);
  });

  it('may use a nested type in many places', () => {
    const { tables } = read(
      `type A @table { ${key} a: P b: [P!] } type P { q: Q r: Q } type Q { x: Int } type B @table { ${key} c: Q }`,
    );
    expect(tables).toHaveLength(2);
  });
});

describe('a table is exported', () => {
  const none = { rest: false, graphql: false, sse: false, ws: false };
  const all = { rest: true, graphql: true, sse: true, ws: true };
  it.each([
    ['not at all without @export', '', {}, none],
    ['everywhere with a bare one', '@export', {}, all],
    ['where @export says so', '@export(rest: true, ws: true)', {}, { ...none, rest: true, ws: true }],
    ['where config.yaml says so', '', { rest: true, sse: true }, { ...none, rest: true, sse: true }],
    [
      'where @export says so, whatever config.yaml says',
      '@export(rest: true)',
      { rest: false },
      { ...none, rest: true },
    ],
    ['not where @export says no', '@export(rest: false)', { rest: true, graphql: true }, { ...none, graphql: true }],
    ['not where config.yaml says no, with a bare one', '@export', { ws: false }, { ...all, ws: false }],
  ])('%s', (_, directive, defaults, expected) => {
    const text = `type A @table ${directive} { ${key} }`;
    expect(readSchema([{ file: 'a.graphql', text }], 'todo', defaults).tables[0]?.exports).toEqual(expected);
  });
});

/** Wrong in one place, which `^` marks, and the sentence. */
const wrong: readonly (readonly [schema: string, sentence: string])[] = [
  // the language
  [`type A @table { ${key} ^`, 'Expected Name, found <EOF>'],
  [`type A @table ( ^) { ${key} }`, 'Expected Name, found ")"'],
  ['^query { a }', 'a schema declares types; queries are sent by clients'],
  ['^extend type A { a: Int }', 'nothing can be extended: write it into the type itself'],
  ['^schema { query: A }', 'the schema block is made from the tables: leave it out'],
  ['interface ^A { a: Int }', 'interfaces are not supported: write the fields of A where they belong'],
  ['union ^U = A | B', 'unions are not supported: make U a field of type Any, or several fields'],
  [`type A implements ^B @table { ${key} }`, 'A implements an interface, which is not supported'],
  ['type ^Query { a: Int }', 'the type Query is made from the tables: leave it out'],
  ['type ^Mutation @table { a: Int }', 'the type Mutation is made from the tables: leave it out'],
  ['scalar ^Money', 'there can be no scalar Money; Any holds every JSON'],
  ['directive @^money on OBJECT', 'there can be no directive @money'],
  // names
  [
    `type ^_A @table { ${key} }`,
    'the name _A must begin with a letter and go on with at most 99 letters, digits and _',
  ],
  [
    `type A @table { ${key} ^__proto__: Int }`,
    'the name __proto__ must begin with a letter and go on with at most 99 letters, digits and _',
  ],
  [`enum E { ^_a b }`, 'the name _a must begin with a letter and go on with at most 99 letters, digits and _'],
  [
    `type A @table { ${key} ^${'x'.repeat(101)}: Int }`,
    `the name ${'x'.repeat(100)} must begin with a letter and go on with at most 99 letters, digits and _`,
  ],
  [`type ^graphql @table { ${key} }`, 'no table may be called graphql: the path is taken by GraphQL'],
  [`type ^GraphQL @table { ${key} }`, 'no table may be called GraphQL: the path is taken by GraphQL'],
  [`type A @table { ${key} }\nenum ^A { a }`, 'there is a type A already, schema.graphql:1'],
  ['enum ^Date { a }', 'Date is a type of every schema and cannot be declared'],
  [`type A @table { ${key} a: Int ^a: Int }`, 'A has the field a twice'],
  ['type N { a: Int ^a: Int }', 'N has the field a twice'],
  ['enum E { a ^a }', 'the enum E has the value a twice'],
  ['enum ^E', 'the enum E has no values'],
  ['type ^N', 'N has no fields'],
  // directives
  [`type A ^@tabel { ${key} }`, 'there is no directive @tabel; did you mean @table?'],
  [
    `type A @table ^@cached { ${key} }`,
    'there is no directive @cached; here may stand @table, @export, @allow, @shared',
  ],
  [`type A @table { ${key} a: Int ^@index }`, 'there is no directive @index; did you mean @indexed?'],
  [`type A @table ^@indexed { ${key} }`, '@indexed stands behind a field of a table, not at the type A'],
  [`type A @table { ${key} a: Int ^@export }`, '@export stands behind the name of a type, not at A.a'],
  [`type A @table ^@table { ${key} }`, 'the type A has @table twice'],
  [`type A @table { ${key} a: Int @indexed ^@indexed }`, 'A.a has @indexed twice'],
  [
    `type A @table ^@allow(to: [read]) { ${key} }`,
    '@allow of A needs a role: its name, "anyone", or "identity" for whoever is known',
  ],
  [
    `type A @table @allow(role: "a") @allow(role: "b", to: ^[red]) { ${key} }`,
    'to of @allow must be a list of read, create, update, delete, one at least',
  ],
  [
    `type A @table @allow(role: "a", to: ^[]) { ${key} }`,
    'to of @allow must be a list of read, create, update, delete, one at least',
  ],
  [`type A @table ^@allow(role: "a b") { ${key} }`, 'role of @allow must be 1 to 63 letters, digits, _, ., : and -'],
  [`type A @table @allow(role: ^admin) { ${key} }`, 'role of @allow must be text in quotes'],
  [`type A @table @shared ^@shared { ${key} }`, 'the type A has @shared twice'],
  ['type N ^@export { a: Int }', '@export of N needs @table before it'],
  ['type N { a: Int ^@indexed }', 'N.a, a field of a nested type, takes no @indexed'],
  ['input N { a: Int ^@deprecated }', 'there is no directive @deprecated'],
  ['enum E ^@table { a }', 'the enum E takes no @table'],
  ['enum E { a ^@indexed }', 'the value a takes no @indexed'],
  [`type A @table(^databse: "x") { ${key} }`, '@table has no argument databse; did you mean database?'],
  [`type A @table(^size: 1) { ${key} }`, '@table has no argument size; it takes database, expiration'],
  [`type A @table { ${key} a: Int @indexed(^unique: true) }`, '@indexed has no argument unique; it takes none'],
  [`type A @table(database: ^5) { ${key} }`, 'database of @table must be text in quotes'],
  [`type A @table(expiration: ^"1h") { ${key} }`, 'expiration of @table must be a whole number'],
  [`type A @table @export(rest: ^1) { ${key} }`, 'rest of @export must be true or false'],
  [`type A @table @export(rest: true, ^rest: true) { ${key} }`, '@export has the argument rest twice'],
  [`type A ^@table(database: "a.b") { ${key} }`, 'database of @table must be 1 to 100 letters, digits, _ and -'],
  [`type A ^@table(expiration: 0) { ${key} }`, 'expiration of @table must be from 1 to 1000000000 seconds'],
  [
    `type A @table ^@export(ws: false) { ${key} }`,
    '@export of A exports nothing: name what is true, or leave it out for plugin code only',
  ],
  // the primary key and the roles
  ['type ^A @table { id: ID! }', 'the table A has no primary key: mark id with @primaryKey'],
  [
    'type ^A @table { name: Any }',
    'the table A has no primary key: mark a field of type ID!, String! or Int! with @primaryKey',
  ],
  ['type A @table { id: ^ID @primaryKey }', 'the primary key A.id must be ID!: no record is without it'],
  ['type A @table { id: ^Float! @primaryKey }', 'the primary key A.id must be ID!, String! or Int!'],
  ['type A @table { id: ^[ID!]! @primaryKey }', 'the primary key A.id must be ID!, String! or Int!'],
  [`type A @table { ${key} no: Int! ^@primaryKey }`, 'A has a second @primaryKey: id has it already'],
  [`type A @table { ^id: Int! @primaryKey @createdTime }`, 'A.id cannot be both @primaryKey and @createdTime'],
  [`type A @table { ${key} at: Date @createdTime ^@updatedTime }`, 'A.at cannot be both @createdTime and @updatedTime'],
  [
    `type A @table { ${key} at: ^String @expiresAt }`,
    'A.at has @expiresAt and must be Date, or Int or Float for milliseconds',
  ],
  [
    `type A @table { ${key} a: Date @createdTime b: Date ^@createdTime }`,
    'A has a second @createdTime: a has it already',
  ],
  [`type A @table { ${key} a: [Int] ^@indexed }`, 'A.a cannot be indexed: it is a list'],
  [`type A @table { ${key} a: N ^@indexed } type N { x: Int }`, 'A.a cannot be indexed: it is a nested type'],
  [`type A @table { ${key} a: Any ^@indexed }`, 'A.a cannot be indexed: it is Any'],
  // types
  [`type A @table { ${key} a: ^Sting }`, 'A.a is of type Sting, which does not exist; did you mean String?'],
  [`type A @table { ${key} a: [^DateTime!] }`, 'A.a is of type DateTime, which does not exist; did you mean Date?'],
  [
    `type A @table { ${key} a: ^Stat } enum State { a }`,
    'A.a is of type Stat, which does not exist; did you mean State?',
  ],
  [`type A @table { ${key} a: ^Xyzzy }`, 'A.a is of type Xyzzy, which does not exist'],
  [`type A @table { ${key} a(^x: Int): Int }`, 'A.a has arguments, which stored fields cannot have'],
  ['input N { a: Int = ^1 }', 'N.a has a default value, which nothing would fill in'],
  [
    `type A @table { ${key} } type N { a: ^A }`,
    'N.a is of the table A: only a field of a table leads there, by @relationship',
  ],
  ['type N { a: ^N }', 'N.a leads back to N (N -> N): make one of them a table'],
  ['type N { m: M } type M { n: [^N!] }', 'M.n leads back to N (N -> M -> N): make one of them a table'],
  // relationships
  [
    `type A @table { ${key} b: ^B } type B @table { ${key} }`,
    'A.b is of the table B and needs @relationship(from: "a field of A that holds the key of B")',
  ],
  [
    `type A @table { ${key} b: ^[B] } type B @table { ${key} }`,
    'A.b is of the table B and needs @relationship(to: "a field of B that holds the key of A")',
  ],
  [
    `type A @table { ${key} b: B ^@relationship } type B @table { ${key} }`,
    '@relationship of A.b takes one of from and to',
  ],
  [
    `type A @table { ${key} b: B ^@relationship(from: "id", to: "id") } type B @table { ${key} }`,
    '@relationship of A.b takes one of from and to',
  ],
  [
    `type A @table { ${key} b: ^String @relationship(from: "id") }`,
    'A.b has @relationship and is of type String, which is no table',
  ],
  [
    `type A @table { ${key} b: ^Bok @relationship(from: "id") } type Book @table { ${key} }`,
    'A.b has @relationship and is of type Bok, which does not exist; did you mean Book?',
  ],
  [
    `type A @table { ${key} bId: ID b: B ^@relationship(from: "bIt") } type B @table { ${key} }`,
    'A has no field bIt; did you mean bId?',
  ],
  [`type A @table { ${key} b: [B] ^@relationship(to: "owner") } type B @table { ${key} }`, 'B has no field owner'],
  [
    `type A @table { ${key} b: B ^@relationship(from: "c") c: B @relationship(from: "id") } type B @table { ${key} }`,
    'A.c is a relationship itself and holds no key',
  ],
  [
    `type A @table { ${key} b: [B] ^@relationship(from: "id") } type B @table { ${key} }`,
    'A.b is a list, and from: leads to one record: write B, or to:',
  ],
  [
    `type A @table { ${key} b: B ^@relationship(to: "a") } type B @table { ${key} a: ID @indexed }`,
    'A.b leads to many records by to: write [B!]!',
  ],
  [
    `type A @table { ${key} n: Int b: B ^@relationship(from: "n") } type B @table { ${key} }`,
    'A.n is Int and cannot hold the key B.id, which is ID',
  ],
  [
    `type A @table { ${key} b: [B] ^@relationship(to: "a") } type B @table { ${key} a: Int @indexed }`,
    'B.a is Int and cannot hold the key A.id, which is ID',
  ],
  [
    `type A @table { ${key} b: [B] ^@relationship(to: "a") } type B @table { ${key} a: ID }`,
    'B.a needs @indexed: without it every look for A.b reads the whole table',
  ],
  [
    `type A @table { ${key} bId: ID b: B! ^@relationship(from: "bId") } type B @table { ${key} }`,
    'A.b is required, and bId, which it follows, may be null',
  ],
  [
    `type A @table { ${key} b: B ^@relationship(from: "id") @indexed } type B @table { ${key} }`,
    'A.b is a relationship, is not stored, and takes no @indexed',
  ],
];

describe('a wrong schema is SchemaInvalid', () => {
  it.each(wrong.map(([schema, sentence]) => [sentence, schema] as const))('because %s', (sentence, schema) => {
    const { text, line, column } = unmarked(schema);
    expect(problemsOf(text)).toEqual([{ file: 'schema.graphql', line, column, message: sentence }]);
  });

  it('with the file, all problems by their place, and what to do', () => {
    const error = refusal([
      { file: 'tables/b.graphql', text: `type B @table { ${key}\n a: Sting\n b: Boolen }` },
      { file: 'tables/a.graphql', text: `type A @table { ${key} a: Int @indxed }` },
    ]);
    expect(error.message).toBe(
      'tables/b.graphql:2:5: B.a is of type Sting, which does not exist; did you mean String?; ' +
        'tables/b.graphql:3:5: B.b is of type Boolen, which does not exist; did you mean Boolean?; ' +
        'tables/a.graphql:1:44: there is no directive @indxed; did you mean @indexed?',
    );
    expect(error.next).toBe('correct tables/b.graphql; a host that watches it then tries again');
    expect(error.details).toMatchObject({
      file: 'tables/b.graphql',
      line: 2,
      column: 5,
      problems: [
        { file: 'tables/b.graphql', line: 2, column: 5 },
        { file: 'tables/b.graphql', line: 3, column: 5 },
        { file: 'tables/a.graphql', line: 1, column: 44 },
      ],
    });
  });

  it('whose misspelt words are told of once each', () => {
    expect(problemsOf('type A @tabel { id: ID! @primarykey }').map(({ message }) => message)).toEqual([
      'there is no directive @tabel; did you mean @table?',
      'there is no directive @primarykey; did you mean @primaryKey?',
    ]);
  });
});

describe('a schema beyond its limits is refused', () => {
  const lines = (count: number, line: (number: number) => string): string =>
    Array.from({ length: count }, (_, number) => line(number)).join('\n');

  it.each([
    ['a mebibyte of text', `# ${'x'.repeat(1024 * 1024)}`, 'the schema is larger than 1048576 bytes'],
    ['257 tables', lines(257, (n) => `type T${n} @table { ${key} }`), 'an application has at most 256 tables'],
    [
      '1,025 enums and nested types',
      `enum E { a } ${lines(1024, (n) => `type N${n} { a: Int }`)}`,
      'an application has at most 1024 enums and nested types',
    ],
    ['1,025 fields', `type T @table { ${key} ${lines(1024, (n) => `f${n}: Int`)} }`, 'T has more than 1024 fields'],
    ['1,025 values', `enum E { ${lines(1025, (n) => `v${n}`)} }`, 'the enum E has more than 1024 values'],
    [
      'lists deeper than 16',
      `type T @table { ${key} a: ${'['.repeat(16)}Int${']'.repeat(16)} }`,
      'T.a has types within types deeper than 16',
    ],
    [
      'lists and nested types deeper than 16',
      `type T @table { ${key} a: N0 } ${lines(8, (n) => `type N${n} { a: [${n === 7 ? 'Int' : `N${n + 1}`}] }`)}`,
      'T.a has types within types deeper than 16',
    ],
    [
      'nested types that double at every step',
      `type T @table { ${key} a: N0 } ${lines(14, (n) => `type N${n} { a: N${n + 1} b: N${n + 1} }`)} type N14 { a: Int }`,
      'the table T is too large: its fields, what is nested in them and the values of their enums are more than 16384',
    ],
    ['brackets without end', `type T @table { a: ${'['.repeat(100_000)}`, 'something nests too deeply to be read'],
    [
      'more tokens than any schema needs',
      `enum E { ${'a '.repeat(200_001)}`,
      'the file has more than 200000 words and signs',
    ],
  ])('%s', (_, text, sentence) => {
    expect(problemsOf(text).map(({ message }) => message)).toEqual([sentence]);
  });

  it('after a hundred problems', () => {
    const problems = problemsOf(`type T @table { ${key} ${lines(1000, (n) => `f${n}: Sting`)} }`);
    expect(problems).toHaveLength(100);
  });

  it('but not one that is as large as it may be', () => {
    const { tables } = read(
      [
        `type T @table { ${key} ${lines(1023, (n) => `f${n}: Int`)} }`,
        `type U @table { ${key} a: ${'['.repeat(15)}Int${']'.repeat(15)} }`,
        lines(254, (n) => `type V${n} @table { ${key} }`),
      ].join('\n'),
    );
    expect(tables).toHaveLength(256);
  });

  it('and so is a chain of nested types without end, whichever way it is written', () => {
    const links = Array.from({ length: 1000 }, (_, n) => `type N${n} { a: ${n === 999 ? 'Int' : `N${n + 1}`} }`);
    const table = `type T @table { ${key} a: N0 }`;
    for (const text of [[table, ...links].join('\n'), [...links.toReversed(), table].join('\n')])
      expect(problemsOf(text).map(({ message }) => message)).toContain(
        text.startsWith(table)
          ? 'N15.a has types within types deeper than 16'
          : 'T.a has types within types deeper than 16',
      );
  });
});

describe('any valid schema', () => {
  const scalarKinds = ['ID', 'String', 'Int', 'Float', 'Boolean', 'Date', 'Any'] as const;
  const indexable = new Set<FieldType['kind']>(['ID', 'String', 'Int', 'Float', 'Boolean', 'Date', 'Enum']);
  const names = (count: number): fc.Arbitrary<string[]> =>
    fc.uniqueArray(
      fc.stringMatching(/^[a-z][A-Za-z0-9_]{0,8}$/).filter((name) => name !== 'id'),
      { minLength: 1, maxLength: count },
    );

  /** A type as it is written, and what it should become. */
  interface Written {
    text: string;
    type: FieldType;
  }
  const enumType: Written = { text: 'E', type: { kind: 'Enum', values: ['on', 'off'] } };
  const nested: Written = {
    text: 'N',
    type: {
      kind: 'Object',
      members: [
        { name: 'a', type: { kind: 'Int', required: true } },
        { name: 'b', type: { kind: 'List', item: { kind: 'Enum', values: ['on', 'off'] } } },
      ],
    },
  };
  const plain: fc.Arbitrary<Written> = fc.oneof(
    fc.constantFrom(...scalarKinds).map((kind): Written => ({ text: kind, type: { kind } })),
    fc.constantFrom(enumType, nested),
  );
  const demanded = (inner: Written, required: boolean): Written =>
    required ? { text: `${inner.text}!`, type: { ...inner.type, required: true } } : inner;
  const written: fc.Arbitrary<Written> = fc
    .tuple(plain, fc.boolean(), fc.array(fc.boolean(), { maxLength: 3 }))
    .map(([inner, required, lists]) =>
      lists.reduce(
        (item: Written, must) => demanded({ text: `[${item.text}]`, type: { kind: 'List', item: item.type } }, must),
        demanded(inner, required),
      ),
    );

  const table = fc
    .tuple(names(6), fc.array(fc.tuple(written, fc.boolean()), { minLength: 6, maxLength: 6 }), fc.nat({ max: 3 }))
    .map(([fields, types, expiration]) => {
      const entries = fields.map((name, place) => {
        const [{ text, type }, wish] = types[place] ?? [{ text: 'Int', type: { kind: 'Int' as const } }, false];
        return { name, text, type, indexed: wish && indexable.has(type.kind) };
      });
      const lines = entries.map(({ name, text, indexed }) => `${name}: ${text}${indexed ? ' @indexed' : ''}`);
      return {
        head: expiration === 0 ? '@table' : `@table(expiration: ${expiration})`,
        body: [key, ...lines].join('\n'),
        definition: {
          primaryKey: 'id',
          ...(expiration > 0 && { expirationMs: expiration * 1000 }),
          fields: [
            { name: 'id', type: { kind: 'ID', required: true } },
            ...entries.map(({ name, type, indexed }) => ({ name, type, ...(indexed && { indexed: true }) })),
          ],
        },
      };
    });

  it('is read as it was meant', () => {
    fc.assert(
      fc.property(fc.array(table, { maxLength: 5 }), (drawn) => {
        const text = drawn.map(({ head, body }, place) => `type T${place} ${head} {\n${body}\n}`).join('\n');
        const { tables } = read(`enum E { on off }\ninput N { a: Int!, b: [E] }\n${text}`);
        expect(tables.map(({ definition }) => definition)).toEqual(
          drawn.map(({ definition }, place) => ({ database: 'todo', name: `T${place}`, ...definition })),
        );
      }),
    );
  });

  it('gives definitions that the store takes, also at its limits', async () => {
    const temporary = await temporaryStore();
    const { store } = temporary;
    const problemsIn = ({ tables }: ApplicationSchema): (string | undefined)[] =>
      tables.map(({ definition }) => store.incompatible(definition)).filter((problem) => problem !== undefined);
    try {
      fc.assert(
        fc.property(table, ({ head, body }) => {
          expect(
            problemsIn(read(`enum E { on off } input N { a: Int!, b: [E] } type T ${head} {\n${body}\n}`)),
          ).toEqual([]);
        }),
      );
      const many = (count: number, name: string, type: string): string =>
        Array.from({ length: count }, (_, place) => `${name}${place}${type}`).join(' ');
      const nests = Array.from({ length: 14 }, (_, n) => `type N${n} { a: N${n + 1}! }`).join(' ');
      const largest = read(`
        type A @table { ${key} ${many(1023, 'f', ': Int')} }
        type B @table { ${key} a: ${'['.repeat(15)}Int${']'.repeat(15)} }
        type C @table { ${key} a: N0 } ${nests} type N14 { a: Int }
        type D @table { ${key} e: E } enum E { ${many(1024, 'v', '')} }
        type E${'x'.repeat(99)} @table(database: "a-B_9", expiration: 1000000000) { ${key} ${'y'.repeat(100)}: Float @expiresAt }
      `);
      expect(problemsIn(largest)).toEqual([]);
      expect(store.incompatible({ database: 'x', name: '_', primaryKey: 'id', fields: [] })).toBeDefined();
    } finally {
      await temporary.remove();
    }
  });

  it('can be cut anywhere and is still either read or SchemaInvalid', () => {
    const whole = `"d" type T @table(database: "x") @export { ${key} n: [N!]! b: U @relationship(from: "id") } input N { a: Int } type U @table { ${key} }`;
    fc.assert(
      fc.property(fc.nat({ max: whole.length }), fc.nat({ max: whole.length }), fc.string(), (from, to, piece) => {
        try {
          read(whole.slice(0, from) + piece + whole.slice(to));
        } catch (error) {
          expect(error).toMatchObject({ code: 'SchemaInvalid' });
        }
      }),
    );
  });
});
