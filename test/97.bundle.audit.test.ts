import { appendFile, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Audit, type AuditEntry } from '../src/bundle/audit.js';

const fault = vi.hoisted(() => ({ bytes: Number.POSITIVE_INFINITY, truncates: true }));
vi.mock(import('node:fs/promises'), async (original) => {
  const real = await original();
  const open: typeof real.open = async (...given) => {
    const handle = await real.open(...given);
    if (fault.bytes === Number.POSITIVE_INFINITY) return handle;
    handle.writeFile = async (text) => {
      await handle.write(String(text).slice(0, fault.bytes));
      throw new Error('no space left on device');
    };
    if (!fault.truncates) handle.truncate = () => Promise.reject(new Error('input/output error'));
    return handle;
  };
  return { ...real, open };
});

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tenon-audit-'));
  file = path.join(folder, 'audit.log');
});
afterEach(() => {
  fault.bytes = Number.POSITIVE_INFINITY;
  return rm(folder, { recursive: true, force: true });
});

function entry(plugin: string): AuditEntry {
  return { action: 'install', plugin, version: '1.0.0', by: 'api' };
}

async function written(count: number, audit = new Audit(file)): Promise<Audit> {
  for (let at = 1; at <= count; at++) await audit.write(entry(`plugin-${at}`));
  return audit;
}

async function lines(name = file): Promise<string[]> {
  return (await readFile(name, 'utf8')).split('\n').slice(0, -1);
}

/** Messages of the problems that a host finds that starts now. */
async function problems(): Promise<string[]> {
  const { problems: found } = await new Audit(file).check();
  return found.map(({ file: name, line, message }) => `${name}:${line} ${message}`);
}

describe('the audit log', () => {
  test('has a line for each entry, of its owner alone, with number, time and hash of the one before', async () => {
    const audit = await written(2);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const [first, second] = (await lines()).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(first).toEqual({
      seq: 1,
      at: expect.stringMatching(/^\d{4}-.*Z$/),
      previous: '0'.repeat(64),
      ...entry('plugin-1'),
    });
    expect(second).toMatchObject({ seq: 2, previous: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(await audit.entries(1)).toEqual([second]);
    expect(await audit.check()).toMatchObject({ intact: true, lines: 2, first: 1, last: 2, problems: [] });
  });

  test('goes on where the host before has ended', async () => {
    await written(2);
    const audit = await written(2);
    expect((await audit.entries(9)).map(({ seq }) => seq)).toEqual([4, 3, 2, 1]);
    expect(await problems()).toEqual([]);
  });

  test('has every one of many entries at once', async () => {
    const audit = new Audit(file);
    await Promise.all(Array.from({ length: 50 }, (_, at) => audit.write(entry(`plugin-${at}`))));
    expect((await audit.entries(100)).map(({ plugin }) => plugin)).toEqual(
      Array.from({ length: 50 }, (_, at) => `plugin-${49 - at}`),
    );
    expect(await problems()).toEqual([]);
  });

  test('keeps one entry in one line, whatever it says', async () => {
    const audit = new Audit(file);
    await audit.write({ action: 'refuse', message: `a\nb\u2028${'x'.repeat(5000)}`, by: 'api' });
    expect(await lines()).toHaveLength(1);
    expect((await audit.entries(1))[0]?.message).toHaveLength(2000);
  });

  test('shows a line that was changed, taken out, or put in', async () => {
    await written(5);
    const before = await lines();
    const put = (changed: string[]): Promise<void> => writeFile(file, `${changed.join('\n')}\n`);
    await put(before.with(1, (before[1] ?? '').replace('plugin-2', 'plugin-9')));
    expect(await problems()).toEqual(['audit.log:3 does not follow the line before it, which was changed']);
    await put(before.toSpliced(2, 1));
    expect(await problems()).toEqual(['audit.log:3 has the number 4, the one before it 2']);
    await put(before.slice(1));
    expect(await problems()).toEqual(['audit.log:1 has the number 2, the one before it 0']);
    await put(before.toSpliced(1, 0, 'nothing to see here'));
    expect(await problems()).toEqual([
      'audit.log:2 is no line of the log',
      'audit.log:3 does not follow the line before it, which was changed',
    ]);
  });

  test('shows the hash of its last line, by which lines that were cut off its end are seen', async () => {
    await written(3);
    const whole = await new Audit(file).check();
    await writeFile(file, `${(await lines()).slice(0, 2).join('\n')}\n`);
    const cut = await new Audit(file).check();
    expect(cut.intact).toBe(true);
    expect(cut.sha256).not.toBe(whole.sha256);
  });

  test('shows lines that were cut off its end while a host runs, at the next entry', async () => {
    const audit = await written(3);
    await writeFile(file, `${(await lines()).slice(0, 2).join('\n')}\n`);
    await audit.write(entry('next'));
    expect(await problems()).toEqual([
      'audit.log:3 has the number 4, the one before it 2',
      'audit.log:3 was written where the log was damaged: the file is not what this host has left',
    ]);
  });

  test('goes on behind a line that was cut by a crash, and says so', async () => {
    await written(2);
    await appendFile(file, '{"seq":3,"at":"20');
    expect(await problems()).toEqual(['audit.log:3 is no line of the log', 'audit.log:3 is cut: it has no end']);
    const audit = await written(2);
    expect((await audit.entries(9)).map(({ seq }) => seq)).toEqual([4, 3, 2, 1]);
    expect(await problems()).toEqual([
      'audit.log:3 is no line of the log',
      'audit.log:4 was written where the log was damaged: its last line was cut',
    ]);
  });

  test('goes on behind what is no log at all', async () => {
    await writeFile(file, '\0\xff\n\n[]\nnull\n');
    const audit = await written(1);
    expect((await audit.entries(9)).map(({ seq }) => seq)).toEqual([1]);
    expect((await problems()).at(-1)).toContain('it has no line of the log');
  });

  test('keeps so many files of so many bytes, in one chain', async () => {
    const limits = { bytes: 1000, files: 2 };
    await written(12, new Audit(file, limits));
    await written(12, new Audit(file, limits));
    expect((await readdir(folder)).toSorted()).toEqual(['audit.log', 'audit.log.1', 'audit.log.2']);
    for (const name of await readdir(folder)) expect((await stat(path.join(folder, name))).size).toBeLessThan(1001);
    const audit = new Audit(file, limits);
    const { first, ...check } = await audit.check();
    expect(check).toMatchObject({ intact: true, last: 24, problems: [] });
    expect(first).toBeGreaterThan(1);
    expect((await audit.entries(100)).map(({ seq }) => seq)).toEqual(
      Array.from({ length: 25 - first }, (_, at) => 24 - at),
    );
    await rm(`${file}.1`);
    expect((await audit.check()).intact).toBe(false);
  });

  test('goes on after a crash between two files', async () => {
    const limits = { bytes: 1000, files: 2 };
    await written(4, new Audit(file, limits));
    await rm(file);
    const audit = new Audit(file, limits);
    await audit.write(entry('next'));
    expect((await audit.check()).problems.map(({ message }) => message)).toEqual([]);
  });

  test('that cannot be written rejects, and takes the next entry when it can', async () => {
    const gone = path.join(folder, 'gone');
    await symlink(path.join(folder, 'elsewhere'), file);
    const audit = new Audit(file);
    await expect(audit.write(entry('one'))).rejects.toMatchObject({ code: 'NotRecorded', details: { file } });
    await rm(file);
    await audit.write(entry('two'));
    expect(await lines()).toHaveLength(1);
    await expect(new Audit(path.join(gone, 'audit.log')).write(entry('one'))).rejects.toMatchObject({
      code: 'NotRecorded',
    });
  });

  test.each([
    ['is taken back', true, []],
    [
      'stays, and the next line says so',
      false,
      ['audit.log:2 is no line of the log', 'audit.log:3 was written where the log was damaged: its last line was cut'],
    ],
  ])('half a line that a full disk has left %s', async (_, truncates, expected) => {
    const audit = await written(1);
    Object.assign(fault, { bytes: 20, truncates });
    await expect(audit.write(entry('lost'))).rejects.toMatchObject({
      code: 'NotRecorded',
      message: `${file} could not be written: no space left on device`,
    });
    fault.bytes = Number.POSITIVE_INFINITY;
    await audit.write(entry('next'));
    expect((await audit.entries(9)).map(({ seq, plugin }) => [seq, plugin])).toEqual([
      [2, 'next'],
      [1, 'plugin-1'],
    ]);
    expect(await problems()).toEqual(expected);
  });
});
