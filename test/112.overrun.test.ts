import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { inProcessOnly } from './load/isolation.js';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const run = promisify(execFile);
let world: World | undefined;
afterEach(() => world?.close());

test('a handler that writes beyond what it is lent gets a 500, one that does not gets its answer', async () => {
  world = await World.make();
  await world.publish('overrun', await buildPlugin('overrun_request'));
  await world.start();
  const post = async (target: string): Promise<[number, string]> => {
    const answer = await world?.request('POST', target, { body: 'a body of 16 b..' });
    return [answer?.status ?? 0, answer?.body ?? ''];
  };
  expect(await post('/overrun/body/-?x=1')).toEqual([200, 'done']);
  for (const target of ['/overrun/body/0', '/overrun/body/7', '/overrun/query/0?x=1']) {
    const [status, body] = await post(target);
    expect(status).toBe(500);
    expect(JSON.parse(body)).toMatchObject({
      error: 'MemoryOverrun',
      detail: expect.stringContaining('overrun') as string,
    });
  }
  expect(await post('/overrun/query/-?x=1')).toEqual([200, 'done']);
});

test.skipIf(process.platform !== 'linux')(
  'with strict guards it faults there and then, and a good one does not',
  async () => {
    inProcessOnly('strict guards are around memory of the host that handlers are lent');
    const library = await buildPlugin('overrun_request');
    const script = fileURLToPath(new URL('load/strict.ts', import.meta.url));
    const begin = (target: string) =>
      run(process.execPath, ['--import', import.meta.resolve('tsx'), script, library, target]);
    expect((await begin('/overrun/body/-?x=1')).stdout).toBe('done\n');
    for (const target of ['/overrun/body/0', '/overrun/query/0?x=1'])
      await expect(begin(target)).rejects.toMatchObject({ signal: 'SIGSEGV' });
  },
);
