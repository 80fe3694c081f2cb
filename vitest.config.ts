import { createRequire } from 'node:module';
import { defineConfig } from 'vitest/config';
import { conformance } from './test/conformance.js';
import { LongestFirst } from './test/longest-first.js';

const all = ['test/**/*.test.ts'];
const long = process.env['TENON_TEST_LONG'] === '1';

export default defineConfig({
  // As Node itself resolves: packages that import each other would else meet in two copies.
  resolve: { alias: [{ find: /^graphql$/, replacement: createRequire(import.meta.url).resolve('graphql') }] },
  test: {
    projects: [
      { extends: true, test: { name: 'in process', include: long ? [...all, 'test/**/*.long.ts'] : all } },
      // The same files once more, with each plugin in a process of its own.
      { extends: true, test: { name: 'isolated', include: conformance, env: { TENON_ISOLATION: 'process' } } },
    ],
    // Half a second of a processor for each host that is started, and only tests of crashes want it.
    env: { TENON_STANDBY: 'false' },
    globalSetup: ['test/set-up.ts'],
    pool: 'forks',
    // More than the two cores of the smallest machine: tests wait for timers, disks and one another.
    maxWorkers: 3,
    // Half of what a start of PGlite costs is compiling it a second time, for a speed that no test is for.
    execArgv: ['--liftoff-only'],
    isolate: true,
    sequence: { concurrent: false, sequencer: LongestFirst },
    // How long is waited for what will come: long, since a machine may have something else to do.
    expect: { poll: { timeout: 45_000 } },
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 20_000,
    passWithNoTests: false,
    reporters: ['default', './test/left-out.ts'],
  },
});
