import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PluginView } from '../src/index.js';
import { Command, token } from './load/command.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
  for (const id of ['strict', 'lenient']) {
    await world.publish(id, await buildPlugin('greedy', { defines: { PLUGIN_ID: `"${id}"` } }));
    await world.write(id, 'config.yaml', `isolation: {requireConfinement: ${id === 'strict'}}\n`);
  }
});
afterEach(() => world.close());

describe('a plugin that requires to be confined', () => {
  let command: Command | undefined;
  afterEach(async () => {
    command?.child.kill('SIGTERM');
    await command?.exit;
    command = undefined;
  });

  const headers = { authorization: `Bearer ${token}` };
  const view = async (url: string, id: string): Promise<PluginView> =>
    (await fetch(`${url}/api/v1/plugins/${id}`, { headers })).json() as Promise<PluginView>;

  test('runs where the kernel can, and nowhere else', async () => {
    await world.start();
    const [strict, lenient] = ['strict', 'lenient'].map((id) => world.host.plugin(id));
    const { seccomp, landlock } = lenient?.isolation?.confinement ?? { seccomp: false, landlock: 0 };
    const can = seccomp && landlock > 0;
    expect(lenient?.state).toBe('running');
    expect({ state: strict?.state, code: strict?.error?.code }).toEqual(
      can ? { state: 'running', code: undefined } : { state: 'failed', code: 'ConfinementMissing' },
    );
    expect(strict?.isolation?.confinement).toEqual(can ? lenient?.isolation?.confinement : undefined);
  });

  test('is refused for the same reason when only its own process lacks what its trial had', async () => {
    const variables = { TENON_HOT_RELOAD_ENABLED: 'false' };
    const host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, variables);
    command = host;
    await until('it serves', () => host.err.includes('Try: '));
    const { url } = host;
    const before = await view(url, 'strict');
    const taker = await buildPlugin('forgoes_landlock', { defines: { PLUGIN_ID: '"taker"' } });
    const late = await buildPlugin('greedy', { defines: { PLUGIN_ID: '"late"' } });
    for (const [id, library, isolation] of [
      ['taker', taker, 'inline'],
      ['late', late, '{requireConfinement: true}'],
    ] as const) {
      await world.publish(id, library);
      await world.write(id, 'config.yaml', `isolation: ${isolation}\n`);
      await fetch(`${url}/api/v1/plugins/discover`, { method: 'POST', headers });
    }
    expect(await view(url, 'taker')).toMatchObject({ state: 'running' });
    expect(await view(url, 'late')).toMatchObject({
      state: 'failed',
      error: {
        code: 'ConfinementMissing',
        message: expect.stringMatching(/this kernel lacks [a-z ]*landlock/) as string,
        details: {
          lacking: expect.arrayContaining(['landlock']) as string[],
          ...(before.state === 'running' ? { step: 'create' } : { stage: 'start' }),
        },
      },
    });
  });

  describe('on a kernel without', () => {
    let without: string;
    beforeEach(async () => {
      without = path.join(world.directory, 'without');
      const source = path.join(import.meta.dirname, 'load', 'without.c');
      await promisify(execFile)('gcc', ['-std=gnu11', '-Wall', '-Wextra', '-Werror', source, '-o', without]);
    });
    test.each(['landlock', 'seccomp'])('%s is not begun, and others are, without it', async (what) => {
      const host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, {}, [without, what]);
      command = host;
      await until('it serves', () => host.err.includes('Try: '));
      const { url } = host;
      expect(await view(url, 'strict')).toMatchObject({
        state: 'failed',
        error: {
          code: 'ConfinementMissing',
          message: expect.stringMatching(`this kernel lacks [a-z ]*${what}`) as string,
          details: { lacking: expect.arrayContaining([what]) as string[] },
        },
      });
      const lenient = await view(url, 'lenient');
      expect(lenient).toMatchObject({ state: 'running', isolation: { mode: 'process' } });
      expect(lenient.isolation?.confinement?.[what as 'landlock' | 'seccomp']).toBe(what === 'landlock' ? 0 : false);
      expect((await fetch(`${url}/strict/well`)).status).toBe(503);
      expect(await (await fetch(`${url}/lenient/well`)).text()).toBe('well');
    });

    test.each(['landlock', 'seccomp'])(
      "%s none is begun in a process of its own when the host's setting requires it, whatever it says",
      async (what) => {
        for (const id of ['foreign', 'inside'])
          await world.publish(id, await buildPlugin('greedy', { defines: { PLUGIN_ID: `"${id}"` } }));
        const isolation = { mode: 'process', requireConfinement: false };
        await world.write('foreign', 'manifest.json', JSON.stringify({ id: 'foreign', version: '1.0.0', isolation }));
        await world.write('inside', 'config.yaml', 'isolation: inline\n');
        const variables = { TENON_ISOLATION: 'process', TENON_REQUIRE_CONFINEMENT: 'true' };
        const words = ['start', '--port', '0', '--data', 'state'];
        const host = new Command(words, world.directory, variables, [without, what]);
        command = host;
        await until('it serves', () => host.err.includes('Try: '));
        for (const id of ['strict', 'lenient', 'foreign'])
          expect(await view(host.url, id)).toMatchObject({
            state: 'failed',
            error: {
              code: 'ConfinementMissing',
              details: { lacking: expect.arrayContaining([what]) as string[] },
            },
          });
        expect(await view(host.url, 'inside')).toMatchObject({ state: 'running', isolation: { mode: 'inline' } });
        expect(await (await fetch(`${host.url}/inside/well`)).text()).toBe('well');
      },
    );
  });
});
