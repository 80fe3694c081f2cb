import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import os from 'node:os';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { GuardNote, PluginGauges } from '../src/binding/black-box.js';
import { loadCore } from '../src/binding/core.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const core = loadCore();

/** Descriptors of this process for the port: the one that listens, and those of its clients' connections. */
function descriptorsOn(port: number): number[] {
  const rows = readFileSync('/proc/self/net/tcp', 'utf8').split('\n').slice(1);
  const ours = rows.map((row) => row.trim().split(/\s+/)).filter(([, local]) => local?.endsWith(hexadecimal(port)));
  const files = new Set(ours.map((row) => `socket:[${row[9]}]`));
  return descriptors().filter((descriptor) => files.has(fileOf(descriptor)));
}

function descriptors(): number[] {
  return readdirSync('/proc/self/fd').map(Number);
}

function hexadecimal(port: number): string {
  return `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}

function fileOf(descriptor: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return ''; // what has read the folder is closed
  }
}

describe('a plugin that asks the system for something', () => {
  let world: World;
  /** What the host has taken and told. */
  const told: GuardNote[] = [];
  beforeAll(() => core.openBlackBox({}));
  beforeEach(async () => {
    world = await World.make();
    await world.publish('hooks', await buildPlugin('hook_calls'));
    await world.start({ lifecycleMs: 5000 });
    taken();
    world.host.on('plugin.guarded', ({ type: _type, ...note }) => void told.push(note));
  });
  afterEach(() => world.close());

  async function ask(deed: string, on: number | string = 0, route = 'pool'): Promise<number> {
    const { status, body } = await world.get(`/hooks/${route}?do=${deed}&on=${on}`);
    expect(status).toBe(200);
    return Number(body);
  }

  /** By another build of it. */
  async function replace(): Promise<unknown> {
    await world.publish('hooks', await buildPlugin('hook_calls', { defines: { VERSION: '"2.0.0"' } }));
    return world.host.reload('hooks');
  }

  function gauges(): PluginGauges {
    const [own, ...others] = core.pluginGauges().filter(({ plugin }) => plugin === 'hooks');
    expect(others).toEqual([]);
    if (own === undefined) throw new Error('the plugin has no gauges');
    return own;
  }

  /** Notes of guards since it was asked last, whoever was first to take them. */
  function taken(): GuardNote[] {
    return [...told.splice(0), ...core.takeGuardNotes()];
  }

  function onlyNote(): GuardNote {
    const [note, ...others] = taken();
    expect(others).toEqual([]);
    if (note === undefined) throw new Error('there is no note');
    return note;
  }

  test('is counted: descriptors, threads and memory', async () => {
    expect(gauges()).toMatchObject({ plugin: 'hooks', generation: 1, threads: 0, descriptors: 0 });
    const descriptor = await ask('open');
    expect(gauges().descriptors).toBe(1);
    expect(await ask('close', descriptor)).toBe(0);
    expect(gauges().descriptors).toBe(0);
    expect(await ask('start-thread')).toBe(0);
    await until('the thread has begun', () => gauges().threads === 1);
    expect(await ask('end-thread')).toBe(0);
    expect(gauges()).toMatchObject({ threads: 0, descriptors: 0 });
    const before = gauges().memory;
    expect(await ask('allocate', 8 << 20)).toBe(0);
    expect(gauges().memory - before).toBeGreaterThanOrEqual(8 << 20);
    expect(await ask('release')).toBe(0);
    expect(gauges().memory - before).toBeLessThan(1 << 20);
    expect(taken()).toEqual([]);
  });

  test('is told what it has left open when it is closed, and counted anew', async () => {
    const descriptor = await ask('open');
    expect(await replace()).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
    await until('the old one is closed', () => core.pluginGauges().length === 1);
    expect(onlyNote()).toMatchObject({ plugin: 'hooks', generation: 1, guard: 'descriptor', restored: false });
    expect(gauges()).toMatchObject({ generation: 2, descriptors: 0 });
    closeSync(descriptor);
  });

  test('closes no descriptor of the host, in whichever way', async () => {
    expect(await ask('close', 1, 'inline')).toBe(-9);
    expect(onlyNote()).toMatchObject({ plugin: 'hooks', guard: 'descriptor', restored: true, certain: true });
    const own = await ask('open');
    expect(await ask('over-output', own)).toBe(-9);
    expect(onlyNote().detail).toBe("dup2 of descriptor 1, which is the host's, was refused");
    expect(await ask('close-everything', 3)).toBe(-9);
    expect(onlyNote().detail).toMatch(/^close_range of descriptors from 3 on was refused/);
    expect(await ask('close', own)).toBe(0);
  });

  test.runIf(process.platform === 'linux')('closes no port, and no connection of a client', async () => {
    await ask('release'); // by a connection that stays open
    const sockets = descriptorsOn(Number(new URL(world.url).port));
    expect(sockets.length).toBeGreaterThanOrEqual(2);
    for (const descriptor of sockets) {
      expect(await ask('close', descriptor)).toBe(-9);
      expect(onlyNote()).toMatchObject({ guard: 'descriptor', restored: true, certain: true });
    }
  });

  test('that closes a descriptor twice is told where nobody knows whose it is by then', async () => {
    const own = await ask('open');
    expect(await ask('close', own)).toBe(0);
    const later = [openSync('/dev/null', 'r')];
    // Another thread may hold that number for a moment.
    for (let tries = 0; !later.includes(own) && tries < 200; tries++) later.push(openSync('/dev/null', 'r'));
    expect(await ask('close', own)).toBe(0);
    expect(onlyNote()).toMatchObject({ guard: 'descriptor', restored: false, certain: false });
    for (const descriptor of later) if (descriptor !== own) closeSync(descriptor);
  });

  test.runIf(process.platform === 'linux')('closes no file that values are kept in', async () => {
    await world.publish('keeper', await buildPlugin('keeper'));
    await world.host.reload('keeper');
    for (const text of ['milk', 'bread']) {
      expect((await world.request('PUT', '/keeper/note', { body: text })).status).toBe(200);
      const [file, ...others] = descriptors().filter((one) => fileOf(one).endsWith('/keeper.values'));
      expect(others).toEqual([]);
      expect(await ask('close', file)).toBe(-9);
      expect(onlyNote()).toMatchObject({ plugin: 'hooks', guard: 'descriptor', restored: true });
    }
  });

  test('forks no second host, and starts programs as ever', async () => {
    for (const route of ['pool', 'inline']) {
      expect(await ask('fork', 0, route)).toBe(121);
      expect(onlyNote()).toMatchObject({ guard: 'fork', detail: expect.stringContaining('posix_spawn') as string });
    }
    expect(await ask('spawn')).toBe(6);
    expect(await ask('system')).toBe(5);
    expect(taken()).toEqual([]);
  });

  test.each([
    ['kill', 'SIGTERM', 'the host'],
    ['kill', 'SIGQUIT', 'the host'],
    ['kill-thread', 'SIGINT', 'the host'],
    ['sigqueue', 'SIGHUP', 'the host'],
    ['raise', 'SIGINT', 'a thread of the host'],
    ['pthread_kill', 'SIGTERM', 'a thread of the host'],
    ['kill-parent', 'SIGUSR1', "the host's parent process"],
    ['kill-around', 'SIGUSR1', "the host's group of processes"],
    ['kill-group', 'SIGUSR1', "the host's group of processes"],
    ['killpg', 'SIGUSR1', "the host's group of processes"],
  ] as const)('asks nobody to end: %s of %s to %s', async (deed, signal, target) => {
    let heard = 0;
    const listener = (): void => void heard++;
    process.on(signal, listener);
    try {
      for (const route of ['pool', 'inline']) {
        expect(await ask(deed, os.constants.signals[signal], route)).toBe(-os.constants.errno.EPERM);
        const { detail, ...note } = onlyNote();
        expect(note).toMatchObject({ plugin: 'hooks', guard: 'exit', restored: true, certain: true });
        expect(detail).toContain(` of ${signal} to ${target} was refused`);
      }
    } finally {
      process.removeListener(signal, listener);
    }
    expect(heard).toBe(0);
  });

  test('ends programs that it has started, and may ask whether a process is there', async () => {
    expect(await ask('kill-child', 9)).toBe(9);
    expect(await ask('kill-child', 15, 'inline')).toBe(15);
    for (const deed of ['kill', 'kill-parent', 'kill-around']) expect(await ask(deed, 0)).toBe(0);
    expect(taken()).toEqual([]);
  });

  test.runIf(process.arch === 'x64')('that ends a thread of the host ends its call only', async () => {
    for (const route of ['pool', 'inline']) {
      expect((await world.get(`/hooks/${route}?do=leave-thread`)).status).toBe(500);
      expect(onlyNote()).toMatchObject({ plugin: 'hooks', guard: 'exit', restored: true });
    }
    expect(await ask('cancel-thread')).toBe(1);
    expect(await ask('system')).toBe(5);
    expect(await replace()).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
  });

  test.runIf(process.arch === 'x64').each([
    ['g++', true, []],
    ['g++', false, ['-fno-exceptions']],
    ['clang++', true, []],
  ])('in C++ (%s) does so, too, and what it has made is destroyed: %s', async (compiler, destroys, flags) => {
    await world.publish('ends', await buildPlugin('ends_thread', { compiler, flags }));
    await world.host.reload('ends');
    for (const route of ['bare', 'owning', 'inline', 'owning', 'bare']) {
      expect(await world.get(`/ends/${route}`)).toMatchObject({ status: 500 });
      expect(onlyNote()).toMatchObject({ plugin: 'ends', guard: 'exit', restored: true });
    }
    expect((await world.get('/ends/left')).body).toBe(destroys ? '0' : '15');
    expect(await ask('system')).toBe(5);
  });

  test('stays mapped under a thread of its own, and is gone when that has ended', async () => {
    const build = { PLUGIN_ID: '"own"', SLEEP: '1', MS: '300' };
    await world.publish('own', await buildPlugin('own_thread', { defines: build }));
    await world.host.reload('own');
    const threads = (): number[] =>
      core.pluginGauges().flatMap((gauge) => (gauge.plugin === 'own' ? [gauge.threads] : []));
    await until('the thread has begun', () => threads().join() === '1');
    await world.publish('own', await buildPlugin('own_thread', { defines: { ...build, MS: '301' } }));
    expect(await world.host.reload('own')).toMatchObject({ outcome: 'succeeded', unload: 'pinned' });
    expect(threads()).toHaveLength(2);
    await until('the image is gone', () => threads().length === 1);
  });
});
