import { afterAll, describe, expect, test } from 'vitest';
import { isPossible, kindNames, places } from './faults/kinds.js';
import { MatrixHost } from './faults/matrix.js';
import { type Cell, cellKey, writePage } from './faults/matrix-page.js';
import { percentile, storm } from './faults/storm.js';
import { Random } from './tables/random.js';

const seed = Number(process.env['TENON_TEST_SEED'] ?? Date.now() % 2 ** 31);
const count = Number(process.env['TENON_TEST_FAULTS'] ?? 1000);

describe('the fault matrix', () => {
  const matrix = new Map<string, Cell>();
  const host = new MatrixHost();
  afterAll(() => host.close());

  const cells = kindNames.flatMap((kind) =>
    places.filter((place) => isPossible(kind, place)).map((place) => [kind, place] as const),
  );
  test.each(cells)('%s at %s', { timeout: 120_000 }, async (kind, place) => {
    const observed = await host.observe(kind, place);
    matrix.set(cellKey(kind, place), observed);
    expect(observed.attribution, observed.detail).not.toBe('wrong');
  });

  test('is written down', async () => {
    expect(matrix.size).toBe(cells.length);
    await writePage(matrix);
  });
});

test(`${count} faults (TENON_TEST_SEED=${seed})`, { timeout: 3 * 3_600_000 }, async () => {
  const { faults, answered } = await storm(count, new Random(seed));
  const named = faults.filter(({ attribution }) => attribution === 'named');
  const losses = faults.flatMap((fault) => fault.losses);
  const gaps = faults.map(({ gapMs }) => gapMs);
  process.stdout.write(
    `${named.length} of ${faults.length} named; gap p50 ${percentile(gaps, 50).toFixed(0)} ms, p95 ${percentile(gaps, 95).toFixed(0)} ms, ` +
      `longest ${percentile(gaps, 100).toFixed(0)} ms; ${answered} answered, ${losses.length} lost\n`,
  );
  for (const { attribution, kind, place, said } of faults)
    if (attribution !== 'named') process.stdout.write(`${kind} at ${place}: ${attribution}: ${said}\n`);
  expect(named.length / faults.length).toBeGreaterThanOrEqual(0.99);
  expect(losses.filter(({ kind }) => kind !== 'lost')).toEqual([]);
  for (const fault of faults) expect(new Set(fault.losses.map(({ client }) => client)).size).toBe(fault.losses.length);
  expect(percentile(gaps, 95)).toBeLessThan(300);
});
