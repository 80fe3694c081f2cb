import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Chaos } from './registry/chaos.js';
import { noPostgres, PostgresServer } from './registry/postgres.js';

const seed = Number(process.env['TENON_TEST_SEED'] ?? Date.now() % 2 ** 31);
const cuts = 500;
const edits = 10_000;
const kills = 5;

describe.skipIf(noPostgres !== undefined)(`three hosts on a server that is cut off often ${noPostgres ?? ''}`, () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server.dispose());

  test(`${cuts} cuts during ${edits} edits, a host and the server killed ${kills} times each: all come to what is said (TENON_TEST_SEED=${seed})`, {
    timeout: 1_800_000,
  }, async () => {
    const chaos = await Chaos.make({ server, seed, cuts, edits, kills });
    try {
      const figures = await chaos.run();
      console.info('cuts of the registry', figures);
      expect(figures.cuts).toBe(cuts);
      expect(figures.edits).toBeGreaterThanOrEqual(edits);
      // What the issue asks for: 5 s from the time at which they are connected again.
      expect(Math.max(...figures.convergedMs)).toBeLessThan(5000);
    } finally {
      await chaos.close();
    }
  });
});
