import { describe, expect, test } from 'vitest';
import type { BoxContents, BoxFault, BoxImage, BoxThread } from '../src/binding/black-box.js';
import { findCrash, type HostDeath } from '../src/host/crash-finding.js';

const todo: BoxImage = {
  index: 0,
  plugin: 'todo',
  generation: 7,
  sha256: 'a'.repeat(64),
  state: 'serving',
  low: '0x10000',
  high: '0x20000',
};
const other: BoxImage = { ...todo, index: 1, plugin: 'other', generation: 2, low: '0x30000', high: '0x40000' };
const gone: BoxImage = { ...todo, index: 2, generation: 6, state: 'closed', low: '0x50000', high: '0x60000' };
const libc = { low: '0x70000', high: '0x80000', file: '/lib/libc.so.6' };

const handling: BoxThread = {
  tid: 11,
  kind: 'pool',
  inside: { image: 0, work: 'handle', route: 'GET /todo/x', request: 12, ms: 3 },
  before: [],
};
const idle: BoxThread = { tid: 11, kind: 'pool', before: [] };

const fault: BoxFault = {
  kind: 'signal',
  signal: 11,
  code: 1,
  sent: false,
  overflow: false,
  address: '0x0',
  pc: '0x112f7',
  tid: 11,
  caller: -1,
  message: '',
  registers: { rip: '0x112f7' },
  unwound: [],
  scanned: [],
  stage: 'unwound',
};

function dead(change: Partial<BoxFault>, threads: readonly BoxThread[] = [handling]): HostDeath {
  return {
    signal: 'SIGSEGV',
    contents: box({ fault: { ...fault, ...change }, threads }),
  };
}

function box(change: Partial<BoxContents>): BoxContents {
  return { pid: 1, ended: false, images: [todo, other, gone], threads: [], files: [libc], ...change };
}

/** Culprit, suspects, and whom it counts against. */
function blame(death: HostDeath): {
  culprit?: string;
  suspects: string[];
  accused?: string;
  state?: string;
  by?: string;
} {
  const { finding, accused } = findCrash(death);
  const name = ({ plugin, generation }: { plugin: string; generation: number }): string => `${plugin} ${generation}`;
  const { culprit, suspects } = finding.verdict;
  return {
    ...(culprit === undefined ? {} : { culprit: name(culprit) }),
    suspects: suspects.map(name),
    ...(accused === undefined ? {} : { accused: name(accused), state: accused.state, by: accused.by }),
  };
}

const certain = { culprit: 'todo 7', suspects: [], accused: 'todo 7', state: 'serving', by: 'verdict' };
const nobody = { suspects: [] };

describe('the crash of a host is put down to', () => {
  test('the plugin whose code the fault is in, whatever the thread was in', () => {
    const death = dead({});
    expect(blame(death)).toEqual(certain);
    expect(blame(dead({ pc: '0x30001' }))).toMatchObject({ culprit: 'other 2' });
    const named = findCrash({ ...death, requests: 'front' }).finding.verdict.culprit;
    expect(named?.inside?.request).toBe('front-12');
    expect(findCrash(death).finding).toMatchObject({
      kind: 'signal',
      signal: 'SIGSEGV',
      code: 'SEGV_MAPERR',
      address: '0x0',
      thread: { tid: 11, inside: { route: 'GET /todo/x' } },
      frames: [{ address: '0x112f7', found: 'pc', plugin: 'todo', generation: 7, offset: '0x12f7' }],
      verdict: {
        sentence: 'todo generation 7 crashed the host (SIGSEGV in handle of GET /todo/x, request 12)',
        because: ['the fault is in its code (todo+0x12f7)'],
      },
    });
  });

  test('a plugin that has used up a stack, and that is said', () => {
    const { finding } = findCrash(dead({ code: 2, address: '0x90000', overflow: true }));
    expect(finding).toMatchObject({
      stackOverflow: true,
      verdict: {
        sentence: 'todo generation 7 crashed the host (SIGSEGV (stack overflow) in handle of GET /todo/x, request 12)',
      },
    });
    expect(findCrash(dead({})).finding).not.toHaveProperty('stackOverflow');
  });

  test('an unloaded generation that was called; what is held then is the build that runs', () => {
    const { finding, accused } = findCrash(dead({ pc: '0x50010' }, [idle]));
    expect(finding.verdict).toMatchObject({
      culprit: { plugin: 'todo', generation: 6, unloaded: true },
      sentence: 'a call into unloaded generation 6 of todo crashed the host (SIGSEGV)',
    });
    expect(finding.frames[0]).toMatchObject({ unloaded: true, offset: '0x10' });
    expect(accused).toMatchObject({ plugin: 'todo', generation: 6, sha256: todo.sha256 });
  });

  test('several, where images of two plugins were in the same place one after the other', () => {
    const images = [todo, gone, { ...other, state: 'closed' as const, low: gone.low, high: gone.high }];
    const death: HostDeath = { signal: 'SIGSEGV', contents: box({ images, fault: { ...fault, pc: '0x50010' } }) };
    expect(blame(death)).toEqual({ suspects: ['todo 6', 'other 2'] });
  });

  test('whoever has called what ends a process', () => {
    const exit: HostDeath = { status: 3, contents: box({ fault: { ...fault, kind: 'exit', caller: 0, pc: '0x0' } }) };
    expect(blame(exit)).toEqual(certain);
    expect(findCrash(exit).finding).toMatchObject({
      kind: 'exit',
      status: 3,
      verdict: {
        because: ['its code has called exit'],
        sentence: expect.stringContaining('exit with status 3') as string,
      },
    });
  });

  test('whoever has called exit, when destructors crash after it', () => {
    const call = {
      ...fault,
      kind: 'exit',
      caller: 0,
      pc: '0x0',
      signal: 0,
      status: 3,
      unwound: ['0x70010', '0x10010'],
    };
    const death: HostDeath = { status: 139, signal: 'SIGSEGV', contents: box({ fault: call, threads: [handling] }) };
    expect(blame(death)).toEqual(certain);
    const { finding } = findCrash(death);
    expect(finding).toMatchObject({
      kind: 'exit',
      status: 3,
      verdict: {
        because: ['its code has called exit', 'then, on the way out, SIGSEGV ended the process'],
        sentence:
          'todo generation 7 crashed the host (exit with status 3, then SIGSEGV in handle of GET /todo/x, request 12)',
      },
    });
    expect(finding.signal).toBeUndefined();
    expect(finding.frames.map(({ address, found }) => [address, found])).toEqual([
      ['0x70010', 'unwound'],
      ['0x10010', 'unwound'],
    ]);
  });

  test('the plugin that a thread was in when the fault is in libc, unless its stack names another one', () => {
    const inLibc = { pc: '0x70010' };
    expect(blame(dead(inLibc))).toEqual(certain);
    expect(blame(dead({ ...inLibc, scanned: ['0x10010'] }))).toEqual(certain);
    expect(blame(dead({ ...inLibc, unwound: ['0x70010', '0x10010', '0x30010'] }))).toEqual(certain);
    expect(blame(dead({ ...inLibc, scanned: ['0x30010', '0x10010'] }))).toEqual({ suspects: ['other 2', 'todo 7'] });
    expect(findCrash(dead(inLibc)).finding.frames).toEqual([
      { address: '0x70010', found: 'pc', file: '/lib/libc.so.6', offset: '0x10' },
    ]);
  });

  test('the plugin on the stack of a thread that is none of the core’s; of one of the core’s it is a suspect', () => {
    const scanned = { pc: '0x70010', tid: 99, scanned: ['0x10010'] };
    expect(blame(dead(scanned))).toEqual(certain);
    expect(blame(dead({ ...scanned, tid: 11 }, [idle]))).toEqual({
      suspects: ['todo 7'],
      accused: 'todo 7',
      state: 'serving',
      by: 'suspicion',
    });
    expect(blame(dead({ ...scanned, scanned: ['0x10010', '0x30010'] }))).toEqual({ suspects: ['todo 7', 'other 2'] });
  });

  test('whoever ran when nothing was reported, which is a suspicion; nobody when nobody ran', () => {
    const killed = (change: Partial<BoxContents>): HostDeath => ({ signal: 'SIGKILL', contents: box(change) });
    expect(blame(killed({ threads: [handling] }))).toEqual({
      suspects: ['todo 7'],
      accused: 'todo 7',
      state: 'serving',
      by: 'presence',
    });
    expect(blame({ ...killed({ threads: [handling] }), signal: 'SIGSEGV' })).toMatchObject({ by: 'suspicion' });
    const two = [
      handling,
      { ...handling, tid: 12, inside: { image: 1, work: 'handle', route: '', request: 0, ms: 1 } },
    ];
    expect(blame(killed({ threads: two }))).toEqual({ suspects: ['todo 7', 'other 2'] });
    expect(blame(killed({ threads: [idle] }))).toEqual(nobody);
    expect(blame(killed({ images: [{ ...todo, state: 'loading' }] }))).toMatchObject({
      suspects: ['todo 7'],
      state: 'loading',
      by: 'presence',
    });
    expect(findCrash(killed({})).finding).toMatchObject({
      kind: 'killed',
      gaps: ['such an end cannot be reported from within'],
    });
  });

  test('a build that has shown that it is well, when that one, or another image of it, has', () => {
    const young: BoxImage = { ...todo, state: 'open' };
    const isProven = (...images: BoxImage[]): unknown => {
      const contents = box({ images, threads: [handling], fault });
      return findCrash({ signal: 'SIGSEGV', contents }).accused?.isProven;
    };
    const before: BoxImage = { ...todo, index: 1, generation: 6, low: '0x30000', high: '0x40000' };
    expect(isProven(young)).toBe(false);
    expect(isProven({ ...young, proven: true })).toBe(true);
    expect(isProven(young, before)).toBe(true);
    expect(isProven(young, { ...before, state: 'closed', proven: true })).toBe(true);
    expect(isProven(young, { ...before, state: 'closed' })).toBe(false);
    expect(isProven(young, { ...before, sha256: 'b'.repeat(64) })).toBe(false);
    expect(isProven({ ...young, sha256: '' }, { ...before, sha256: '' })).toBe(false);
  });

  test('nobody when the signal came from another process', () => {
    expect(blame(dead({ sent: true, code: 0 }))).toEqual(nobody);
    expect(blame(dead({ sent: true, code: -6, signal: 6, pc: '0x70010' }))).toEqual(certain);
  });

  test('the plugin that the main thread was in all the while, when the event loop stood; not when it was stopped', () => {
    const main = { ...handling, kind: 'main' };
    const hang = { ms: 10_400, stopped: false };
    const death: HostDeath = { signal: 'SIGABRT', hang, contents: box({ threads: [main], fault }) };
    expect(blame(death)).toEqual(certain);
    expect(findCrash(death).finding).toMatchObject({
      kind: 'hang',
      verdict: {
        sentence:
          'todo generation 7 crashed the host (its event loop stood for 10400 ms in handle of GET /todo/x, request 12)',
      },
    });
    expect(blame({ ...death, hang: { ...hang, stopped: true } })).toEqual(nobody);
    expect(blame({ ...death, contents: box({ threads: [handling] }) })).toEqual(nobody);
  });

  test('nobody when there is no black box, and that is said', () => {
    expect(findCrash({ signal: 'SIGSEGV', gaps: ['there was no black box'] })).toMatchObject({
      accused: undefined,
      finding: { kind: 'killed', gaps: ['there was no black box', 'the crash handler wrote no report'] },
    });
  });

  test('something, whatever stands in the box', () => {
    const images = [
      { ...todo, low: 'nonsense', high: '0x' },
      { ...todo, low: '0xffffffffffffffff', high: '0x0' },
    ];
    const wild = { ...fault, pc: '', unwound: ['x'], scanned: ['0xzz'], caller: 99 };
    const thread = { ...handling, inside: { image: 77, work: '', route: '', request: -1, ms: Number.NaN } };
    expect(blame({ signal: 'SIGSEGV', contents: box({ images, fault: wild, threads: [thread] }) })).toEqual(nobody);
  });
});
