import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Front, loadCore, Outcome, type PluginPointer, Word } from '../src/binding/core.js';
import { Refusal } from '../src/binding/refusal.js';
import { openLibrary } from '../src/binding/library.js';
import { until } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const core = loadCore();
const addon = path.resolve(import.meta.dirname, '..', 'build', 'Release', 'tenon.node');

function openFront(): Front {
  return new core.Front({ onReady: () => {}, onLog: () => {} });
}

function pointer(front: Front, id = 'nobody'): PluginPointer {
  return new core.PluginPointer(front, { id, queueLimit: 1 });
}

const generationOptions = {
  number: 1,
  descriptor: 1n,
  root: '',
  prefix: '',
  deadlineMs: 1000,
  bodyLimit: 1000,
  concurrency: 1,
};

describe('an object of the core', () => {
  test('is not taken for one of another kind', () => {
    const front = openFront();
    const plugin = pointer(front);
    const foreign = [
      {},
      Object.create(core.Front.prototype as object),
      Object.create(core.PluginPointer.prototype as object),
      plugin,
      front,
    ];
    for (const wrong of foreign) {
      if (wrong !== front)
        expect(() => new core.PluginPointer(wrong as Front, { id: 'x', queueLimit: 1 })).toThrow(TypeError);
      if (wrong !== plugin)
        expect(() => new core.GenerationHandle(wrong as PluginPointer, generationOptions)).toThrow(TypeError);
      expect(() => plugin.swap(wrong as never)).toThrow(TypeError);
    }
    plugin.close();
    front.close();
  });

  test('refuses a descriptor that is none', () => {
    const front = openFront();
    const plugin = pointer(front);
    for (const descriptor of [0n, -1n, 2n ** 64n, 7 as unknown as bigint])
      expect(() => new core.GenerationHandle(plugin, { ...generationOptions, descriptor })).toThrow(TypeError);
    plugin.close();
    front.close();
  });

  test('of a plugin id is one at a time', () => {
    const front = openFront();
    const first = pointer(front, 'one');
    expect(() => pointer(front, 'one')).toThrow(/one has a pointer already/);
    first.close();
    pointer(front, 'one').close();
    front.close();
  });
});

describe('a front', () => {
  test('answers for a plugin that has no live generation', () => {
    const front = openFront();
    const plugin = pointer(front);
    const message = front.call(plugin.slot('GET', '/'), '/', '');
    expect(front.result[Word.Outcome]).toBe(Outcome.Refused);
    expect(front.result[Word.Status]).toBe(503);
    expect(front.result[Word.Refusal]).toBe(Refusal.PluginStopped);
    expect(message).toBe('nobody is not running');
    plugin.close();
    front.close();
  });

  test('calls misuse by the name of the argument', () => {
    const front = openFront();
    const plugin = pointer(front);
    const slot = plugin.slot('GET', '/');
    expect(() => front.call(slot + 1, '/', '')).toThrow(/slot/);
    expect(() => front.call('0' as unknown as number, '/', '')).toThrow(/slot/);
    expect(() => front.call(slot, 7 as unknown as string, '')).toThrow(/url/);
    expect(() => front.call(slot, '/', '', 'text' as unknown as Uint8Array)).toThrow(/body/);
    expect(() => plugin.slot('BREW', '/')).toThrow(/method/);
    plugin.close();
    front.close();
    expect(() => front.call(slot, '/', '')).toThrow(/open front/);
  });

  test('may be closed twice, and lets its process end', () => {
    const script = `
      const core = require(process.argv[1]);
      const front = new core.Front({ onReady() {}, onLog() {} });
      if (process.argv[2] === 'close') { front.close(); front.close(); }`;
    for (const how of ['close', 'leave']) {
      const { status, signal } = spawnSync(process.execPath, ['-e', script, addon, how], { timeout: 20_000 });
      expect([how, status, signal]).toEqual([how, 0, null]);
    }
  });

  // The addon's own thread outlives the Worker that loaded it.
  test('of a Worker that is ended takes nothing with it', () => {
    const script = `
      const { Worker } = require('node:worker_threads');
      const source = \`
        const core = require('node:worker_threads').workerData;
        const { Front } = require(core);
        globalThis.front = new Front({ onReady() {}, onLog() {} });
        require('node:worker_threads').parentPort.postMessage('up');
        setInterval(() => {}, 1000);\`;
      (async () => {
        for (let round = 0; round < 10; round++) {
          const worker = new Worker(source, { eval: true, workerData: process.argv[1] });
          await new Promise((resolve) => worker.once('message', resolve));
          await worker.terminate();
        }
      })();`;
    const { status, signal } = spawnSync(process.execPath, ['-e', script, addon], { timeout: 60_000 });
    expect([status, signal]).toEqual([0, null]);
  });
});

describe('a generation', () => {
  test('is bound to slots of its own paths only', async () => {
    const front = openFront();
    const plugin = pointer(front, 'service');
    const library = openLibrary(await buildPlugin('service'));
    const { address: descriptor } = library.descriptor;
    const generation = new core.GenerationHandle(plugin, { ...generationOptions, prefix: '/a/b', descriptor });
    await generation.create(5000);
    await generation.initialize(5000);
    const [{ method, pattern, index } = { method: '', pattern: '', index: 0 }] = await generation.routes(5000);
    for (const [other, path] of [
      [method, pattern],
      ['PUT', `/a/b${pattern}`],
    ] as const)
      expect(() => generation.bind(plugin.slot(other, path), index)).toThrow(/stands for another method or path/);
    generation.bind(plugin.slot(method, `/a/b${pattern}`), index);
    await generation.shutdown(5000);
    await generation.destroy(5000);
    await generation.stop(5000);
    generation.close();
    library.close();
    plugin.close();
    front.close();
  });

  test('counts its calls, its faults and how long they took', async () => {
    const front = openFront();
    const plugin = pointer(front, 'service');
    const library = openLibrary(await buildPlugin('service'));
    const { address: descriptor } = library.descriptor;
    const generation = new core.GenerationHandle(plugin, { ...generationOptions, descriptor });
    expect(generation.counters).toEqual({ calls: 0, faults: 0, samples: 0 });
    await generation.create(5000);
    await generation.initialize(5000);
    for (const { method, pattern, index } of await generation.routes(5000))
      generation.bind(plugin.slot(method, pattern), index);
    plugin.swap(generation);
    const call = async (pattern: string): Promise<void> => {
      const { calls } = generation.counters;
      front.call(plugin.slot('GET', pattern), pattern, '');
      await until('it has ended', () => {
        front.next();
        return generation.counters.calls > calls;
      });
    };
    for (const pattern of ['/build', '/slow', '/slow', '/fail', '/hang']) await call(pattern);
    const { p50Us = 0, p95Us = 0, ...counted } = generation.counters;
    expect(counted).toEqual({ calls: 5, faults: 2, samples: 5 });
    // '/slow' sleeps for 100 ms, and '/hang' misses its deadline of 100 ms.
    expect(p50Us).toBeGreaterThan(90_000);
    expect(p95Us).toBeGreaterThanOrEqual(p50Us);
    // The call that hangs keeps it and its library.
    front.close();
  });
});

describe('key-value state of a plugin', () => {
  test('is taken by another host as it was given, and refused when it is damaged', () => {
    const front = openFront();
    const plugin = pointer(front);
    const block = Buffer.concat([Buffer.from([1, 3, 5, 0, 0, 0]), Buffer.from('keyvalue')]);
    // Version and number of the last change.
    const entries = (): Buffer => plugin.exportValues().subarray(9);
    plugin.importValues(block);
    expect(entries()).toEqual(block.subarray(1));
    expect(() => plugin.importValues(block.subarray(0, -1))).toThrow(
      /values of nobody cannot be taken: it is cut short/,
    );
    expect(() => plugin.importValues('text' as unknown as Uint8Array)).toThrow(TypeError);
    expect(entries()).toEqual(block.subarray(1));
    plugin.close();
    expect(() => plugin.exportValues()).toThrow(TypeError);
    front.close();
  });
});

describe('a lock', () => {
  test('is held by one process, which the other learns, until that ends', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-lock-'));
    const file = path.join(folder, 'lock');
    const lock = core.lockFile(file);
    expect(Number(readFileSync(file, 'utf8'))).toBe(process.pid);
    const script = `
      try { require(process.argv[1]).lockFile(process.argv[2]); console.log('got it'); }
      catch (error) { console.log(error.code, error.holder); }`;
    const other = (): string =>
      spawnSync(process.execPath, ['-e', script, addon, file], { encoding: 'utf8', timeout: 20_000 }).stdout.trim();
    expect(other()).toBe(`DataDirectoryLocked ${process.pid}`);
    lock.release();
    lock.release();
    expect(other()).toBe('got it');
    await rm(folder, { recursive: true });
    expect(() => core.lockFile(file)).toThrow(/could not be locked/);
  });
});

test('floating-point mode is put back after a library that changes it was opened', async () => {
  const tiny = (): number => Number('1e-310') / 1;
  const file = await buildPlugin('ok', { flags: ['-ffast-math', '-Wl,--no-as-needed'] });
  expect(existsSync(file)).toBe(true);
  const library = core.keepFloatingPoint(() => openLibrary(file));
  expect(tiny()).toBeGreaterThan(0);
  expect(JSON.parse('1e-310')).toBeGreaterThan(0);
  core.keepFloatingPoint(() => library.close());
});
