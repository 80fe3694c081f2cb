import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, open, readFile, rename, writeFile } from 'node:fs/promises';
import { Agent, type IncomingMessage, request } from 'node:http';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { resolveSettings } from '../src/base/config.js';
import type { ErrorCode } from '../src/index.js';
import { RuleBook } from '../src/reload/rules.js';
import { Watch } from '../src/reload/watch.js';
import { callOnce, Clients } from './load/clients.js';
import { Command, hostProcess, killHost, token } from './load/command.js';
import { gauge, stagingDirectories } from './load/gauge.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

function service(build: string, defines: Record<string, string> = {}): Promise<string> {
  return buildPlugin('service', { defines: { BUILD: `"${build}"`, ...defines } });
}

async function sha256(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}

/** The number that process `pid` would give to the next file it opens. */
function lowestFree(pid: number): number {
  const taken = new Set(readdirSync(`/proc/${pid}/fd`));
  let number = 0;
  while (taken.has(String(number))) number++;
  return number;
}

describe('a reload', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(() => world.close());

  const build = async (): Promise<string> => (await world.get('/service/build')).body;
  const serves = (text: string): Promise<void> => until(`${text} serves`, async () => (await build()) === text);
  const calledNow = (): boolean => world.host.plugin('service').generations.some(({ leases }) => leases > 0);
  const alarms = (): string[] => world.log.filter(({ level }) => level >= 50).map(({ msg }) => msg);

  test('of 1,000 writes in a row loads the last one, with one running and one waiting at most', async () => {
    const libraries = await Promise.all(['one', 'two', 'three'].map((text) => service(text)));
    await world.publish('service', libraries[0] ?? '');
    let running = 0;
    let most = 0;
    let begun = 0;
    await world.start({
      hotReload: true,
      libraryDebounceMs: 20,
      onEvent: ({ type, ...facts }) => {
        if (type === 'reload.started') {
          begun++;
          most = Math.max(most, ++running);
        } else if (type === 'plugin.serving' || type === 'reload.failed') running--;
        else if (type === 'reload.succeeded' && 'record' in facts && facts.record.unchanged === true) running--;
      },
    });
    const resident = process.memoryUsage.rss();
    const began = performance.now();
    // One that is asked for while files come may find no file that stays as it is long enough.
    const asked: Promise<string>[] = [];
    let turns = 0;
    const ask = (): Promise<string> =>
      world.host.reload('service').then(
        ({ outcome }) => outcome,
        (error: unknown) => (error as { code: string }).code,
      );
    for (let write = 1; write <= 1000; write++) {
      await world.publish('service', libraries[write % 3] ?? '');
      if (write % 5 !== 0) continue;
      turns++;
      asked.push(...Array.from({ length: 5 }, ask));
    }
    const looked = (performance.now() - began) / 20; // the watch asks once in a debounce at most
    expect(['succeeded', 'ImageChanging']).toEqual(expect.arrayContaining([...new Set(await Promise.all(asked))]));
    const last = await sha256(path.join(world.folder('service'), 'service.so'));
    expect(last).toBe(await sha256(libraries[1000 % 3] ?? ''));
    await until('the last one serves', () => world.host.plugin('service').generations[0]?.sha256 === last);
    await until('the older ones are gone', () => world.host.plugin('service').generations.length === 1);
    expect(most).toBe(1);
    // Of five asked for in one turn, one may run and one wait: three and more would be one for each.
    expect(begun).toBeLessThanOrEqual(2 * turns + looked);
    expect(process.memoryUsage.rss() - resident).toBeLessThan(128 * 1024 * 1024);
    expect(gauge(world.data)).toMatchObject({ images: 1, staged: 0 });
  });

  test('waits for a file that is written in pieces, and alarms nobody', async () => {
    await world.publish('service', await service('one'));
    await world.start({ hotReload: true, libraryDebounceMs: 500 });
    const bytes = await readFile(await service('two'));
    const file = await open(path.join(world.folder('service'), 'service.so'), 'w');
    const piece = Math.ceil(bytes.length / 8);
    let last = performance.now();
    let rests = 0;
    for (let at = 0; at < bytes.length; at += piece) {
      await file.write(bytes, at, Math.min(piece, bytes.length - at), at);
      if (performance.now() - last > 400) rests += 1;
      last = performance.now();
      expect(await build()).toBe('one');
      await new Promise((resolve) => {
        setTimeout(resolve, 50); // the writer's pause
      });
    }
    await file.close();
    await serves('two');
    const outcomes = (): string[] => world.host.reloads().map(({ outcome }) => outcome);
    await until('it is recorded', () => outcomes().filter((outcome) => outcome === 'succeeded').length === 2);
    expect(alarms()).toEqual([]);
    // A part of it is only taken for all of it when the machine kept the writer waiting for as long as a debounce.
    expect(outcomes().filter((outcome) => outcome === 'failed').length).toBeLessThanOrEqual(4 * rests);
  });

  test('and an unload while older generations still have calls: each call ends in its own', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    const libraries = await Promise.all(['two', 'three'].map((text) => service(text)));
    const calls: Promise<string>[] = [];
    const call = async (generation: number): Promise<void> => {
      calls.push(world.get('/service/slow?ms=4000').then(({ body }) => body));
      await until('the call is in', () =>
        world.host.plugin('service').generations.some(({ number, leases }) => number === generation && leases > 0),
      );
    };
    const reloads: Promise<unknown>[] = [];
    await call(1);
    for (const [at, text] of ['two', 'three'].entries()) {
      await world.publish('service', libraries[at] ?? '');
      reloads.push(world.host.reload('service'));
      await serves(text);
      await call(at + 2);
    }
    expect(world.host.plugin('service').generations.map(({ leases }) => leases)).toEqual([1, 1, 1]);
    const unloading = world.host.unload('service');
    await until('it takes no call', async () => (await world.get('/service/build')).status === 503);
    expect(gauge(world.data).images).toBe(3);
    expect(await Promise.all(calls)).toEqual(['one', 'two', 'three']);
    expect(await unloading).toMatchObject({ state: 'stopped' });
    await Promise.all(reloads);
    expect(world.host.reloads().map(({ unload }) => unload)).toEqual(['clean', 'clean', undefined]);
    expect(gauge(world.data)).toMatchObject({ images: 0, staged: 0 });
  });

  test('comes after a disabled generation has ended, also when its calls take their time', async () => {
    const config = (enabled: boolean): Promise<void> =>
      world.write('service', 'config.yaml', `app_id: service\nenabled: ${enabled}\n`);
    await config(true);
    await world.publish('service', await service('one'));
    await world.start();
    const slow = world.get('/service/slow?ms=1000');
    await until('the call is in', calledNow);
    await config(false);
    const disabling = world.host.reload('service');
    await until('it is disabled', () => world.host.plugin('service').state === 'disabled');
    await config(true);
    expect(await world.host.reload('service')).toMatchObject({ outcome: 'succeeded', to: { generation: 2 } });
    expect((await slow).body).toBe('one');
    await disabling;
    expect(await build()).toBe('one');
    await world.publish('service', await service('two'));
    await world.host.reload('service');
    expect(await build()).toBe('two');
  });

  const stateful = { WITH_STATE: '1' };
  const points: { at: string; code: ErrorCode; library: () => Promise<string>; pins?: true }[] = [
    { at: 'its file', code: 'ImageNoteMissing', library: () => buildPlugin('no_note', mine) },
    { at: 'its opening', code: 'TrialOpenFailed', library: () => buildPlugin('missing_symbol', mine) },
    { at: 'its constructor', code: 'TrialCrashed', library: () => buildPlugin('crash_in_constructor', mine) },
    { at: 'initialize', code: 'TrialRefused', library: () => buildPlugin('refuse_initialize', mine) },
    { at: 'health', code: 'TrialRefused', library: () => buildPlugin('unhealthy', mine) },
    { at: 'the dry run', code: 'StateRefused', library: () => service('bad', { ...stateful, REFUSE_DRY_RUN: '1' }) },
    { at: 'load', code: 'StateRefused', library: () => service('bad', { ...stateful, REFUSE_LOAD: '1' }) },
    { at: 'ready', code: 'LifecycleFailed', library: () => service('bad', { ...stateful, FAIL_READY: '1' }) },
    {
      at: 'the deadline of ready',
      code: 'LifecycleTimeout',
      library: () => service('bad', { ...stateful, HANG_READY: '1' }),
      pins: true,
    },
  ];
  const mine = { defines: { PLUGIN_ID: '"service"' } };

  test.each(points)('that fails at $at costs no request under load, and no count', async ({ code, library, pins }) => {
    await world.publish('service', await service('one', stateful));
    await world.start({ lifecycleMs: 2000 });
    let counts = 0;
    const clients = new Clients({
      url: world.url,
      count: 16,
      next: (client) =>
        client % 2 === 0 ? { method: 'POST', path: '/service/count' } : { method: 'GET', path: '/service/build' },
      judge: ({ status, body, call }) => {
        if (status === 200 && call.method === 'POST') counts++;
        else if (status !== 200 || body !== 'one') return `status ${status}: ${body}`;
        return undefined;
      },
    });
    await until('calls come', () => clients.answered > 50 && counts > 10);
    await world.publish('service', await library());
    await expect(world.host.reload('service')).rejects.toMatchObject({ code });
    const answered = clients.answered;
    await until('calls come after it', () => clients.answered > answered + 50);
    const report = await clients.stop();
    expect(report.unexpected).toEqual([]);
    expect(Number((await world.request('POST', '/service/count')).body)).toBe(counts + 1);
    expect(world.host.plugin('service')).toMatchObject({ state: 'running', generation: 1, error: { code } });
    expect(gauge(world.data)).toMatchObject({ images: pins === true ? 2 : 1, staged: 0 });
    await world.publish('service', await service('two', stateful));
    await world.host.reload('service');
    expect(Number((await world.request('POST', '/service/count')).body)).toBe(counts + 2);
  });

  test('takes a change of config and code at once as one, and neither when one of them is bad', async () => {
    const config = (text: string): Promise<void> => world.write('service', 'config.yaml', `app_id: service\n${text}\n`);
    const served = (): unknown => {
      const { generation, routes } = world.host.plugin('service');
      return { generation, deadlineMs: routes.find((route) => route.path === '/service/slow')?.deadlineMs };
    };
    const libraries = [service('one'), service('two'), buildPlugin('no_note', mine), service('three')];
    const [one = '', two = '', bad = '', three = ''] = await Promise.all(libraries);
    await config('deadlineMs: 1000');
    await world.publish('service', one);
    await world.start({ hotReload: true, libraryDebounceMs: 1000, sourceDebounceMs: 1000 });
    expect(served()).toEqual({ generation: 1, deadlineMs: 1000 });

    await config('deadlineMs: 2000');
    await world.publish('service', two);
    await serves('two');
    expect(served()).toEqual({ generation: 2, deadlineMs: 2000 });

    await config('deadlineMs: 3000');
    await world.publish('service', bad);
    await until('the code is refused', () => world.host.plugin('service').error?.code === 'ImageNoteMissing');
    expect(served()).toEqual({ generation: 2, deadlineMs: 2000 });

    await config('deadlineMs: never');
    await world.publish('service', three);
    await until('the config is refused', () => world.host.plugin('service').error?.code === 'ConfigInvalid');
    expect(served()).toEqual({ generation: 2, deadlineMs: 2000 });
    expect(await build()).toBe('two');

    await config('deadlineMs: 3000');
    await serves('three');
    expect(served()).toEqual({ generation: 3, deadlineMs: 3000 });
    // One reload each, and no other.
    await until('the last one is over', () => world.host.reloads()[0]?.outcome === 'succeeded');
    const outcomes = world.host.reloads().map(({ outcome }) => outcome);
    expect(outcomes).toEqual(['succeeded', 'failed', 'failed', 'succeeded', 'succeeded']);
  });

  test('finds what is in an applications directory that took the place of another', async () => {
    await world.publish('service', await service('one'));
    await world.start({ hotReload: true, libraryDebounceMs: 50, watchIntervalMs: 1000 });
    await rename(world.applications, path.join(world.directory, 'before'));
    await mkdir(world.applications);
    await world.publish('service', await service('two'));
    await serves('two');
    await world.publish('service', await service('three'));
    await serves('three');
    expect(world.host.plugins()).toMatchObject([{ id: 'service', state: 'running' }]);
  });

  test('that makes the next change itself is slowed down and named once, and the last content is loaded', async () => {
    const libraries = await Promise.all(['one', 'two'].map((text) => service(text)));
    const last = await service('last');
    await world.publish('service', libraries[0] ?? '');
    let published = Promise.resolve();
    let turn = 0;
    const builds = (): Promise<void> => world.publish('service', turn < 0 ? last : (libraries[++turn % 2] ?? ''));
    await world.start({
      hotReload: true,
      libraryDebounceMs: 20,
      onEvent: ({ type }) => {
        if (type === 'plugin.serving') published = published.then(builds);
      },
    });
    const begun = performance.now();
    await until('it pauses', () => world.host.hotReload.status().paused.length > 0);
    const paused = turn;
    const windows = Math.floor((performance.now() - begun) / 10_000);
    await until('it is loaded after the pause', () => turn > paused);
    turn = -1;
    await published;
    await world.publish('service', last);
    await serves('last');
    const warnings = world.log.filter(({ level }) => level >= 40).map(({ msg }) => msg);
    expect(warnings).toEqual([expect.stringMatching(/^service changed more than 5 times .*service\.so/)]);
    expect(paused).toBeLessThanOrEqual(7 + 5 * windows);
  });
});

test('the watch sees what came with a folder that took the place of another, and what changes in that one', async () => {
  const world = await World.make();
  const { settings } = resolveSettings({ flags: { sourceDebounceMs: 20, libraryDebounceMs: 20 }, variables: {} });
  let told = 0;
  const watch = new Watch({
    directory: world.applications,
    ignore: [],
    rules: new RuleBook(settings),
    intervalMs: () => 3_600_000,
    changed: () => told++,
    failed: (error) => {
      throw error;
    },
  });
  try {
    await world.write('one', 'one.so', 'first');
    await watch.enable();
    for (let turn = 0; turn < 10; turn++) {
      await world.write('../other', 'one.so', `new ${turn}`);
      await rename(world.folder('one'), path.join(world.directory, `before-${turn}`));
      await rename(path.join(world.directory, 'other'), world.folder('one'));
      await until(`folder ${turn} is told`, () => told > 0);
      told = 0;
      await new Promise((resolve) => {
        setTimeout(resolve, 150); // the second look of the watch is over: only the system can tell it
      });
      await writeFile(path.join(world.directory, 'fresh'), `changed ${turn}`);
      await rename(path.join(world.directory, 'fresh'), path.join(world.folder('one'), 'one.so'));
      await until(`the change in folder ${turn} is told`, () => told > 0);
      told = 0;
    }
    expect(watch.watching).toBe(1);
  } finally {
    await watch.close();
    await world.close();
  }
});

describe('a host that reloads', () => {
  let world: World;
  const running: Command[] = [];
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(async () => {
    for (const { child } of running) child.kill('SIGKILL');
    await Promise.all(running.splice(0).map(({ exit }) => exit));
    await world.close();
  });

  async function start(): Promise<Command> {
    const variables = { TENON_HOT_RELOAD_ENABLED: 'false' };
    const host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, variables);
    running.push(host);
    await until('it serves', () => host.err.includes('Try: '), 60_000);
    return host;
  }

  const get = async ({ url }: Command): Promise<string> =>
    (await callOnce(url, { method: 'GET', path: '/service/build' })).body;

  const reload = async ({ url }: Command): Promise<number> => {
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`${url}/api/v1/plugins/service/reload`, { method: 'POST', headers })).status;
  };

  const stagedBy = (pid: number): string[] =>
    stagingDirectories(pid, world.data).flatMap((directory) =>
      existsSync(directory) ? readdirSync(directory).map((name) => path.join(directory, name)) : [],
    );

  /** A host whose reload is in its trial: the library is staged, and not open. */
  async function inItsTrial(): Promise<{ host: Command; pid: number; reloading: Promise<number> }> {
    await world.publish('service', await service('one'));
    await writeFile(path.join(world.directory, 'tenon.yaml'), 'limits:\n  trialMs: 20000\n');
    const host = await start();
    const pid = (await hostProcess(world.data)) ?? 0;
    await world.publish('service', await service('two', { INITIALIZE_MS: '2000' }));
    const reloading = reload(host).catch(() => 0);
    await until('it is in its trial', () => stagedBy(pid).length === 1);
    return { host, pid, reloading };
  }

  test('and is killed leaves a staged copy, which the next one removes', async () => {
    const { host, pid } = await inItsTrial();
    await killHost(host, world.data);
    expect(stagedBy(pid)).toHaveLength(1);
    const next = await start();
    expect(stagingDirectories(pid, world.data)).toEqual([]);
    expect(await get(next)).toBe('two');
  });

  test('and is told to end lets calls finish, ends with 0 and leaves nothing', async () => {
    const { host, pid, reloading } = await inItsTrial();
    const slow = callOnce(host.url, { method: 'GET', path: '/service/slow?ms=2000' });
    await until('the call is in', async () => {
      const headers = { authorization: `Bearer ${token}` };
      const answer = await fetch(`${host.url}/api/v1/plugins/service`, { headers });
      const { generations } = (await answer.json()) as { generations: { leases: number }[] };
      return generations.some(({ leases }) => leases > 0);
    });
    host.child.kill('SIGTERM');
    expect((await slow).body).toBe('one');
    expect(await host.exit).toEqual([0, null]);
    expect(stagingDirectories(pid, world.data)).toEqual([]);
    expect([200, 503, 0]).toContain(await reloading);
  });

  test('without a file descriptor left is refused, and serves on; with one it works again', async () => {
    await world.publish('service', await service('one'));
    const host = await start();
    const pid = (await hostProcess(world.data)) ?? 0;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (method: string, target: string): Promise<{ status: number; body: string }> =>
      new Promise((resolve, reject) => {
        const headers = { authorization: `Bearer ${token}` };
        const outgoing = request(host.url + target, { method, agent, headers }, (answer: IncomingMessage) => {
          let body = '';
          answer.on('data', (chunk: Buffer) => {
            body += chunk.toString();
          });
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
        });
        outgoing.on('error', reject);
        outgoing.end();
      });
    const limit = (count: number): void => {
      execFileSync('prlimit', ['--pid', String(pid), `--nofile=${count}:`]);
    };
    try {
      expect(await ask('GET', '/service/build')).toMatchObject({ body: 'one' });
      await world.publish('service', await service('two'));
      // What opens and closes meanwhile must not leave a gap below the limit.
      await until('no descriptor is free', () => {
        const free = lowestFree(pid);
        limit(free);
        return lowestFree(pid) === free;
      });
      const refused = await ask('POST', '/api/v1/plugins/service/reload');
      expect(refused.status).toBeGreaterThanOrEqual(400);
      expect(refused.body).toContain('EMFILE');
      for (let turn = 0; turn < 50; turn++) expect(await ask('GET', '/service/build')).toMatchObject({ body: 'one' });
      limit(1024);
      expect(await ask('POST', '/api/v1/plugins/service/reload')).toMatchObject({ status: 200 });
      expect(await ask('GET', '/service/build')).toMatchObject({ body: 'two' });
    } finally {
      agent.destroy();
    }
  });
});
