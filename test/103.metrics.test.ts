import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { request as send } from 'node:http';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StaticPlugin } from '../src/index.js';
import { hostFamilies } from '../src/http/metrics-host.js';
import { requestBounds } from '../src/http/metrics-requests.js';
import { textOf } from '../src/http/metrics-text.js';
import { root } from './architecture/tree.js';
import { complaintsOf, countOpenMetrics, noPromtool, readLines, sumOf } from './load/exposition.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';
import { SocketClient } from './tables/socket-client.js';

const openMetrics = 'application/openmetrics-text;version=1.0.0';
const clock: StaticPlugin = {
  id: 'clock',
  routes: [
    { method: 'GET', path: '/now', handle: (_request, response) => void response.end('noon') },
    {
      method: 'GET',
      path: '/wrong',
      handle: () => {
        throw new Error('no hands');
      },
    },
  ],
};

let world: World;
beforeAll(async () => {
  world = await World.make();
  await world.publish('service', await buildPlugin('service'));
  await world.write('todo', 'config.yaml', 'name: Todo\n');
  await world.write(
    'todo',
    'schema.graphql',
    'type Task @table @export(rest: true, sse: true, ws: true) {\n  id: ID! @primaryKey\n  title: String!\n}\n',
  );
  await world.start({ plugins: [clock], drainMs: 500, lifecycleMs: 500 });
});
afterAll(() => world.close());

async function metrics(accept?: string): Promise<string> {
  const { body } = await world.request('GET', '/metrics', accept === undefined ? {} : { headers: { accept } });
  return body;
}

type Labels = Readonly<Record<string, string>>;

async function number(name: string, labels: Labels = {}): Promise<number | undefined> {
  return sumOf(await metrics(), name, labels);
}

/** How much a number grows while `work` is done. */
async function growth(name: string, labels: Labels, work: () => Promise<unknown>): Promise<number> {
  const before = (await number(name, labels)) ?? 0;
  await work();
  return ((await number(name, labels)) ?? 0) - before;
}

const ended = 'tenon_http_requests_total';
const times = 'tenon_http_request_duration_seconds';
const slow = { plugin: 'service', route: '/service/slow' };

describe('the text', () => {
  beforeAll(async () => {
    await Promise.all([
      ...[
        '/service/build',
        '/service/items/7',
        '/service/fail',
        '/service/slow?ms=1',
        '/clock/now',
        '/clock/wrong',
      ].map((target) => world.get(target)),
      ...['/todo/Task', '/todo/Task/none', '/livez', '/readyz', '/plugins/service', '/nothing'].map((target) =>
        world.get(target),
      ),
      world.request('POST', '/service/count', { body: 'x' }),
      world.request('HEAD', '/service/build'),
    ]);
  });

  test.skipIf(noPromtool)('is one that promtool has nothing to say against', async () => {
    const text = await metrics();
    expect(complaintsOf(text)).toBe('');
    for (const start of ['tenon_', 'process_', 'nodejs_'])
      expect(readLines(text).some(({ name }) => name.startsWith(start))).toBe(true);
  });

  test.skipIf(noPromtool)('is read by Prometheus as OpenMetrics, too', async () => {
    const text = await metrics(openMetrics);
    expect(text).toMatch(/# EOF\n$/);
    expect(countOpenMetrics(text)).toBe(readLines(text).length);
  });

  test('calls the family of a counter without _total in OpenMetrics, and names units', async () => {
    const text = await metrics(openMetrics);
    expect(text).toContain('# TYPE tenon_http_requests counter\ntenon_http_requests_total{');
    expect(text).toContain('# TYPE tenon_plugin_calls counter\ntenon_plugin_calls_total{');
    expect(text).toContain(`# TYPE ${times} histogram\n# UNIT ${times} seconds\n`);
    expect(text).toContain('le="1.0"');
    expect(text).not.toMatch(/# TYPE \S+_total counter/);
  });

  test.each([
    ['text/plain; version=0.0.4; charset=utf-8', '*/*'],
    ['text/plain; version=0.0.4; charset=utf-8', 'text/html, text/plain;q=0.5'],
    ['text/plain; version=0.0.4; charset=utf-8', 'image/png'],
    ['application/openmetrics-text; version=1.0.0; charset=utf-8', openMetrics],
    [
      'application/openmetrics-text; version=1.0.0; charset=utf-8',
      'application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
    ],
  ])('is %s for %s', async (type, accept) => {
    const { status, headers } = await world.request('GET', '/metrics', { headers: { accept } });
    expect([status, headers.get('content-type'), headers.get('vary')]).toEqual([200, type, 'accept, Accept-Encoding']);
  });

  test('has both calls of static plugins and of libraries in one family', async () => {
    for (const accept of [undefined, openMetrics]) {
      const text = await metrics(accept);
      expect(sumOf(text, 'tenon_plugin_calls_total', { plugin: 'clock' })).toBeGreaterThan(0);
      expect(sumOf(text, 'tenon_plugin_faults_total', { plugin: 'clock' })).toBe(1);
      expect(sumOf(text, 'tenon_plugin_calls_total', { plugin: 'service' })).toBeGreaterThan(0);
    }
  });
});

describe('requests', () => {
  interface Ask {
    readonly method: string;
    readonly target: string;
    readonly labels: Labels;
  }
  const service = { plugin: 'service' };
  const asks: readonly Ask[] = [
    { method: 'GET', target: '/service/build', labels: { ...service, route: '/service/build', code: '200' } },
    { method: 'HEAD', target: '/service/build', labels: { ...service, route: '/service/build', code: '200' } },
    { method: 'GET', target: '/service/items/1?a=b', labels: { ...service, route: '/service/items/:id', code: '200' } },
    { method: 'GET', target: '/service/items/2', labels: { ...service, route: '/service/items/:id', code: '200' } },
    { method: 'POST', target: '/service/count', labels: { ...service, route: '/service/count', code: '200' } },
    { method: 'GET', target: '/service/fail', labels: { ...service, route: '/service/fail', code: '500' } },
    { method: 'GET', target: '/service/slow?ms=2', labels: { ...slow, code: '200' } },
    { method: 'GET', target: '/todo/Task', labels: { plugin: 'todo', route: '/todo/Task', code: '200' } },
    { method: 'GET', target: '/todo/Task/9', labels: { plugin: 'todo', route: '/todo/Task/:key', code: '404' } },
    { method: 'GET', target: '/clock/now', labels: { plugin: 'clock', route: '/clock/now', code: '200' } },
    { method: 'GET', target: '/plugins/service', labels: { plugin: '', route: '/plugins/:id', code: '200' } },
    { method: 'GET', target: '/livez', labels: { plugin: '', route: '/livez', code: '200' } },
    { method: 'PROPFIND', target: '/a', labels: { plugin: '', method: 'other', route: 'other', code: '404' } },
    { method: 'DELETE', target: '/b', labels: { plugin: '', route: 'other', code: '404' } },
    { method: 'GET', target: '/c/d?e', labels: { plugin: '', route: 'other', code: '404' } },
  ].map(({ labels, ...ask }) => ({ ...ask, labels: { method: ask.method, ...labels } }));

  const keyOf = ({ plugin = '', method = '', route = '', code = '' }: Labels): string =>
    `${plugin} ${method} ${route} ${code}`;

  /** Of all routes but that of this question itself. */
  function counts(text: string, name: string): Map<string, number> {
    const found = readLines(text).filter((line) => line.name === name && line.labels['route'] !== '/metrics');
    return new Map(found.map(({ labels, value }) => [keyOf(labels), value]));
  }

  test('move the numbers by exactly what was asked, in any mix', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...asks), { minLength: 40, maxLength: 80, size: 'max' }),
        async (mix) => {
          const before = await metrics();
          await Promise.all(mix.map(({ method, target }) => world.request(method, target)));
          const after = await metrics();
          const expected = counts(before, ended);
          const expectedTimes = counts(before, `${times}_count`);
          for (const { labels } of mix) {
            expected.set(keyOf(labels), (expected.get(keyOf(labels)) ?? 0) + 1);
            const timed = keyOf({ ...labels, code: '' });
            expectedTimes.set(timed, (expectedTimes.get(timed) ?? 0) + 1);
          }
          expect(counts(after, ended)).toEqual(expected);
          expect(counts(after, `${times}_count`)).toEqual(expectedTimes);
        },
      ),
      { numRuns: 12 },
    );
  });

  test('are in flight until they have ended, and aborted when their client goes', async () => {
    const route = { plugin: 'service', route: '/service/stream' };
    const inFlight = (): Promise<number | undefined> => number('tenon_http_requests_in_flight', service);
    const aborted = await growth(ended, { ...route, code: 'aborted' }, async () => {
      const asked = send(`${world.url}/service/stream?chunks=4000`).on('error', () => {});
      asked.end();
      const [answer] = (await once(asked, 'response')) as [NodeJS.ReadableStream]; // nobody reads it
      answer.on('error', () => {});
      expect(await inFlight()).toBe(1);
      expect(await number('tenon_plugin_leases', service)).toBe(1);
      asked.destroy();
      await until('it is over', async () => (await inFlight()) === undefined);
      await until('the plugin has let go', async () => (await number('tenon_plugin_leases', service)) === 0);
    });
    expect(aborted).toBe(1);
  });

  test('are in the buckets of their times', async () => {
    await world.get('/service/slow?ms=300');
    const buckets = readLines(await metrics()).filter(
      ({ name, labels }) => name === `${times}_bucket` && labels['route'] === slow.route,
    );
    const at = (le: string): number => buckets.find(({ labels }) => labels['le'] === le)?.value ?? -1;
    expect(buckets).toHaveLength(requestBounds.length + 1);
    expect(at('+Inf')).toBeGreaterThan(at('0.25'));
    expect(at('0.001')).toBe(0);
    const values = buckets.map(({ value }) => value);
    expect(values).toEqual(values.toSorted((one, other) => one - other));
  });

  test('that the host refuses are told by code, and missed deadlines by plugin', async () => {
    const missed = { plugin: 'service', code: 'DeadlineExceeded' };
    const tooLarge = { plugin: 'service', code: 'BodyTooLarge' };
    const misses = await growth('tenon_plugin_deadline_misses_total', service, async () => {
      expect(await growth('tenon_http_problems_total', missed, () => world.get('/service/hang'))).toBe(1);
    });
    expect(misses).toBe(1);
    const body = 'x'.repeat(2000);
    const send = (): Promise<unknown> => world.request('POST', '/service/echo', { body });
    expect(await growth('tenon_http_problems_total', tooLarge, send)).toBe(1);
    expect(await number('tenon_plugin_lost_threads', service)).toBe(1);
  });

  test('that listen to changes are event streams, and no times', async () => {
    const timed = { plugin: 'todo', route: '/todo/Task' };
    const before = await number(`${times}_count`, timed);
    const asked = send(`${world.url}/todo/Task`, { headers: { accept: 'text/event-stream' } });
    asked.end();
    const [answer] = (await once(asked, 'response')) as [NodeJS.ReadableStream];
    answer.on('error', () => {}).resume();
    expect(await number('tenon_http_event_streams', { plugin: 'todo' })).toBe(1);
    asked.destroy();
    await until(
      'nobody listens',
      async () => (await number('tenon_http_event_streams', { plugin: 'todo' })) === undefined,
    );
    expect(await number(`${times}_count`, timed)).toBe(before);
  });
});

test('WebSockets are clients while they are open, and told by how they ended', async () => {
  const todo = { plugin: 'todo' };
  const address = `${world.url.replace('http', 'ws')}/todo/Task`;
  const [one, two] = [await SocketClient.open(address), await SocketClient.open(address)];
  expect(await number('tenon_websocket_clients', todo)).toBe(2);
  one.socket.close(1000);
  two.socket.close(4321);
  await until('both are gone', async () => (await number('tenon_websocket_clients', todo)) === 0);
  expect(await number('tenon_websocket_closed_total', { ...todo, code: '1000' })).toBe(1);
  expect(await number('tenon_websocket_closed_total', { ...todo, code: 'other' })).toBe(1);
});

describe('the host', () => {
  test('tells what it runs, and what that takes', async () => {
    const text = await metrics();
    expect(sumOf(text, 'tenon_build_info')).toBe(1);
    expect(sumOf(text, 'tenon_ready')).toBe(1);
    expect(sumOf(text, 'tenon_plugins', { state: 'running' })).toBe(3);
    expect(sumOf(text, 'tenon_plugin_up')).toBe(3);
    const { alive } = world.host.images();
    expect(sumOf(text, 'tenon_image_bytes', { state: 'alive' })).toBe(alive.bytes);
    expect(sumOf(text, 'tenon_images', { state: 'alive' })).toBe(alive.count);
  });

  test('tells what is written to tables', async () => {
    const put = (): Promise<unknown> =>
      world.request('PUT', '/todo/Task/1', { body: '{"title":"a"}', headers: { 'content-type': 'application/json' } });
    expect(await growth('tenon_store_commits_total', {}, put)).toBe(1);
  });

  test.skipIf(noPromtool)('has families for a registry that promtool has nothing to say against', () => {
    const status = {
      kind: 'server',
      place: 'postgres://db',
      connected: false,
      since: '2026-01-01T00:00:00.000Z',
    } as const;
    const registry = { ...status, connections: 2, notifications: 3, reads: 4, readSeconds: 0.5, readAt: 1e9 };
    const none = { count: 0, bytes: 0 };
    const families = hostFamilies({
      build: { version: '1', abi: '1.0', node: '20' },
      ready: false,
      plugins: [],
      connections: [],
      images: { alive: none, draining: none, pinned: none },
      registry,
    });
    const text = families.map((family) => textOf(family, false)).join('');
    expect(complaintsOf(text)).toBe('');
    expect(
      readLines(text)
        .filter(({ name }) => name.startsWith('tenon_registry_'))
        .map(({ value }) => value),
    ).toEqual([0, 1767225600, 2, 3, 4, 0.5, 1e9]);
  });
});

describe('docs/metrics.md', () => {
  const document = readFileSync(path.join(root, 'docs', 'metrics.md'), 'utf8');
  const rows = new Map(
    [...document.matchAll(/^\| `(tenon_\w+)` \| (\w+) \| ([^|]*)\|/gm)].map(([, name = '', type = '', labels = '']) => [
      name,
      {
        type,
        labels: labels
          .split(',')
          .map((each) => each.trim())
          .filter((each) => each !== '')
          .toSorted(),
      },
    ]),
  );

  test('has every family of the host, with its type and its labels', async () => {
    const text = await metrics();
    const types = [...text.matchAll(/^# TYPE (tenon_\w+) (\w+)$/gm)].map(([, name = '', type = '']) => ({
      name,
      type,
    }));
    expect(types.length).toBeGreaterThan(40);
    expect(types.filter(({ name, type }) => rows.get(name)?.type !== type)).toEqual([]);
    for (const { name, labels } of readLines(text)) {
      const row = rows.get(name) ?? rows.get(name.replace(/_(?:bucket|sum|count)$/, ''));
      if (!name.startsWith('tenon_')) continue;
      expect([
        name,
        Object.keys(labels)
          .filter((key) => key !== 'le')
          .toSorted(),
      ]).toEqual([name, row?.labels]);
    }
  });

  test('has none that nobody writes', () => {
    const folders = ['src/http', 'native/core'].map((folder) => path.join(root, folder));
    const sources = folders.flatMap((folder) =>
      readdirSync(folder)
        .filter((file) => /metrics|event_bus/.test(file))
        .map((file) => readFileSync(path.join(folder, file), 'utf8')),
    );
    const written = sources.join('\n');
    expect([...rows.keys()].filter((name) => !new RegExp(`['"]${name}['"]`).test(written))).toEqual([]);
  });
});
