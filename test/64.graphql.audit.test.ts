import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GraphqlServer, serveGraphql } from './tables/graphql.js';

let server: GraphqlServer;
beforeAll(async () => {
  server = await serveGraphql('type Task @table @export { id: ID! @primaryKey }');
});
afterAll(() => server.close());

describe('GraphQL over HTTP, as graphql-http audits it', () => {
  const audits = serverAudits({ url: () => server.url });

  test('has an audit for each part', () => expect(audits.length).toBeGreaterThan(55));

  test.each(audits.map((audit) => [audit.name, audit] as const))('%s', async (_, audit) => {
    const result = await audit.fn();
    expect(result.status === 'ok' ? 'ok' : `${result.status}: ${result.reason}`).toBe('ok');
  });
});
