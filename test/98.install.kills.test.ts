import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadCore } from '../src/binding/core.js';
import { look, Places } from '../src/bundle/place.js';
import { makeBundle } from './load/bundles.js';
import { World } from './load/world.js';

const run = promisify(execFile);
const here = path.dirname(fileURLToPath(import.meta.url));
const core = loadCore();
/** Calls that change what is on the disk, or see it there. */
const durable = ['mkdir', 'fsync', 'chmod', 'fchmod', 'rename', 'renameat2', 'unlink', 'unlinkat', 'rmdir'];

/** `strace` can end a process at any of its system calls. */
function canTrace(): boolean {
  try {
    execFileSync('strace', ['-f', '-o', '/dev/null', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Run the driver, or have it killed (or `what`) before its `nth` call `name`; the calls it has begun. */
async function traced(
  log: string,
  words: readonly string[],
  name = '',
  nth = 0,
  what = 'signal=SIGKILL',
): Promise<string[]> {
  const kill = nth > 0 ? ['-e', `inject=${name}:${what}:when=${nth}`] : [];
  const options = ['-f', '-qq', '-e', 'signal=none', '-e', `trace=${durable.join(',')}`, '-o', log, ...kill];
  // One thread for files: calls are counted for each thread.
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1' };
  await run('strace', [...options, process.execPath, ...words], { env }).catch((error: unknown) => {
    if (nth === 0) throw error; // otherwise it ends by the signal
  });
  const text = await readFile(log, 'utf8');
  await rm(log);
  return [...text.matchAll(/^\d+ +(\w+)\(/gm)].map(([, call = '']) => call);
}

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-places-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const driver = path.join(here, 'bundle', 'place.mjs');

const places = (applications: string): Places =>
  new Places({ directory: applications, owner: 'test', exchange: (one, other) => core.exchangeNames(one, other) });

const bundle = (text: string): [string, Buffer][] => [
  ['manifest.json', Buffer.from(text)],
  ['lib/shop.so', Buffer.from(text)],
];

/** Which bundle is there, all of it, and nothing else; what is there, when that is not so. */
async function found(applications: string): Promise<string> {
  const files = await readdir(applications, { recursive: true, withFileTypes: true });
  const names = files.map((file) => path.relative(applications, path.join(file.parentPath, file.name))).toSorted();
  if (names.length === 0) return 'none';
  const whole = ['shop', 'shop/lib', 'shop/lib/shop.so', 'shop/manifest.json'];
  const texts = await Promise.all(
    whole
      .filter((name) => name.includes('.'))
      .map((name) => readFile(path.join(applications, name), 'utf8').catch(() => '')),
  );
  return names.join() === whole.join() && new Set(texts).size === 1 ? (texts[0] ?? '') : names.join();
}

/** A directory of applications with the old bundle in it, or nothing. */
async function made(name: string, before: string): Promise<string> {
  const applications = path.join(directory, name);
  const there = places(applications);
  const staged = await there.stage(bundle('old'));
  if (before === 'old') await (await there.put(staged, path.join(applications, 'shop'), undefined)).finish();
  else await there.discard(staged);
  return applications;
}

describe.skipIf(!canTrace())('a process that is killed', () => {
  test.each([
    ['swap', 'old', 'old new'],
    ['steps', 'old', 'old new'],
    ['undo', 'old', 'old new old'],
    ['first', 'none', 'none new'],
    ['take', 'old', 'old none'],
  ])(
    'at any step (%s) leaves the old bundle or the new one, whole, once the next one has swept',
    async (mode, before, expected) => {
      const log = path.join(directory, 'calls');
      const anew = (name: string): Promise<string> => made(name, before);
      const first = await anew('whole');
      const calls = await traced(log, [driver, first, mode, 'new']);
      const last = await found(first);
      expect(calls.length).toBeGreaterThan(mode === 'take' ? 4 : 12);
      const seen: string[] = [];
      for (const [at, call] of calls.entries()) {
        const applications = await anew(String(at));
        const nth = calls.slice(0, at + 1).filter((name) => name === call).length;
        await traced(log, [driver, applications, mode, 'new'], call, nth);
        await places(applications).sweep();
        seen.push(await found(applications));
        await places(applications).sweep();
        expect(await found(applications)).toBe(seen.at(-1));
      }
      const steps = [...seen, last].filter((one, at, all) => one !== all[at - 1]);
      expect(steps.join(' '), calls.join(' ')).toBe(expected);
    },
    180_000,
  );

  test('as a host that exchanges two versions: the next host serves the new one or the old one', async () => {
    const world = await World.make();
    try {
      const open = { uploadSignatures: 'off', localSignatures: 'off' };
      await world.start(open);
      await world.host.install(await makeBundle('shop'), { origin: 'upload', by: 'a test' });
      await world.host.close();
      const archive = path.join(world.directory, 'shop.tgz');
      await writeFile(archive, await makeBundle('shop', { version: '2.0.0' }));
      const words = [path.join(here, 'bundle', 'host.mjs'), world.applications, world.data, archive];
      const calls = await traced(path.join(world.directory, 'calls'), words, 'renameat2', 1);
      expect(calls.at(-1)).toBe('renameat2');
      expect((await readdir(world.applications)).filter((name) => name.startsWith('.tenon-'))).toHaveLength(1);
      await world.start(open);
      expect(['1.0.0', '2.0.0']).toContain((await world.get('/shop/version')).body);
      expect(await readdir(world.applications)).toEqual(['shop']);
    } finally {
      await world.close();
    }
  }, 60_000);
});

describe.skipIf(!canTrace())('a disk that fails', () => {
  test.each([
    ['swap', 'old', 'EIO', 'old old old old old new'],
    ['steps', 'old', 'EIO', 'old old old old old old new'],
    ['first', 'none', 'EIO', 'none none none none none'],
    ['swap', 'old', 'EINVAL', 'old old new new new new'],
  ])(
    'to sync (%s, %s there, %s) leaves the old bundle or the new one, and nothing else',
    async (mode, before, error, expected) => {
      const log = path.join(directory, 'calls');
      const calls = await traced(log, [driver, await made('whole', before), mode, 'new']);
      const seen: string[] = [];
      for (const at of calls.filter((call) => call === 'fsync').keys()) {
        const applications = await made(String(at), before);
        await traced(log, [driver, applications, mode, 'new'], 'fsync', at + 1, `error=${error}`);
        seen.push(await found(applications));
      }
      expect(seen.join(' ')).toBe(expected);
    },
    60_000,
  );
});

describe.each([true, false])('putting a bundle in place (in one step: %s)', (atOnce) => {
  const placesOf = (meanwhile: () => void = () => {}): Places =>
    new Places({
      directory,
      owner: 'test',
      exchange: (one, other) => {
        meanwhile();
        return atOnce && core.exchangeNames(one, other);
      },
    });
  const folder = (): string => path.join(directory, 'shop');
  const someoneElse = (): void => {
    rmSync(folder(), { recursive: true, force: true });
    mkdirSync(folder());
    writeFileSync(path.join(folder(), 'work.c'), 'my work');
  };

  test.each(['before', 'at the last moment'])('leaves a folder alone that has come meanwhile (%s)', async (when) => {
    const there = placesOf(when === 'before' ? undefined : someoneElse);
    await (await placesOf().put(await there.stage(bundle('old')), folder(), undefined)).finish();
    const expected = await look(folder());
    const staged = await there.stage(bundle('new'));
    if (when === 'before') someoneElse();
    await expect(there.put(staged, folder(), expected)).rejects.toMatchObject({ code: 'EEXIST' });
    expect(await readdir(directory, { recursive: true })).toEqual(['shop', 'shop/work.c']);
  });

  test('leaves a folder alone that has come where nothing was, or whose manifest is another one', async () => {
    const there = placesOf();
    someoneElse();
    await expect(there.put(await there.stage(bundle('new')), folder(), undefined)).rejects.toMatchObject({
      code: 'EEXIST',
    });
    const expected = await look(folder());
    writeFileSync(path.join(folder(), 'manifest.json'), 'mine');
    await expect(there.put(await there.stage(bundle('new')), folder(), expected)).rejects.toMatchObject({
      code: 'EEXIST',
    });
    expect((await readdir(directory, { recursive: true })).toSorted()).toEqual([
      'shop',
      'shop/manifest.json',
      'shop/work.c',
    ]);
  });
});

test.skipIf(!canTrace())('what cannot be cleared away is told, and all else is', async () => {
  const applications = await made('swept', 'none');
  const [told, log] = ['told', 'calls'].map((name) => path.join(directory, name)) as [string, string];
  const sweep = async (call: string): Promise<unknown> => {
    await traced(log, [driver, applications, 'sweep', told], call, 1, 'error=EIO');
    return JSON.parse(await readFile(told, 'utf8'));
  };
  for (const name of ['.tenon-test-a@one', '.tenon-test-b@two', '.tenon-test-c'])
    await mkdir(path.join(applications, name));
  expect(await sweep('rename')).toEqual(['.tenon-test-a@one']);
  expect((await readdir(applications)).toSorted()).toEqual(['.tenon-test-a@one', 'two']);
  expect(await sweep('fsync')).toEqual(['swept']);
  expect((await readdir(applications)).toSorted()).toEqual(['one', 'two']);
  // Nothing was to be done.
  expect(await sweep('fsync')).toEqual([]);
});
