import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ErrorCode } from '../src/index.js';
import { type Answered, Clients } from './load/clients.js';
import { gauge } from './load/gauge.js';
import { isIsolated } from './load/isolation.js';
import { until, World } from './load/world.js';
import { buildPlugin, type PluginBuild } from './plugins/build.js';

const stateful = { WITH_STATE: '1', WITH_QUIESCE: '1' };

function service(build: string, defines: Record<string, string> = {}): Promise<string> {
  return buildPlugin('service', { defines: { BUILD: `"${build}"`, ...defines } });
}

function greeting(text: string): string {
  return `#include <tenon/tenon.hpp>
struct Greeting : tenon::Resource {
  tenon::Response get(const tenon::Request&) override { return tenon::text("${text}"); }
};
`;
}

describe('a reload', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(() => world.close());

  test('compiles the sources, and a compiler error names file and line while the old build serves on, also over a restart', async () => {
    await world.write('greeter', 'config.yaml', 'name: Greeter\n');
    await world.write('greeter', 'resources/greeting.cpp', greeting('first'));
    await world.start();
    expect((await world.get('/greeter/greeting')).body).toBe('first');

    await world.write('greeter', 'resources/greeting.cpp', greeting('second'));
    expect(await world.host.reload('greeter')).toMatchObject({
      outcome: 'succeeded',
      to: { generation: 2 },
      unload: 'clean',
    });
    expect((await world.get('/greeter/greeting')).body).toBe('second');

    await world.write('greeter', 'resources/greeting.cpp', greeting('third').replace('override {', 'override { oops'));
    const failed = await world.admin('POST', '/api/v1/plugins/greeter/reload');
    expect(failed.status).toBe(422);
    expect(JSON.parse(failed.body)).toMatchObject({
      error: 'BuildFailed',
      details: { file: 'resources/greeting.cpp', line: 3 },
    });
    expect(world.log.some((line) => line.level === 50 && line.msg.includes('resources/greeting.cpp:3:'))).toBe(true);
    expect((await world.get('/greeter/greeting')).body).toBe('second');
    expect(world.host.plugin('greeter')).toMatchObject({
      state: 'running',
      generation: 2,
      error: { code: 'BuildFailed' },
      lastReload: { outcome: 'failed' },
    });

    await world.write('greeter', 'resources/greeting.cpp', greeting('second'));
    expect(await world.host.reload('greeter')).toMatchObject({ outcome: 'succeeded', unchanged: true });
    const undone = 'greeter: what serves (generation 2) is what the sources say again';
    expect(world.log.filter(({ level, msg }) => level === 30 && msg === undone)).toHaveLength(1);
    expect(world.host.plugin('greeter').error).toBeUndefined();
    await world.host.reload('greeter');
    expect(world.log.filter(({ msg }) => msg === undone)).toHaveLength(1);

    await world.write('greeter', 'resources/greeting.cpp', greeting('fourth'));
    await world.host.reload('greeter');
    expect((await world.get('/greeter/greeting')).body).toBe('fourth');
    expect(world.host.plugin('greeter').error).toBeUndefined();

    await world.host.close();
    await world.write('greeter', 'resources/greeting.cpp', greeting('fifth').replace('override {', 'override { oops'));
    await world.start();
    expect((await world.get('/greeter/greeting')).body).toBe('fourth');
    expect(world.host.plugin('greeter')).toMatchObject({ state: 'running', error: { code: 'BuildFailed' } });
  }, 120_000);

  test('of a library with another id names the TENON_PLUGIN in the source', async () => {
    await world.write('renamed', 'config.yaml', 'name: renamed\n');
    await world.write(
      'renamed',
      'resources/plugin.c',
      `#include <tenon/entry.h>
static tenon_status create(const tenon_host_t *host, tenon_plugin_t **out) { return (void)host, (void)out, TENON_ERROR; }
TENON_PLUGIN("before", "", "1.0.0", NULL, NULL, TENON_TRIAL_FULL, create)
`,
    );
    await world.start();
    expect(world.host.plugin('renamed').error).toMatchObject({
      code: 'PluginIdMismatch',
      message: 'resources/plugin.c:3:1: TENON_PLUGIN has the id "before", and the application is "renamed"',
    });
  });

  test('carries the state over', async () => {
    await world.publish('service', await service('one', stateful));
    await world.start();
    for (const count of ['1', '2', '3']) expect((await world.request('POST', '/service/count')).body).toBe(count);
    await world.publish('service', await service('two', stateful));
    const record = await world.host.reload('service');
    expect(record.phases.migrate).toBeGreaterThan(0);
    expect((await world.request('POST', '/service/count')).body).toBe('4');
    expect((await world.get('/service/build')).body).toBe('two');
  });

  test('takes up a changed route_prefix under load: no count is lost, and only the old path answers 404', async () => {
    await world.publish('service', await service('one', stateful));
    await world.publish('other', await buildPlugin('service', { defines: { PLUGIN_ID: '"other"' } }));
    await world.start({ hotReload: true, sourceDebounceMs: 50 });
    const answers: Answered[] = [];
    const moved = new Set<number>();
    const clients = new Clients({
      url: world.url,
      count: 16,
      next: (client, turn) => {
        if ((client + turn) % 2 === 0) return { method: 'GET', path: '/other/build' };
        return { method: 'POST', path: moved.has(client) ? '/moved/count' : '/service/count' };
      },
      judge: (answered) => {
        answers.push(answered);
        if (answered.status === 404 && answered.call.path === '/service/count') moved.add(answered.client);
        else if (answered.status !== 200) return `status ${answered.status}: ${answered.body}`;
        return undefined;
      },
    });
    await until('calls come', () => clients.answered > 100);
    await world.write('service', 'config.yaml', 'app_id: service\nroute_prefix: /moved\n');
    await until('every client calls the new path', () => moved.size === 16);
    await until('and is answered', () => new Set(answersOf('/moved/count').map(({ client }) => client)).size === 16);
    const report = await clients.stop();
    expect(report.unexpected).toEqual([]);
    function answersOf(path: string): Answered[] {
      return answers.filter(({ call }) => call.path === path);
    }

    const swapped = world.events.find((event) => event.type === 'plugin.serving' && event.generation === 2)?.at ?? 0;
    const old = answersOf('/service/count');
    expect(old.filter(({ status, begun }) => status === 200 && begun > swapped)).toEqual([]);
    expect(old.filter(({ status, ended }) => status === 404 && ended < swapped)).toEqual([]);
    const counted = [...old, ...answersOf('/moved/count')].filter(({ status }) => status === 200);
    const counts = counted.map(({ body }) => Number(body)).toSorted((left, right) => left - right);
    expect(counts).toEqual(counts.map((_, at) => at + 1));
    await until('the old one is gone', () => world.host.plugin('service').generations.length === 1);
    expect(world.host.plugin('service').lastReload).toMatchObject({ trigger: 'watch', unload: 'clean' });
    expect(world.host.plugin('other').generation).toBe(1);
  });

  test('to another route_prefix answers a call that waited under the old one, and runs nothing for it', async () => {
    await world.publish('service', await service('one', stateful));
    await world.start();
    const slow = world.get('/service/slow?ms=2000');
    await until('the call is in', () => world.host.plugin('service').generations.some(({ leases }) => leases > 0));
    await world.write('service', 'config.yaml', 'app_id: service\nroute_prefix: /moved\n');
    const initialized = (): number =>
      world.events.filter((event) => event.type === 'reload.phase' && event.phase === 'initialize').length;
    const before = initialized();
    const reload = world.host.reload('service');
    await until('the gate is closed, for the call that is in', () => initialized() > before);
    const waiting = world.request('POST', '/service/count');
    await until('a call waits', () => world.host.plugin('service').waiting === 1);
    expect((await slow).body).toBe('one');
    await reload;
    const answer = await waiting;
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.body)).toMatchObject({ error: 'RouteGone' });
    expect((await world.request('POST', '/moved/count')).body).toBe('1');
  });

  test('of a plugin without state makes no call wait', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    const slow = world.get('/service/slow?ms=500');
    await until('the call is in', () => world.host.plugin('service').generations.some(({ leases }) => leases > 0));
    await world.publish('service', await service('two'));
    const reload = world.host.reload('service');
    await until('the new one serves', () => world.host.plugin('service').generation === 2);
    // The old call is still under way, and the new generation already answers.
    expect((await world.get('/service/build')).body).toBe('two');
    expect((await slow).body).toBe('one');
    expect((await reload).phases.migrate).toBeUndefined();
  });

  test('keeps the state of a build that has no successor for it, and says so', async () => {
    await world.publish('service', await service('one', stateful));
    await world.start();
    await world.publish('service', await service('two'));
    const { warnings } = await world.host.reload('service');
    expect(warnings).toEqual([expect.stringContaining('offers no tenon.state')]);
  });

  const refusals: { name: string; old?: Record<string, string>; next?: Record<string, string>; says: string }[] = [
    {
      name: 'the old one does not save',
      old: { REFUSE_SAVE: '1' },
      says: 'generation 1: save of service failed: the count is locked away',
    },
    {
      name: 'the new one refuses the dry run',
      next: { REFUSE_DRY_RUN: '1' },
      says: 'generation 2: load of service failed: these numbers are not mine',
    },
    {
      name: 'the new one refuses the load',
      next: { REFUSE_LOAD: '1' },
      says: 'load of service failed: it cannot read state of version 1',
    },
  ];
  test.each(refusals)(
    'goes back to the old generation with its state when $name',
    async ({ old = {}, next = {}, says }) => {
      await world.publish('service', await service('one', { ...stateful, ...old }));
      await world.start();
      const clients = new Clients({
        url: world.url,
        count: 8,
        next: () => ({ method: 'POST', path: '/service/count' }),
        judge: ({ status }) => (status === 200 ? undefined : `status ${status}`),
      });
      await until('calls come', () => clients.answered > 20);
      await world.publish('service', await service('two', { ...stateful, ...next }));
      await expect(world.host.reload('service')).rejects.toMatchObject({
        code: 'StateRefused',
        message: expect.stringContaining(says),
      });
      const answered = clients.answered;
      await until('calls come after it', () => clients.answered > answered + 20);
      const report = await clients.stop();
      expect(report.unexpected).toEqual([]);
      expect(Number((await world.request('POST', '/service/count')).body)).toBe(report.answered + 1);
      expect((await world.get('/service/build')).body).toBe('one');
      await until('the old one has taken up again', () => world.said('service').includes('resume'));
      expect(gauge(world.data)).toMatchObject({ images: 1, staged: 0 });
    },
  );

  test('goes back when a call does not end in time', async () => {
    await world.publish('service', await service('one', stateful));
    await world.start({ lifecycleMs: 1000 });
    const slow = world.get('/service/slow?ms=4000');
    await until('the call is in', () => world.host.plugin('service').generations.some(({ leases }) => leases > 0));
    await world.publish('service', await service('two', stateful));
    const waiting = world.host.reload('service');
    await expect(waiting).rejects.toMatchObject({
      code: 'StateRefused',
      message: expect.stringContaining('1 calls did not end'),
    });
    expect((await world.get('/service/build')).body).toBe('one');
    expect((await slow).body).toBe('one');
  });

  test('that fails, and whose old generation does not resume, tells both', async () => {
    await world.publish('service', await service('one', { ...stateful, REFUSE_RESUME: '1' }));
    await world.start();
    await world.publish('service', await service('two', { ...stateful, FAIL_READY: '1' }));
    await expect(world.host.reload('service')).rejects.toMatchObject({
      code: 'LifecycleFailed',
      message: expect.stringMatching(/no shelf to stand on; and the old generation did not resume/),
    });
    expect((await world.get('/service/build')).body).toBe('one');
  });

  const faults: { plugin: string; code: ErrorCode; build?: PluginBuild }[] = [
    { plugin: 'abi_major', code: 'AbiUnsupported' },
    { plugin: 'abi_descriptor', code: 'AbiUnsupported' },
    { plugin: 'no_entry', code: 'EntrypointNotFound' },
    { plugin: 'no_note', code: 'ImageNoteMissing' },
    { plugin: 'other_id', code: 'PluginIdMismatch' },
    { plugin: 'missing_symbol', code: 'TrialOpenFailed' },
    { plugin: 'crash_in_constructor', code: 'TrialCrashed' },
    { plugin: 'abort_in_constructor', code: 'TrialCrashed' },
    { plugin: 'exit_in_constructor', code: 'TrialExited' },
    { plugin: 'hang_in_constructor', code: 'TrialTimeout' },
    { plugin: 'hang_in_initialize', code: 'TrialTimeout' },
    { plugin: 'crash_in_initialize', code: 'TrialCrashed' },
    { plugin: 'refuse_initialize', code: 'TrialRefused' },
    { plugin: 'unhealthy', code: 'TrialRefused' },
    { plugin: 'forged_verdict', code: 'TrialExited' },
  ];

  test('of a bad library is refused with its own code; host and old generation never blink', async () => {
    const good = await buildPlugin('service', { defines: { PLUGIN_ID: '"fault"' } });
    await world.publish('fault', good);
    await world.start({ trialMs: 3000 });
    const clients = new Clients({
      url: world.url,
      count: 16,
      next: (client) => ({ method: 'GET', path: client % 2 === 0 ? '/fault/build' : '/fault/slow?ms=1' }),
      judge: ({ status, body }) => (status === 200 && body === 'one' ? undefined : `status ${status}: ${body}`),
    });
    // Four threads of its pool and the control thread: no more will start. In a process of its own handlers need none.
    const alive = (): number | undefined => world.host.plugin('fault').generations[0]?.threads.alive;
    await until('all its threads run', () => isIsolated || alive() === 5);
    const before = gauge(world.data);
    const seen: string[] = [];
    for (const { plugin, build } of faults) {
      await world.publish('fault', await buildPlugin(plugin, build));
      const refusal = await world.host.reload('fault').then(
        () => 'served',
        (error: unknown) => (error as { code: string }).code,
      );
      seen.push(`${plugin} ${refusal}`);
    }
    const bytes = await readFile(good);
    const target = `${world.folder('fault')}/fault.so`;
    const foreign = Buffer.from(bytes);
    foreign.writeUInt16LE(process.arch === 'arm64' ? 62 : 183, 18); // e_machine
    const files: [string, Buffer, ErrorCode][] = [
      ['truncated', bytes.subarray(0, Math.floor(bytes.length / 2)), 'ImageTruncated'],
      ['foreign architecture', foreign, 'ImageArchitecture'],
      ['a script', Buffer.from('#!/bin/sh\nexit 1\n'.repeat(100)), 'ImageFormat'],
    ];
    for (const [name, content, code] of files) {
      await writeFile(target, content);
      await expect(world.host.reload('fault'), name).rejects.toMatchObject({ code });
    }
    const report = await clients.stop();
    expect(seen).toEqual(faults.map(({ plugin, code }) => `${plugin} ${code}`));
    expect(report.unexpected).toEqual([]);
    expect(world.host.plugin('fault')).toMatchObject({ state: 'running', generation: 1 });
    expect(gauge(world.data)).toMatchObject({ images: before.images, staged: 0 });
    await until('what was begun for them has ended', () => gauge(world.data).threads <= before.threads);
  }, 120_000);
});
