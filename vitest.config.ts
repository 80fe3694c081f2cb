import { createRequire } from 'node:module';
import { defineConfig } from 'vitest/config';

const long = process.env['TENON_TEST_LONG'] === '1';

export default defineConfig({
  // As Node itself resolves: packages that import each other would else meet in two copies.
  resolve: { alias: [{ find: /^graphql$/, replacement: createRequire(import.meta.url).resolve('graphql') }] },
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
