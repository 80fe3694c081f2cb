import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Command } from './load/command.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

describe('tenon start', () => {
  let world: World;
  let host: Command | undefined;
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(async () => {
    host?.child.kill('SIGKILL');
    await host?.exit;
    await world.close();
  });

  test('gives a plugin the time that its settings allow to shut down', async () => {
    await world.publish('service', await buildPlugin('service', { defines: { HANG_SHUTDOWN: '1' } }));
    await writeFile(path.join(world.directory, 'tenon.yaml'), 'limits:\n  drainMs: 100\n  lifecycleMs: 16000\n');
    host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, {});
    await until('it serves', () => host?.err.includes('Try: ') ?? false);
    host.child.kill('SIGTERM');
    expect(await host.exit).toEqual([0, null]);
    expect(host.out).toContain('shutdown did not return');
    expect(host.out).toContain('"stopped"');
    expect(host.out).not.toContain('the host did not stop in time');
  });
});
