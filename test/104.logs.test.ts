import { once } from 'node:events';
import { createServer, type IncomingMessage, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openLog } from '../src/base/log.js';
import { LogFeed } from '../src/http/logs.js';
import type { Asked } from '../src/http/operation.js';
import { type LogLine, until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const authorization = 'Bearer a-token-of-the-tests';

interface Logged {
  at: string;
  level: string;
  message: string;
  plugin?: string;
  generation?: number;
  requestId?: string;
  during?: string;
}

let world: World;
let lines: LogLine[];
const streams: IncomingMessage[] = [];

beforeAll(async () => {
  world = await World.make();
  await world.publish('talks', await buildPlugin('talks'));
  await world.publish('quiet', await buildPlugin('talks', { defines: { PLUGIN_ID: '"quiet"' } }));
  await world.start({ logLevel: 'info', logRequests: true });
  lines = world.log;
});
afterAll(() => world.close());
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.destroy();
  await ask('PUT', '/api/v1/log-level', { level: null });
  await ask('PUT', '/api/v1/plugins/talks/log-level', { level: null });
});

async function ask(method: string, target: string, body?: unknown): Promise<{ status: number; body: unknown }> {
  const answer = await world.request(method, target, {
    headers: { authorization },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, body: JSON.parse(answer.body) };
}

async function logs(query = ''): Promise<Logged[]> {
  const { status, body } = await ask('GET', `/api/v1/logs${query}`);
  expect(status).toBe(200);
  return (body as { logs: Logged[] }).logs;
}

/** Bring it to its end; the id of the request. */
async function talk(target: string): Promise<string> {
  const { status, body } = await world.get(target);
  expect(status).toBe(200);
  return body;
}

function requestLine(path: string, after: number): LogLine | undefined {
  return lines.slice(after).find((line) => line['path'] === path && line['status'] !== undefined);
}

describe('request ids', () => {
  test.each(['inline', 'pool'])('are on what a handler logs, %s', async (where) => {
    const id = await talk(`/talks/${where}`);
    await until('it is kept', async () => (await logs('?plugin=talks')).some(({ requestId }) => requestId === id));
    const said = (await logs('?plugin=talks')).filter(({ requestId }) => requestId === id);
    expect(said.filter(({ message }) => message.startsWith('says'))).toMatchObject([
      { level: 'info', message: 'says info', plugin: 'talks', generation: 1 },
      { level: 'warn', message: 'says warn', plugin: 'talks', generation: 1 },
    ]);
  });

  test('are not on what a plugin logs at its start or in a task, which say so', async () => {
    await talk('/talks/pool?how=task');
    const inTask = async (): Promise<Logged | undefined> =>
      (await logs('?plugin=talks')).find(({ message }) => message === 'says in a task');
    await until('it is kept', async () => (await inTask()) !== undefined);
    expect(await inTask()).toMatchObject({ during: expect.stringMatching(/^task \d+$/) });
    expect(await inTask()).not.toHaveProperty('requestId');
    const atStart = (await logs('?plugin=talks&limit=2000')).find(({ message }) => message === 'says at its start');
    expect(atStart).toMatchObject({ during: 'initialize' });
  });

  test('are the same in the record of a request, in its answer and for its plugin', async () => {
    const before = lines.length;
    const { headers, body } = await world.get('/talks/inline');
    expect(headers.get('x-request-id')).toBe(body);
    await until('it is logged', () => requestLine('/talks/inline', before) !== undefined);
    expect(requestLine('/talks/inline', before)).toMatchObject({ requestId: body });
  });

  test('are the same when a large body is asked about first', async () => {
    const before = lines.length;
    const { headers, body } = await world.request('POST', '/talks/pool', { body: 'x'.repeat(100_000) });
    expect(headers.get('x-request-id')).toBe(body);
    await until('it is logged', () => requestLine('/talks/pool', before) !== undefined);
    expect(requestLine('/talks/pool', before)).toMatchObject({ requestId: body, status: 200 });
  });

  test('are in a problem and its header', async () => {
    const { headers, body } = await world.get('/nowhere');
    expect(headers.get('x-request-id')).toMatch(/^h\d+$/);
    expect(JSON.parse(body)).toMatchObject({ requestId: headers.get('x-request-id') });
  });
});

describe('the record of a request', () => {
  test('says what was asked, who answered and how, and never the query', async () => {
    const before = lines.length;
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    const headers = { 'x-request-id': 'from-the-client', traceparent: `00-${trace}-00f067aa0ba902b7-01` };
    const { body } = await world.request('GET', '/talks/pool?how=enabled&token=hidden', { headers });
    await until('it is logged', () => requestLine('/talks/pool', before) !== undefined);
    const line = requestLine('/talks/pool', before);
    expect(line).toMatchObject({
      level: 30,
      msg: 'GET /talks/pool 200',
      method: 'GET',
      route: '/talks/pool',
      plugin: 'talks',
      generation: 1,
      bytes: body.length,
      remote: '127.0.0.1',
      clientRequestId: 'from-the-client',
      traceId: trace,
    });
    expect(line?.['ms']).toBeGreaterThan(0);
    expect(line).not.toHaveProperty('aborted');
    expect(JSON.stringify(lines.slice(before))).not.toContain('hidden');
  });

  test('is written for what the host answers by itself, without what a client may not call it', async () => {
    const before = lines.length;
    await world.request('GET', '/livez', { headers: { 'x-request-id': 'two words', traceparent: '00-0-0-00' } });
    await until('it is logged', () => requestLine('/livez', before) !== undefined);
    const line = requestLine('/livez', before);
    expect(line).toMatchObject({ status: 200, bytes: 3, requestId: expect.stringMatching(/^h\d+$/) });
    for (const field of ['plugin', 'clientRequestId', 'traceId']) expect(line).not.toHaveProperty(field);
  });
});

describe('levels', () => {
  test('of one plugin differ from those of the others, which it learns', async () => {
    expect(await talk('/talks/pool?how=enabled')).toBe('no');
    const { body } = await ask('PUT', '/api/v1/plugins/talks/log-level', { level: 'debug' });
    expect(body).toEqual({ level: 'info', setting: 'info', plugins: { talks: 'debug' } });
    expect(await talk('/talks/pool?how=enabled')).toBe('yes');
    expect(await talk('/quiet/pool?how=enabled')).toBe('no');
    const id = await talk('/talks/inline');
    await until('it is kept', async () => (await logs()).filter(({ requestId }) => requestId === id).length >= 3);
    const said = (await logs()).filter(({ requestId, message }) => requestId === id && message.startsWith('says'));
    expect(said.map(({ level }) => level)).toEqual(['debug', 'info', 'warn']);
  });

  test('of a plugin outlive its generations', async () => {
    await ask('PUT', '/api/v1/plugins/talks/log-level', { level: 'debug' });
    await world.host.unload('talks');
    await world.host.load('talks');
    expect(await talk('/talks/inline?how=enabled')).toBe('yes');
    await ask('PUT', '/api/v1/plugins/talks/log-level', { level: null });
    expect(await talk('/talks/inline?how=enabled')).toBe('no');
  });

  test('of the host are those of plugins without one', async () => {
    const { body } = await ask('PUT', '/api/v1/log-level', { level: 'error' });
    expect(body).toEqual({ level: 'error', setting: 'info', plugins: {} });
    const before = lines.length;
    await talk('/talks/inline');
    await ask('PUT', '/api/v1/log-level', { level: 'debug' });
    expect(await talk('/quiet/inline?how=enabled')).toBe('yes');
    await until('it is logged', () => lines.some((line, at) => at >= before && line['path'] === '/quiet/inline'));
    expect(lines.slice(before).some(({ msg }) => msg.startsWith('says') || msg.includes('/talks/inline'))).toBe(false);
  });

  test('that are none are refused', async () => {
    for (const body of [{ level: 'loud' }, {}, [], 'debug', { level: 'debug', plugin: 'talks' }, { level: 30 }])
      expect(await ask('PUT', '/api/v1/log-level', body)).toMatchObject({ status: 400, body: { error: 'BadRequest' } });
    expect(await ask('PUT', '/api/v1/plugins/nobody/log-level', { level: 'debug' })).toMatchObject({
      status: 404,
      body: { error: 'PluginNotFound' },
    });
    expect((await ask('GET', '/api/v1/log-levels')).body).toEqual({ level: 'info', setting: 'info', plugins: {} });
  });
});

describe('GET /api/v1/logs', () => {
  test('gives the last records of a plugin, of a level and above, of a time on', async () => {
    const id = await talk('/talks/pool');
    await talk('/quiet/pool');
    const warned = async (): Promise<Logged[]> => logs('?plugin=talks&level=warn&limit=1');
    await until('it is kept', async () => (await warned())[0]?.requestId === id);
    const [last] = await warned();
    expect(await logs(`?level=warn&since=${last?.at ?? ''}`)).toContainEqual(last);
    expect((await logs('?level=warn')).every(({ level }) => level === 'warn')).toBe(true);
    expect(await logs('?since=2999-01-01T00:00:00Z')).toEqual([]);
    const all = await logs('?limit=2000');
    expect(all.map(({ at }) => at)).toEqual(all.map(({ at }) => at).toSorted());
  });

  test.each(['level=loud', 'limit=0', 'limit=2001', 'since=yesterday', 'follow=1', 'other=1', 'plugin=a&plugin=b'])(
    'refuses %s',
    async (query) => {
      expect(await ask('GET', `/api/v1/logs?${query}`)).toMatchObject({ status: 400, body: { error: 'BadRequest' } });
    },
  );

  test('keeps 2,000 records', async () => {
    const before = await logs('?limit=2000');
    expect(before.length).toBeLessThan(2000);
    const id = await talk('/quiet/pool?how=flood');
    await until('it is kept', async () => (await logs('?limit=1999')).every(({ requestId }) => requestId === id));
    expect(await logs('?limit=2000')).toHaveLength(2000);
    expect(await logs('?limit=2000')).not.toContainEqual(before[0]);
  });

  async function follow(query: string, after?: string): Promise<{ ids: string[]; told: Logged[] }> {
    const headers = { authorization, ...(after === undefined ? {} : { 'last-event-id': after }) };
    const outgoing = send(`${world.url}/api/v1/logs?follow=true${query}`, { headers, agent: false });
    outgoing.end();
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    streams.push(answer);
    const told: Logged[] = [];
    const ids: string[] = [];
    let text = '';
    answer.setEncoding('utf8');
    answer.on('data', (chunk: string) => {
      const frames = (text + chunk).split('\n\n');
      text = frames.pop() ?? '';
      for (const frame of frames) {
        const [, data] = /^data: ?(.*)$/m.exec(frame) ?? [];
        const [, id] = /^id: ?(.*)$/m.exec(frame) ?? [];
        if (data !== undefined) told.push(JSON.parse(data) as Logged);
        if (id !== undefined) ids.push(id);
      }
    });
    answer.on('error', () => {}); // the end of the test
    return { ids, told };
  }

  test('with follow goes on with what comes, and with what a client has missed', async () => {
    const first = await follow('&plugin=talks&level=warn');
    const id = await talk('/talks/pool');
    await talk('/quiet/pool');
    await until('it is told', () => first.told.length > 0);
    expect(first.told).toMatchObject([{ message: 'says warn', plugin: 'talks', requestId: id }]);
    streams.splice(0)[0]?.destroy();
    const missed = await talk('/talks/inline');
    const second = await follow('&plugin=talks&level=warn', first.ids.at(-1));
    await until('it is told', () => second.told.length > 0);
    expect(second.told).toMatchObject([{ message: 'says warn', requestId: missed }]);
    const third = await follow('&plugin=talks&level=warn&limit=1');
    await until('it is told', () => third.told.length > 0);
    expect(third.told).toMatchObject([{ requestId: missed }]);
  });

  test('with follow and more than can be sent at once gives the last of it, says what is left out, and goes on', async () => {
    const feed = new LogFeed(() => openLog({ level: 'silent' }));
    const tell = (at: number): void => feed.tell({ level: 'info', message: `${at} ${'x'.repeat(20_000)}`, fields: {} });
    for (let at = 0; at < 100; at++) tell(at);
    const server = createServer((request, response) => {
      feed.answer({ query: { follow: true, limit: 2000 }, request, response } as unknown as Asked);
      tell(100);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      let text = '';
      for await (const chunk of (await fetch(`http://127.0.0.1:${port}/`)).body ?? []) {
        text += Buffer.from(chunk).toString('latin1');
        if (text.includes('"100 x') && text.endsWith('\n\n')) break;
      }
      const sent = [...text.matchAll(/"message":"(\d+) x/g)].map(([, at]) => Number(at));
      expect(text.length).toBeLessThan(600 * 1024);
      expect(sent.length).toBeGreaterThan(20);
      expect(sent).toEqual(Array.from({ length: sent.length }, (_, at) => 101 - sent.length + at));
      expect(text).toContain(`"missed":${101 - sent.length},"type":"gap"`);
    } finally {
      feed.close();
      server.close();
    }
  });
});
