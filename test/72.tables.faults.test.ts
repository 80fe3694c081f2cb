import { execFile } from 'node:child_process';
import { readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const run = promisify(execFile);
const megabyte = 1024 * 1024;
// A file system that is full needs one of its own, and only root may mount it.
const mayMount = process.platform === 'linux' && process.getuid?.() === 0;

describe('tables on a disk that fails', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
    await world.write('todo', 'config.yaml', 'name: Todo\n');
    await world.write('todo', 'schema.graphql', 'type Task @table @export { id: ID! @primaryKey text: String! }\n');
  });
  afterEach(() => world.close());

  const put = (key: string, text: string) =>
    world.request('PUT', `/todo/Task/${key}`, {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ text }),
    });

  test.runIf(mayMount)(
    'that is full: writes are refused with 507, reads go on, and writes too once there is space',
    async () => {
      const disk = path.join(world.directory, 'disk');
      await run('mkdir', [disk]);
      await run('mount', ['-t', 'tmpfs', '-o', 'size=128m', 'tmpfs', disk]);
      try {
        const data = path.join(disk, 'data');
        await world.start({ data });
        expect((await put('first', 'kept')).status).toBe(201);
        await run('fallocate', ['-l', String(80 * megabyte), path.join(disk, 'ballast')]);
        const kept: string[] = [];
        let refused = '';
        for (let number = 0; refused === '' && number < 1000; number++) {
          const { status, body } = await put(`k${number}`, 'x'.repeat(megabyte / 2));
          if (status === 201) kept.push(`k${number}`);
          else refused = `${status} ${(JSON.parse(body) as { error: string }).error}`;
        }
        expect(refused).toBe('507 StoreFull');
        expect((await world.get('/todo/Task/first')).body).toContain('kept');
        expect((await world.get('/readyz')).status).toBe(503);
        await rm(path.join(disk, 'ballast'));
        await until('it writes again', async () => (await put('last', 'again')).status === 201);
        expect((await world.get('/readyz')).status).toBe(200);
        for (const key of kept) expect((await world.get(`/todo/Task/${key}`)).status).toBe(200);
        await world.host.close();
      } finally {
        await run('umount', ['-l', disk]);
      }
    },
  );

  test('that has lost a file: the application fails with the name of the file, the others serve', async () => {
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"one"' } }));
    await world.start();
    await put('a', 'kept');
    await world.host.close();
    const tables = path.join(world.data, 'tables');
    const manifest = (await readdir(tables)).find((file) => file.startsWith('MANIFEST-')) ?? '';
    await rm(path.join(tables, manifest));
    await world.start();
    expect(world.host.plugin('todo').error).toMatchObject({
      code: 'StoreDamaged',
      message: expect.stringContaining(manifest) as string,
    });
    expect((await world.get('/service/build')).body).toBe('one');
  });

  test('that has other bytes where it lay down a pointer: the same', async () => {
    await world.start();
    await put('a', 'kept');
    await world.host.close();
    await writeFile(path.join(world.data, 'tables', 'CURRENT'), 'nonsense');
    await world.start();
    expect(world.host.plugin('todo').error?.code).toBe('StoreDamaged');
  });
});
