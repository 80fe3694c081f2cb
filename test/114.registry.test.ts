import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { nothingContained } from '../src/base/containment.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

test('with a registry a plugin in quarantine keeps its row, cannot be enabled, and is enabled again once it is released', async () => {
  const library = await buildPlugin('service');
  await world.publish('service', library);
  await world.start({ registry: true });
  await until('it is registered', () => world.host.plugin('service').registry?.status === 'active');
  await world.host.close();

  const sha256 = createHash('sha256')
    .update(await readFile(library))
    .digest('hex');
  const build = { plugin: 'service', sha256, reason: 'it crashed the host', crash: 'crash-3', since: 'now' };
  await world.open({ registry: true }, { containment: { ...nothingContained, quarantined: [build] }, parent: {} });
  await world.host.discover();
  expect(world.host.plugin('service')).toMatchObject({ state: 'quarantined', registry: { status: 'active' } });
  await expect(world.host.enable('service')).rejects.toMatchObject({ code: 'PluginQuarantined' });
  expect(world.host.plugin('service')).toMatchObject({ state: 'quarantined', registry: { status: 'active' } });
  await world.host.release('service');
  expect(await world.host.enable('service')).toMatchObject({ state: 'running' });
});
