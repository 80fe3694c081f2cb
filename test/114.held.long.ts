import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

// That they are counted so is in 114.guarding.
test('a plugin that has no thread left to serve is quarantined, and the host is to begin anew', async () => {
  const library = await buildPlugin('service');
  const sha256 = createHash('sha256')
    .update(await readFile(library))
    .digest('hex');
  await world.publish('service', library);
  await world.write('service', 'config.yaml', 'deadlineMs: 50\nconcurrency: 8\n');
  const quarantined: string[] = [];
  await world.open({}, { parent: { quarantined: ({ plugin }) => void quarantined.push(plugin) } });
  await world.host.discover();
  const hung = await Promise.all(Array.from({ length: 8 }, () => world.get('/service/slow?ms=7500')));
  expect(hung.map(({ status }) => status)).toEqual(hung.map(() => 504));
  await until('it is in quarantine', () => world.host.plugin('service').state === 'quarantined');
  expect(JSON.parse((await world.get('/service/build')).body)).toMatchObject({
    error: 'PluginQuarantined',
    details: { reason: '8 of its threads hang in calls that missed their deadlines' },
  });
  expect(world.host.plugin('service').error).toMatchObject({ details: { sha256 } });
  expect(quarantined).toEqual(['service']);
  expect(world.events.map(({ type }) => type)).toEqual(
    expect.arrayContaining(['plugin.quarantined', 'host.full', 'plugin.stopped']),
  );
  expect(world.host.wishes().plugins).toMatchObject([{ id: 'service', sha256 }]);
});
