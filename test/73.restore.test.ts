import type * as files from 'node:fs/promises';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { takeBackup } from '../src/tables/backup.js';

// A disk that puts aside what is there, and then does not take what is to come.
vi.mock('node:fs/promises', async (importOriginal) => {
  const actual = await importOriginal<typeof files>();
  const rename = (from: string, to: string): Promise<void> =>
    from.endsWith('.partial') ? Promise.reject(new Error('no space left on device')) : actual.rename(from, to);
  return { ...actual, rename };
});

describe('a restore', () => {
  let place: string;
  beforeEach(async () => {
    place = await mkdtemp(path.join(tmpdir(), 'tenon-restore-'));
    for (const folder of ['backup', 'data']) {
      await mkdir(path.join(place, folder, 'tables'), { recursive: true });
      await writeFile(path.join(place, folder, 'tables', 'CURRENT'), folder);
    }
    const facts = { format: 1, madeAt: new Date(0).toISOString(), engine: '0', sequence: '0', tables: [] };
    await writeFile(path.join(place, 'backup', 'backup.json'), JSON.stringify(facts));
  });
  afterEach(() => rm(place, { recursive: true, force: true }));

  test('that fails between its two renames puts back what was there', async () => {
    const data = path.join(place, 'data');
    await expect(takeBackup(path.join(place, 'backup'), data, () => Promise.resolve())).rejects.toMatchObject({
      code: 'BackupFailed',
      message: expect.stringContaining('no space left') as string,
    });
    expect(await readdir(data)).toEqual(['tables']);
    expect(await readFile(path.join(data, 'tables', 'CURRENT'), 'utf8')).toBe('data');
  });
});
