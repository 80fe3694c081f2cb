import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request as send } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { inProcessOnly } from './load/isolation.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

interface Told {
  id: string;
  type: string;
  data: Record<string, unknown>;
}

const authorization = 'Bearer a-token-of-the-tests';

/** A client of the events that reads, unless it is told not to. */
class Listener {
  readonly told: Told[] = [];
  /** Id that came last, with an event or without. */
  place = '';
  readonly ended: Promise<unknown>;
  readonly answer: IncomingMessage;
  readonly #outgoing: ClientRequest;
  #text = '';

  private constructor(outgoing: ClientRequest, answer: IncomingMessage) {
    this.#outgoing = outgoing;
    this.answer = answer;
    this.ended = new Promise((resolve) => {
      answer.on('close', resolve);
    });
    answer.on('error', () => {}); // the end says it
  }

  static async open(url: string, after?: string): Promise<Listener> {
    const headers = { authorization, ...(after === undefined ? {} : { 'last-event-id': after }) };
    const outgoing = send(`${url}/api/v1/events`, { headers, agent: false });
    outgoing.end();
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    return new Listener(outgoing, answer);
  }

  read(): this {
    this.answer.setEncoding('utf8');
    this.answer.on('data', (text: string) => {
      this.#text += text;
      const frames = this.#text.split('\n\n');
      this.#text = frames.pop() ?? '';
      for (const frame of frames) {
        const fields = new Map(
          frame.split('\n').map((line) => [line.split(':', 1)[0] ?? '', line.replace(/^\w*: ?/, '')]),
        );
        const [id = this.place, type = '', data] = [fields.get('id'), fields.get('event'), fields.get('data')];
        this.place = id;
        if (data !== undefined) this.told.push({ id, type, data: JSON.parse(data) as Record<string, unknown> });
      }
    });
    return this;
  }

  get types(): string[] {
    return this.told.map(({ type }) => type);
  }

  close(): void {
    this.#outgoing.destroy();
  }
}

describe('GET /api/v1/events', () => {
  let world: World;
  const listeners: Listener[] = [];
  beforeEach(async () => {
    world = await World.make();
    await world.publish('service', await buildPlugin('service'));
    await world.start({ drainMs: 60_000 });
  });
  afterEach(async () => {
    for (const listener of listeners.splice(0)) listener.close();
    await world.close();
  });

  async function listen(after?: string): Promise<Listener> {
    const listener = (await Listener.open(world.url, after)).read();
    listeners.push(listener);
    return listener;
  }

  test('tells every event of the host, and what its log warns of', async () => {
    const listener = await listen();
    expect(listener.answer.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store, no-transform',
    });
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"two"' } }));
    const record = await world.host.reload('service');
    await world.publish('service', await buildPlugin('no_note'));
    await expect(world.host.reload('service')).rejects.toMatchObject({ code: 'ImageNoteMissing' });
    await until('all is told', () => listener.types.includes('reload.failed'));
    // On a busy machine a record may say that something took its time.
    const isAside = ({ type, data }: Told): boolean =>
      type === 'reload.phase' || (type === 'log' && data['level'] !== 'error');
    expect(listener.told.filter((one) => !isAside(one)).map(({ type }) => type)).toEqual([
      'reload.started',
      'plugin.serving',
      'reload.succeeded',
      'reload.started',
      'log',
      'reload.failed',
    ]);
    expect(listener.told.find(({ type }) => type === 'reload.phase')?.data).toMatchObject({ reload: record.id });
    const log = listener.told.find(({ type, data }) => type === 'log' && data['level'] === 'error');
    expect(log?.data).toMatchObject({ plugin: 'service', code: 'ImageNoteMissing' });
    expect(listener.told.every(({ type, data }) => data['type'] === type && typeof data['at'] === 'string')).toBe(true);
  });

  test('goes on after the last event that a client has seen', async () => {
    const first = await listen();
    await world.host.reload('service');
    await until('it is told', () => first.types.includes('reload.succeeded'));
    first.close();
    await world.host.unload('service');
    const second = await listen(first.told.at(-1)?.id);
    await until('it is told', () => second.told.length > 0);
    expect(second.types).toEqual(['plugin.stopped']);
  });

  test('goes on from where it was for a client that has seen no event', async () => {
    const first = await listen();
    await until('it has its place', () => first.place !== '');
    expect(first.told).toEqual([]);
    first.close();
    await world.host.unload('service');
    const second = await listen(first.place);
    await until('it is told', () => second.told.length > 0);
    expect(second.types).toEqual(['plugin.stopped']);
  });

  test('says when not all that was missed is kept', async () => {
    await world.host.reload('service');
    const stranger = await listen('another-12');
    await until('it is told', () => stranger.types.includes('reload.succeeded'));
    expect(stranger.told[0]).toMatchObject({ type: 'gap', data: { missed: null } });
    const [known] = stranger.told[0]?.id.split('-') ?? [];
    for (let turn = 0; turn < 400; turn++) await world.host.reload('service');
    const late = await listen(`${known}-1`);
    await until('it is told', () => late.told.length > 1000);
    const missed = late.told[0]?.data['missed'];
    expect(late.types[0]).toBe('gap');
    expect(late.told[1]?.id).toBe(`${known}-${Number(missed) + 2}`);
    expect(late.told).toHaveLength(1001);
  });

  test('is for whoever has the token', async () => {
    expect((await world.get('/api/v1/events')).status).toBe(401);
  });

  test('ends when the host closes, which does not wait for it', async () => {
    const listener = await listen();
    await world.host.close();
    await listener.ended;
    expect(listener.answer.complete).toBe(true);
  });

  test('is answered to HEAD by its headers', async () => {
    const answer = await world.admin('HEAD', '/api/v1/events');
    expect(answer).toMatchObject({ status: 200, body: '' });
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
  });

  test('is cut for a client that does not read; the others go on', async () => {
    inProcessOnly('no build that is refused gets as far as a process');
    const idle = await Listener.open(world.url);
    listeners.push(idle);
    idle.answer.pause();
    const listener = await listen();
    await world.publish('service', await buildPlugin('no_note'));
    const cut = (): boolean => world.log.some((line) => line.msg === 'a client of the events did not read: cut off');
    while (!cut()) await world.host.reload('service').catch(() => {}); // each failure is told with its details
    const before = listener.told.length;
    await until('the other goes on', () => listener.told.length > before || listener.types.includes('log'));
    expect(listener.answer.destroyed).toBe(false);
    idle.answer.resume();
    await idle.ended;
    expect(idle.answer.complete).toBe(false);
  }, 120_000);
});

describe('hot reload over HTTP', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
    await world.publish('service', await buildPlugin('service'));
    await world.start();
  });
  afterEach(() => world.close());

  const put = async (body: string): Promise<{ status: number; body: Record<string, unknown> }> => {
    const headers = { authorization, 'content-type': 'application/json' };
    const answer = await world.request('PUT', '/api/v1/hot-reload/config', { headers, body });
    return { status: answer.status, body: JSON.parse(answer.body) as Record<string, unknown> };
  };

  test('says what it does, and is turned on and off', async () => {
    const status = JSON.parse((await world.admin('GET', '/api/v1/hot-reload/status')).body) as object;
    expect(status).toMatchObject({
      enabled: false,
      watchingDirectories: 0,
      lastReload: null,
      reloadCount: 0,
      failedReloads: 0,
      activeSessions: 0,
      debounceDelayMs: 500,
      watchPatterns: ['**'],
      excludePatterns: expect.arrayContaining(['node_modules']),
    });
    const on = await world.admin('POST', '/api/v1/hot-reload/enable');
    expect(JSON.parse(on.body)).toMatchObject({ enabled: true, watchingDirectories: 1 });
    expect(world.host.hotReload.status().enabled).toBe(true);
    const off = await world.admin('POST', '/api/v1/hot-reload/disable');
    expect(JSON.parse(off.body)).toMatchObject({ enabled: false });
  });

  test('reloads a plugin at once', async () => {
    const answer = await world.admin('POST', '/api/v1/hot-reload/trigger/service');
    expect(JSON.parse(answer.body)).toMatchObject({
      status: 'unchanged',
      plugin: { id: 'service', state: 'running', generation: 1 },
      reload: { trigger: 'api', unchanged: true },
    });
    expect((await world.admin('POST', '/api/v1/hot-reload/trigger/nobody')).status).toBe(404);
  });

  test('is configured, all or nothing', async () => {
    expect(await put('{"debounceMs": 20, "maxRetries": 1}')).toMatchObject({
      status: 200,
      body: { debounceDelayMs: 20, config: { maxRetries: 1 } },
    });
    expect(await put('{"maxRetries": 2, "watchPattern": ["**"]}')).toMatchObject({
      status: 400,
      body: { error: 'BadRequest', message: expect.stringContaining('did you mean watchPatterns?') },
    });
    for (const body of ['{"maxRetries": 2, "retryDelayMs": "soon"}', '[1]', '{"maxRetries": ', '{"__proto__": 1}'])
      expect(await put(body)).toMatchObject({ status: 400, body: { error: 'BadRequest' } });
    expect(await put(`{"watchPatterns": ["${'x'.repeat(70_000)}"]}`)).toMatchObject({ status: 413 });
    expect(world.host.settings.maxRetries).toBe(1);
  });

  test.each([
    ['GET', '/api/v1/hot-reload/status'],
    ['POST', '/api/v1/hot-reload/enable'],
    ['PUT', '/api/v1/hot-reload/config'],
    ['POST', '/api/v1/hot-reload/trigger/service'],
    ['POST', '/api/v1/plugins/discover'],
  ])('%s %s is for whoever has the token', async (method, target) => {
    expect((await world.request(method, target)).status).toBe(401);
  });
});
