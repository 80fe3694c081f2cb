import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { errorCodes } from '../src/base/errors.js';
import { root } from './architecture/tree.js';
import { compiled } from './load/compiled.js';
import { isIsolated } from './load/isolation.js';
import { type Answer, until, World } from './load/world.js';

const application = path.join(root, 'applications', 'tenon-telemetry');

let telemetry: string;
let noisy: string;
beforeAll(async () => {
  telemetry = await compiled(application);
  noisy = await compiled(path.join(root, 'test', 'telemetry', 'noisy'));
}, 300_000);

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

interface Kept {
  id: string;
  time: string;
  expires: string;
  plugin: string;
  generation: number;
  level: number;
  topic: string;
  message: string;
  name: string;
  request: string;
  status: number;
  weight: number;
  durationUs: number;
  value: number | null;
  count?: number;
  kind: string;
  fields: { key: string; value: string }[];
  labels: { key: string; value: string }[];
  buckets?: { upTo: number | null; count: number }[];
}

/** The application of this repository, with its library built once, and `custom` laid over its own. */
async function addTelemetry(custom: Record<string, unknown> = {}, more = 'extensions: []'): Promise<void> {
  const config = { readers: ['anyone'], metricsMs: 0, ...custom };
  await world.write(
    'tenon-telemetry',
    'config.yaml',
    `extension: telemetry\nauth: open\nconcurrency: 16\n${more}\ncustom: ${JSON.stringify(config)}\n`,
  );
  await world.write(
    'tenon-telemetry',
    'schema.graphql',
    await readFile(path.join(application, 'schema.graphql'), 'utf8'),
  );
  await world.publish('tenon-telemetry', telemetry);
}

async function addNoisy(settings?: Record<string, unknown>): Promise<void> {
  const use = { id: 'tenon-telemetry', settings };
  const config = settings === undefined ? 'extension: true' : `extensions: [${JSON.stringify(use)}]`;
  await world.write('noisy', 'config.yaml', `${config}\n`);
  await world.publish('noisy', noisy);
}

async function records(target: string): Promise<Kept[]> {
  const { status, body } = await world.get(`/tenon-telemetry/${target}`);
  expect({ status, body: status === 200 ? '' : body }).toEqual({ status: 200, body: '' });
  return (JSON.parse(body) as { records: Kept[] }).records;
}

/** What `target` lists, oldest first, once that are as many as `count`. */
async function kept(target: string, count: number): Promise<Kept[]> {
  let found: Kept[] = [];
  await until(`${target} lists ${count}`, async () => {
    found = await records(target);
    return found.length >= count;
  });
  expect(found).toHaveLength(count);
  return found.toReversed();
}

/** Start the host; all that was added has to be there. */
async function start(): Promise<void> {
  await world.start();
  const failed = world.host.plugins().filter(({ state }) => state !== 'running');
  expect(failed.map(({ id, error }) => [id, error])).toEqual([]);
}

function say(message: string, level = 30): Promise<Answer> {
  return world.request('POST', `/noisy/log?level=${level}`, { body: message });
}

describe('what is kept', () => {
  test('has what others logged in initialize and ready, in order', async () => {
    await addTelemetry();
    await addNoisy();
    await start();
    const logs = await kept('logs?plugin=noisy&level=info&text=in', 2);
    expect(logs).toMatchObject([
      { topic: 'tenon.log', plugin: 'noisy', generation: 1, level: 30, message: 'in initialize', fields: [] },
      { level: 40, message: 'in ready', fields: [{ key: 'step', value: 'ready' }] },
    ]);
    expect(logs.map(({ id }) => id)).toEqual(logs.map(({ id }) => id).toSorted());
    const [first] = logs;
    expect(Date.parse(first?.expires ?? '') - Date.parse(first?.time ?? '')).toBeGreaterThanOrEqual(72 * 3_600_000);
  });

  test('is there after a restart of the host', async () => {
    await addTelemetry();
    await addNoisy();
    await start();
    await say('before the restart');
    const before = await kept('logs?text=restart', 1);
    await world.host.close();
    await start();
    expect(await records('logs?text=restart')).toEqual(before);
  });

  test('has every answer with its status and time, and none of its own', async () => {
    await addTelemetry();
    await addNoisy();
    await start();
    for (const status of [200, 404, 500]) await world.get(`/noisy/answer?status=${status}`);
    const answers = await kept('requests', 3);
    expect(answers.map(({ request, status, weight }) => [request, status, weight])).toEqual([
      ['GET /noisy/answer', 200, 1],
      ['GET /noisy/answer', 404, 1],
      ['GET /noisy/answer', 500, 1],
    ]);
    expect(answers[0]?.fields).toContainEqual({ key: 'route', value: '/noisy/answer' });
    expect(await records('requests?status=500')).toHaveLength(1);
    expect(await records('requests?plugin=tenon-telemetry')).toEqual([]);
  });

  test('has no answer of a table, and one of a request whose extensions were asked first', async () => {
    await addTelemetry();
    await addNoisy();
    await world.write('noisy', 'schema.graphql', 'type Thing @table @export { id: ID! @primaryKey }\n');
    await start();
    const create = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"id": "1"}' };
    expect((await fetch(`${world.url}/noisy/Thing`, create)).status).toBe(201);
    expect((await world.get('/noisy/Thing/1')).status).toBe(200);
    await say('x'.repeat(20_000));
    await world.get('/noisy/answer?status=204');
    const answers = await kept('requests', 2);
    expect(answers.map(({ request }) => request)).toEqual(['POST /noisy/log', 'GET /noisy/answer']);
  });

  test('has spans with what was said of them', async () => {
    await addTelemetry();
    await addNoisy();
    await start();
    await world.request('POST', '/noisy/measure', { body: 'load' });
    expect(await kept('spans?name=load', 1)).toMatchObject([
      { plugin: 'noisy', name: 'load', fields: [{ key: 'size', value: '12' }] },
    ]);
    expect(await records('spans?longerUs=60000000')).toEqual([]);
  });

  test('has the series of all plugins, again and again', async () => {
    await addTelemetry({ metricsMs: 50 });
    await addNoisy();
    await start();
    await until('two collections', async () => (await records('metrics?name=things_total')).length >= 2);
    const [things] = await records('metrics?plugin=noisy&name=things_total&limit=1');
    expect(things).toMatchObject({ kind: 'counter', value: 3, labels: [{ key: 'colour', value: 'red' }] });
    const [sizes] = await records('metrics?name=sizes&limit=1');
    expect(sizes).toMatchObject({
      kind: 'histogram',
      value: 5,
      count: 1,
      buckets: [
        { upTo: 1, count: 0 },
        { upTo: 10, count: 1 },
      ],
    });
    await until(
      'its own are among them',
      async () => ((await records('metrics?name=telemetry_records_kept_total&limit=1'))[0]?.value ?? 0) > 0,
    );
  });

  test('loses nothing to what a table would not take', async () => {
    await addTelemetry({ metricsMs: 50 });
    await addNoisy();
    await start();
    await world.request('POST', '/noisy/strange');
    await say('after');
    await kept('logs?text=after', 1);
    expect(await records('logs?text=before')).toHaveLength(1);
    const spans = await kept('spans', 2);
    expect(spans.map(({ name, time, durationUs }) => [name, time, durationUs])).toEqual([
      ['n\ufffd\0n', '1970-01-01T00:00:00.000Z', Number.MAX_SAFE_INTEGER],
      ['n\ufffd\0n', '9999-12-31T23:59:59.999Z', Number.MAX_SAFE_INTEGER],
    ]);
    expect(spans[0]?.fields).toEqual([
      { key: '\ufffd', value: '\0' },
      { key: '\ufffd', value: '' },
    ]);
    await until('an infinite sum', async () => (await records('metrics?name=sizes&limit=1'))[0]?.value === null);
    expect((await records('metrics?name=telemetry_records_lost_total&limit=1'))[0]?.value).toBe(0);
  });

  test('is, of a flood, all that was not counted as dropped', async () => {
    await addTelemetry({ metricsMs: 50 });
    await addNoisy();
    await start();
    // More than are queued, and of a process of its own as many as it may write at once: these may come slowly enough to be queued.
    const count = isIsolated ? 9_000 : 20_000;
    await world.request('POST', `/noisy/flood?count=${count}&size=7000`);
    const summary = async (): Promise<{ dropped: number; logs: Record<string, number> }> =>
      JSON.parse((await world.get('/tenon-telemetry/summary')).body) as {
        dropped: number;
        logs: Record<string, number>;
      };
    const warnings = count + 1;
    await until('each is kept or dropped', async () => {
      const { dropped, logs } = await summary();
      return dropped + (logs[40] ?? 0) >= warnings;
    });
    const { dropped, logs } = await summary();
    if (!isIsolated) expect(dropped).toBeGreaterThan(0);
    expect(logs[40]).toBe(warnings - dropped);
    const [series] = await records('metrics?name=telemetry_events_dropped_total&limit=1');
    // What never was counted has no series.
    expect(series ?? { kind: 'counter', value: 0 }).toMatchObject({ kind: 'counter', value: dropped });
  });
});

describe('settings', () => {
  test('of an application are for its own events, and change without another generation', async () => {
    await addTelemetry();
    await addNoisy({ level: 'error', requests: 0 });
    await start();
    await say('too low', 40);
    await say('high enough', 50);
    await world.get('/noisy/answer?status=200');
    await world.get('/noisy/answer?status=503');
    expect(await kept('requests', 1)).toMatchObject([{ status: 503, weight: 1 }]);
    expect(await kept('logs?plugin=noisy&level=30&text=o', 1)).toMatchObject([{ message: 'high enough' }]);
    await addNoisy({ level: 'info' });
    expect(await world.host.reload('noisy')).toMatchObject({ unchanged: true });
    await say('low enough');
    await kept('logs?text=low', 1);
    expect(world.host.plugin('tenon-telemetry').generation).toBe(1);
  });

  test('that are wrong are refused with what they can be, and what was holds', async () => {
    await addTelemetry();
    await addNoisy({ level: 'error' });
    await start();
    await addNoisy({ level: 'loud' });
    await expect(world.host.reload('noisy')).rejects.toThrow();
    const said = (): string[] => world.log.map(({ msg }) => msg);
    await until('it is said', () => said().includes('level is one of trace, debug, info, warn, error and fatal'));
    await say('too low', 40);
    await say('high enough', 50);
    await kept('logs?text=high', 1);
    expect(await records('logs?text=too+low')).toEqual([]);
  });

  test('of its own that are wrong keep it from being loaded', async () => {
    await addTelemetry({ keepHours: 0 });
    await world.start();
    expect(world.host.plugin('tenon-telemetry').state).toBe('failed');
    for (const [custom, sentence] of [
      [{ keepHours: 0 }, 'keepHours has to be a whole number from 1 to 8760'],
      [{ metricsMs: -1 }, 'metricsMs has to be a whole number from 0 to 3600000'],
      [{ readers: 'admin' }, 'readers has to be a list of roles'],
      [{ requests: 2 }, 'requests has to be a share from 0 to 1'],
      [{ retention: 3 }, 'there is no retention in the custom config of telemetry'],
    ] as const) {
      await addTelemetry(custom);
      await expect(world.host.reload('tenon-telemetry')).rejects.toMatchObject({ code: 'LifecycleFailed' });
      await until(sentence, () => world.log.some(({ msg }) => msg === sentence));
    }
  });

  test('keep a share of the answers, each standing for those that are not kept', async () => {
    await addTelemetry({ requests: 0.25 });
    await addNoisy();
    await start();
    for (let left = 200; left > 0; left -= 1) await world.get('/noisy/answer?status=200');
    await world.get('/noisy/answer?status=500');
    await kept('requests?status=500', 1);
    const answers = (await records('requests?limit=1000')).filter(({ status }) => status === 200);
    expect(answers.every(({ weight }) => weight === 4)).toBe(true);
    expect(answers.length).toBeGreaterThan(10);
    expect(answers.length).toBeLessThan(120);
  });
});

describe('a reload under traffic', () => {
  test('loses no record, and keeps none twice', async () => {
    await addTelemetry();
    await addNoisy();
    await start();
    let sent = 0;
    let going = true;
    const traffic = (async () => {
      while (going) await say(`number ${String(sent++).padStart(6, '0')}`);
    })();
    for (let turn = 0; turn < 3; turn += 1) {
      const enough = sent + 20;
      await until('traffic', () => sent > enough);
      await addTelemetry({ keepHours: turn + 1 });
      expect(await world.host.reload('tenon-telemetry')).toMatchObject({ outcome: 'succeeded' });
    }
    going = false;
    await traffic;
    expect(sent).toBeLessThan(1000);
    const logs = await kept('logs?text=number&limit=1000', sent);
    expect(logs.map(({ message }) => message)).toEqual(
      Array.from({ length: sent }, (_, at) => `number ${String(at).padStart(6, '0')}`),
    );
  });
});

describe('summary', () => {
  test('counts answers by plugin, with their errors and times, and records by level', async () => {
    await addTelemetry();
    await addNoisy();
    await start();
    for (const status of [200, 200, 200, 500]) await world.get(`/noisy/answer?status=${status}`);
    await kept('requests', 4);
    const summary = JSON.parse((await world.get('/tenon-telemetry/summary?minutes=60')).body) as {
      complete: boolean;
      dropped: number;
      plugins: {
        plugin: string;
        requests: number;
        errorRate: number;
        p50Us: number;
        p95Us: number;
        byMinute: { requests: number }[];
      }[];
      logs: Record<string, number>;
    };
    expect(summary).toMatchObject({ complete: true, dropped: 0, logs: { 30: 1, 40: 1 } });
    const times = (await records('requests')).map(({ durationUs }) => durationUs).toSorted((one, other) => one - other);
    expect(summary.plugins).toMatchObject([
      { plugin: 'noisy', requests: 4, errorRate: 0.25, p50Us: times[1], p95Us: times[3] },
    ]);
    expect(summary.plugins[0]?.byMinute.reduce((sum, { requests }) => sum + requests, 0)).toBe(4);
  });
});

describe('the live stream', () => {
  test('tells records as they are kept, of those who are asked for', async () => {
    await addTelemetry();
    await addNoisy();
    await start();
    await kept('logs?plugin=noisy', 2);
    const stream = await fetch(`${world.url}/tenon-telemetry/live?plugin=noisy&level=warn`);
    expect(stream.headers.get('content-type')).toBe('text/event-stream');
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
    let heard = (await reader?.read())?.value ?? '';
    await say('quiet');
    await say('loud', 50);
    while (!heard.includes('data: ')) heard += (await reader?.read())?.value ?? '';
    await reader?.cancel();
    const [line = ''] = heard.split('\n').filter((one) => one.startsWith('data: '));
    expect(JSON.parse(line.slice(6))).toMatchObject({ plugin: 'noisy', level: 50, message: 'loud' });
    const id = Number(/^id: (\d+)$/m.exec(heard)?.[1]);
    expect(id).toBeGreaterThan(0);
    await say('while away', 50);
    const again = await fetch(`${world.url}/tenon-telemetry/live`, { headers: { 'last-event-id': String(id) } });
    const rest = again.body?.pipeThrough(new TextDecoderStream()).getReader();
    let missed = '';
    while (!missed.includes('data: ')) missed += (await rest?.read())?.value ?? '';
    await rest?.cancel();
    expect(missed).toContain('"message":"while away"');
  });

  test('is for eight at a time, and free again once they have gone', async () => {
    await addTelemetry();
    await start();
    const target = `${world.url}/tenon-telemetry/live`;
    const going = new AbortController();
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const { status, body } = await fetch(target, { signal: going.signal });
        expect(status).toBe(200);
        await body?.getReader().read();
      }),
    );
    expect((await world.get('/tenon-telemetry/live')).status).toBe(503);
    expect((await world.get('/tenon-telemetry/logs')).status).toBe(200);
    going.abort();
    await until('a stream is free', async () => {
      const one = new AbortController();
      const { status } = await fetch(target, { signal: one.signal });
      one.abort();
      return status === 200;
    });
  });
});

describe('a client', () => {
  test('who asks for what cannot be is told so', async () => {
    await addTelemetry();
    await start();
    for (const [target, what] of [
      ['logs?limit=0', 'limit'],
      ['logs?limit=1001', 'limit'],
      ['logs?limit=99999999999999999999', 'limit'],
      ['logs?since=yesterday', 'since'],
      ['logs?until=-1', 'until'],
      ['logs?since=9999999999999999h', 'since'],
      ['logs?level=loud', 'level'],
      ['requests?status=ok', 'status'],
      ['summary?minutes=0', 'minutes'],
      ['live?level=loud', 'level is one of trace, debug, info, warn, error and fatal'],
      ['logs?limits=5', 'limits is none of limit, since, until, next, plugin, level, text'],
      ['spans?text=x', 'text is none of limit, since, until, next, plugin, name, longerUs'],
      ['summary?hours=5', 'hours is none of minutes'],
      ['live?text=x', 'text is none of level, plugin'],
    ] as const) {
      const { status, headers, body } = await world.get(`/tenon-telemetry/${target}`);
      expect([target, status, headers.get('content-type')]).toEqual([target, 400, 'application/problem+json']);
      const problem = JSON.parse(body) as Record<string, unknown>;
      expect(problem['detail']).toContain(what);
      expect(problem).toEqual({
        type: '/docs/errors.md#badrequest',
        title: errorCodes.BadRequest.title,
        status: 400,
        detail: problem['detail'],
        error: 'BadRequest',
        message: problem['detail'],
        requestId: expect.any(String) as string,
      });
    }
  });

  test('gets what lies within a time', async () => {
    await addTelemetry();
    await addNoisy();
    await start();
    await say('now');
    const [{ time } = { time: '' }] = await kept('logs?text=now', 1);
    const at = Date.parse(time);
    expect(await records(`logs?text=now&since=${at}&until=${at}`)).toHaveLength(1);
    expect(await records(`logs?text=now&since=${at + 1}`)).toEqual([]);
    expect(await records(`logs?text=now&until=${at - 1}`)).toEqual([]);
    expect(await records('logs?text=now&since=1h')).toHaveLength(1);
    expect(await records('logs?text=now&until=1h')).toEqual([]);
  });

  test('gets each record once, page by page, however many are of one millisecond', async () => {
    await addTelemetry();
    await addNoisy();
    await start();
    await world.request('POST', '/noisy/flood?size=1&count=300');
    const all = (await kept('logs?text=x&limit=1000', 300)).toReversed().map(({ id }) => id);
    const found: string[] = [];
    let next: string | undefined = '';
    while (next !== undefined && found.length <= all.length) {
      const { body } = await world.get(`/tenon-telemetry/logs?text=x&limit=7${next === '' ? '' : `&next=${next}`}`);
      const page = JSON.parse(body) as { records: Kept[]; complete: boolean; next?: string };
      expect(page.complete).toBe(page.next === undefined);
      found.push(...page.records.map(({ id }) => id));
      ({ next } = page);
    }
    expect(found).toEqual(all);
    expect((await world.get('/tenon-telemetry/logs?next=1')).status).toBe(400);
  });

  test('is told how far a look for something rare has come in time', async () => {
    await addTelemetry({}, 'deadlineMs: 400');
    await addNoisy();
    await start();
    const { body } = await world.get('/tenon-telemetry/logs?text=never');
    expect(JSON.parse(body)).toEqual({
      records: [],
      complete: false,
      reached: expect.any(Number) as number,
      next: expect.any(String) as string,
    });
  });

  test('has no way to write, and none around the resources', async () => {
    await addTelemetry();
    await start();
    for (const method of ['GET', 'POST', 'PUT', 'DELETE'])
      expect((await world.request(method, '/tenon-telemetry/Log')).status).toBe(404);
    expect((await world.request('POST', '/tenon-telemetry/graphql')).status).toBe(404);
    expect((await world.request('POST', '/tenon-telemetry/logs')).status).toBe(405);
  });

  test('is the operator, unless readers says who else', async () => {
    await addTelemetry({ readers: ['admin'] });
    await start();
    for (const target of ['logs', 'requests', 'spans', 'metrics', 'summary', 'live']) {
      const { status, headers } = await world.get(`/tenon-telemetry/${target}`);
      expect([target, status, headers.get('content-type')]).toEqual([target, 401, 'application/problem+json']);
    }
    expect((await world.admin('GET', '/tenon-telemetry/logs')).status).toBe(200);
    const wrong = await world.request('GET', '/tenon-telemetry/logs', { headers: { authorization: 'Bearer another' } });
    expect(wrong.status).toBe(401);
  });

  test('has a role among the readers, where an extension that is listed knows roles', async () => {
    await addTelemetry({ readers: ['editor'] }, 'extensions: [noisy]');
    await addNoisy();
    const file = 'schema.graphql';
    const schema = await readFile(path.join(world.folder('tenon-telemetry'), file), 'utf8');
    const allowed = schema.replace('type Log @table {', 'type Log @table @export @allow(role: "editor", to: [read]) {');
    await world.write('tenon-telemetry', file, allowed);
    await start();
    const ask = (authorization: string, target: string, method = 'GET'): Promise<Answer> =>
      world.request(method, `/tenon-telemetry/${target}`, { headers: { authorization } });
    await until('what was said before telemetry was there is kept', async () => {
      const { body } = await ask('Key editor', 'logs?plugin=noisy');
      return body.includes('in initialize') && body.includes('in ready');
    });
    expect((await ask('Key author', 'logs')).status).toBe(403);
    expect((await world.get('/tenon-telemetry/logs')).status).toBe(401);
    expect((await world.admin('GET', '/tenon-telemetry/logs')).status).toBe(200);
    expect((await ask('Key editor', 'Log')).status).toBe(200);
    expect((await ask('Key author', 'Log')).status).toBe(403);
    for (const method of ['POST', 'PUT', 'DELETE'])
      expect((await ask('Key editor', method === 'POST' ? 'Log' : 'Log/1', method)).status).toBe(403);
  });
});
