import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { readFileSync } from 'node:fs';
import { type Front, type GenerationHandle, loadCore, Outcome, type PluginPointer } from '../src/binding/core.js';
import type { GuardNote } from '../src/binding/black-box.js';
import { type Library, openLibrary } from '../src/binding/library.js';
import { until } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

/** What is used of it; the types of Node leave it out. */
interface Wasm {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: { r: (address: number) => number } };
  RuntimeError: new () => Error;
}
const { WebAssembly } = globalThis as unknown as { WebAssembly: Wasm };

const core = loadCore();
const ms = 5000;

interface Life {
  plugin: PluginPointer;
  generation: GenerationHandle;
  library: Library;
}

let front: Front;
const lives: Life[] = [];

beforeAll(() => core.openBlackBox({}));
afterEach(async () => {
  for (const life of lives.splice(0)) await takeDown(life);
  front.close();
  core.takeGuardNotes();
});

async function takeDown({ plugin, generation, library }: Life): Promise<void> {
  plugin.swap(null);
  expect(await generation.drain(ms)).toBe(true);
  await generation.shutdown(ms);
  await generation.destroy(ms);
  expect(await generation.stop(ms)).toBe(0);
  generation.close();
  core.keepFloatingPoint(() => library.close());
  plugin.close();
}

/** Bring up the plugin `id`, which changes something at a step; the number of its slot for GET /change. */
async function bringUp(
  id: string,
  at: string,
  change: string,
  within?: () => void,
  more: Record<string, string> = {},
): Promise<number> {
  const path = await buildPlugin('audit_changes', {
    defines: { PLUGIN_ID: `"${id}"`, AT: `"${at}"`, DO: `"${change}"`, ...more },
  });
  const index = core.imageLoading(id, 1, 'f'.repeat(64), path);
  const library = core.keepFloatingPoint(() => openLibrary(path), index);
  core.imageOpened(index, library.descriptor.address);
  const plugin = new core.PluginPointer(front, { id, queueLimit: 10 });
  const generation = new core.GenerationHandle(plugin, {
    number: 1,
    descriptor: library.descriptor.address,
    root: '',
    prefix: `/${id}`,
    deadlineMs: 1000,
    bodyLimit: 1000,
    concurrency: 1,
    image: index,
  });
  lives.push({ plugin, generation, library });
  await generation.create(ms);
  const initialized = generation.initialize(ms);
  within?.();
  await initialized;
  await generation.routes(ms);
  await generation.ready(ms);
  const slot = plugin.slot('GET', `/${id}/change`);
  generation.bind(slot, 0);
  plugin.swap(generation);
  return slot;
}

function open(): void {
  front = new core.Front({ onReady: () => {}, onLog: () => {} });
}

function ask(slot: number, url: string): void {
  expect(front.call(slot, url, '')).toBe('done');
  expect(front.result[0]).toBe(Outcome.Response);
}

function note(guard: string, detail: string, rest: Partial<GuardNote> = {}): GuardNote {
  return { plugin: 'audited', generation: 1, guard, detail, restored: true, certain: true, ...rest };
}

/** Whether the process has a handler for signal number `signal`. */
function isCaught(signal: number): boolean {
  const [, mask = '0'] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return ((BigInt(`0x${mask}`) >> BigInt(signal - 1)) & 1n) === 1n;
}

/** `Z` of a process that has ended and that nobody has waited for. */
function stateOf(pid: number | undefined): string | undefined {
  return /^State:\s*(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
}

/** What reads beyond the memory of a module of WebAssembly: an exception, by a handler of SIGSEGV. */
function trap(): void {
  const bytes = Uint8Array.from([
    0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 5, 3, 1, 0, 1, 7, 5, 1, 1, 114, 0, 0, 10, 9,
    1, 7, 0, 32, 0, 40, 2, 0, 11,
  ]);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
  exports.r(0x7ff00000);
}

describe.skipIf(process.platform !== 'linux')('what a plugin changes for the whole process', () => {
  test.each(['constructor', 'initialize'])('a handler of faults that its %s sets is taken away again', async (at) => {
    open();
    await bringUp('audited', at, 'handler');
    expect(core.takeGuardNotes()).toEqual([
      note('signals', "after initialize SIGSEGV had a handler that is not the host's"),
    ]);
    expect(trap).toThrow(WebAssembly.RuntimeError);
  });

  test('one that a handler of requests sets is taken away at the next step of any plugin, in its name', async () => {
    open();
    const slot = await bringUp('audited', 'handle', 'handler');
    await bringUp('innocent', '', '');
    ask(slot, '/audited/change');
    await bringUp('other', '', '');
    // What was looked at a moment ago is not looked at again when the step begins, but when it is over.
    const text = expect.stringMatching(/^(meanwhile|after initialize) SIGSEGV had a handler that is not the host's$/);
    expect(core.takeGuardNotes()).toEqual([note('signals', text as string)]);
    expect(trap).toThrow(WebAssembly.RuntimeError);
  });

  test.each([
    ['handler', "had a handler that is not the host's", 'audited', true],
    ['usual-fault', 'was at its default', '', false],
  ])(
    'what a handler of requests does about faults (%s) is put back between two steps',
    async (change, text, plugin, certain) => {
      open();
      const slot = await bringUp('audited', 'handle', change);
      await bringUp('innocent', '', '');
      ask(slot, '/audited/change');
      const generation = plugin === '' ? 0 : 1;
      expect(core.takeGuardNotes()).toEqual([
        note('signals', `meanwhile SIGSEGV ${text}`, { plugin, generation, certain }),
      ]);
      expect(trap).toThrow(WebAssembly.RuntimeError);
    },
  );

  test('so it is when the plugin that came last has no initialize', async () => {
    open();
    const slot = await bringUp('audited', 'handle', 'usual-fault', undefined, { PLAIN: '1' });
    expect(core.takeGuardNotes()).toEqual([]);
    ask(slot, '/audited/change');
    expect(core.takeGuardNotes()).toEqual([
      note('signals', 'meanwhile SIGSEGV was at its default', { plugin: '', generation: 0, certain: false }),
    ]);
    expect(trap).toThrow(WebAssembly.RuntimeError);
  });

  test('what another plugin changes during a step is told in its name', async () => {
    open();
    const slot = await bringUp('audited', 'handle', 'directory');
    await bringUp('innocent', '', '', () => ask(slot, '/audited/change'));
    expect(core.takeGuardNotes()).toEqual([
      note('directory', 'after initialize the working directory of the process was /'),
    ]);
  });

  test('directory and umask are put back, the environment is told of', async () => {
    open();
    const directory = readFileSync('/proc/self/status', 'utf8');
    await bringUp('audited', 'initialize', 'directory');
    await bringUp('masked', 'initialize', 'umask');
    await bringUp('set', 'constructor', 'environment');
    expect(core.takeGuardNotes().map(({ plugin, guard, restored }) => [plugin, guard, restored])).toEqual([
      ['audited', 'directory', true],
      ['masked', 'umask', true],
      ['set', 'environment', false],
    ]);
    const umask = /^Umask:.*$/m;
    expect(umask.exec(readFileSync('/proc/self/status', 'utf8'))?.[0]).toBe(umask.exec(directory)?.[0]);
    expect(process.env['TENON_TEST_AUDITED']).toBe('1');
    delete process.env['TENON_TEST_AUDITED'];
  });

  test('SIGPIPE stays ignored', async () => {
    open();
    await bringUp('audited', 'initialize', 'pipe');
    expect(core.takeGuardNotes()).toEqual([note('signals', 'after initialize SIGPIPE was at its default')]);
  });

  test.each([
    ['ignore', 'was ignored', '', false],
    ['usual', 'was at its default', '', false],
    ['own', "had a handler that is not the host's", 'audited', true],
  ])(
    'what a handler of requests does about a signal that the host listens to (%s) is put back between two steps',
    async (change, text, plugin, certain) => {
      open();
      const slot = await bringUp('audited', 'handle', change);
      const terminated = vi.fn<() => void>();
      process.on('SIGTERM', terminated);
      try {
        expect(core.takeGuardNotes()).toEqual([]);
        ask(slot, '/audited/change');
        const generation = plugin === '' ? 0 : 1;
        expect(core.takeGuardNotes()).toEqual([
          note('signals', `meanwhile SIGTERM ${text}`, { plugin, generation, certain }),
        ]);
        process.kill(process.pid, 'SIGTERM');
        await until('it is heard', () => terminated.mock.calls.length === 1);
      } finally {
        process.removeListener('SIGTERM', terminated);
      }
      expect(isCaught(15)).toBe(false);
      expect(core.takeGuardNotes()).toEqual([]);
    },
  );

  test('a plugin that would have nobody told of the ends of programs keeps the host from none', async () => {
    open();
    const slot = await bringUp('audited', 'handle', 'children');
    const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
    const ended = once(child, 'exit');
    expect(core.takeGuardNotes()).toEqual([]);
    ask(slot, '/audited/change');
    child.stdin.end();
    await until('it has ended', () => stateOf(child.pid) === 'Z');
    expect(core.takeGuardNotes()).toEqual([
      note('signals', 'meanwhile SIGCHLD was at its default', { plugin: '', generation: 0, certain: false }),
    ]);
    expect(await ended).toEqual([0, null]);
  });

  test('a signal that the host listens to is put back, one that it no longer listens to is its own business', async () => {
    open();
    const listener = (): void => {};
    process.on('SIGTERM', listener);
    await bringUp('audited', 'initialize', 'usual');
    expect(isCaught(15)).toBe(true);
    expect(core.takeGuardNotes()).toEqual([note('signals', 'after initialize SIGTERM was at its default')]);
    await bringUp('innocent', '', '', () => process.removeListener('SIGTERM', listener));
    expect(isCaught(15)).toBe(false);
    expect(core.takeGuardNotes()).toEqual([]);
  });
});
