import os from 'node:os';
import { beforeAll, describe, expect, test } from 'vitest';
import { isolatedFaults } from './faults/isolated.js';
import { type ApartReport, stormApart, tellOf } from './faults/isolated-storm.js';
import { apartKey, readApart } from './faults/matrix-page.js';
import { Random } from './tables/random.js';

const seed = Number(process.env['TENON_TEST_SEED'] ?? Date.now() % 2 ** 31);
const count = Number(process.env['TENON_TEST_FAULTS'] ?? 200);

/** Since Linux 6.16 the host's socket takes no descriptors; before, whoever sends them is ended. */
const [major = 0, minor = 0] = os.release().split('.').map(Number);
const refusesDescriptors = major > 6 || (major === 6 && minor >= 16);

describe(`fault after fault in processes of their own (TENON_TEST_SEED=${seed})`, () => {
  let seen: ApartReport;
  beforeAll(async () => {
    seen = await stormApart(count, new Random(seed));
    process.stdout.write(`${tellOf(seen)}\n`);
  }, 900_000);

  test('are all over, and the plugin is back after each', () => {
    expect(seen.faults.length).toBe(count);
    expect(new Set(seen.faults.map(({ fault }) => fault.kind)).size).toBe(isolatedFaults.length);
  });

  test('leave the host as it was', () => {
    const [before, after] = seen.hosts;
    expect(after).toBe(before);
  });

  test('lose no request of another plugin', () => {
    expect(seen.losses).toEqual([]);
    expect(seen.answered).toBeGreaterThan(count);
  });

  test('come to what docs/fault-matrix.md says', async () => {
    const page = await readApart();
    const others = seen.faults.filter(({ fault: { kind }, place, outcome }) => {
      const isTaken = kind === 'send-descriptors' && !refusesDescriptors;
      return outcome !== (isTaken ? 'another process' : page.get(apartKey(kind, place)));
    });
    expect(others.map(({ fault, place, outcome, detail }) => [fault.kind, place, outcome, detail])).toEqual([]);
  });
});
