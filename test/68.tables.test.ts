import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { loadCore } from '../src/binding/core.js';
import { openStore } from '../src/binding/store.js';
import { tenon } from './load/tenon.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';
import { rocksdb } from './tables/temporary-store.js';

const task = `type Task @table @export {
  id: ID! @primaryKey
  title: String!
  state: String @indexed
}
`;

describe('an application with a schema', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
    await world.write('todo', 'config.yaml', 'name: Todo\n');
    await world.write('todo', 'schema.graphql', task);
  });
  afterEach(() => world.close());

  const send = (method: string, target: string, body: unknown) =>
    world.request(method, target, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const all = async (target: string): Promise<unknown[]> => JSON.parse((await world.get(target)).body) as unknown[];

  test('serves its tables over REST and GraphQL without a line of code', async () => {
    await world.start();
    expect(await send('POST', '/todo/Task', { id: 'a', title: 'Begin' })).toMatchObject({ status: 201 });
    expect(JSON.parse((await world.get('/todo/Task/a')).body)).toEqual({ id: 'a', title: 'Begin' });
    const answer = await send('POST', '/todo/graphql', { query: '{ task(id: "a") { title } }' });
    expect(JSON.parse(answer.body)).toEqual({ data: { task: { title: 'Begin' } } });
    expect(world.host.plugin('todo').routes.map(({ method, path: place }) => `${method} ${place}`)).toEqual(
      expect.arrayContaining(['GET /todo/Task', 'DELETE /todo/Task/:key', 'POST /todo/graphql']),
    );
  });

  test('has tables beside its resources, and a resource goes before a table', async () => {
    await rm(world.folder('todo'), { recursive: true });
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"one"' } }));
    await world.write('service', 'config.yaml', 'name: Service\n');
    await world.write(
      'service',
      'schema.graphql',
      task.replace('Task', 'build').replace('@export', '@export(rest: true)'),
    );
    await world.start();
    expect((await world.get('/service/build')).body).toBe('one');
    expect(await send('POST', '/service/build', { id: 'a', title: 'x' })).toMatchObject({ status: 201 });
    expect((await world.get('/service/build/a')).status).toBe(200);
  });

  test('lets the code of another one use its tables where that is permitted, without a schema of its own', async () => {
    await world.publish('tables', await buildPlugin('tables'));
    await world.write('tables', 'config.yaml', 'name: Reader\npermissions: [tables:read:todo.Task]\n');
    await world.start();
    await send('PUT', '/todo/Task/a', { title: 'One' });
    await world.host.reload('tables');
    expect(world.host.plugin('tables').state).toBe('running');
    expect((await world.request('POST', '/tables/pool?table=todo.Task&op=get&key=a')).body).toBe(
      'OK {"id":"a","title":"One"}',
    );
    await world.write('tables', 'config.yaml', 'name: Reader\npermissions: [table:read:todo.Task]\n');
    await expect(world.host.reload('tables')).rejects.toMatchObject({ code: 'ConfigInvalid' });
  });

  test('keeps what is stored over restarts, and its sequence of changes', async () => {
    await world.start();
    await send('PUT', '/todo/Task/a', { title: 'One' });
    await world.host.close();
    await world.start();
    expect(await all('/todo/Task')).toEqual([{ id: 'a', title: 'One' }]);
  });

  test('begins with the records it brings, once', async () => {
    await world.write(
      'todo',
      'data/tasks.json',
      JSON.stringify({ table: 'Task', records: [{ id: 's', title: 'Seed' }] }),
    );
    await world.start();
    expect(await all('/todo/Task')).toEqual([{ id: 's', title: 'Seed' }]);
    await world.request('DELETE', '/todo/Task/s');
    await world.host.close();
    await world.start();
    expect(await all('/todo/Task')).toEqual([]);
  });

  test('takes a changed schema up while it serves; who listens is told to come again', async () => {
    await world.start({ hotReload: true });
    await send('PUT', '/todo/Task/a', { title: 'One', state: 'open' });
    const socket = new WebSocket(`${world.url.replace('http', 'ws')}/todo/Task`);
    const closed = new Promise<number>((resolve) => {
      socket.once('close', resolve);
    });
    await new Promise((resolve) => {
      socket.once('open', resolve);
    });
    await world.write(
      'todo',
      'schema.graphql',
      task.replace('title: String!', 'title: String!\n  priority: Int @indexed'),
    );
    await until(
      'the new field is taken',
      async () => (await send('PUT', '/todo/Task/b', { title: 'Two', priority: 3 })).status === 201,
    );
    expect(await closed).toBe(1012);
    expect(await all('/todo/Task?priority==3')).toMatchObject([{ id: 'b' }]);
    expect(JSON.parse((await world.get('/todo/Task/a')).body)).toEqual({ id: 'a', title: 'One', state: 'open' });
  });

  test('goes on as it was when the new schema is wrong, or what is stored would not fit', async () => {
    await world.start();
    await send('PUT', '/todo/Task/a', { title: 'One' });
    await world.write('todo', 'schema.graphql', task.replace('title: String!', 'title: Strin!'));
    await expect(world.host.reload('todo')).rejects.toMatchObject({
      code: 'SchemaInvalid',
      details: { file: 'schema.graphql', line: 3 },
    });
    await world.write('todo', 'schema.graphql', task.replace('title: String!', 'title: Int!'));
    await expect(world.host.reload('todo')).rejects.toMatchObject({ code: 'SchemaIncompatible' });
    expect(await all('/todo/Task')).toEqual([{ id: 'a', title: 'One' }]);
    await world.write('todo', 'schema.graphql', task);
    expect(await world.host.reload('todo')).toMatchObject({ unchanged: true });
  });

  test('goes on with the fields it has when a new build with another schema fails', async () => {
    await rm(world.folder('todo'), { recursive: true });
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"one"' } }));
    await world.write('service', 'config.yaml', 'name: Service\n');
    await world.write('service', 'schema.graphql', task);
    await world.start();
    await world.publish('service', await buildPlugin('service', { defines: { FAIL_READY: '1' } }));
    const another = task.replace('title: String!', 'title: String').replace('  state: String @indexed\n', '');
    await world.write('service', 'schema.graphql', another.replace('@table', '@table(expiration: 1)'));
    await expect(world.host.reload('service')).rejects.toMatchObject({ code: 'LifecycleFailed' });
    expect(await send('PUT', '/service/Task/a', { title: 'One', state: 'open' })).toMatchObject({ status: 201 });
    expect(await all('/service/Task?state==open')).toEqual([{ id: 'a', title: 'One', state: 'open' }]);
    await world.host.close();
    const store = await openStore(loadCore(), {
      directory: path.join(world.data, 'tables'),
      libraries: rocksdb,
      sync: false,
      feedBytes: 1024 * 1024,
      cacheBytes: 1024 * 1024,
    });
    const { expirationMs = 0, fields } = store.definition(store.tables()[0]?.number ?? -1);
    await store.close();
    expect(expirationMs).toBe(0);
    expect(fields.find(({ name }) => name === 'state')).toMatchObject({ indexed: true });
    expect(fields.find(({ name }) => name === 'state')?.dropped ?? false).toBe(false);
  });

  test('starts with the tables that served last when its schema is wrong by then', async () => {
    await world.start();
    await send('PUT', '/todo/Task/a', { title: 'One' });
    await world.host.close();
    await world.write('todo', 'schema.graphql', task.replace('title: String!', 'title: Strin!'));
    await world.start();
    expect(world.host.plugin('todo')).toMatchObject({ state: 'running', error: { code: 'SchemaInvalid' } });
    expect(await all('/todo/Task')).toEqual([{ id: 'a', title: 'One' }]);
    await world.write('todo', 'schema.graphql', task);
    await world.host.reload('todo');
    expect(world.host.plugin('todo').error).toBeUndefined();
  });

  test('keeps its listeners while a library alone is replaced', async () => {
    await rm(world.folder('todo'), { recursive: true });
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"one"' } }));
    await world.write('service', 'config.yaml', 'name: Service\n');
    await world.write('service', 'schema.graphql', task);
    await world.start();
    const socket = new WebSocket(`${world.url.replace('http', 'ws')}/service/Task`);
    const heard: { type: string; key?: string }[] = [];
    socket.on('message', (message: Buffer) => heard.push(JSON.parse(message.toString()) as { type: string }));
    await until('the socket listens', () => heard.length > 0 || socket.readyState === WebSocket.OPEN);
    socket.send(JSON.stringify({ type: 'subscribe', id: '1' }));
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"two"' } }));
    await world.host.reload('service');
    expect((await world.get('/service/build')).body).toBe('two');
    await send('PUT', '/service/Task/a', { title: 'One' });
    await until('the change is heard', () => heard.some(({ type }) => type === 'put'));
    expect(socket.readyState).toBe(WebSocket.OPEN);
    socket.terminate();
  });

  test('does not get a table that another application has', async () => {
    await world.write('other', 'config.yaml', 'name: Other\n');
    await world.write('other', 'schema.graphql', task.replace('@table', '@table(database: "todo")'));
    await world.start();
    const states = ['other', 'todo'].map((id) => world.host.plugin(id));
    expect(states.map(({ state }) => state).toSorted()).toEqual(['failed', 'running']);
    expect(states.find(({ state }) => state === 'failed')?.error?.code).toBe('TableTaken');
  });

  test('has only the tables it serves: others may have one that it gave up, or did not come to serve', async () => {
    const list = task.replace('Task', 'List').replace('@table', '@table(database: "shared")');
    const broken = await buildPlugin('service', { defines: { PLUGIN_ID: '"broken"', FAIL_READY: '1' } });
    await world.write('todo', 'schema.graphql', task + list);
    await world.publish('broken', broken);
    await world.write('broken', 'config.yaml', 'name: Broken\n');
    await world.write('broken', 'schema.graphql', list.replace('List', 'Other'));
    await world.start();
    expect(world.host.plugin('broken').state).toBe('failed');
    await world.write('todo', 'schema.graphql', task);
    await world.host.reload('todo');
    await world.write('taker', 'config.yaml', 'name: Taker\n');
    await world.write('taker', 'schema.graphql', list + list.replace('List', 'Other'));
    await world.host.load('taker');
    expect(await send('PUT', '/taker/List/a', { title: 'One' })).toMatchObject({ status: 201 });
    expect(await send('PUT', '/taker/Other/a', { title: 'One' })).toMatchObject({ status: 201 });
  });

  test('takes a table whose database it names along to another id', async () => {
    const named = task.replace('@table', '@table(database: "shop")');
    await world.write('todo', 'config.yaml', 'app_id: first\nroute_prefix: /todo\n');
    await world.write('todo', 'schema.graphql', named);
    await world.start();
    await send('PUT', '/todo/Task/a', { title: 'One' });
    await world.write('todo', 'config.yaml', 'app_id: second\nroute_prefix: /todo\n');
    await world.host.discover();
    expect(world.host.plugins()).toMatchObject([{ id: 'second', state: 'running' }]);
    expect(await all('/todo/Task')).toEqual([{ id: 'a', title: 'One' }]);
  });

  test('serves nothing of them once it is unloaded, and all again afterwards', async () => {
    await world.start();
    await send('PUT', '/todo/Task/a', { title: 'One' });
    await world.host.unload('todo');
    expect((await world.get('/todo/Task')).status).toBe(503);
    await world.host.load('todo');
    expect(await all('/todo/Task')).toHaveLength(1);
  });

  test('has a doctor that names the RocksDB in use, and what is wrong with one that is none', async () => {
    const well = await tenon(world.directory, 'doctor');
    expect(well).toMatchObject({
      status: 0,
      out: expect.stringMatching(/RocksDB +ok +\d+\.\d+\.\d+ from .*librocksdb/) as string,
    });
    const place = path.join(world.directory, 'nowhere.so');
    await writeFile(path.join(world.directory, 'tenon.yaml'), `tables:\n  rocksdb: ${place}\n`);
    const ill = await tenon(world.directory, 'doctor');
    expect(ill).toMatchObject({ status: 1, out: expect.stringContaining(place) as string });
  });

  test('says which RocksDB was looked for when there is none, and serves the other applications', async () => {
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"one"' } }));
    await world.start({ rocksdb: path.join(world.directory, 'nowhere.so') });
    expect(world.host.plugin('todo').error).toMatchObject({
      code: 'RocksdbMissing',
      message: expect.stringContaining('nowhere.so') as string,
    });
    expect((await world.get('/service/build')).body).toBe('one');
  });

  test('is copied while it serves, and taken back', async () => {
    await world.start();
    await send('PUT', '/todo/Task/a', { title: 'One' });
    const copy = JSON.parse((await world.admin('POST', '/api/v1/backup')).body) as { directory: string };
    expect(JSON.parse(await readFile(path.join(copy.directory, 'backup.json'), 'utf8'))).toMatchObject({
      format: 1,
      tables: [{ database: 'todo', name: 'Task' }],
    });
    await send('PUT', '/todo/Task/b', { title: 'Two' });
    expect((await tenon(world.directory, 'restore', copy.directory, '--data', world.data)).status).toBe(1);
    await world.host.close();
    const restored = await tenon(world.directory, 'restore', copy.directory, '--data', world.data);
    expect(restored).toMatchObject({ status: 0, out: expect.stringMatching(/^restored: 1 table as of /) as string });
    await world.start();
    expect(await all('/todo/Task')).toEqual([{ id: 'a', title: 'One' }]);
  });

  test('a restore that was cut short between its two renames is told of, and no store is made that begins empty', async () => {
    await world.start();
    await send('PUT', '/todo/Task/a', { title: 'One' });
    const copy = JSON.parse((await world.admin('POST', '/api/v1/backup')).body) as { directory: string };
    await world.host.close();
    const tables = path.join(world.data, 'tables');
    await rename(tables, `${tables}.before-2026-01-01T00-00-00.000Z`);
    await world.start();
    expect(world.host.plugin('todo').error).toMatchObject({
      code: 'StoreDamaged',
      message: expect.stringContaining('tables.before-2026') as string,
    });
    await world.host.close();
    expect(await tenon(world.directory, 'restore', copy.directory, '--data', world.data)).toMatchObject({ status: 0 });
    await world.start();
    expect(await all('/todo/Task')).toEqual([{ id: 'a', title: 'One' }]);
  });

  test('is copied to one place by two at once: one is refused, and the other one is whole', async () => {
    await world.start();
    await send('PUT', '/todo/Task/a', { title: 'One' });
    const place = path.join(world.directory, 'copy');
    const asked = [0, 1, 2].map(() => world.admin('POST', `/api/v1/backup?to=${encodeURIComponent(place)}`));
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(statuses.toSorted((left, right) => left - right)).toEqual([200, 500, 500]);
    expect((await readdir(world.directory)).filter((name) => name.startsWith('copy'))).toEqual(['copy']);
    await world.host.close();
    await rm(path.join(world.data, 'tables'), { recursive: true });
    expect(await tenon(world.directory, 'restore', place, '--data', world.data)).toMatchObject({ status: 0 });
    await world.start();
    expect(await all('/todo/Task')).toEqual([{ id: 'a', title: 'One' }]);
  });

  test('what a killed host has left of a copy goes with the next one, what others make now stays', async () => {
    await world.start();
    await send('PUT', '/todo/Task/a', { title: 'One' });
    const gone = spawnSync('true').pid;
    const folder = path.join(world.directory, 'copies');
    const names = [`a.partial-${gone}-abc123`, `b.partial-${process.ppid}-abc123`, `c.partial-${process.pid}-abc123`];
    for (const name of [...names, 'mine']) await mkdir(path.join(folder, name, 'tables'), { recursive: true });
    const made = await world.admin('POST', `/api/v1/backup?to=${encodeURIComponent(path.join(folder, 'copy'))}`);
    expect(made.status).toBe(200);
    expect((await readdir(folder)).toSorted()).toEqual([...names.slice(1), 'copy', 'mine']);
  });

  test('forgets what its tables were made of when its schema went while no host ran', async () => {
    await rm(world.folder('todo'), { recursive: true });
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"one"' } }));
    await world.write('service', 'config.yaml', 'name: Service\n');
    await world.write('service', 'schema.graphql', task);
    const kept = path.join(world.data, 'versions', 'service', 'tables.json');
    await world.start();
    await until('it is kept', () => existsSync(kept));
    await world.host.close();
    await rm(path.join(world.folder('service'), 'schema.graphql'));
    await world.start();
    await until('it is forgotten', () => !existsSync(kept));
    expect(world.host.plugin('service').tables).toEqual([]);
  });

  test('a backup that is none, or is cut short, changes nothing', async () => {
    await world.start();
    await send('PUT', '/todo/Task/a', { title: 'One' });
    const copy = JSON.parse((await world.admin('POST', '/api/v1/backup')).body) as { directory: string };
    await world.host.close();
    const broken = path.join(world.directory, 'broken');
    await rename(copy.directory, broken);
    await writeFile(path.join(broken, 'tables', 'CURRENT'), 'MANIFEST-999999\n');
    await mkdir(path.join(world.directory, 'empty'));
    for (const folder of ['broken', 'empty', 'nowhere']) {
      const { status, err } = await tenon(world.directory, 'restore', folder, '--data', world.data);
      expect({ folder, status, err }).toMatchObject({
        status: 1,
        err: expect.stringContaining('the backup') as string,
      });
    }
    await world.start();
    expect(await all('/todo/Task')).toHaveLength(1);
  });
});
