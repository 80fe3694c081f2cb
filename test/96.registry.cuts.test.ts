import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Chaos } from './registry/chaos.js';
import { noPostgres, PostgresServer } from './registry/postgres.js';

const seed = Number(process.env['TENON_TEST_SEED'] ?? Date.now() % 2 ** 31);
const cuts = 40;
const edits = 800;

describe.skipIf(noPostgres !== undefined)(`three hosts on a server that is cut off ${noPostgres ?? ''}`, () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server.dispose());

  test(`${cuts} cuts during ${edits} edits, a host and the server killed: all come to what is said, and reload for nothing else (TENON_TEST_SEED=${seed})`, {
    timeout: 600_000,
  }, async () => {
    const chaos = await Chaos.make({ server, seed, cuts, edits, kills: 1 });
    try {
      const figures = await chaos.run();
      console.info('cuts of the registry', figures);
      expect(figures).toMatchObject({ cuts });
      expect(figures.edits).toBeGreaterThanOrEqual(edits);
    } finally {
      await chaos.close();
    }
  });
});
