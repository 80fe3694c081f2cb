import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TenonError } from '../src/base/errors.js';
import type { Store } from '../src/binding/store.js';
import { readSchema } from '../src/tables/schema.js';
import { loadSeeds, type SeedResult } from '../src/tables/seed.js';
import { placeOf, readSeedFile, type SeedProblem } from '../src/tables/seed-file.js';
import type { ServedTable } from '../src/tables/served.js';
import { type TemporaryStore, temporaryStore } from './tables/temporary-store.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tenon-seed-'));
  await mkdir(path.join(folder, 'data'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function write(file: string, text: string | Buffer): Promise<void> {
  await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
  await writeFile(path.join(folder, file), text);
}

describe('a file of seed data', () => {
  const blanks = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
  /** JSON text of `value` with white space wherever it may be. */
  const spaced = (value: unknown, blank: () => string): string => {
    const gap = (text: string): string => blank() + text + blank();
    if (Array.isArray(value)) return gap(`[${value.map((item) => spaced(item, blank)).join(',')}${blank()}]`);
    if (typeof value !== 'object' || value === null) return gap(JSON.stringify(value));
    const members = Object.entries(value).map(([name, its]) => `${gap(JSON.stringify(name))}:${spaced(its, blank)}`);
    return gap(`{${members.join(',')}${blank()}}`);
  };

  it('is cut into its records wherever white space, quotes and brackets stand', async () => {
    const record = fc.dictionary(fc.string(), fc.jsonValue());
    const entry = fc.record({ database: fc.string(), table: fc.string(), records: fc.array(record) });
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(entry, fc.array(entry)),
        fc.infiniteStream(blanks),
        fc.constantFrom('', '\uFEFF'),
        async (file, stream, mark) => {
          const bytes = Buffer.from(mark + spaced(file, () => String(stream.next().value)));
          const cut = (await readSeedFile(bytes)).map(({ database, table, ranges }) => ({
            database,
            table,
            records: ranges
              .filter((_, place) => place % 2 === 0)
              .map((from, place) => JSON.parse(bytes.toString('utf8', from, ranges[2 * place + 1])) as unknown),
          }));
          // Through JSON, which has no -0.
          expect(JSON.stringify(cut)).toBe(JSON.stringify([file].flat()));
        },
      ),
    );
  });

  it.each([
    ['', 1, 1, 'seed data is an object {database, table, records}, or a list of those'],
    ['  5', 1, 3, 'seed data is an object {database, table, records}, or a list of those'],
    [
      '[\n {"table": "T", "records": []},\n 7]',
      3,
      2,
      'seed data is an object {database, table, records}, or a list of those',
    ],
    ['{"records": []}', 1, 1, 'seed data needs the name of a table: table'],
    ['{"table": "T"}', 1, 1, 'seed data needs a list of records: records'],
    ['{"table": 5}', 1, 11, 'table must be text in quotes'],
    ['{"table": "a\\x"}', 1, 11, 'table is no text of JSON'],
    ['{"table": "T", "table": "U"}', 1, 16, 'table is there twice'],
    ['{"table": "T", "rows": []}', 1, 16, 'seed data has no member "rows": it has database, table and records'],
    ['{"table": "T" "records": []}', 1, 15, ', or } is expected'],
    ['{"table" "T"}', 1, 10, ': is expected'],
    ['{"table": "T", "records": {}}', 1, 27, 'records must be a list'],
    ['{"table": "T", "records": [\n{},\n5]}', 3, 1, 'a record must be an object'],
    ['{"table": "T", "records": [{}', 1, 30, ', or ] is expected'],
    ['{"table": "T", "records": [{"a": [}', 1, 28, 'the record has no end'],
    ['{"table": "T", "records": [{"a\\"}]}', 1, 29, 'a text has no end'],
    ['{"table": "T", "records": []} x', 1, 31, 'something stands behind the end'],
  ])('is refused when it is %j', async (text, line, column, sentence) => {
    const bytes = Buffer.from(text);
    const problem = await readSeedFile(bytes).then(
      () => expect.unreachable('the file was accepted'),
      (error: SeedProblem) => error,
    );
    expect(problem.message).toBe(sentence);
    expect(placeOf(bytes, problem.at)).toEqual({ line, column });
  });
});

describe('seed data', () => {
  let temporary: TemporaryStore;
  let store: Store;
  let tables: ServedTable[];
  let application = '';
  let number = 0;

  beforeAll(async () => {
    temporary = await temporaryStore();
    ({ store } = temporary);
  });
  afterAll(() => temporary.remove());

  // Each test has an application, and so tables, of its own.
  beforeEach(async () => {
    number += 1;
    application = `app${number}`;
    const text = `
      type Task @table { id: Int! @primaryKey title: String! }
      type Person @table(database: "people") { id: ID! @primaryKey name: String @indexed }
    `;
    tables = [];
    for (const schema of readSchema([{ file: 'schema.graphql', text }], application).tables) {
      schema.definition.database += number;
      const own = await store.define(schema.definition);
      tables.push({ application, number: own, schema, definition: store.definition(own) });
    }
  });

  const load = (): Promise<SeedResult[]> =>
    loadSeeds({ folder, patterns: ['data/*.json'], application, tables, store });
  const numberOf = (name: string): number => tables.find(({ definition }) => definition.name === name)?.number ?? -1;
  const recordOf = async (name: string, key: string): Promise<unknown> => {
    const found = await store.get(numberOf(name), key);
    return found === null ? null : (JSON.parse(found.json.toString()) as unknown);
  };
  const failureOf = async (): Promise<TenonError> =>
    (await load()).find(({ error }) => error !== undefined)?.error ?? expect.unreachable('all was loaded');
  const tasks = (records: unknown[]): string => JSON.stringify({ table: 'Task', records });

  it('is put into its tables', async () => {
    await write('data/b.json', tasks([{ id: 1, title: 'one' }]));
    await write(
      'data/a.json',
      JSON.stringify([
        { database: `people${number}`, table: 'Person', records: [{ id: 'ann', name: 'Ann' }, { id: 'bob' }] },
        { table: 'Task', records: [{ id: 2, title: 'two' }] },
      ]),
    );
    await write('data/notes.txt', 'no seed data');
    expect(await load()).toEqual([
      { file: 'data/a.json', records: 3 },
      { file: 'data/b.json', records: 1 },
    ]);
    expect(await recordOf('Person', 'ann')).toEqual({ id: 'ann', name: 'Ann' });
    expect(await recordOf('Task', '1')).toEqual({ id: 1, title: 'one' });
    expect(await recordOf('Task', '2')).toEqual({ id: 2, title: 'two' });
  });

  it('is loaded once for each content, and then belongs to whoever changes it', async () => {
    await write(
      'data/a.json',
      tasks([
        { id: 1, title: 'one' },
        { id: 2, title: 'two' },
      ]),
    );
    await load();
    await store.write([{ table: numberOf('Task'), kind: 'put', json: Buffer.from('{"id":1,"title":"mine"}') }]);
    await store.write([{ table: numberOf('Task'), kind: 'remove', key: '2' }]);
    await rm(path.join(folder, 'data/a.json'));
    await write(
      'data/renamed.json',
      tasks([
        { id: 1, title: 'one' },
        { id: 2, title: 'two' },
      ]),
    );
    expect(await load()).toEqual([{ file: 'data/renamed.json', records: 0 }]);
    expect(await recordOf('Task', '1')).toEqual({ id: 1, title: 'mine' });
    expect(await recordOf('Task', '2')).toBeNull();
  });

  it('is loaded again when its content has changed, also to what it was', async () => {
    for (const title of ['one', 'uno', 'one']) {
      await write('data/a.json', tasks([{ id: 1, title }]));
      expect(await load()).toEqual([{ file: 'data/a.json', records: 1 }]);
      expect(await recordOf('Task', '1')).toEqual({ id: 1, title });
    }
    expect(await store.count(numberOf('Task'))).toBe(1);
  });

  it('with a record that breaks the schema is not loaded, and names it; other files are', async () => {
    await write('data/a.json', `{"table": "Task", "records": [\n {"id": 1, "title": "one"},\n {"id": 2, "title": 2}]}`);
    await write('data/b.json', tasks([{ id: 3, title: 'three' }]));
    const [first, second] = await load();
    expect(first).toMatchObject({
      file: 'data/a.json',
      records: 0,
      error: {
        code: 'SeedInvalid',
        message: expect.stringMatching(/^data\/a\.json:3:2: record 1 of Task: title /),
        next: 'correct data/a.json; nothing of it was loaded',
        details: { file: 'data/a.json', line: 3, column: 2, table: 'Task', index: 1, field: 'title' },
      },
    });
    expect(second).toEqual({ file: 'data/b.json', records: 1 });
    expect(await recordOf('Task', '1')).toBeNull();
  });

  it('with a wrong record among many is not loaded either', async () => {
    const records: unknown[] = Array.from({ length: 2500 }, (_, id) => ({ id, title: `task ${id}` }));
    records[2400] = { id: 2400 };
    await write('data/a.json', tasks(records));
    expect((await failureOf()).details).toMatchObject({ index: 2400, field: 'title' });
    expect(await store.count(numberOf('Task'))).toBe(0);
    records[2400] = { id: 2400, title: 'right' };
    await write('data/a.json', tasks(records));
    expect(await load()).toEqual([{ file: 'data/a.json', records: 2500 }]);
    expect(await store.count(numberOf('Task'))).toBe(2500);
  });

  it('that fails does not bring back what was loaded before', async () => {
    await write('data/a.json', tasks([{ id: 1, title: 'one' }]));
    await load();
    await store.write([{ table: numberOf('Task'), kind: 'remove', key: '1' }]);
    const people = { table: 'Person', records: [{ id: 'x', name: 5 }] };
    await write('data/a.json', `[${tasks([{ id: 1, title: 'one' }])}, ${JSON.stringify(people)}]`);
    await failureOf();
    await write('data/a.json', `[${tasks([{ id: 1, title: 'one' }])}]`);
    await load();
    expect(await recordOf('Task', '1')).toBeNull();
  });

  it.each([
    ['without its key', '{"table": "Person", "records": [{"name": "Ann"}]}', /record 0 of Person: id is missing/],
    ['that is no JSON', '{"table": "Person", "records": [{"id" "x"}]}', /^data\/a\.json:1:33: record 0 of Person: /],
    ['with an unknown field', '{"table": "Person", "records": [{"id": "x", "nme": "y"}]}', /record 0 of Person: .*nme/],
    [
      'of no table',
      '{"table": "Persn", "records": []}',
      /^data\/a\.json:1:1: app\d+ has no table Persn; did you mean Person\?$/,
    ],
    [
      'of another database',
      '{"database": "other", "table": "Person", "records": []}',
      /the table Person of app\d+ is in the database people\d+, not in other$/,
    ],
    ['that is no seed data', '[1]', /^data\/a\.json:1:2: seed data is an object/],
  ])('%s is SeedInvalid', async (_, text, sentence) => {
    await write('data/a.json', text);
    const error = await failureOf();
    expect(error.code).toBe('SeedInvalid');
    expect(error.message).toMatch(sentence);
  });

  it('is found where the patterns say, and no link is followed', async () => {
    await write('seed/deep/b.json', tasks([{ id: 1, title: 'one' }]));
    await write('seed/a.json', tasks([{ id: 2, title: 'two' }]));
    await write('seed/.hidden.json', '?');
    await write('node_modules/c.json', '?');
    const patterns = ['seed/**/*.json', '*/c.json'];
    const files = (await loadSeeds({ folder, patterns, application, tables, store })).map(({ file }) => file);
    expect(files).toEqual(['seed/a.json', 'seed/deep/b.json']);
    await symlink('../seed/a.json', path.join(folder, 'data', 'link.json'));
    await expect(load()).rejects.toMatchObject({
      code: 'SourceOutside',
      message: expect.stringMatching(/^data\/link\.json: a symbolic link/),
    });
  });

  it('that cannot be read is told with the others', async () => {
    await write('data/a.json', Buffer.alloc(64 * 1024 * 1024 + 1, ' '));
    await write('data/b.json', tasks([{ id: 1, title: 'one' }]));
    expect(await load()).toMatchObject([
      { error: { code: 'SeedInvalid', message: 'data/a.json:1:1: the file is larger than 67108864 bytes' } },
      { records: 1 },
    ]);
  });
});
