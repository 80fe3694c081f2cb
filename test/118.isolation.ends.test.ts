import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { crashFolder, CrashReports } from '../src/base/crash-reports.js';
import type { PluginView } from '../src/index.js';
import { Command } from './load/command.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
  await world.publish('crash', await buildPlugin('crash'));
});
afterEach(() => world.close());

const view = (): PluginView => world.host.plugin('crash');
const processes = (): NonNullable<PluginView['isolation']>['processes'] => view().isolation?.processes ?? [];
const isBack = (restarts: number): Promise<void> =>
  until('another process serves', () => processes()[0]?.restarts === restarts && processes()[0]?.pid !== 0);

describe('a process of a plugin that ends', () => {
  test('answers 502 ProcessEnded to whoever it had a request of', async () => {
    await world.start({ isolation: 'process' });
    const { status, body } = await world.get('/crash/pool?fault=segv');
    expect({ status, problem: JSON.parse(body) as unknown }).toMatchObject({
      status: 502,
      problem: { error: 'ProcessEnded', details: { plugin: 'crash', route: 'GET /crash/pool' } },
    });
  });

  test('is replaced by another one, and the plugin serves on', async () => {
    await world.start({ isolation: 'process' });
    const before = processes()[0]?.pid;
    await world.get('/crash/pool?fault=segv');
    await isBack(1);
    expect(await world.get('/crash/pool')).toMatchObject({ status: 200, body: 'well' });
    expect(processes()[0]?.pid).not.toBe(before);
    expect(view()).toMatchObject({
      state: 'running',
      generation: 1,
      isolation: {
        mode: 'process',
        processes: [{ restarts: 1, lastEnd: expect.stringMatching(/./) as string }],
        limits: { processes: 1, sandbox: true },
      },
    });
  });

  test('is told as an event, and reported with the plugin as the culprit', async () => {
    await world.start({ isolation: 'process' });
    await world.get('/crash/pool?fault=segv');
    await until('it is told', () => world.events.some(({ type }) => type === 'plugin.processEnded'));
    await until('the next one is told', () => world.events.some(({ type }) => type === 'plugin.processStarted'));
    const told = world.events.find((event) => event.type === 'plugin.processEnded');
    expect(told).toMatchObject({
      plugin: 'crash',
      generation: 1,
      reason: expect.stringMatching(/./) as string,
    });
    const reports = new CrashReports({ folder: crashFolder(world.data) });
    await until('it is reported', async () => (await reports.list()).reports.length > 0);
    expect((await reports.list()).reports).toMatchObject([
      {
        action: 'processRestarted',
        host: { pid: process.pid, applications: world.applications },
        verdict: { culprit: { plugin: 'crash', generation: 1 }, suspects: [] },
      },
    ]);
    const listed = await world.admin('GET', '/api/v1/crashes');
    expect(JSON.parse(listed.body)).toMatchObject({ crashes: [{ action: 'processRestarted' }] });
  });

  test('says so when it was by a stack that is used up', async () => {
    await world.start({ isolation: 'process' });
    await world.get('/crash/pool?fault=overflow');
    await isBack(1);
    await world.get('/crash/pool?fault=segv');
    await isBack(2);
    const reports = new CrashReports({ folder: crashFolder(world.data) });
    await until('all are reported', async () => (await reports.list()).reports.length === 2);
    const told = (await reports.list()).reports.map(({ verdict, stackOverflow }) => [verdict.sentence, stackOverflow]);
    expect(told).toEqual([
      [expect.stringMatching(/was ended by SIGSEGV in handle$/), undefined],
      [expect.stringMatching(/was ended by SIGSEGV \(stack overflow\) in handle$/), true],
    ]);
  });

  test('is told and reported also when the plugin did not serve yet, and named in why it does not', async () => {
    await world.publish('fault', await buildPlugin('open_only'));
    await world.start({ isolation: 'process' });
    expect(world.host.plugin('fault').error?.message).toContain('was ended by SIGABRT, in initialize');
    const ends = (): object[] => world.events.filter(({ type }) => type === 'plugin.processEnded');
    await until('it is told', () => ends().length > 0);
    expect(ends()).toMatchObject([{ plugin: 'fault', generation: 1, reason: 'was ended by SIGABRT', replaced: false }]);
    const reports = new CrashReports({ folder: crashFolder(world.data) });
    await until('it is reported', async () => (await reports.list()).reports.length > 0);
    expect((await reports.list()).reports).toMatchObject([
      { action: 'ended', signal: 'SIGABRT', verdict: { culprit: { plugin: 'fault', inside: { work: 'initialize' } } } },
    ]);
  });

  test('leaves the lines that it has printed in the log, also when it is killed', async () => {
    await world.start({ isolation: 'process' });
    await world.get('/crash/pool?fault=say-last-words');
    await isBack(1);
    expect(world.log).toContainEqual(
      expect.objectContaining({ msg: 'its last words', plugin: 'crash', fields: { stream: 'stdout' } }),
    );
  });

  test('is reported by a host that closes at once, and is no crash of a host in the metrics', async () => {
    await world.start({ isolation: 'process' });
    await world.get('/crash/pool?fault=segv');
    expect((await world.admin('GET', '/metrics')).body).not.toMatch(/^tenon_crashes_total\{/m);
    await world.host.close();
    const reports = new CrashReports({ folder: crashFolder(world.data) });
    expect((await reports.list()).reports).toMatchObject([{ process: { pid: expect.any(Number) as number } }]);
  });

  test('by a SIGKILL of somebody else is no proof against the plugin, nor against a new build', async () => {
    await world.start({ isolation: 'process', probationMs: 600_000 });
    await world.publish('crash', await buildPlugin('crash', { defines: { IN_INITIALIZE: '"none"' } }));
    await world.host.reload('crash');
    const { generation } = view();
    process.kill(processes()[0]?.pid ?? 0, 'SIGKILL');
    await isBack(1);
    const reports = new CrashReports({ folder: crashFolder(world.data) });
    await until('it is reported', async () => (await reports.list()).reports.length > 0);
    const [report] = (await reports.list()).reports;
    expect(report).toMatchObject({ kind: 'killed', verdict: { suspects: [{ plugin: 'crash' }] } });
    expect(report?.verdict.culprit).toBeUndefined();
    expect(report?.verdict.sentence).toMatch(/its process \d+ was ended by SIGKILL/);
    expect(view()).toMatchObject({ state: 'running', generation });
    // Twice is too often.
    process.kill(processes()[0]?.pid ?? 0, 'SIGKILL');
    await until('the build before serves', () => view().error?.code === 'ProbationFailed');
  });

  test('refuses calls with 503 ProcessRestarting while it ends again and again', async () => {
    await world.start({ isolation: 'process' });
    let refused: { status: number; body: string; headers: Headers } | undefined;
    await until('it is waited between two tries', async () => {
      await world.get('/crash/pool?fault=_exit');
      const answer = await world.get('/crash/pool');
      if (answer.status === 503) refused = answer;
      return refused !== undefined;
    });
    expect(JSON.parse(refused?.body ?? '')).toMatchObject({ error: 'ProcessRestarting' });
    // Of the others nothing is to be taken away.
    expect(await world.get('/readyz')).toMatchObject({ status: 200, body: 'degraded\n' });
    expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  });

  test('is the reason, where it is listed, why it serves nobody until another one does', async () => {
    await world.start({ isolation: 'process' });
    const listed = async (): Promise<PluginView | undefined> => {
      const { body } = await world.admin('GET', '/api/v1/plugins');
      return (JSON.parse(body) as { plugins: PluginView[] }).plugins[0];
    };
    expect(await listed()).not.toHaveProperty('health');
    let list = '';
    let told: PluginView | undefined;
    const asked = async (): Promise<string> => {
      const command = new Command(['list', '--url', world.url], world.directory, {
        TENON_ADMIN_TOKEN: 'a-token-of-the-tests',
      });
      await command.exit;
      return command.out;
    };
    const health = 'none of its processes runs now: the one before exited with 3';
    // The pause between two grows.
    await until('it is listed between two processes', async () => {
      await world.get('/crash/pool?fault=_exit');
      list = await asked();
      return list.includes('none of its');
    });
    expect(list).toMatch(new RegExp(`^crash +running .* ${health}$`, 'm'));
    await until('it is told over HTTP', async () => {
      await world.get('/crash/pool?fault=_exit');
      told = await listed();
      return told?.health !== undefined;
    });
    expect(told).toMatchObject({ state: 'running', health });
    await until('another one serves', async () => (await world.get('/crash/pool')).status === 200);
    expect(await listed()).not.toHaveProperty('health');
  });

  test('takes a new build back within its probation', async () => {
    await world.publish('crash', await buildPlugin('crash', { flags: ['-DANOTHER'] }));
    await world.start({ isolation: 'process', probationMs: 600_000 });
    const good = view().generations[0]?.sha256;
    await world.publish('crash', await buildPlugin('crash', { defines: { IN_INITIALIZE: '"none"' } }));
    await world.host.reload('crash');
    expect(view().generations.find(({ number }) => number === view().generation)?.sha256).not.toBe(good);
    await world.get('/crash/pool?fault=segv');
    await until('the build before serves', () => {
      const { generation, generations } = view();
      return generations.find(({ number }) => number === generation)?.sha256 === good;
    });
    expect(view().error).toMatchObject({
      code: 'ProbationFailed',
      message: expect.stringContaining('its process') as string,
    });
  });
});

test.each(['process', 'auto'])('a plugin with state in two processes is refused, of isolation %s', async (mode) => {
  await world.publish('keeper', await buildPlugin('keeper'));
  await world.write('keeper', 'config.yaml', `isolation: {mode: ${mode}, processes: 2}\n`);
  await world.start();
  expect(world.host.plugin('keeper').error).toMatchObject({
    code: 'ConfigInvalid',
    message: expect.stringContaining('each of its 2 processes would have its own') as string,
  });
});

test.each([
  ['config.yaml', 'isolation: [\n', undefined],
  ['manifest.json', '{', { id: 'whereabouts', version: '1.0.0', isolation: { mode: 'inline', sandbox: false } }],
])('a setting that is process now holds for a kept build whose %s cannot be read', async (file, broken, manifest) => {
  await world.publish('whereabouts', await buildPlugin('whereabouts'));
  if (manifest !== undefined) await world.write('whereabouts', file, JSON.stringify(manifest));
  await world.start({ isolation: 'inline' });
  expect(Number((await world.get('/whereabouts/pid')).body)).toBe(process.pid);
  const left = world.host.wishes();
  await world.host.close();
  await world.write('whereabouts', file, broken);
  await world.open({ isolation: 'process' });
  await world.host.resume(left);
  const { status, body } = await world.get('/whereabouts/pid');
  expect(status, body).toBe(200);
  expect(Number(body)).not.toBe(process.pid);
  expect(world.host.plugin('whereabouts').isolation).toMatchObject({ mode: 'process', limits: { sandbox: true } });
});

test('where a plugin runs is kept for a host that cannot read its config', async () => {
  await world.publish('whereabouts', await buildPlugin('whereabouts'));
  await world.write('whereabouts', 'config.yaml', 'isolation: process\n');
  await world.start();
  expect(Number((await world.get('/whereabouts/pid')).body)).not.toBe(process.pid);
  const left = world.host.wishes();
  await world.host.close();
  await world.write('whereabouts', 'config.yaml', 'isolation: [\n');
  await world.open();
  await world.host.resume(left);
  const { status, body } = await world.get('/whereabouts/pid');
  expect(status).toBe(200);
  expect(Number(body)).not.toBe(process.pid);
  expect(await readFile(path.join(world.folder('whereabouts'), 'config.yaml'), 'utf8')).toContain('[');
});
