import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadCore } from '../src/binding/core.js';

const core = loadCore();
const addon = path.resolve(import.meta.dirname, '..', 'build', 'Release', 'tenon.node');

describe('a folder that somebody else changes', () => {
  let place: string;
  beforeEach(async () => {
    place = await mkdtemp(path.join(os.tmpdir(), 'tenon-removal-'));
  });
  afterEach(() => rm(place, { recursive: true }));

  const ways = [
    ['at once', (folder: string) => core.removeFolderNow(folder)],
    ['on another thread', (folder: string) => core.removeFolder(folder)],
  ] as const;

  test.each(ways)('is removed %s with all below it, but what links lead to', async (_, removed) => {
    const folder = path.join(place, 'folder');
    const kept = path.join(place, 'outside', 'kept');
    await mkdir(path.join(folder, 'one', 'two'), { recursive: true });
    await mkdir(path.dirname(kept));
    await writeFile(kept, '');
    await symlink(path.dirname(kept), path.join(folder, 'one', 'link'));
    await symlink(kept, path.join(folder, 'one', 'two', 'link'));
    for (let count = 0; count < 3000; count++) await writeFile(path.join(folder, 'one', `${count}`), '');
    await chmod(path.join(folder, 'one'), 0);
    expect(await removed(folder)).toBe(true);
    expect(existsSync(folder)).toBe(false);
    expect(existsSync(kept)).toBe(true);
    expect(await removed(folder)).toBe(true);
  });

  test.each(ways)('stays %s where it is a link, or is in one', async (_, removed) => {
    await mkdir(path.join(place, 'outside', 'kept'), { recursive: true });
    await symlink('outside', path.join(place, 'link'));
    expect(await removed(path.join(place, 'link'))).toBe(false);
    expect(await removed(path.join(place, 'link', 'kept'))).toBe(false);
    expect(existsSync(path.join(place, 'link', 'kept'))).toBe(true);
  });

  test('loses what is 256 deep, and keeps what is deeper', async () => {
    const deep = (levels: number): string => path.join(place, 'folder', ...Array<string>(levels - 1).fill('d'));
    await mkdir(deep(256), { recursive: true });
    expect(core.removeFolderNow(path.join(place, 'folder'))).toBe(true);
    await mkdir(path.join(deep(257), 'd'), { recursive: true });
    expect(core.removeFolderNow(path.join(place, 'folder'))).toBe(false);
    expect(existsSync(path.join(deep(257), 'd'))).toBe(true);
  });

  test('while one in it changes places with a link again and again, loses nothing that the link leads to', async () => {
    const folder = path.join(place, 'folder');
    const kept = path.join(place, 'outside', 'kept');
    await mkdir(path.dirname(kept));
    await writeFile(kept, '');
    const script = `
      const core = require(process.argv[1]);
      console.log('begun');
      for (;;) try { core.exchangeNames(process.argv[2], process.argv[3]); } catch {}`;
    const names = [path.join(folder, 'one'), path.join(folder, 'other')] as const;
    const other = spawn(process.execPath, ['-e', script, addon, ...names], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(other.stdout, 'data');
      for (let round = 0; round < 200; round++) {
        await mkdir(names[0], { recursive: true });
        for (const name of ['1', '2', '3', 'kept']) await writeFile(path.join(names[0], name), '');
        await symlink(path.dirname(kept), names[1]).catch(() => undefined);
        core.removeFolderNow(folder);
        expect(existsSync(kept)).toBe(true);
      }
    } finally {
      other.kill('SIGKILL');
      await once(other, 'exit');
    }
  });
});
