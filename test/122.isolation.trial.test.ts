import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
let outside: string;
beforeEach(async () => {
  process.env['TENON_TEST_SECRET'] = 'of the host';
  world = await World.make();
  // Not in the temporary folder of the system.
  outside = path.join(await mkdtemp('/var/tmp/tenon-outside-'), 'made');
});
afterEach(async () => {
  delete process.env['TENON_TEST_SECRET'];
  await world.close();
  await rm(path.dirname(outside), { recursive: true });
});

const publish = async (): Promise<void> =>
  world.publish('fault', await buildPlugin('reaches_out', { defines: { OUTSIDE: `"${outside}"` } }));

describe('the trial of a plugin that is to run in processes of its own', () => {
  test('is confined as these are, from the first code of its library on', async () => {
    await publish();
    await world.start({ isolation: 'process' });
    expect(world.host.plugin('fault')).toMatchObject({ state: 'running', isolation: { mode: 'process' } });
    expect(existsSync(outside)).toBe(false);
  });

  test("reads nothing in the host's data directory", async () => {
    const secret = path.join(world.data, 'kept');
    await mkdir(world.data, { recursive: true, mode: 0o700 });
    await writeFile(secret, '');
    const defines = { OUTSIDE: `"${outside}"`, SECRET_FILE: `"${secret}"` };
    await world.publish('fault', await buildPlugin('reaches_out', { defines }));
    await world.start({ isolation: 'process' });
    expect(world.host.plugin('fault').error).toBeUndefined();
  });

  test('is so where its config.yaml says it', async () => {
    await publish();
    await world.write('fault', 'config.yaml', 'isolation: process\n');
    await world.start({ isolation: 'inline' });
    expect(world.host.plugin('fault').state).toBe('running');
    expect(existsSync(outside)).toBe(false);
  });

  test('may write what the plugin may', async () => {
    await publish();
    await world.write('fault', 'config.yaml', `isolation: {writable: [${path.dirname(outside)}]}\n`);
    await world.start({ isolation: 'inline' });
    expect(world.host.plugin('fault').state).toBe('running');
    expect(existsSync(outside)).toBe(true);
  });

  test('has a folder for temporary files that goes with it', async () => {
    const place = path.join(world.directory, 'temporary');
    const before = process.env['TMPDIR'];
    await mkdir(place);
    process.env['TMPDIR'] = place;
    try {
      await world.publish('fault', await buildPlugin('makes_temporary'));
      await world.start({ isolation: 'process' });
      expect(world.host.plugin('fault').state).toBe('running');
      const own = (await readdir(place)).filter((name) => name.includes(`-${process.pid}-`));
      expect(own).toHaveLength(1);
      // That of the generation, which its trial was before.
      expect(await readdir(path.join(place, own[0] ?? ''))).toEqual(['2-fault']);
    } finally {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
    }
  });

  test('is as free as the plugin where that is to run in the host', async () => {
    await publish();
    await world.start({ isolation: 'inline' });
    expect(world.host.plugin('fault').error).toMatchObject({
      code: 'TrialRefused',
      message: expect.stringContaining('it may signal another process') as string,
    });
    expect(existsSync(outside)).toBe(true);
  });
});
