import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { stagingDirectories } from './load/gauge.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
  await world.publish('apart', await buildPlugin('whereabouts', { defines: { PLUGIN_ID: '"apart"' } }));
});
afterEach(() => world.close());

/** Has the plugin make a file, and says whether it could; the file is gone again. */
async function makes(file: string): Promise<boolean> {
  const { status, body } = await world.request('POST', '/apart/make', { body: file });
  expect(status, body).toBe(200);
  rmSync(file, { force: true });
  return body === 'made';
}

async function reads(place: string): Promise<boolean> {
  const { status, body } = await world.request('POST', '/apart/read', { body: place });
  expect(status, body).toBe(200);
  return body === 'opened';
}

function isConfined(): boolean {
  return (world.host.plugin('apart')?.isolation?.confinement?.landlock ?? 0) > 0;
}

describe('the temporary folder of a plugin in a process of its own', () => {
  test("is its own, nobody else's, and goes with its generation", async () => {
    await world.write('apart', 'config.yaml', 'isolation: process\n');
    await world.start();
    const first = (await world.get('/apart/temporary')).body;
    expect(path.dirname(path.dirname(first))).toBe(os.tmpdir());
    expect(statSync(first).mode & 0o777).toBe(0o700);
    expect(readdirSync(first)).toEqual(['made']);
    await world.write('apart', 'config.yaml', 'isolation: { mode: process, descriptors: 64 }\n');
    await world.host.reload('apart');
    const second = (await world.get('/apart/temporary')).body;
    expect(second).not.toBe(first);
    await until('that of the old generation is gone', () => !existsSync(first));
    await world.host.close();
    expect(existsSync(path.dirname(second))).toBe(false);
  });

  test('goes with its host without what links in it lead to', async () => {
    await world.write('apart', 'config.yaml', 'isolation: process\n');
    const kept = path.join(world.directory, 'outside', 'kept');
    await mkdir(path.dirname(kept));
    writeFileSync(kept, '');
    await world.start();
    const folder = (await world.get('/apart/temporary')).body;
    await mkdir(path.join(folder, 'one', 'two'), { recursive: true, mode: 0o500 });
    symlinkSync(path.dirname(kept), path.join(folder, 'link'));
    await world.host.close();
    expect(existsSync(path.dirname(folder))).toBe(false);
    expect(existsSync(kept)).toBe(true);
  });

  test("is all that it may write to: not what hosts open libraries from, not the host's data, not /tmp", async () => {
    await world.write('apart', 'config.yaml', 'isolation: process\n');
    await world.start();
    if (!isConfined()) return;
    const name = `made-${randomBytes(8).toString('hex')}`;
    const staging = stagingDirectories(process.pid, world.data);
    expect(staging.length).toBeGreaterThan(0);
    for (const folder of [...staging, world.data, '/dev/shm', '/tmp', os.tmpdir()])
      expect(await makes(path.join(folder, name)), folder).toBe(false);
  });

  test("is what it may read, and neither those of others, nor the host's data, nor what libraries are opened from", async () => {
    await world.publish('other', await buildPlugin('whereabouts', { defines: { PLUGIN_ID: '"other"' } }));
    for (const id of ['apart', 'other']) await world.write(id, 'config.yaml', 'isolation: process\n');
    await world.start();
    const own = (await world.get('/apart/temporary')).body;
    expect(await reads(path.join(own, 'made'))).toBe(true);
    expect(await reads(path.join(world.folder('apart'), 'config.yaml'))).toBe(true);
    if (!isConfined()) return;
    const token = path.join(world.data, 'admin-token');
    writeFileSync(token, '');
    const link = path.join(world.folder('apart'), 'link');
    symlinkSync(token, link);
    const others = path.join((await world.get('/other/temporary')).body, 'made');
    const staging = stagingDirectories(process.pid, world.data);
    for (const place of [
      token,
      link,
      world.data,
      `/proc/${process.pid}/environ`,
      `/proc/${process.pid}/root${token}`,
      others,
      ...staging,
    ])
      expect(await reads(place), place).toBe(false);
  });

  test('is not alone where config.yaml says so', async () => {
    await world.write('apart', 'config.yaml', 'isolation: { mode: process, writable: [own] }\n');
    await world.write('apart', 'own/kept', '');
    await world.start();
    expect(await makes(path.join(world.folder('apart'), 'own', 'made'))).toBe(true);
    if (isConfined()) expect(await makes(path.join(world.folder('apart'), 'made'))).toBe(false);
  });
});
