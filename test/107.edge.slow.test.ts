import { afterAll, beforeAll, expect, test } from 'vitest';
import { SlowClients } from './edge/slow.js';
import { Clients } from './load/clients.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;

beforeAll(async () => {
  world = await World.make();
  await world.publish('service', await buildPlugin('service'));
  await world.write('shop', 'config.yaml', 'name: Shop\n');
  const schema = 'type Item @table @export(rest: true, sse: true) { id: ID! @primaryKey text: String }\n';
  await world.write('shop', 'schema.graphql', schema);
  await world.start({ headersMs: 1_000, requestMs: 1_500, stallMs: 1_000 });
});
afterAll(() => world.close());

const counted = (message: string): number =>
  world.log.filter(({ msg }) => msg.startsWith(message)).reduce((sum, { count }) => sum + Number(count), 0);

test('50 slow clients and 20 stuck ones are each cut off, while all others are answered', async () => {
  const before = process.memoryUsage.rss();
  const slow = new SlowClients({
    url: world.url,
    token: 'a-token-of-the-tests',
    everyMs: 100,
    againMs: 60_000,
    rampMs: 0,
    heads: 17,
    bodies: 17,
    readers: 16,
    stuck: 20,
  });
  const others = new Clients({
    url: world.url,
    count: 4,
    next: (client) => ({ method: 'GET', path: client % 2 === 0 ? '/service/build' : '/plugins' }),
    judge: ({ status }) => (status === 200 ? undefined : String(status)),
  });
  const text = 'x'.repeat(500_000);
  let written = 0;
  await until('all kinds have been cut off', async () => {
    // Those that are stuck have to have something that they do not take.
    const { status } = await world.request('PUT', '/shop/Item/a', {
      body: JSON.stringify({ id: 'a', text: `${written}${text}` }),
      headers: { 'content-type': 'application/json' },
    });
    if (status < 300) written += 1;
    const { heads, bodies } = slow.cut;
    const ended = world.log.filter(({ msg }) => msg.startsWith('a subscriber of changes did not read')).length;
    const stalled = counted('clients took nothing');
    return heads >= 17 && bodies >= 17 && stalled >= 4 && stalled + ended >= 4 + 15;
  });
  const report = await others.stop();
  await slow.stop();
  expect(report.unexpected.slice(0, 5)).toEqual([]);
  expect([report.connections, report.answered > 100, written > 0]).toEqual([4, true, true]);
  expect(process.memoryUsage.rss() - before).toBeLessThan(400_000_000);
});
