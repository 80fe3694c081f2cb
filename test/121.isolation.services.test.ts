import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Ledger } from '../src/host/plugin.js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

/** Put the plugin there as `id`; unless it is told otherwise, it runs in a process of its own. */
async function add(id: string, defines: Record<string, string> = {}, config = 'isolation: process'): Promise<void> {
  await world.write(id, 'config.yaml', `${config}\n`);
  await world.publish(id, await buildPlugin('service_calls', { defines: { PLUGIN_ID: `"${id}"`, ...defines } }));
}

async function ask(id: string, what: string): Promise<string> {
  const { status, body } = await world.get(`/${id}/do?${what}`);
  expect({ what, status, body: status === 200 ? '' : body }).toEqual({ what, status: 200, body: '' });
  return body;
}

/** Its process ends in a task, perhaps before the answer to who began that. */
async function crash(id: string): Promise<void> {
  await world.get(`/${id}/do?crash`);
}

async function seen(id: string): Promise<string[]> {
  const { status, body } = await world.get(`/${id}/seen`);
  return status === 200 ? body.split('\n').filter((line) => line !== '') : [];
}

function ledger(id: string): Ledger | undefined {
  return world.host.plugin(id).generations[0]?.ledger;
}

/** Its process is another one than `pid`. */
async function anotherProcess(id: string, pid: string): Promise<void> {
  await until('another process serves', async () => {
    const { status, body } = await world.get(`/${id}/do?pid`);
    return status === 200 && body !== pid;
  });
}

const state = '3';

describe('before ready', () => {
  test('the services of a plugin that serves are refused, also in a process that takes the place of another', async () => {
    await add('calls');
    await world.start();
    const pid = await ask('calls', 'pid');
    expect(pid).not.toBe(String(process.pid));
    expect(await ask('calls', 'early')).toBe(`${state} ${state} ${state}`);
    await crash('calls');
    await anotherProcess('calls', pid);
    expect(await ask('calls', 'early')).toBe(`${state} ${state} ${state}`);
  });
});

describe('what a service answers', () => {
  test.each(['cancel', 'running', 'repeat', 'self', 'tasks', 'events', 'measure'])(
    'to %s is the same from a process of its own',
    async (what) => {
      await add('calls');
      await add('inside', {}, 'extension: false');
      await world.start();
      expect(await ask('calls', what)).toBe(await ask('inside', what));
    },
  );
});

describe('a task of a process', () => {
  test('that is cancelled before it runs ends within the call that cancels it', async () => {
    await add('calls');
    await world.start();
    expect(await ask('calls', 'cancel')).toBe('0 0 0 1 6 1');
  });

  test('is told that it was cancelled, and ends once', async () => {
    await add('calls');
    await world.start();
    expect(await ask('calls', 'running')).toBe('0');
    await until('it has ended', async () => (await seen('calls')).length >= 2);
    expect(await seen('calls')).toEqual(['told 0', 'end 0']);
  });

  test('cancels itself from within', async () => {
    await add('calls');
    await world.start();
    await ask('calls', 'self');
    await until('it has ended', async () => (await seen('calls')).length >= 3);
    expect(await seen('calls')).toEqual(['was not 0', 'cancelled 1', 'end 0']);
  });

  test('is over with its process', async () => {
    await add('calls');
    await world.start();
    const pid = await ask('calls', 'pid');
    await ask('calls', 'later');
    expect(ledger('calls')).toMatchObject({ timers: 1 });
    await crash('calls');
    await anotherProcess('calls', pid);
    await until('nothing of it is left', () => ledger('calls')?.timers === 0 && ledger('calls')?.tasks === 0);
    expect(await seen('calls')).toEqual([]);
  });

  test('that does not return is ended with its process when its plugin is unloaded', async () => {
    await add('calls');
    await world.start({ drainMs: 300 });
    const pid = await ask('calls', 'pid');
    await ask('calls', 'hang');
    await until('it runs', async () => (await seen('calls')).includes('hangs 0'));
    await world.host.unload('calls');
    expect(world.host.plugin('calls').generations).toEqual([]);
    expect(() => process.kill(Number(pid), 0)).toThrow(/ESRCH/);
    expect(world.log.map(({ msg }) => msg)).toContain('calls: its process is ended: task 1 did not return');
  });

  test('that waits at shutdown ends before it', async () => {
    await add('calls');
    await world.start();
    await ask('calls', 'later');
    await world.host.unload('calls');
    expect(world.host.plugin('calls').generations).toEqual([]);
  });
});

describe('events', () => {
  test('reach a process in order, the largest batch too', async () => {
    await add('source', {}, 'extension: false');
    await add('calls', { SUBSCRIBE: '"shop.*"' });
    await world.start();
    expect(await ask('source', 'publish=60000')).toBe('0');
    await until('they have come', async () => (await seen('calls')).length >= 100);
    const numbers = (await seen('calls')).map((line) => line.slice(0, 5));
    expect(numbers).toEqual(Array.from({ length: 100 }, (_, index) => String(index).padStart(5, '0')));
  });

  test('come from a process, and not to their source', async () => {
    await add('source', { SUBSCRIBE: '"shop.*"' });
    await add('inside', { SUBSCRIBE: '"shop.*"' }, 'extension: false');
    await world.start();
    expect(await ask('source', 'publish=10')).toBe('0');
    await until('they have come', async () => (await seen('inside')).length >= 100);
    expect(await seen('source')).toEqual([]);
  });

  test('that happen while a process is replaced are told to its successor', async () => {
    await add('source', {}, 'extension: false');
    await add('calls', { SUBSCRIBE: '"shop.*"' });
    await world.start();
    // After several ends in a row the next process is not begun at once.
    let pid = '';
    for (let ends = 1; ends <= 4; ends++) {
      if (pid !== '') await anotherProcess('calls', pid);
      pid = await ask('calls', 'pid');
      process.kill(Number(pid), 'SIGKILL');
      await until('its end was seen', () => world.log.some(({ msg }) => msg.includes(`its process ${pid} `)));
    }
    expect(await ask('source', 'publish=10')).toBe('0');
    await anotherProcess('calls', pid);
    await until('they have come', async () => (await seen('calls')).length >= 100);
    expect((await seen('calls')).filter((line) => line.startsWith('dropped'))).toEqual([]);
  });

  test('that end their process are not told again, and count as dropped', async () => {
    await add('source', {}, 'extension: false');
    await add('calls', { SUBSCRIBE: '"shop.*"' });
    await world.start();
    const pid = await ask('calls', 'pid');
    await ask('source', 'poison');
    await anotherProcess('calls', pid);
    await ask('source', 'publish=10');
    await until('they have come', async () => (await seen('calls')).length >= 101);
    expect((await seen('calls'))[0]).toBe('dropped 1');
  });

  test('of a pattern that only the process before had subscribed to are not told to its successor', async () => {
    await add('source', {}, 'extension: false');
    await add('calls');
    await world.start();
    const pid = await ask('calls', 'pid');
    expect(await ask('calls', 'subscribe=shop.sold')).toBe('0');
    expect(ledger('calls')).toMatchObject({ subscriptions: ['shop.sold'] });
    await crash('calls');
    await anotherProcess('calls', pid);
    expect(ledger('calls')).toMatchObject({ subscriptions: [] });
  });
});

describe('metrics', () => {
  test('of a process are collected as those of any plugin', async () => {
    await add('calls');
    await add('inside', {}, 'extension: false');
    await world.start();
    await ask('calls', 'measure');
    const { body } = await world.get('/metrics');
    expect(body).toContain('calls_sold_total{plugin="calls",shelf="top"} 500\n');
    expect(body).toContain('calls_depth{plugin="calls",shelf="top"} 7\n');
    expect(body).toContain('calls_size_bucket{plugin="calls",shelf="top",le="10"} 1\n');
    await ask('calls', 'collect');
    await ask('inside', 'collect');
    expect(await seen('calls')).toEqual([
      'calls calls_sold_total kind 1 labels 1 value 500 count 0 0',
      'calls calls_depth kind 2 labels 1 value 7 count 0 0',
      'calls calls_size kind 3 labels 1 value 5 count 1 1:0 10:1 0',
    ]);
    expect(await seen('inside')).toEqual(await seen('calls'));
  });
});

describe('a request of a process to another server', () => {
  let server: http.Server;
  let url: string;
  let open = 0;
  beforeEach(async () => {
    server = http.createServer((request, response) => {
      if (request.url === '/never') {
        open++;
        response.once('close', () => open--);
        return;
      }
      response.end('hello');
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });

  test('is answered', async () => {
    await add('calls');
    await world.start();
    expect(await ask('calls', `fetch=${url}/hello`)).toBe('0');
    await until('it was told', async () => (await seen('calls')).length > 0);
    expect(await seen('calls')).toEqual(['hello 200']);
  });

  test('is given up', async () => {
    await add('calls');
    await world.start();
    expect(await ask('calls', `give-up=${url}/never`)).toBe('0');
    await until('it was told', async () => (await seen('calls')).length > 0);
    expect(await seen('calls')).toEqual([' -9']);
  });

  test('is given up when its process ends', async () => {
    await add('calls');
    await world.start();
    const pid = await ask('calls', 'pid');
    await ask('calls', `fetch=${url}/never`);
    await until('the server has it', () => open === 1);
    await crash('calls');
    await until('it was given up', () => open === 0);
    await anotherProcess('calls', pid);
    expect(await seen('calls')).toEqual([]);
  });
});
