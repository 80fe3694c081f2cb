import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runnersOf } from './load/runners.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

describe('requests to a process that has no thread for all of them', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
    await world.publish('crowd', await buildPlugin('crowd'));
  });
  afterEach(() => world.close());

  const get = async (path: string): Promise<{ status: number; body: string }> => {
    const { status, body } = await world.request('GET', `/crowd${path}`);
    return { status, body };
  };
  const many = (count: number, path: string) => Promise.all(Array.from({ length: count }, () => get(path)));
  function pid(): number {
    return runnersOf(process.pid, 'crowd')[0] ?? 0;
  }
  /** Let one handler of the process `own` go, unless that has just ended. */
  function signal(own: number): void {
    try {
      if (pid() === own) process.kill(own, 'SIGUSR1');
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('ESRCH');
    }
  }
  /** Let handlers go until `all` have come back. */
  async function letGo<Answer>(all: Promise<Answer>): Promise<Answer> {
    let over = false;
    void all.finally(() => {
      over = true;
    });
    const own = pid();
    await until('all have come back', () => {
      if (!over) signal(own);
      return over;
    });
    return all;
  }

  test('are in as many handlers at once as may run, and in no more', async () => {
    await world.start({ isolation: 'process', concurrency: 3 });
    const answers = await letGo(many(12, '/stay'));
    expect(answers.map(({ status }) => status)).toEqual(Array(12).fill(200));
    expect(Math.max(...answers.map(({ body }) => Number(body)))).toBe(3);
  });

  test('are in one handler at a time, also after one that came back too late', async () => {
    await world.start({ isolation: 'process', concurrency: 1 });
    const late = get('/late');
    const answers = await many(6, '/nap');
    expect((await late).status).toBe(504);
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200));
    expect(answers.map(({ body }) => body)).toEqual(Array(6).fill('1'));
  });

  test('begin beside those that stay, also when all before them were quick', async () => {
    await world.start({ isolation: 'process', concurrency: 4 });
    for (let count = 0; count < 400; count++) await get('/who');
    const staying = get('/stay');
    await get('/who');
    const also = get('/stay');
    expect((await get('/who')).status).toBe(200);
    expect((await letGo(Promise.all([staying, also]))).map(({ status }) => status)).toEqual([200, 200]);
  });

  test('all begin where as many may run, also those that come together', async () => {
    await world.start({ isolation: 'process', concurrency: 8 });
    for (let round = 1; round <= 5; round++) {
      await get('/who');
      const staying = many(8, '/stay');
      await until('all have begun', () => world.log.filter(({ msg }) => msg === '8 stay').length === round);
      expect((await letGo(staying)).map(({ status }) => status)).toEqual(Array(8).fill(200));
    }
  });

  test('are refused where as many wait as may', async () => {
    await world.start({ isolation: 'process', concurrency: 1, queueLimit: 2 });
    await get('/who');
    let refused = 0;
    const all = Promise.all(
      Array.from({ length: 8 }, async () => {
        const { status } = await get('/stay');
        if (status === 503) refused++;
        return status;
      }),
    );
    await until('those for whom there is no room are refused', () => refused === 5);
    expect((await letGo(all)).filter((status) => status === 200).length).toBe(3);
  });

  test('hear on any thread whether somebody waits', async () => {
    await world.start({ isolation: 'process' });
    expect(await get('/asks')).toEqual({ status: 200, body: 'somebody' });
  });

  test('are answered by the next one when they had not begun at its end', async () => {
    await world.start({ isolation: 'process', concurrency: 1 });
    const before = (await get('/who')).body;
    const ended = get('/abort');
    const waiting = many(8, '/who');
    expect((await letGo(ended)).status).toBe(502);
    const answers = await waiting;
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200));
    expect(answers.map(({ body }) => body)).not.toContain(before);
  });

  test('are answered although the one before them never comes back', async () => {
    await world.start({ isolation: 'process', concurrency: 1 });
    const before = (await get('/who')).body;
    const hung = get('/hang');
    const answers = await many(8, '/who');
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200));
    expect((await hung).status).toBe(504);
    await until('its process has been ended', async () => (await get('/who')).body !== before);
  });
});
