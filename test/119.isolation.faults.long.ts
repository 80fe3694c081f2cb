import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FaultyHost } from './faults/faulty-host.js';
import { isolatedFaults, isolatedPlaces, isPossibleApart, startApart, strikeApart } from './faults/isolated.js';
import { stormApart, tellOf, timesBack } from './faults/isolated-storm.js';
import { apartKey, writeApart } from './faults/matrix-page.js';
import { percentile } from './faults/storm.js';
import { Random } from './tables/random.js';

const seed = Number(process.env['TENON_TEST_SEED'] ?? Date.now() % 2 ** 31);
const count = Number(process.env['TENON_TEST_FAULTS'] ?? 1000);

describe('the fault matrix of plugins in processes of their own', () => {
  const matrix = new Map<string, string>();
  let host: FaultyHost;
  beforeAll(async () => {
    host = await startApart();
  });
  afterAll(() => host.close());

  const cells = isolatedFaults.flatMap((fault) =>
    isolatedPlaces.filter((place) => isPossibleApart(fault, place)).map((place) => [fault.kind, place, fault] as const),
  );
  test.each(cells)('%s at %s', async (kind, place, fault) => {
    await host.renew(fault.plugin);
    const before = await host.serving();
    const { outcome } = await strikeApart(host, fault, place);
    matrix.set(apartKey(kind, place), outcome);
    expect(await host.serving()).toBe(before);
  });

  test('is written down', async () => {
    expect(matrix.size).toBe(cells.length);
    await writeApart(matrix);
  });
});

test(`${count} faults (TENON_TEST_SEED=${seed})`, { timeout: 3 * 3_600_000 }, async () => {
  const seen = await stormApart(count, new Random(seed));
  process.stdout.write(`${tellOf(seen)}\n`);
  expect(seen.hosts[1]).toBe(seen.hosts[0]);
  expect(seen.losses).toEqual([]);
  expect(percentile(timesBack(seen), 95)).toBeLessThan(25);
});
