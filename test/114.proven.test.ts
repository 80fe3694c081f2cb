import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadCore } from '../src/binding/core.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
/** Of this process, which has one: as if a parent had given it. */
const core = loadCore();
const box = core.createBlackBox();
core.openBlackBox({ descriptor: box });

beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

/** Generations of the plugin, and how they are in the black box. */
function states(plugin: string): string {
  const images = core.readBlackBox(box).images.filter((image) => image.plugin === plugin);
  return images.map(({ generation, state }) => `${generation} ${state}`).join(', ');
}

function build(text: string, defines: Record<string, string> = {}): Promise<string> {
  return buildPlugin('service', { defines: { BUILD: `"${text}"`, ...defines } });
}

test('a build has shown that it is well before its first request at a start, and after its probation at a reload', async () => {
  await world.publish('service', await build('one'));
  await world.open({ probationMs: 400 }, { parent: {} });
  await world.host.discover();
  expect(states('service')).toBe('1 serving');
  await world.publish('service', await build('two'));
  await world.host.reload('service');
  expect(states('service')).toBe('1 closed, 2 open');
  await until('its probation is over', () => states('service') === '1 closed, 2 serving');
});

test('a build that was well is known to be so when it is loaded again, also by the next host', async () => {
  const id = { PLUGIN_ID: '"again"' };
  const isProven = (): unknown[] =>
    core.readBlackBox(box).images.flatMap(({ plugin, proven }) => (plugin === 'again' ? [proven] : []));
  await world.publish('again', await build('one', id));
  await world.open({}, { parent: {} });
  await world.host.discover();
  expect(isProven()).toEqual([false]);
  await world.host.unload('again');
  await world.host.load('again');
  expect(isProven()).toEqual([false, true]);
  await world.host.close();
  await world.open({}, { parent: {} });
  await world.host.discover();
  expect(isProven()).toEqual([false, true, true]);
  await world.publish('again', await build('two', id));
  await world.host.reload('again');
  expect(isProven()).toEqual([false, true, true, false]);
});

test('without a probation it is once it was asked', async () => {
  const id = { PLUGIN_ID: '"other"' };
  await world.publish('other', await build('one', id));
  await world.open({ probationMs: 0 }, { parent: {} });
  await world.host.discover();
  await world.publish('other', await build('two', id));
  await world.host.reload('other');
  await until('it was asked', () => states('other').endsWith('2 serving'));
  expect(states('other')).toBe('1 closed, 2 serving');
});

test('a plugin that is over a hard limit soon after the start goes to quarantine, and is told of before', async () => {
  await world.publish('fault', await buildPlugin('fault'));
  await world.write('fault', 'config.yaml', 'limits: { descriptors: { soft: 2, hard: 4 } }\n');
  const quarantined: string[] = [];
  await world.open({}, { parent: { quarantined: ({ reason }) => void quarantined.push(reason) }, box });
  await world.host.discover();
  expect(world.host.plugin('fault').generations).toMatchObject([{ gauges: { descriptors: 0 } }]);
  await world.request('POST', '/fault/pool?kind=leak-descriptors');
  await until('it is in quarantine', () => world.host.plugin('fault').state === 'quarantined');
  expect(quarantined).toEqual([
    expect.stringMatching(/^fault has \d+ open descriptors, and may have 4; \d+ s after the start/),
  ]);
  expect(world.events.map(({ type }) => type)).toEqual(
    expect.arrayContaining(['plugin.overSoftLimit', 'plugin.overHardLimit', 'plugin.quarantined', 'host.full']),
  );
  expect(world.host.plugin('fault').warnings).toEqual(
    expect.arrayContaining([expect.stringMatching(/^fault has \d+ open descriptors, and 2 are expected$/)]),
  );
});
