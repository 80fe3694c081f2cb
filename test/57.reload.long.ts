import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLog } from '../src/base/log.js';
import { Counting } from './load/counting.js';
import { gauge } from './load/gauge.js';
import { until, World } from './load/world.js';

const clientCount = 32;
const reloadCount = 10_000;
const sampleEvery = 100;
/** A reload that keeps anything keeps a page of memory; what comes and goes with the load is less in so many samples. */
const pageKiB = 4;
/** What allocators and caches take once. */
const warmUpShare = 0.4;

/** Least-squares slope of equidistant values, per step. */
function slope(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((total, value) => total + value, 0) / values.length;
  let above = 0;
  let below = 0;
  for (const [at, value] of values.entries()) {
    above += (at - middle) * (value - mean);
    below += (at - middle) ** 2;
  }
  return above / below;
}

describe('a plugin with state, replaced under load for long', () => {
  let world: World;
  let counting: Counting;

  beforeAll(async () => {
    world = await World.make();
    counting = new Counting(world, clientCount);
    await counting.prepare();
    await world.start({ onEvent: counting.onEvent, log: silentLog() });
  });
  afterAll(() => world.close());

  /** Files of the data directory, without those of the staged libraries, which `gauge` counts. */
  const files = async (): Promise<string[]> => {
    let names: string[] = [];
    await until('nothing is being written', () => {
      names = readdirSync(world.data, { recursive: true }).map(String);
      return !names.some((name) => name.endsWith('.new'));
    });
    return names.sort();
  };

  test(`${clientCount} keep-alive clients and ${reloadCount} reloads: nothing fails, and everything stays flat`, async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const before = await counting.warmUp();
    const filesBefore = await files();
    await counting.begin();
    const resident: number[] = [];
    const mostImages: number[] = [];
    for (let turn = 1; turn <= reloadCount; turn++) {
      const record = await counting.swap();
      expect(record).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
      // Every second one is replaced at once, whether it has answered or not.
      if (turn % 2 === 0) await counting.answeredBy(record.to?.generation ?? 0);
      if (turn % sampleEvery > 0) continue;
      collect();
      resident.push(process.memoryUsage.rss() / 1024);
      mostImages.push(gauge(world.data).images);
    }
    const report = await counting.end();

    expect(report.unexpected).toEqual([]);
    expect(report).toMatchObject({ twice: [], missing: false, value: report.acknowledged });
    expect(report.connections).toBe(clientCount);
    expect(counting.generationsSeen).toBeGreaterThanOrEqual(reloadCount / 2);

    await until('connections are closed', () => gauge(world.data).descriptors <= before.descriptors);
    const after = counting.holdings();
    expect(after).toMatchObject({ images: 1, staged: 0 });
    expect(after.threads).toBeLessThanOrEqual(before.threads);
    expect(Math.max(...mostImages)).toBeLessThanOrEqual(2);
    expect(await files()).toEqual(filesBefore);
    const perReload = slope(resident.slice(resident.length * warmUpShare)) / sampleEvery;
    expect(perReload).toBeLessThan(pageKiB);
  }, 3_600_000);
});
