import { execFile, execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SavedStates } from '../src/host/saved-states.js';
import type { SavedState } from '../src/host/state-file.js';
import { requireIntact, sealState } from '../src/plugin/state.js';
import { savedState } from './state/saved-state.js';

const run = promisify(execFile);
const driver = path.join(path.dirname(fileURLToPath(import.meta.url)), 'state', 'keep.ts');

let directory: string;
let states: SavedStates;
beforeEach(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-states-'));
  states = new SavedStates({ directory, stateLimit: 1000 });
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const others = async (): Promise<string[]> => (await readdir(directory)).filter((name) => !/^\w+\.state$/.test(name));

/** What is read, as a value that can be compared. */
async function readBack(from = states): Promise<SavedState | string | undefined> {
  const found = await from.read('keeper');
  return found !== undefined && 'warning' in found ? found.warning : found?.saved;
}

/** The kept file. */
async function kept(saved: SavedState): Promise<Buffer> {
  await states.keep(saved);
  return readFile(states.file('keeper'));
}

/** What is said of `bytes` in place of the file, which are put aside, whole, and are gone for the next reader. */
async function saidOf(bytes: Uint8Array): Promise<string> {
  await writeFile(states.file('keeper'), bytes);
  const said = await readBack();
  const [name = ''] = await others();
  expect(said).toContain(name);
  expect((await readFile(path.join(directory, name))).equals(bytes)).toBe(true);
  expect(await readBack()).toBeUndefined();
  await rm(path.join(directory, name));
  return typeof said === 'string' ? said : '';
}

describe('the file of a state', () => {
  test('that is put aside again and again stays there four times, the newest among them', async () => {
    await writeFile(states.file('other'), 'another plugin');
    await states.read('other');
    for (let time = 0; time < 6; time++) {
      await writeFile(states.file('keeper'), `no state ${time}`);
      const said = await readBack();
      const aside = (await others()).filter((name) => name.startsWith('keeper.'));
      expect(aside).toHaveLength(Math.min(time + 1, 4));
      const newest = aside.find((name) => typeof said === 'string' && said.endsWith(name)) ?? '';
      expect(await readFile(path.join(directory, newest), 'utf8')).toBe(`no state ${time}`);
    }
    expect((await others()).filter((name) => name.startsWith('other.'))).toHaveLength(1);
  });

  test('gives back what was kept, whatever it is', async () => {
    const bytes = fc.uint8Array({ maxLength: 600 });
    const saved = fc.record({
      state: fc.option(bytes),
      values: fc.option(bytes),
      version: fc.string({ unit: 'binary' }),
    });
    await fc.assert(
      fc.asyncProperty(saved, fc.nat({ max: 2 ** 32 - 1 }), async ({ state, values, version }, number) => {
        const one: SavedState = {
          plugin: 'keeper',
          savedAt: new Date().toISOString(),
          build: { version, sha256: 'a'.repeat(64) },
          state: state === null ? undefined : await sealState(number, Buffer.from(state)),
          values: values === null ? undefined : Buffer.from(values),
        };
        await states.keep(one);
        expect(await readBack()).toEqual(one);
      }),
      { numRuns: 40 },
    );
  });

  test('with any byte changed is never loaded, and is named', async () => {
    const whole = await kept(await savedState(Buffer.from('bytes'), { values: Buffer.from('values') }));
    for (let at = 0; at < whole.length; at += 1)
      for (const bit of [1, 0x80]) {
        const bytes = Buffer.from(whole);
        bytes[at] = (bytes[at] ?? 0) ^ bit;
        await writeFile(states.file('keeper'), bytes);
        expect(await readBack(), `byte ${at}`).toMatch(/^the saved state of keeper was not loaded: .*put aside as /);
      }
  });

  test('cut short anywhere, or longer, is put aside as damaged', async () => {
    const whole = await kept(await savedState(Buffer.from('bytes'), { values: Buffer.from('values') }));
    for (let length = 0; length < whole.length; length += 1) {
      await writeFile(states.file('keeper'), whole.subarray(0, length));
      expect(await readBack(), `${length} bytes`).toMatch(/not loaded: .*put aside as .*\.damaged-/);
    }
    await Promise.all((await others()).map((name) => rm(path.join(directory, name))));
    expect(await saidOf(Buffer.concat([whole, Buffer.from('x')]))).toMatch(/another number; .*\.damaged-/);
  });

  test('of a later format, of another plugin or over the limit is put aside as that', async () => {
    const whole = await kept(await savedState(Buffer.from('bytes')));
    const later = Buffer.from(whole.toString('latin1').replace('tenon-state 1 ', 'tenon-state 2 '), 'latin1');
    expect(await saidOf(later)).toMatch(/its format is 2, and this host knows 1; .*\.unknown-/);
    expect(await saidOf(Buffer.from('tenon-state 17 and so on\n'))).toMatch(/its format is 17, .*\.unknown-/);
    await states.keep(await savedState(Buffer.from('bytes'), { plugin: 'other' }));
    expect(await saidOf(await readFile(states.file('other')))).toMatch(/it is the state of other; .*\.foreign-/);
    const large = await kept(await savedState(Buffer.alloc(1001)));
    expect(await saidOf(large)).toMatch(/1001 bytes is over the limit of 1000; .*\.oversized-/);
  });

  test('behind a link is an error, and stays', async () => {
    await states.keep(await savedState(Buffer.from('bytes'), { plugin: 'other' }));
    await symlink(states.file('other'), states.file('keeper'));
    await expect(states.read('keeper')).rejects.toMatchObject({ code: 'StateUnreadable' });
    expect((await readdir(directory)).toSorted()).toEqual(['keeper.state', 'other.state']);
  });

  test('is that of the last of many at once', async () => {
    const all = await Promise.all(['1', '2', '3', '4', '5'].map((text) => savedState(Buffer.from(text))));
    await Promise.all(all.map((saved) => states.keep(saved)));
    expect(await readBack()).toEqual(all.at(-1));
    expect(await others()).toEqual([]);
  });

  test('stays as it was when the next one cannot be written', async () => {
    const old = await savedState(Buffer.from('old'));
    await states.keep(old);
    await mkdir(`${states.file('keeper')}.new`);
    await expect(states.keep(await savedState(Buffer.from('new')))).rejects.toMatchObject({ code: 'StateNotKept' });
    expect(await readBack()).toEqual(old);
  });
});

test('a state that changes in memory after it was saved is not loaded', async () => {
  const state = await sealState(1, Buffer.from('as it was'));
  await expect(requireIntact(state)).resolves.toBeUndefined();
  state.bytes[3] = 0;
  await expect(requireIntact(state)).rejects.toMatchObject({ code: 'StateRefused' });
});

/** `strace` can end a process at any of its system calls. */
function canTrace(): boolean {
  try {
    execFileSync('strace', ['-f', '-o', '/dev/null', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!canTrace())('a host that is killed while it keeps a state', () => {
  /** Keep 'new' in a process that is killed before its `nth` system call `name` on the files; the calls it made. */
  async function keepTraced(name: string, nth: number): Promise<string[]> {
    const file = states.file('keeper');
    const log = path.join(directory, 'calls');
    const places = [directory, file, `${file}.new`].flatMap((place) => ['-P', place]);
    const traced = ['-f', '-qq', '-e', 'signal=none', '-o', log, ...places];
    const kill = ['-e', `inject=${name}:signal=SIGKILL:when=${nth}`];
    const program = [process.execPath, '--import', import.meta.resolve('tsx'), driver, directory, '300'];
    // One thread for files: calls are counted for each thread.
    const env = { ...process.env, UV_THREADPOOL_SIZE: '1' };
    await run('strace', [...traced, ...(nth > 0 ? kill : []), ...program], { env }).catch((error: unknown) => {
      if (nth === 0) throw error; // otherwise it ends by the signal
    });
    const text = await readFile(log, 'utf8');
    await rm(log);
    return [...text.matchAll(/^\d+ +(\w+)\(/gm)].map(([, call = '']) => call);
  }

  test('leaves the old or the new one at every point, and the next host keeps on', { timeout: 120_000 }, async () => {
    const old = await savedState(Buffer.from('old'));
    const fresh = await savedState(Buffer.alloc(300, 'new'));
    await states.keep(old);
    const calls = await keepTraced('', 0);
    const durable = 'openat write write fsync close rename openat fsync close'.split(' ');
    expect(calls.slice(-durable.length)).toEqual(durable);

    const begin = calls.length - durable.length;
    const seen: string[] = [];
    for (let at = begin; at < calls.length; at += 1) {
      const call = calls[at] ?? '';
      await states.keep(old);
      const made = await keepTraced(call, calls.slice(0, at + 1).filter((name) => name === call).length);
      expect(made).toEqual(calls.slice(0, at + 1));
      const found = await readBack();
      expect([old, fresh], `killed before ${call}`).toContainEqual(found);
      seen.push(JSON.stringify(found) === JSON.stringify(old) ? 'old' : 'new');
      await states.keep(fresh);
      expect(await readBack()).toEqual(fresh);
      expect(await others()).toEqual([]);
    }
    expect(seen.join(' ')).toBe('old old old new new new new new new');
  });
});
