import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TenonError } from '../src/base/errors.js';
import { loadCore } from '../src/binding/core.js';
import { type Admitted, type AdmitOptions, admit, readImage } from '../src/plugin/admit.js';
import { planOf } from '../src/plugin/isolation.js';
import { Staging } from '../src/plugin/stage.js';
import { Trial } from '../src/plugin/trial.js';
import { buildPlugin } from './plugins/build.js';

const core = loadCore();
let trial: Trial;
let directory: string;
let staging: Staging;

beforeAll(() => {
  trial = new Trial();
});
afterAll(() => trial.close());
beforeEach(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'tenon-admit-'));
  staging = await Staging.open({ dataDirectory: directory, core });
});
afterEach(async () => {
  await staging.close();
  rmSync(directory, { recursive: true });
});

async function failureOf(promise: Promise<unknown>): Promise<TenonError> {
  const error = await promise.then(
    () => new Error('it passed'),
    (reason: unknown) => reason,
  );
  if (error instanceof TenonError) return error;
  throw error;
}

function admitted(file: string, options: Partial<AdmitOptions> = {}): Promise<Admitted> {
  return admit(file, { core, trial, staging, ...options });
}

/** A copy of a built plugin, to be changed. */
async function copyOf(name: string): Promise<string> {
  const file = path.join(directory, `${name}.so`);
  copyFileSync(await buildPlugin(name), file);
  return file;
}

describe('a library that passes', () => {
  test('is staged as the very bytes that were checked', async () => {
    const file = await copyOf('ok');
    const result = await admitted(file, { expectedId: 'fault' });
    const bytes = readFileSync(file);
    expect(readFileSync(result.staged.path).equals(bytes)).toBe(true);
    expect(result).toMatchObject({ size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
    expect(result.facts.note.id).toBe('fault');
    for (const time of Object.values(result.timings)) expect(time).toBeGreaterThan(0);
  });

  test('lies where nobody else can write, under a name that is never used again', async () => {
    const file = await copyOf('ok');
    const first = await admitted(file);
    first.staged.unlink();
    const second = await admitted(file);
    expect(second.staged.path).not.toBe(first.staged.path);
    expect(statSync(second.staged.path).mode & 0o777).toBe(0o500);
    expect(statSync(path.dirname(second.staged.path)).mode & 0o777).toBe(0o700);
    second.staged.unlink();
    second.staged.unlink();
    expect(readdirSync(staging.directory)).toEqual([]);
  });

  test('is not touched by what happens to its source afterwards', async () => {
    const file = await copyOf('ok');
    const before = readFileSync(file);
    const { staged } = await admitted(file);
    writeFileSync(file, 'something else');
    rmSync(file);
    expect(readFileSync(staged.path).equals(before)).toBe(true);
    await trial.try(staged.path, { id: 'fault' });
  });

  test('can be admitted again from memory when its file is gone', async () => {
    const file = await copyOf('ok');
    const image = await readImage(file);
    rmSync(file);
    const result = await admitted(file, { image });
    expect(result.sha256).toBe(image.sha256);
  });

  test('is hashed alike whatever its size', async () => {
    for (const size of [1, 1024 * 1024, 1024 * 1024 + 1, 3_000_001]) {
      const file = path.join(directory, 'data');
      writeFileSync(file, Buffer.alloc(size, 'tenon'));
      expect((await readImage(file)).sha256).toBe(createHash('sha256').update(readFileSync(file)).digest('hex'));
    }
  });
});

describe('a file that is not read', () => {
  test.each([
    ['a FIFO', (file: string) => execFileSync('mkfifo', [file])],
    ['a directory', (file: string) => mkdirSync(file)],
    ['a link to a library', (file: string) => symlinkSync('/proc/self/exe', file)],
  ])('%s is ImageNotRegular', async (_, make) => {
    const file = path.join(directory, 'odd.so');
    make(file);
    expect(await failureOf(admitted(file))).toMatchObject({ code: 'ImageNotRegular', details: { path: file } });
  });

  test('a device is ImageNotRegular', async () => {
    expect((await failureOf(admitted('/dev/zero'))).code).toBe('ImageNotRegular');
  });

  test('one that is not there is ImageNotFound', async () => {
    expect((await failureOf(admitted(path.join(directory, 'none.so')))).code).toBe('ImageNotFound');
  });

  test('one of 1 TB is ImageTooLarge, and takes no memory', async () => {
    const file = path.join(directory, 'huge.so');
    writeFileSync(file, '');
    truncateSync(file, 1024 ** 4);
    const before = process.memoryUsage.rss();
    expect(await failureOf(admitted(file))).toMatchObject({ code: 'ImageTooLarge', details: { size: 1024 ** 4 } });
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024);
  });

  test('the limit is the caller’s', async () => {
    const file = await copyOf('ok');
    const size = statSync(file).size;
    expect((await failureOf(readImage(file, size - 1))).code).toBe('ImageTooLarge');
    expect((await readImage(file, size)).bytes.byteLength).toBe(size);
  });

  test('one that changes while it is read is ImageChanging', async () => {
    const file = path.join(directory, 'growing.so');
    writeFileSync(file, Buffer.alloc(32 * 1024 * 1024));
    let over = false;
    const failure = failureOf(readImage(file)).finally(() => {
      over = true;
    });
    while (!over) {
      appendFileSync(file, 'x');
      await new Promise(setImmediate);
    }
    expect((await failure).code).toBe('ImageChanging');
  });
});

describe('a library that does not pass', () => {
  test.each([
    ['no_entry', 'EntrypointNotFound'],
    ['no_note', 'ImageNoteMissing'],
    ['abi_major', 'AbiUnsupported'],
    ['abi_descriptor', 'AbiUnsupported'],
    ['other_id', 'PluginIdMismatch'],
    ['missing_symbol', 'TrialOpenFailed'],
    ['crash_in_constructor', 'TrialCrashed'],
    ['exit_in_constructor', 'TrialExited'],
    ['hang_in_constructor', 'TrialTimeout'],
    ['refuse_initialize', 'TrialRefused'],
  ])('%s is %s and leaves nothing behind', async (name, code) => {
    const error = await failureOf(admitted(await copyOf(name), { limits: { deadlineMs: 500 } }));
    expect(error.code).toBe(code);
    expect(error.next).toBeTruthy();
    expect(readdirSync(staging.directory)).toEqual([]);
  });

  test('of another plugin is PluginIdMismatch, and both are named', async () => {
    const error = await failureOf(admitted(await copyOf('ok'), { expectedId: 'counter' }));
    expect(error).toMatchObject({ code: 'PluginIdMismatch', details: { id: 'fault', expected: 'counter' } });
    expect(readdirSync(staging.directory)).toEqual([]);
  });

  test('for another machine is ImageArchitecture, and its file is named', async () => {
    const file = await copyOf('ok');
    const bytes = readFileSync(file);
    bytes.writeUInt16LE(process.arch === 'arm64' ? 62 : 183, 18);
    writeFileSync(file, bytes);
    const error = await failureOf(admitted(file));
    expect(error.code).toBe('ImageArchitecture');
    expect(error.message).toContain(file);
  });

  test('cut short is ImageTruncated', async () => {
    const file = await copyOf('ok');
    truncateSync(file, statSync(file).size - 1);
    expect((await failureOf(admitted(file))).code).toBe('ImageTruncated');
  });
});

describe('the staging directory', () => {
  const beside = (suffix: string): string => {
    const [tenon = '', owner = ''] = path.basename(staging.directory).split('-');
    return path.join(path.dirname(staging.directory), `${tenon}-${owner}-${suffix}`);
  };
  const again = (): Promise<Staging> => Staging.open({ dataDirectory: directory, core });

  test('goes with all that is in it', async () => {
    await staging.write('fault', Buffer.from('bytes'));
    await staging.close();
    await staging.close();
    expect(existsSync(staging.directory)).toBe(false);
    expect((await failureOf(staging.write('fault', Buffer.from('bytes')))).code).toBe('StagingFailed');
  });

  test('of a dead process is swept, of a living one is not', async () => {
    const dead = beside(`${spawnSync('true').pid}-1-abc`);
    const earlier = beside(`${process.pid}-1-abc`);
    const started = readFileSync(`/proc/${process.ppid}/stat`, 'latin1').split(') ').at(-1)?.split(' ')[19];
    const living = beside(`${process.ppid}-${started}-abc`);
    for (const leftover of [dead, earlier, living]) {
      mkdirSync(leftover);
      writeFileSync(path.join(leftover, 'old.so'), '');
    }
    try {
      const other = await again();
      expect([dead, earlier, living, staging.directory].map((place) => existsSync(place))).toEqual([
        false,
        false,
        true,
        true,
      ]);
      await other.close();
    } finally {
      rmSync(living, { recursive: true });
    }
  });

  test('is below the data directory where memory is not executable', async () => {
    const other = await Staging.open({
      dataDirectory: directory,
      core: { ...core, mayExecute: (place) => place !== '/dev/shm' },
    });
    expect(other.directory.startsWith(path.join(realpathSync(directory), 'staging'))).toBe(true);
    await other.close();
    expect(existsSync(other.directory)).toBe(false);
  });

  test('that may not be executable anywhere is StagingFailed', async () => {
    const error = await failureOf(
      Staging.open({ dataDirectory: directory, core: { ...core, mayExecute: () => false } }),
    );
    expect(error.code).toBe('StagingFailed');
    expect(error.message).toContain('noexec');
  });

  test('hides temporary folders from the first library on, and that of its trial is among them', async () => {
    const file = await copyOf('ok');
    const seen: { temporary: string; hidden: readonly string[]; exists: boolean }[] = [];
    const watched: Pick<Trial, 'try'> = {
      try: (_, { confined }) => {
        if (confined !== undefined) seen.push({ ...confined, exists: existsSync(confined.temporary) });
        return Promise.resolve({ routes: [], more: 0 });
      },
    };
    const before = (await staging.write('before', Buffer.from('bytes'))).hidden();
    await admitted(file, { trial: watched, isolation: planOf({}, directory) });
    expect(seen).toMatchObject([{ hidden: before, exists: true }]);
    const [{ temporary } = { temporary: '' }] = seen;
    expect(before).toContain(path.dirname(temporary));
    expect(existsSync(temporary)).toBe(false);
  });

  test('makes a temporary folder also where the system has taken away the place for them', async () => {
    const staged = await staging.write('fault', Buffer.from('bytes'));
    const before = staged.makeFolder();
    rmSync(path.dirname(before.path), { recursive: true });
    expect(existsSync(staged.makeFolder().path)).toBe(true);
  });

  test('is there where nothing temporary can be made, until something is to be', async () => {
    const usual = process.env['TMPDIR'];
    process.env['TMPDIR'] = path.join(directory, 'missing');
    writeFileSync(path.join(directory, 'temporary'), '');
    try {
      const other = await again();
      const staged = await other.write('fault', Buffer.from('bytes'));
      expect(() => staged.makeFolder()).toThrow(expect.objectContaining({ code: 'StagingFailed' }));
      await other.close();
    } finally {
      if (usual === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = usual;
    }
  });

  test('keeps files for a debugger when asked', async () => {
    const other = await Staging.open({ dataDirectory: directory, core, keepStaged: true });
    const staged = await other.write('fault', Buffer.from('bytes'));
    staged.unlink();
    await other.close();
    expect(readFileSync(staged.path, 'utf8')).toBe('bytes');
    rmSync(other.directory, { recursive: true });
  });

  test('takes bytes of any size', async () => {
    for (const size of [0, 1, 256 * 1024, 256 * 1024 + 1, 5_000_000]) {
      const bytes = Buffer.alloc(size, 'tenon');
      const staged = await staging.write('any size/../x', bytes);
      expect(path.dirname(staged.path)).toBe(staging.directory);
      expect(readFileSync(staged.path).equals(bytes)).toBe(true);
    }
  });

  test('that was taken away is StagingFailed', async () => {
    rmSync(staging.directory, { recursive: true });
    expect((await failureOf(staging.write('fault', Buffer.from('bytes')))).code).toBe('StagingFailed');
  });
});
