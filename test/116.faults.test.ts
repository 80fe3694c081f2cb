import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { FaultyHost } from './faults/faulty-host.js';
import type { Kind, Place } from './faults/kinds.js';
import { Load } from './faults/load.js';
import { MatrixHost } from './faults/matrix.js';
import { cellKey, type Matrix, readPage } from './faults/matrix-page.js';
import { percentile, storm, stormSettings } from './faults/storm.js';
import { until, type World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';
import { Random } from './tables/random.js';

const seed = Number(process.env['TENON_TEST_SEED'] ?? Date.now() % 2 ** 31);
const count = Number(process.env['TENON_TEST_FAULTS'] ?? 12);

describe('docs/fault-matrix.md is what is seen:', () => {
  const sample: readonly [Kind, Place][] = [
    ['null-write', 'inline'],
    ['exit-at-once', 'inline'],
    ['bad-header', 'inline'],
    ['recursion', 'pool'],
    ['throw', 'pool'],
    ['exit-0', 'pool'],
    ['unloaded', 'pool'],
    ['write-beyond', 'pool'],
    ['corrupt-heap', 'own'],
    ['kill', 'own'],
    ['abort', 'constructor'],
    ['bus-error', 'constructor (host)'],
    ['assert', 'initialize (host)'],
    ['null-call', 'shutdown'],
    ['pthread-exit', 'pool'],
    ['endless-loop', 'inline'],
  ];
  const host = new MatrixHost();
  let page: Matrix | undefined;
  afterAll(() => host.close());

  test.each(sample)('%s at %s', async (kind, place) => {
    page ??= await readPage();
    const { outcome, attribution, detail } = await host.observe(kind, place);
    expect({ outcome, attribution }, detail).toEqual({ attribution: undefined, ...page.get(cellKey(kind, place)) });
  });
});

test(`fault after fault (TENON_TEST_SEED=${seed}): each is put down to who did it, and nobody is refused`, async () => {
  const { faults } = await storm(count, new Random(seed));
  expect(
    faults.filter(({ attribution }) => attribution !== 'named').map(({ kind, place, said }) => [kind, place, said]),
  ).toEqual([]);
  for (const { kind, place, losses } of faults) {
    expect({ kind, place, unexpected: losses.filter((loss) => loss.kind !== 'lost') }).toMatchObject({
      unexpected: [],
    });
    // What was in flight: one request of each client.
    expect(new Set(losses.map(({ client }) => client)).size).toBe(losses.length);
  }
  expect(
    percentile(
      faults.map(({ gapMs }) => gapMs),
      95,
    ),
  ).toBeGreaterThan(0);
});

describe('a host whose plugins crash', () => {
  let host: FaultyHost;
  afterEach(() => host.close());

  test('goes on without the one that crashes a third time, and nobody else notices', async () => {
    host = await FaultyHost.start(
      ['fault', 'other'],
      stormSettings.replace('limit: 100', 'limit: 3').replace('windowMs: 1000', 'windowMs: 600000'),
    );
    const load = new Load({ url: host.url, count: 4, path: () => '/other/who', restMs: 5 });
    for (let crash = 0; crash < 3; crash++) {
      const known = await host.reports();
      expect(await host.call('POST', '/fault/pool?kind=null-write')).toMatchObject({ status: 'lost' });
      const report = await host.reportAfter(known);
      expect(report?.action).toBe(crash < 2 ? 'restarted' : 'quarantined');
      await until('the other is answered', () => load.hasRecovered);
      load.mark();
    }
    const refusal = await host.call('GET', '/fault/who');
    expect(refusal).toMatchObject({ status: 503, body: expect.stringContaining('PluginQuarantined') as string });
    const { answered } = load;
    await until('the other goes on', () => load.answered > answered + 20);
    await load.stop();
    expect(load.seen().losses).toEqual([]);
  });

  test('has every record that a write was acknowledged for, every value of tenon.state, and what the registry says', async () => {
    const settings = stormSettings.replace('registry:\n  enabled: false\n', '');
    host = await FaultyHost.start(['fault'], settings, withOthers, { TENON_REGISTRY: 'true' });
    const config = { method: 'PUT', target: '/api/v1/plugins/keeper/config' };
    const written: string[] = [];
    for (const place of ['inline', 'own']) {
      for (let record = 0; record < 10; record++) {
        const id = `${place}-${record}`;
        expect(await host.call('PUT', `/todo/Task/${id}`, `{"title":"${id}"}`)).toMatchObject({ status: 201 });
        written.push(id);
      }
      expect(await host.call('PUT', '/keeper/note', place)).toMatchObject({ status: 200 });
      const chosen = JSON.stringify({ place });
      await until('the registry takes it', async () => {
        return (await host.call(config.method, config.target, chosen)).status === 200;
      });
      const known = await host.reports();
      await host.call('POST', `/fault/${place}?kind=null-write`);
      expect(await host.reportAfter(known)).toMatchObject({ verdict: { culprit: { plugin: 'fault' } } });
      const { body } = await host.call('GET', '/todo/Task?limit=1000');
      expect((JSON.parse(body) as { id: string }[]).map(({ id }) => id).toSorted()).toEqual(written.toSorted());
      expect(await host.call('GET', '/keeper/note')).toEqual({ status: 200, body: place });
      // Its database opens behind the port.
      await until('the registry is read', async () => (await host.call('GET', config.target)).body.includes(place));
    }
  });
});

/** A table that is written over HTTP, and a plugin that keeps values. */
async function withOthers(world: World): Promise<void> {
  await world.write('todo', 'config.yaml', 'app_id: todo\n');
  await world.write('todo', 'schema.graphql', 'type Task @table @export { id: ID! @primaryKey title: String! }\n');
  await world.publish('keeper', await buildPlugin('keeper'));
}
