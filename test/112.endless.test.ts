import { pbkdf2 } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FaultyHost } from './faults/faulty-host.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

/** Its calls hang while it is there. */
const held = path.join(os.tmpdir(), `tenon-endless-${process.pid}`);
let world: World | undefined;
beforeEach(() => writeFile(held, ''));
afterEach(async () => {
  await rm(held, { force: true });
  await world?.close();
});

test.each([4, 64])(
  '64 endless calls at once, %i of them on threads: each gets its 504, and everything else its answer meanwhile',
  async (concurrency) => {
    world = await World.make();
    await world.publish('endless', await buildPlugin('endless', { defines: { DEADLINE_MS: '1500' } }));
    await world.publish('ready', await buildPlugin('audit_changes', { defines: { PLUGIN_ID: '"ready"' } }));
    await world.start({ concurrency, queueLimit: 100 });
    const { url } = world;
    const answers: [number, string][] = [];
    const hung = Array.from({ length: 64 }, async () => {
      const answer = await fetch(`${url}/endless/endless`);
      const { error } = (await answer.json()) as { error: string };
      answers.push([answer.status, error]);
    });
    const others = async (): Promise<void> => {
      expect(await (await fetch(`${url}/ready/change`)).text()).toBe('done');
      expect(await readFile(fileURLToPath(import.meta.url), 'utf8')).toContain('endless');
      expect(await promisify(pbkdf2)('a', 'b', 1000, 16, 'sha256')).toHaveLength(16);
    };
    do await others();
    while (answers.length < 64);
    await Promise.all(hung);
    expect(answers).toEqual(Array.from({ length: 64 }, () => [504, 'DeadlineExceeded']));
    // Its threads still hang.
    await others();
  },
);

test('the first thread that hangs past a deadline is told in the log and with the plugin, long before the last one does', async () => {
  const host = await FaultyHost.start(['fault'], 'limits:\n  deadlineMs: 300\n');
  try {
    expect(await host.call('POST', '/fault/pool?kind=sleep')).toMatchObject({ status: 504 });
    const told = 'a thread of fault hangs in POST /fault/pool since its deadline; 1 of 8 that it may lose';
    await until('it is told', () => host.said.includes(told));
    expect((await host.show('fault'))?.warnings).toContain(`generation 1: ${told}`);
    expect(await host.show('fault')).toMatchObject({ state: 'running' });
  } finally {
    await host.close();
  }
});

test('a call that waits for threads of a plugin is answered when the plugin goes to quarantine because they hang', async () => {
  const at = await World.make();
  world = at;
  await at.publish('endless', await buildPlugin('endless', { defines: { DEADLINE_MS: '2000' } }));
  await at.open({ concurrency: 8 }, { parent: {} });
  await at.host.discover();
  const leases = (): number => at.host.plugin('endless').generations[0]?.leases ?? 0;
  const hung = Array.from({ length: 8 }, () => at.get('/endless/endless'));
  await until('they are in', () => leases() === 8);
  // The threads that come for those that are lost hang, too; after them there are no more.
  hung.push(...Array.from({ length: 8 }, () => at.get('/endless/longer')));
  await until('more wait behind them', () => leases() === 16);
  const waiting = at.get('/endless/quick');
  await until('one waits behind them all', () => leases() === 17);
  for (const { status } of await Promise.all(hung)) expect(status).toBe(504);
  const { status, body } = await waiting;
  expect([status, JSON.parse(body)]).toMatchObject([503, { error: 'PluginUnresponsive' }]);
  expect(at.host.plugin('endless').state).toBe('quarantined');
  // It was no crash, and nothing says so.
  const refused = JSON.parse((await at.get('/endless/quick')).body) as object;
  const reason = expect.stringMatching(/^\d+ of its threads hang in /) as string;
  expect(refused).toMatchObject({
    error: 'PluginQuarantined',
    detail: expect.stringMatching(/^endless is in quarantine: \d+ of its threads hang in /) as string,
    details: { plugin: 'endless', reason },
  });
  expect(JSON.stringify(refused)).not.toContain('crash');
  const { quarantined } = at.host.containment();
  expect(quarantined).toMatchObject([{ plugin: 'endless', reason }]);
  expect(quarantined[0]).not.toHaveProperty('crash');
});
