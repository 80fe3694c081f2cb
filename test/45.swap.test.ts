import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Counting } from './load/counting.js';
import { gauge } from './load/gauge.js';
import { until, World } from './load/world.js';

const clientCount = 32;
const reloadCount = process.env['TENON_TEST_LONG'] === '1' ? 500 : 200;

describe('a plugin with state, replaced under load', () => {
  let world: World;
  let counting: Counting;

  beforeAll(async () => {
    world = await World.make();
    counting = new Counting(world, clientCount);
    await counting.prepare();
    await world.start({ onEvent: counting.onEvent });
  });
  afterAll(() => world.close());

  test(`${clientCount} keep-alive clients and ${reloadCount} reloads: nothing fails, no count is lost, nothing leaks`, async () => {
    const before = await counting.warmUp();
    await counting.begin();
    for (let turn = 0; turn < reloadCount; turn++) {
      const record = await counting.swap();
      expect(record).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
      // Every second one is replaced at once, whether it has answered or not.
      if (turn % 2 === 0) await counting.answeredBy(record.to?.generation ?? 0);
    }
    const report = await counting.end();

    expect(report.unexpected).toEqual([]);
    expect(report).toMatchObject({ twice: [], missing: false, value: report.acknowledged });
    expect(report.connections).toBe(clientCount);
    expect(counting.generationsSeen).toBeGreaterThanOrEqual(reloadCount / 2);

    await until('connections are closed', () => gauge(world.data).descriptors <= before.descriptors);
    const after = counting.holdings();
    expect(after.images).toBe(1);
    expect(after.threads).toBeLessThanOrEqual(before.threads);
    expect(after.staged).toBe(0);
  }, 300_000);
});
