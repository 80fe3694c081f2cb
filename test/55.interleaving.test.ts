import fc from 'fast-check';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { order, startTimer, stopTimer } from './load/order.js';
import { type Command, ids, Rehearsal, rehearsed } from './load/rehearsal.js';
import type { Script, Step } from './load/script.js';

vi.mock('node:fs/promises', () => import('./load/memory-files.js'));
vi.mock('node:timers/promises', async (original) => ({
  ...(await original<object>()),
  setTimeout: (await import('./load/order.js')).sleep,
}));
vi.mock('../src/plugin/admit.js', async (original) => ({
  ...(await original<object>()),
  readImage: (await import('./load/memory-files.js')).readImage,
}));
vi.mock('../src/binding/library.js', async () => ({
  openLibrary: (await import('./load/watched-core.js')).openLibrary,
}));

const long = process.env['TENON_TEST_LONG'] === '1';
const seed = Number(process.env['TENON_TEST_SEED'] ?? Date.now() % 2 ** 31);
/** Of one order, as a failure prints it beside the seed: only that one is run then. */
const path = process.env['TENON_TEST_PATH'];

beforeAll(() => {
  vi.stubGlobal('setTimeout', startTimer);
  vi.stubGlobal('clearTimeout', stopTimer);
  vi.spyOn(performance, 'now').mockImplementation(() => order().now);
});
afterAll(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const steps: Step[] = [
  'build',
  'inspect',
  'stage',
  'trial',
  'open',
  'create',
  'initialize',
  'routes',
  'try',
  'load',
  'ready',
  'health',
  'quiesce',
  'save',
  'resume',
];
const lateSteps: Step[] = [
  'create',
  'initialize',
  'ready',
  'health',
  'load',
  'quiesce',
  'save',
  'resume',
  'shutdown',
  'destroy',
];

/** True once in `times`. */
const rarely = (times: number): fc.Arbitrary<boolean> => fc.nat(times - 1).map((value) => value === times - 1);
const oneOf = (all: Step[]): fc.Arbitrary<Step> => fc.constantFrom(...all);

const script: fc.Arbitrary<Partial<Script>> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ state: fc.boolean(), quiesces: fc.boolean(), exclusive: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ state: fc.boolean(), quiesces: fc.boolean(), exclusive: rarely(3), fails: oneOf(steps) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      state: fc.boolean(),
      quiesces: fc.boolean(),
      common: fc.boolean(),
      late: oneOf(lateSteps),
      returns: fc.boolean(),
      pins: rarely(4),
      restless: fc.nat(3),
    }),
  },
);

const id = fc.constantFrom(...ids);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('change' as const), id, script }) },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('call' as const),
      id,
      kind: fc.constantFrom('quick' as const, 'quick' as const, 'quick' as const, 'hung' as const, 'lost' as const),
      common: rarely(4),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'reload' as const,
        'storm' as const,
        'load' as const,
        'unload' as const,
        'roll back' as const,
      ),
      id,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom('remove' as const, 'disable' as const, 'enable' as const), id }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('come back' as const), id, script }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('discover' as const, 'health' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('shut down' as const) }) },
);

test(`in whatever order things happen, the old build serves until the new one does, and nothing is left (TENON_TEST_SEED=${seed})`, {
  timeout: long ? 3_600_000 : 180_000,
}, async () => {
  let calls = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(command, { minLength: 2, maxLength: 20 }),
      async (scheduler, commands) => {
        const rehearsal = new Rehearsal(scheduler);
        await rehearsal.run(commands);
        calls += rehearsal.order.steps;
      },
    ),
    { numRuns: long ? 50_000 : 2000, seed, ...(path === undefined ? {} : { path }) },
  );
  expect(calls).toBeGreaterThan(0);
  if (path === undefined) expect(rehearsed.compared).toBeGreaterThan(0);
});
