import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { FaultyHost } from './faults/faulty-host.js';
import { tenon } from './load/tenon.js';
import { until } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let host: FaultyHost | undefined;
afterEach(async () => {
  await host?.close();
  host = undefined;
});

const settings = 'isolation: auto\nhotReload:\n  enabled: false\ncrashes:\n  standby: false\n  limit: 1\n';

interface Shown {
  readonly isolation?: { readonly mode: string; readonly processes: readonly { pid: number }[]; demoted?: object };
}

test('a plugin of isolation auto is in a process of its own once it has ended a host, until it is released', async () => {
  const at = await FaultyHost.start([], settings, async (world) => {
    await world.publish('crash', await buildPlugin('crash'));
    await world.publish('whereabouts', await buildPlugin('whereabouts'));
  });
  host = at;
  const shown = async (id: string): Promise<Shown> =>
    JSON.parse((await at.call('GET', `/api/v1/plugins/${id}`)).body) as Shown;
  const serves = (): Promise<void> =>
    until('it serves', async () => (await at.call('GET', '/crash/pool')).status === 200);
  await serves();
  expect((await shown('crash')).isolation).toEqual({ mode: 'auto', processes: [] });
  const first = await at.serving();
  const known = await at.reports();
  await at.call('GET', '/crash/pool?fault=segv');
  expect(await at.reportAfter(known)).toMatchObject({ action: 'demoted', verdict: { culprit: { plugin: 'crash' } } });
  await serves();
  const second = await at.serving();
  expect(second).not.toBe(first);
  expect((await shown('crash')).isolation).toMatchObject({
    mode: 'auto',
    processes: [{ pid: expect.any(Number) as number }],
    demoted: { plugin: 'crash', reason: expect.stringContaining('crashed the host') as string },
  });
  expect((await shown('whereabouts')).isolation).toEqual({ mode: 'auto', processes: [] });

  // From now on it ends nobody else.
  const later = await at.reports();
  await at.call('GET', '/crash/pool?fault=segv');
  expect(await at.reportAfter(later)).toMatchObject({ action: 'processRestarted' });
  await serves();
  expect(await at.serving()).toBe(second);

  // Another build of it does not change that.
  const demoted = async (): Promise<unknown> =>
    JSON.parse(await readFile(path.join(at.world.data, 'containment.json'), 'utf8'));
  await at.world.publish('crash', await buildPlugin('crash', { defines: { IN_INITIALIZE: '"none"' } }));
  await writeFile(path.join(at.world.folder('crash'), 'config.yaml'), 'version: 2.0.0\n');
  expect((await at.call('POST', '/api/v1/plugins/crash/reload')).status).toBe(200);
  expect((await shown('crash')).isolation?.processes).toHaveLength(1);
  expect(await demoted()).toMatchObject({ demoted: [{ plugin: 'crash' }], quarantined: [], bad: [] });

  const list = await tenon(at.world.directory, 'list', '--data', at.world.data);
  expect(list.out).toMatch(/^crash .*auto: process/m);
  const show = await tenon(at.world.directory, 'show', 'crash', '--data', at.world.data);
  expect(show.out).toMatch(/^isolation +auto: process$/m);
  const crashes = await tenon(at.world.directory, 'crashes', '--data', at.world.data);
  expect(crashes.out).toMatch(/demoted/);

  expect((await at.call('POST', '/api/v1/plugins/crash/release')).status).toBe(200);
  expect((await shown('crash')).isolation).toEqual({ mode: 'auto', processes: [] });
  await until('that is kept', async () => !('demoted' in ((await demoted()) as object)));
});
