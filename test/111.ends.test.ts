import { beforeAll, describe, expect, test } from 'vitest';
import { type Crash, crash, faultOf, faulty } from './crash/crash.js';
import { buildPlugin } from './plugins/build.js';

let library: string;
beforeAll(async () => {
  library = await buildPlugin('hook_calls', { defines: { PLUGIN_ID: '"crash"' } });
});

/** A host of which a plugin does that. */
function end(deed: string, on = 0, route = 'pool'): Promise<Crash> {
  return crash('box', `up ${library}`, `get /${route} 0&do=${deed}&on=${on}`);
}

describe.concurrent('an end that a plugin makes is reported with its name', () => {
  test.each([
    ['exit', 'exit', 0],
    ['_exit', '_exit', 4],
    ['quick_exit', 'quick_exit', 5],
  ])('by %s', async (deed, kind, status) => {
    const one = await end(deed, status);
    expect([one.code, one.signal]).toEqual([status, null]);
    expect(faultOf(one)).toMatchObject({ kind, status, caller: 0, stage: 'unwound' });
    expect(faulty(one).inside).toMatchObject({ image: 0, work: 'handle', route: 'GET /crash/pool' });
  });

  test('by exit, when what runs at an exit crashes', async () => {
    const one = await end('exit-and-crash', 3);
    expect(one.signal).toBe('SIGSEGV');
    expect(faultOf(one)).toMatchObject({ kind: 'exit', status: 3, signal: 0, caller: 0 });
  });

  test('by exit on a thread of its own', async () => {
    const one = await end('exit-on-thread', 6);
    expect(one.code).toBe(6);
    expect(faultOf(one)).toMatchObject({ kind: 'exit', caller: 0 });
    expect(faulty(one)).toMatchObject({ kind: 'own', inside: { image: 0, work: 'thread' } });
  });

  test('by abort', async () => {
    const one = await end('abort', 0, 'inline');
    expect(one.signal).toBe('SIGABRT');
    expect(faultOf(one)).toMatchObject({ kind: 'signal', signal: 6, caller: 0 });
  });

  test.each([
    ['kill', 9, 'SIGKILL', 'kill'],
    ['raise', 11, 'SIGSEGV', 'signal'],
  ])('by %s of a signal: %i', async (deed, number, signal, kind) => {
    const one = await end(deed, number);
    expect(one.signal).toBe(signal);
    expect(faultOf(one)).toMatchObject({ kind, signal: number, caller: 0 });
  });

  test('by a stack that is used up, on a thread of its own', async () => {
    const one = await end('overflow-on-thread');
    expect(one.signal).toBe('SIGSEGV');
    expect(faulty(one)).toMatchObject({ kind: 'own', inside: { image: 0, work: 'thread' } });
  });
});

test.each([1, 2, 3, 15])(
  'signal %i, by which an operator ends a host, is no end when a plugin sends it',
  async (signal) => {
    const deeds = ['kill', 'raise', 'pthread_kill', 'sigqueue'].map((deed) => `get /pool 0&do=${deed}&on=${signal}`);
    const one = await crash('box', `up ${library}`, ...deeds, 'purpose');
    expect([one.code, one.signal, one.box.ended, one.box.fault]).toEqual([0, null, true, undefined]);
  },
);

test('a signal that ends nothing is no end', async () => {
  const one = await crash('box', `up ${library}`, 'get /pool 0&do=kill&on=0', 'get /pool 0&do=raise&on=28', 'purpose');
  expect([one.code, one.box.ended, one.box.fault]).toEqual([0, true, undefined]);
});
