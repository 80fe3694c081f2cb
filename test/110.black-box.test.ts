import { closeSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadCore } from '../src/binding/core.js';
import { crash, crashInto, faultOf, faulty, imageAt } from './crash/crash.js';
import { until } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const core = loadCore();
let library: string;
beforeAll(async () => {
  library = await buildPlugin('crash');
});

/** A plugin that serves, and a request that does `fault` in `route`. */
function crashIn(route: 'inline' | 'pool', fault: string, ...before: string[]): ReturnType<typeof crash> {
  return crash('box', 'beat', `up ${library}`, ...before, `get /${route} ${fault}`);
}

describe.concurrent('a fault is reported with signal, place, route and request', () => {
  test('in an inline route', async () => {
    const one = await crashIn('inline', 'segv', 'get /inline nothing');
    expect(one.signal).toBe('SIGSEGV');
    const fault = faultOf(one);
    const segv = { kind: 'signal', signal: 11, sent: false, overflow: false, address: '0x0', stage: 'unwound' };
    expect(fault).toMatchObject(segv);
    expect(imageAt(one, fault.pc)).toMatchObject({ plugin: 'crash', generation: 1, state: 'open' });
    expect(fault.unwound[0]).toBe(fault.pc);
    expect(fault.unwound.length).toBeGreaterThan(3);
    expect(fault.scanned.length).toBeGreaterThan(1);
    expect(BigInt(fault.registers['rip'] ?? fault.registers['pc'] ?? 0)).toBe(BigInt(fault.pc));
    expect(faulty(one)).toMatchObject({
      kind: 'main',
      inside: { image: 0, work: 'handle', route: 'GET /crash/inline', request: 2 },
    });
    expect(faulty(one).before[0]).toMatchObject({ work: 'handle', route: 'GET /crash/inline', request: 1 });
    expect(one.box.ended).toBe(false);
    expect(one.box.beatMs).toBeGreaterThan(0);
  });

  test('in a pool route', async () => {
    const one = await crashIn('pool', 'segv');
    expect(one.signal).toBe('SIGSEGV');
    expect(faulty(one)).toMatchObject({
      kind: 'pool',
      inside: { work: 'handle', route: 'GET /crash/pool', request: 1 },
    });
    expect(imageAt(one, faultOf(one).pc)?.plugin).toBe('crash');
  });

  test('in initialize, on the control thread', async () => {
    const one = await crash('box', `up ${await buildPlugin('crash', { defines: { IN_INITIALIZE: '"segv"' } })}`);
    expect(one.signal).toBe('SIGSEGV');
    expect(faulty(one)).toMatchObject({ kind: 'control', inside: { image: 0, work: 'initialize' } });
    expect(faulty(one).before[0]).toMatchObject({ work: 'create' });
  });

  test('in a constructor, of an image that nobody has placed yet', async () => {
    const one = await crash('box', `up ${await buildPlugin('crash', { defines: { IN_CONSTRUCTOR: '"segv"' } })}`);
    expect(one.signal).toBe('SIGSEGV');
    expect(faulty(one)).toMatchObject({ kind: 'main', inside: { image: 0, work: 'open' } });
    expect(imageAt(one, faultOf(one).pc)).toMatchObject({ plugin: 'crash', state: 'loading' });
  });

  test('on a thread that the plugin has started', async () => {
    const one = await crashIn('pool', 'thread');
    expect(one.signal).toBe('SIGSEGV');
    expect(faulty(one)).toMatchObject({ kind: 'own', inside: { image: 0, work: 'thread' }, before: [] });
    expect(imageAt(one, faultOf(one).pc)?.plugin).toBe('crash');
  });

  test('on four threads at once: by one of them', async () => {
    const one = await crashIn('pool', 'together');
    expect(one.signal).toBe('SIGSEGV');
    expect(faultOf(one)).toMatchObject({ kind: 'signal', signal: 11, stage: 'unwound' });
  });

  test.each([
    ['trap', ['SIGILL', 'SIGTRAP']],
    ['divide', ['SIGFPE']],
    ['abort', ['SIGABRT']],
  ] as const)('of another kind: %s', async (name, signals) => {
    const one = await crashIn('pool', name);
    expect(signals).toContain(one.signal);
    expect(faultOf(one).signal).toBe(os.constants.signals[one.signal ?? 'SIGHUP']);
    expect(faultOf(one).sent).toBe(false);
    expect(faultOf(one).scanned.some((address) => imageAt(one, address)?.plugin === 'crash')).toBe(true);
  });

  test('of a heap that is damaged, with what malloc said', async () => {
    const one = await crashIn('pool', 'heap');
    expect(one.signal).toBe('SIGABRT');
    expect(faultOf(one).message).toMatch(/free\(\)|malloc|corrupt|double/);
    expect(faulty(one).inside).toMatchObject({ work: 'handle' });
  });

  test('of a jump to where no code is', async () => {
    const one = await crashIn('inline', 'jump');
    expect(faultOf(one)).toMatchObject({ pc: '0x10', address: '0x10' });
    expect(imageAt(one, faultOf(one).scanned[0] ?? '0x0')?.plugin).toBe('crash');
  });

  test('of a call into a generation that is gone', async () => {
    const one = await crash(
      'box',
      `up ${library}`,
      'get /inline leave-address',
      `up ${library}`,
      'get /inline call-address',
    );
    expect(one.signal).toBe('SIGSEGV');
    expect(imageAt(one, faultOf(one).pc)).toMatchObject({ generation: 1, state: 'closed' });
    expect(faulty(one).inside).toMatchObject({ image: 1 });
  });
});

describe.concurrent('a stack that is used up is reported', () => {
  test.each(['inline', 'pool'] as const)('in an %s route', async (route) => {
    const one = await crashIn(route, 'overflow');
    expect(one.signal).toBe('SIGSEGV');
    expect(faultOf(one).overflow).toBe(true);
    expect(imageAt(one, faultOf(one).pc)?.plugin).toBe('crash');
    expect(faulty(one).inside).toMatchObject({ work: 'handle' });
  });

  test('on a thread of the plugin itself', async () => {
    const one = await crashIn('pool', 'thread-overflow');
    expect(one.signal).toBe('SIGSEGV');
    expect(faultOf(one).overflow).toBe(true);
    expect(imageAt(one, faultOf(one).pc)?.plugin).toBe('crash');
    expect(faulty(one)).toMatchObject({ kind: 'own', inside: { work: 'thread' } });
    expect(one.box.threads.find(({ kind }) => kind === 'pool')?.inside).toMatchObject({ work: 'handle' });
  });
});

describe.concurrent('an end that nobody meant', () => {
  test('by exit is reported with the thread that has called it', async () => {
    const one = await crashIn('pool', 'exit');
    expect(one.code).toBe(0);
    expect(faultOf(one)).toMatchObject({ kind: 'exit', signal: 0, stage: 'unwound' });
    expect(faulty(one).inside).toMatchObject({ work: 'handle', route: 'GET /crash/pool' });
    expect(imageAt(one, faultOf(one).scanned[0] ?? '0x0')?.plugin).toBe('crash');
  });

  test('by exit on a thread of the plugin is, too', async () => {
    const one = await crashIn('pool', 'thread-exit');
    expect(one.code).toBe(0);
    expect(faultOf(one).kind).toBe('exit');
    expect(faulty(one).kind).toBe('own');
  });

  test.each([
    ['_exit', 3, null],
    ['kill', null, 'SIGKILL'],
  ] as const)('by %s leaves what its threads were in, and who has called it', async (name, code, signal) => {
    const one = await crashIn('pool', name);
    expect([one.code, one.signal]).toEqual([code, signal]);
    expect(faultOf(one)).toMatchObject({ kind: name, caller: 0 });
    expect(one.box.threads.filter(({ inside }) => inside !== undefined)).toMatchObject([
      { kind: 'pool', inside: { work: 'handle', route: 'GET /crash/pool', request: 1 } },
    ]);
  });

  test('by a signal that nobody catches is reported with its sender', async () => {
    const one = await crashIn('inline', 'user-signal');
    expect(one.signal).toBe('SIGUSR2');
    expect(faultOf(one)).toMatchObject({ kind: 'kill', signal: os.constants.signals.SIGUSR2, caller: 0 });
    expect(faulty(one).inside).toMatchObject({ work: 'handle', route: 'GET /crash/inline' });
  });

  test('is none by a signal that is blocked, and what comes after it is reported', async () => {
    const one = await crashIn('pool', 'blocked-signal');
    expect(one.signal).toBe('SIGSEGV');
    expect(faultOf(one)).toMatchObject({ kind: 'signal', signal: 11, stage: 'unwound' });
    expect(faultOf(one).caller).toBe(-1);
  });

  test.skipIf(process.platform !== 'linux')('is none by a stop, nor that of what comes after it', async () => {
    const descriptor = core.createBlackBox();
    try {
      const one = await crashInto(descriptor, ['box', `up ${library}`, 'get /pool stop', 'abort'], async (child) => {
        const stopped = (): boolean => /^State:\s+T/m.test(readFileSync(`/proc/${child.pid}/status`, 'utf8'));
        await until('it stands still', stopped);
        child.kill('SIGCONT');
      });
      expect(one.signal).toBe('SIGABRT');
      expect(faultOf(one)).toMatchObject({ kind: 'signal', signal: 6 });
      expect(faultOf(one).caller).toBe(-1);
    } finally {
      closeSync(descriptor);
    }
  });

  test('is told from one that was meant, and from that of the host itself', async () => {
    const meant = await crash('box', `up ${library}`, 'purpose', 'get /pool exit');
    expect([meant.code, meant.box.ended, meant.box.fault]).toEqual([0, true, undefined]);
    const own = await crash('box', `up ${library}`, 'get /inline nothing', 'end 5');
    expect([own.code, own.box.ended, own.box.fault]).toEqual([5, false, undefined]);
  });

  test('by a signal from outside says so, and what the event loop hangs in', async () => {
    const descriptor = core.createBlackBox();
    const hangs = (): boolean => core.readBlackBox(descriptor).threads.some(({ inside }) => inside?.work === 'handle');
    try {
      const steps = ['box', `up ${library}`, 'beat', 'get /inline hang'];
      const one = await crashInto(descriptor, steps, async (child) => {
        await until('it hangs', () => hangs());
        child.kill('SIGABRT');
      });
      expect(one.signal).toBe('SIGABRT');
      expect(faultOf(one)).toMatchObject({ kind: 'signal', sent: true, address: '0x0' });
      expect(faulty(one)).toMatchObject({ kind: 'main', inside: { work: 'handle', route: 'GET /crash/inline' } });
      expect(faultOf(one).scanned.some((address) => imageAt(one, address)?.plugin === 'crash')).toBe(true);
    } finally {
      closeSync(descriptor);
    }
  });
});

describe.concurrent('a trap of WebAssembly stays an exception', () => {
  test('in the main thread and in a worker, and a fault is reported after it', async () => {
    const one = await crash('box', `up ${library}`, 'trap', 'trapInWorker', 'get /inline segv');
    expect(one.output).toBe('RuntimeError\nRuntimeError\n');
    expect(one.signal).toBe('SIGSEGV');
    expect(faultOf(one).stage).toBe('unwound');
  });
});

describe.concurrent('a report that cannot be finished says how far it came', () => {
  test('when the stack cannot be followed', async () => {
    const one = await crashIn('pool', 'lose-stack');
    expect(one.signal).toBe('SIGSEGV');
    expect(['scanned', 'unwound']).toContain(faultOf(one).stage);
    expect(imageAt(one, faultOf(one).pc)?.plugin).toBe('crash');
    expect(faulty(one).inside).toMatchObject({ route: 'GET /crash/pool' });
  });

  test('when its memory is gone', async () => {
    const one = await crashIn('pool', 'lose-box');
    expect(one.signal).toBe('SIGSEGV');
    expect(one.box.fault).toBeUndefined();
    expect(one.box.threads.find(({ kind }) => kind === 'pool')?.inside).toMatchObject({ work: 'handle' });
  });

  test('when its memory was written over', async () => {
    const one = await crashIn('pool', 'scribble');
    expect(one.signal).toBe('SIGSEGV');
    expect(one.box.images.every(({ plugin }) => /^[ -~]*$/.test(plugin))).toBe(true);
  });

  test('and no open file is needed for it', async () => {
    const one = await crashIn('pool', 'close-all');
    expect(one.signal).toBe('SIGSEGV');
    expect(faultOf(one).stage).toBe('unwound');
  });
});

describe('a black box', () => {
  test('of a process that nobody watches is written to a file at the fault', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-box-'));
    const descriptor = openSync(path.join(folder, 'report'), 'w+');
    try {
      ftruncateSync(descriptor, 4_000_000);
      expect(() => core.readBlackBox(descriptor)).toThrow('no black box');
      const one = await crashInto(descriptor, ['report 3', `up ${library}`, 'serving', 'get /pool segv']);
      expect(faultOf(one)).toMatchObject({ signal: 11, stage: 'unwound' });
      expect(imageAt(one, faultOf(one).pc)).toMatchObject({ plugin: 'crash', state: 'serving' });
      expect(faulty(one).inside).toMatchObject({ work: 'handle' });
    } finally {
      closeSync(descriptor);
      await rm(folder, { recursive: true });
    }
  });

  test('is written to that file, and never to another that has got the number of its descriptor', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-box-'));
    const descriptor = openSync(path.join(folder, 'report'), 'w+');
    const other = path.join(folder, 'other');
    try {
      ftruncateSync(descriptor, 4_000_000);
      const one = await crashInto(descriptor, ['report 3', `reuse 3 ${other}`, `up ${library}`, 'get /pool segv']);
      expect(faultOf(one)).toMatchObject({ signal: 11, stage: 'unwound' });
      expect(statSync(other).size).toBe(0);
    } finally {
      closeSync(descriptor);
      await rm(folder, { recursive: true });
    }
  });

  test('tells that its event loop turns', () => {
    const descriptor = core.createBlackBox();
    expect(core.blackBoxBeat(descriptor)).toBeUndefined();
    expect(core.readBlackBox(descriptor)).toMatchObject({ ended: false, images: [], threads: [], files: [] });
    closeSync(descriptor);
  });

  test('whose bytes are anything is read all the same, or refused', async () => {
    const descriptor = core.createBlackBox();
    let seed = 7;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
      return seed % below;
    };
    for (let round = 0; round < 200; round++) {
      const bytes = Buffer.alloc(1 + random(70_000), random(256));
      for (let index = 0; index < 100; index++) bytes[random(bytes.length)] = random(256);
      // Behind magic and layout.
      writeSync(descriptor, bytes, 0, bytes.length, 12 + random(1_500_000));
      const box = core.readBlackBox(descriptor);
      expect(box.images.length).toBeLessThanOrEqual(1024);
      expect(box.threads.length).toBeLessThanOrEqual(513);
      const known = new Set(box.images.map(({ index }) => index));
      for (const { inside, before } of box.threads)
        for (const work of [...(inside === undefined ? [] : [inside]), ...before]) {
          expect(known.has(work.image)).toBe(true);
          expect(work.route).toMatch(/^[ -~]{0,128}$/);
        }
    }
    writeSync(descriptor, Buffer.alloc(8), 0, 8, 0);
    expect(() => core.readBlackBox(descriptor)).toThrow('no black box');
    closeSync(descriptor);
    expect(() => core.readBlackBox(descriptor)).toThrow('no black box');
  });
});
