import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

/** What does not differ between two requests of one kind. */
interface Told {
  status: number;
  body: string;
  last: string | null;
}

/** As a problem is, without what is of its own request. */
function plain(body: string): string {
  if (!body.startsWith('{')) return body;
  const { error, detail } = JSON.parse(body) as { error: string; detail: string };
  return `${error}: ${detail}`;
}

describe.each(['inline', 'process'])('answers of a plugin with isolation: %s', (isolation) => {
  let world: World;
  beforeAll(async () => {
    world = await World.make();
    await world.publish('answers', await buildPlugin('answers'));
    await world.start({ isolation });
  });
  afterAll(() => world.close());

  async function post(target: string, body: string | Uint8Array<ArrayBuffer> = ''): Promise<Told> {
    const answer = await world.request('POST', `/answers${target}`, { body });
    return { status: answer.status, body: plain(answer.body), last: answer.headers.get('x-last') };
  }

  test('come later, with the request still there', async () => {
    expect(await post('/later', 'a body')).toMatchObject({ status: 201, body: 'later: a body, somebody waits' });
  });

  test('come as a stream later', async () => {
    const { status, body } = await post('/later-stream');
    expect(status).toBe(200);
    expect(body.length).toBe(100 * 8192);
  });

  test('fail later with their sentence', async () => {
    const { status, body } = await post('/fails-later');
    expect([status, body]).toEqual([500, expect.stringContaining('it went wrong later')]);
  });

  test('are complete once', async () => {
    for (let count = 0; count < 10; count++) expect(await post('/twice')).toMatchObject({ status: 200, body: 'once' });
  });

  test('end where the handler of a stream fails', async () => {
    await expect(post('/fails-stream')).rejects.toThrow();
  });

  test('free each body that was handed over once', async () => {
    const before = Number((await post('/freed')).body);
    for (let count = 0; count < 5; count++) expect((await post('/given', 'mine')).body).toBe('mine');
    await until('all are freed', async () => Number((await post('/freed')).body) === before + 10);
  });

  test.each([
    ['/null-body', '2 2', 'the body is NULL with 3 bytes'],
    ['/large-body', '7', 'the body is over 64 MiB'],
    ['/bad-header', '2 2 2 2', 'header "date" is the host\'s'],
    ['/many-headers', '7', 'there are more than 100 headers or 32 KiB of them'],
    ['/bodyless', '3', 'a status that has no body has one'],
  ])('of %s are refused alike', async (target, statuses, sentence) => {
    const refused = await post(target);
    expect([refused.status, refused.body]).toEqual([502, expect.stringContaining(sentence)]);
    expect(refused.body).toContain('ResponseInvalid');
    expect((await post(`${target}?tell`)).body).toContain(statuses);
  });

  test('take no headers once they stream, and no chunk that is none', async () => {
    expect(await post('/late-header')).toMatchObject({ status: 200, body: 'a 0 3 3 7 2' });
  });

  test('know who serves a path', async () => {
    expect((await post('/who', '/answers/given')).body).toBe('1 answers /answers/given');
    expect((await post('/who', '/nobody')).body.trim()).toBe('0');
  });

  test('are as large as they may be', async () => {
    const body = new Uint8Array(64 * 2 ** 20).fill(120);
    const answer = await fetch(`${world.url}/answers/large`, { method: 'POST', body });
    expect(answer.status).toBe(200);
    expect(Buffer.from(await answer.arrayBuffer()).equals(Buffer.from(body))).toBe(true);
  });

  test('are what was said last, however often something was', async () => {
    const { body, last } = await post('/headers-over-and-over');
    expect([body, last]).toEqual(['many', 'a value that is the same but for its end, 19999']);
  });

  test('know how much time is left', async () => {
    expect((await post('/left')).body).toBe('as it should');
  });
});

describe('when the process of a plugin ends', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.make();
    await world.publish('answers', await buildPlugin('answers'));
    await world.start({ isolation: 'process' });
  });
  afterAll(() => world.close());

  test.each(['/dies', '/later-dies'])('what was in %s is answered 502, and the next is served', async (target) => {
    const answer = await world.request('POST', `/answers${target}`);
    expect([answer.status, plain(answer.body)]).toEqual([502, expect.stringContaining('ProcessEnded')]);
    expect((await world.request('POST', '/answers/later', { body: 'b' })).status).toBe(201);
  });

  test('a stream that has begun ends for its client as one that is not whole', async () => {
    await expect(world.request('POST', '/answers/stream-dies')).rejects.toThrow();
    expect((await world.request('POST', '/answers/later', { body: 'b' })).status).toBe(201);
  });
});

test('a call that is in a replaced process when the time to drain is over is cut off, and nothing of it stays', async () => {
  const world = await World.make();
  try {
    await world.publish('service', await buildPlugin('service'));
    await world.start({ isolation: 'process', drainMs: 200 });
    const slow = world.get('/service/slow?ms=20000');
    await until('the call is in', () => world.host.plugin('service').generations.some(({ leases }) => leases > 0));
    await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"two"' } }));
    expect(await world.host.reload('service')).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
    const { status, body } = await slow;
    expect([status, plain(body)]).toEqual([502, expect.stringContaining('ProcessEnded')]);
    expect(world.host.plugin('service').generations).toMatchObject([{ number: 2, state: 'ready' }]);
    expect((await world.get('/service/build')).body).toBe('two');
  } finally {
    await world.close();
  }
});
