import { defineConfig } from 'vitest/config';

const long = process.env['TENON_TEST_LONG'] === '1';

export default defineConfig({
  test: {
    include: long ? ['test/**/*.test.ts', 'test/**/*.long.ts'] : ['test/**/*.test.ts'],
    globalSetup: ['test/set-up.ts'],
    pool: 'forks',
    maxWorkers: 2,
    isolate: true,
    sequence: { concurrent: false },
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 20_000,
    passWithNoTests: false,
    reporters: ['default'],
  },
});
