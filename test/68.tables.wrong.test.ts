import { rm } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BuildReport } from '../src/cli/build.js';
import { tenon } from './load/tenon.js';
import { World } from './load/world.js';

const schema = `type Task @table @export {
  id: ID! @primaryKey
  title: String!
  rank: Int
}
`;
const wrongSchema = schema.replace('Int', 'Itn').replace('title: String!', 'title: String! @indxed');
const seeds = `{ "table": "Task", "records": [
  { "id": "a", "title": "Paint" },
  { "id": "b", "title": 5 },
  { "title": "Dry" },
  { "id": "c", "title": "Wash", "rang": 1 }
] }
`;

let world: World;
beforeEach(async () => {
  world = await World.make();
  await world.write('todo', 'config.yaml', 'name: Todo\n');
  await world.write('todo', 'schema.graphql', schema);
});
afterEach(() => world.close());

describe('tenon build', () => {
  test('says everything that is wrong in a schema, and in the sources too', async () => {
    await world.write('todo', 'schema.graphql', wrongSchema);
    await world.write('todo', 'resources/todo.c', 'int broken = ;\n');
    const built = await tenon(world.directory, 'build');
    expect(built.status).toBe(1);
    expect(built.err).toMatch(
      /^applications\/todo\/schema\.graphql:3:18: error: there is no directive @indxed; did you/m,
    );
    expect(built.err).toMatch(/^applications\/todo\/schema\.graphql:4:9: error: Task\.rank is of type Itn/m);
    expect(built.err).toMatch(/^applications\/todo\/resources\/todo\.c:1:14: error: /m);
  });

  test('says every record of the seed data that does not fit, and every file that is none', async () => {
    await world.write('todo', 'data/tasks.json', seeds);
    await world.write('todo', 'data/other.json', '{ "table": "Tusk", "records": [] }');
    const built = await tenon(world.directory, 'build', '--json');
    expect(built.status).toBe(1);
    const [outcome] = (JSON.parse(built.out) as BuildReport).applications;
    expect(outcome).toMatchObject({ ok: false, error: { code: 'SeedInvalid' } });
    const at = (file: string, line: number, column: number, message: string) => ({
      file: `data/${file}.json`,
      line,
      column,
      severity: 'error',
      message: expect.stringContaining(message) as unknown,
    });
    expect(outcome?.diagnostics).toEqual([
      at('other', 1, 1, 'todo has no table Tusk; did you mean Task?'),
      at('tasks', 3, 3, 'record 1 of Task: title is a number'),
      at('tasks', 4, 3, 'record 2 of Task: id is missing'),
      at('tasks', 5, 3, 'record 3 of Task: Task has no field "rang"'),
    ]);
  });

  test('says nothing of tables that are right', async () => {
    await world.write('todo', 'data/tasks.json', '{ "table": "Task", "records": [{ "id": "a", "title": "Paint" }] }');
    const built = await tenon(world.directory, 'build', '--json');
    expect(JSON.parse(built.out)).toMatchObject({ ok: true, applications: [{ diagnostics: [] }] });
  });
});

describe('a host', () => {
  test('says all problems of a schema in the record, in the log and in `tenon show`', async () => {
    await world.start();
    await world.write('todo', 'schema.graphql', wrongSchema);
    await expect(world.host.reload('todo')).rejects.toMatchObject({ code: 'SchemaInvalid' });
    const both = /schema\.graphql:3:18: .*schema\.graphql:4:9: /;
    expect(world.host.reloads()[0]?.error?.message).toMatch(both);
    expect(world.log.find(({ level, msg }) => level === 50 && both.test(msg))).toBeDefined();
    const { out } = await tenon(world.directory, 'show', 'todo', '--url', world.url, '--token', 'a-token-of-the-tests');
    expect(out).toMatch(/^error +SchemaInvalid\n +schema\.graphql:3:18: .*\n +schema\.graphql:4:9: /m);
    expect(out).toMatch(/^last reload .*failed/m);
  });

  test('says of a plugin which of its seed data was not loaded, until it is', async () => {
    await world.write('todo', 'data/tasks.json', seeds);
    await world.start();
    const refused = /^data\/tasks\.json:\d:3: record \d of Task: /;
    expect(world.host.plugin('todo').warnings).toEqual([expect.stringMatching(refused)]);
    const asked = ['show', 'todo', '--url', world.url, '--token', 'a-token-of-the-tests'];
    expect((await tenon(world.directory, ...asked)).out).toMatch(/^warning +data\/tasks\.json:/m);
    await world.write('todo', 'data/tasks.json', '{ "table": "Task", "records": [{ "id": "a", "title": "Paint" }] }');
    await world.host.reload('todo');
    expect(world.host.plugin('todo').warnings).toEqual([]);
  });

  test('says that a schema without a config is not served, and serves it once there is one', async () => {
    await rm(path.join(world.folder('todo'), 'config.yaml'));
    await world.start();
    const said = 'todo has a schema.graphql and no config.yaml, and is not served; add ';
    expect(world.log.find(({ level, msg }) => level === 40 && msg.startsWith(said))).toBeDefined();
    const doctor = await tenon(world.directory, 'doctor', '--json');
    expect(doctor.status).toBe(1);
    expect(doctor.out).toContain(said);
    await world.write('todo', 'config.yaml', 'name: Todo\n');
    await world.host.discover();
    expect(world.host.plugin('todo').state).toBe('running');
    expect((await tenon(world.directory, 'doctor')).status).toBe(0);
  });

  test('says that the schema is not there any more, and goes on', async () => {
    await world.start();
    await rm(path.join(world.folder('todo'), 'schema.graphql'));
    await expect(world.host.reload('todo')).rejects.toMatchObject({
      code: 'SourcesMissing',
      message: expect.stringContaining('has nothing to serve: no schema (schema.graphql), no sources') as string,
    });
    expect((await world.get('/todo/Task')).status).toBe(200);
  });
});
