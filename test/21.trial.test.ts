import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { TenonError } from '../src/base/errors.js';
import { loadCore } from '../src/binding/core.js';
import { Trial, type TrialLimits, type Tried } from '../src/plugin/trial.js';
import { buildPlugin } from './plugins/build.js';

const patient = { timeout: 45_000 };

async function failureOf(promise: Promise<unknown>): Promise<TenonError> {
  const error = await promise.then(
    () => new Error('it passed'),
    (reason: unknown) => reason,
  );
  if (error instanceof TenonError) return error;
  throw error;
}

/** `passed`, or the code of the refusal. */
function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'passed',
    (reason: unknown) => {
      if (reason instanceof TenonError) return reason.code;
      throw reason;
    },
  );
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Processes whose first word is `mark`. */
function marked(mark: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith(`${mark}\0`);
    } catch {
      return false; // it ended between the two calls
    }
  });
}

/** The children of the runner `pid`: those that wait as well as those that try something. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

/** The child of the runner `pid` that has opened the library of the test plugin `name`; throws while there is none. */
function triedBy(pid: number, name: string): number {
  const child = childrenOf(pid).find((one) => readFileSync(`/proc/${one}/maps`, 'utf8').includes(`/${name}`));
  if (child === undefined) throw new Error('nothing is tried yet');
  return child;
}

let trial: Trial;
beforeEach(() => {
  trial = new Trial();
});
afterEach(() => trial.close());

async function tryPlugin(name: string, limits: Partial<TrialLimits> = {}): Promise<Tried> {
  return trial.try(await buildPlugin(name), { id: 'fault', ...limits });
}

describe('the outcome of a trial', () => {
  test('is the routes of a good plugin', async () => {
    await expect(tryPlugin('ok')).resolves.toEqual({ routes: [], more: 0 });
    const { routes, more } = await tryPlugin('many_routes');
    expect(routes.length).toBeGreaterThan(50);
    expect(routes).toEqual(routes.map((_, at) => `GET /number/${at}`));
    expect(routes.length + more).toBe(500);
  });

  test('goes no further than the entry for a plugin that asks for that', async () => {
    await expect(tryPlugin('open_only')).resolves.toEqual({ routes: [], more: 0 });
  });

  test.each([
    ['crash_in_constructor', 'open', 'SIGSEGV'],
    ['abort_in_constructor', 'open', 'SIGABRT'],
    ['crash_in_initialize', 'initialize', 'SIGSEGV'],
    ['deep_in_initialize', 'initialize', 'SIGSEGV'],
  ])('is TrialCrashed with stage and signal for %s', async (name, stage, signal) => {
    const error = await failureOf(tryPlugin(name));
    expect(error).toMatchObject({ code: 'TrialCrashed', details: { id: 'fault', stage, signal } });
    expect(error.message).toContain(`plugin "fault" crashed`);
    expect(error.message).toContain(signal);
  });

  test.each([
    ['crash_in_constructor', 'begin'],
    ['crash_in_initialize', 'initialize'],
    ['deep_in_initialize', 'initialize'],
  ])('names the function that crashed in %s, and where in it', async (name, symbol) => {
    const error = await failureOf(tryPlugin(name));
    const place = new RegExp(`^${symbol}\\+0x[0-9a-f]+$`);
    expect(error.details).toMatchObject({
      offset: expect.stringMatching(/^0x[0-9a-f]+$/) as string,
      symbol: expect.stringMatching(place) as string,
    });
    expect(error.message).toContain(`with SIGSEGV, in ${String(error.details?.['symbol'])}`);
  });

  test('names the function of the library that has called what crashed', async () => {
    const error = await failureOf(tryPlugin('abort_in_constructor'));
    expect(error.details).toMatchObject({
      signal: 'SIGABRT',
      symbol: expect.stringMatching(/^begin(\.cold)?\+0x/) as string,
    });
  });

  test('carries what the library last wrote', async () => {
    const error = await failureOf(tryPlugin('abort_in_constructor'));
    expect(error.message).toContain('it last wrote "assertion failed: the world is flat"');
  });

  test('is TrialExited for a library that ends its process with success', async () => {
    expect(await failureOf(tryPlugin('exit_in_constructor'))).toMatchObject({
      code: 'TrialExited',
      details: { stage: 'open', status: 0 },
    });
  });

  test('is TrialExited for a library that forges a verdict', async () => {
    expect(await failureOf(tryPlugin('forged_verdict'))).toMatchObject({
      code: 'TrialExited',
      details: { stage: 'open' },
    });
  });

  test.each([
    ['hang_in_constructor', 'open'],
    ['hang_in_initialize', 'initialize'],
    ['endless_output', 'open'],
  ])('is TrialTimeout with the stage for %s', async (name, stage) => {
    const error = await failureOf(tryPlugin(name, { deadlineMs: 300 }));
    expect(error).toMatchObject({ code: 'TrialTimeout', details: { stage, limit: 'deadline' } });
    expect(error.message).toContain('was not done after 300 ms');
  });

  test('is TrialTimeout when the processor time is used up long before the deadline', async () => {
    expect(await failureOf(tryPlugin('spin_in_constructor', { cpuSeconds: 1, deadlineMs: 60_000 }))).toMatchObject({
      code: 'TrialTimeout',
      details: { stage: 'open', limit: 'cpu' },
    });
  });

  test('is TrialCrashed for a library that needs more memory than it may have, and nothing with a higher limit', async () => {
    expect(await failureOf(tryPlugin('allocate_in_constructor'))).toMatchObject({
      code: 'TrialCrashed',
      details: { stage: 'open' },
    });
    await tryPlugin('allocate_in_constructor', { memoryBytes: 3 * 1024 ** 3, deadlineMs: 30_000, cpuSeconds: 30 });
  });

  test.each([
    ['refuse_initialize', 'initialize', 6, 'the licence file is missing'],
    ['unhealthy', 'health', 1, 'no connection to the moon'],
  ])('is TrialRefused with the last log message for %s', async (name, stage, status, reason) => {
    const error = await failureOf(tryPlugin(name));
    expect(error).toMatchObject({ code: 'TrialRefused', details: { stage, status, reason } });
    expect(error.message).toContain(reason);
  });

  test('is TrialOpenFailed with the missing symbol, by the loader', async () => {
    const error = await failureOf(tryPlugin('missing_symbol'));
    expect(error).toMatchObject({ code: 'TrialOpenFailed', details: { stage: 'open' } });
    expect(error.message).toContain('tenon_test_nobody_has_this');
  });

  test('is AbiUnsupported or PluginIdMismatch for a descriptor that disagrees', async () => {
    const abi = await failureOf(tryPlugin('abi_descriptor'));
    expect(abi.code).toBe('AbiUnsupported');
    expect(abi.message).toContain('built for ABI 7.0, this host speaks 1.0');
    const other = await failureOf(tryPlugin('other_id'));
    expect(other.code).toBe('PluginIdMismatch');
    expect(other.message).toContain('"somebody-else"');
  });

  test('is a TypeError for limits that make no sense', () => {
    expect(() => trial.try('relative.so', { id: 'x' })).toThrow(/^path:/);
    expect(() => trial.try('/x.so', { id: 'Not An Id' })).toThrow(/^id:/);
    expect(() => trial.try('/x.so', { id: 'x', deadlineMs: 0 })).toThrow(/^deadlineMs:/);
    expect(() => trial.try('/x.so', { id: 'x', memoryBytes: -1 })).toThrow(/^memoryBytes:/);
    expect(() => trial.try('/x.so', { id: 'x', cpuSeconds: 0.5 })).toThrow(/^cpuSeconds:/);
  });
});

describe('a path', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(path.join(os.tmpdir(), 'tenon-trial-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test('may hold any byte', async () => {
    const odd = path.join(directory, 'a b\nc "%s" \u{1f600}.so');
    writeFileSync(odd, readFileSync(await buildPlugin('ok')));
    await expect(trial.try(odd, { id: 'fault' })).resolves.toMatchObject({ more: 0 });
  });

  test('to a library with a hole that the check let through never harms the runner', async () => {
    const bytes = readFileSync(await buildPlugin('ok'));
    const core = loadCore();
    const { pid } = trial;
    const outcomes: string[] = [];
    for (let at = 0; at < bytes.length; at += 512) {
      const copy = Buffer.from(bytes).fill(0, at, Math.min(at + 512, bytes.length));
      try {
        core.inspectImage(copy);
      } catch {
        continue;
      }
      const file = path.join(directory, `${at}.so`);
      writeFileSync(file, copy);
      outcomes.push(await codeOf(trial.try(file, { id: 'fault', deadlineMs: 5_000 })));
    }
    expect(outcomes.length).toBeGreaterThan(0);
    expect(outcomes).not.toContain('TrialUnavailable');
    expect(trial.pid).toBe(pid);
  });
});

describe('the runner', () => {
  test('does not let a hanging trial delay another', async () => {
    let over = false;
    const hanging = failureOf(tryPlugin('hang_in_constructor', { deadlineMs: 60_000 })).finally(() => {
      over = true;
    });
    for (let i = 0; i < 20; i++) await tryPlugin('ok');
    expect(over).toBe(false);
    await trial.close();
    expect(await hanging).toMatchObject({ code: 'TrialUnavailable' });
  });

  test('runs many trials at once, each with its own answer', async () => {
    const library = await buildPlugin('ok');
    const crashing = await buildPlugin('crash_in_constructor');
    const outcomes = await Promise.allSettled(
      Array.from({ length: 64 }, (_, i) =>
        trial.try(i % 2 === 0 ? library : crashing, { id: 'fault', deadlineMs: 30_000 }),
      ),
    );
    expect(outcomes.map((outcome) => outcome.status)).toEqual(
      Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? 'fulfilled' : 'rejected')),
    );
  });

  test('makes a child ready while it is idle, uses it once, and does without it when it has died', async () => {
    const { pid } = trial;
    if (pid === undefined) throw new Error('there is no runner');
    const ready = (): Promise<number> =>
      vi.waitFor(() => {
        const [child, ...others] = childrenOf(pid);
        const maps = child === undefined ? '' : readFileSync(`/proc/${child}/maps`, 'utf8');
        if (child === undefined || others.length > 0 || maps === '' || maps.includes(path.dirname(library)))
          throw new Error('there is not one child yet, or it is one that is going');
        return child;
      }, patient);
    const library = await buildPlugin('hang_in_initialize');
    const first = await ready();
    const hanging = failureOf(trial.try(library, { id: 'fault', deadlineMs: 60_000 }));
    expect(await vi.waitFor(() => triedBy(pid, 'hang_in_initialize'), patient)).toBe(first);
    await tryPlugin('ok');
    process.kill(first, 'SIGKILL');
    expect(await hanging).toMatchObject({ code: 'TrialCrashed', details: { stage: 'initialize', signal: 'SIGKILL' } });
    const second = await ready();
    expect(second).not.toBe(first);
    process.kill(second, 'SIGSTOP');
    // The time of the trial runs while its child stands still: that is not to be what ends it.
    const asked = [tryPlugin('ok', { deadlineMs: 60_000 }), tryPlugin('ok', { deadlineMs: 60_000 })];
    // One is through: the other has been given to the child that stands still. Or that child was stopped so early in its
    // life that the runner waits for it, and neither is.
    await Promise.race([...asked, sleep(5000)]);
    process.kill(second, 'SIGKILL');
    await Promise.all(asked);
    process.kill(await ready(), 'SIGKILL');
    await tryPlugin('ok');
    expect(trial.pid).toBe(pid);
  });

  test('is started again when it was killed', async () => {
    const { pid } = trial;
    if (pid === undefined) throw new Error('there is no runner');
    process.kill(pid, 'SIGKILL');
    await tryPlugin('ok');
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), patient);
    expect(trial.pid).not.toBe(pid);
  });

  test('repeats a trial once when it dies over it, and then gives it up', async () => {
    const failure = failureOf(tryPlugin('hang_in_constructor', { deadlineMs: 60_000 }));
    const seen = new Set<number>();
    for (let i = 0; i < 2; i++) {
      const pid = await vi.waitFor(() => {
        const now = trial.pid;
        if (now === undefined || seen.has(now)) throw new Error('not started yet');
        triedBy(now, 'hang_in_constructor');
        return now;
      }, patient);
      seen.add(pid);
      process.kill(pid, 'SIGKILL');
    }
    expect(await failure).toMatchObject({ code: 'TrialUnavailable' });
    await tryPlugin('ok');
  });

  test('is replaced when it does not answer', async () => {
    const { pid } = trial;
    if (pid === undefined) throw new Error('there is no runner');
    process.kill(pid, 'SIGSTOP');
    await tryPlugin('ok', { deadlineMs: 1_000 });
    expect(trial.pid).not.toBe(pid);
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), patient);
  });

  test('that cannot be run is TrialUnavailable', async () => {
    const none = new Trial('/nowhere/tenon-runner');
    expect(await failureOf(none.try('/x.so', { id: 'x' }))).toMatchObject({ code: 'TrialUnavailable' });
    await none.close();
  });

  test('leaves no process of a plugin behind, not even one that left its session', async () => {
    const mark = `tenon-test-${process.pid}-${Date.now()}`;
    const library = await buildPlugin('leave_children', { defines: { MARK: `"${mark}"` } });
    try {
      await trial.try(library, { id: 'fault' });
      await vi.waitFor(() => expect(marked(mark)).toEqual([]), patient);
    } finally {
      rmSync(library);
    }
  });

  test('ends with everything it tries when it is closed', async () => {
    const { pid } = trial;
    if (pid === undefined) throw new Error('there is no runner');
    const hanging = failureOf(tryPlugin('hang_in_initialize', { deadlineMs: 60_000 }));
    const children = await vi.waitFor(() => [triedBy(pid, 'hang_in_initialize'), ...childrenOf(pid)], patient);
    await trial.close();
    await trial.close();
    expect(await hanging).toMatchObject({ code: 'TrialUnavailable' });
    expect(isAlive(pid)).toBe(false);
    await vi.waitFor(() => expect(children.filter(isAlive)).toEqual([]), patient);
    expect(await failureOf(tryPlugin('ok'))).toMatchObject({ code: 'TrialUnavailable' });
  });
});
