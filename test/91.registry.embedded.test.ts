import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rename } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { EmbeddedDatabase, type EmbeddedDatabaseOptions, registryTemplate } from '../src/registry/embedded.js';
import { type Listening, listen } from './registry/listening.js';

// A start of PGlite takes seconds of a core.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const soon: NonNullable<EmbeddedDatabaseOptions['backoff']> = { leastMs: 10, mostMs: 100 };

/** `strace` tells what a process asks of the system. */
function canTrace(): boolean {
  try {
    execFileSync('strace', ['-f', '-o', '/dev/null', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** A directory that was opened once, to copy: a first start takes its time. */
let made: string;
let home: string;
let directory: string;
const open: Listening[] = [];

function start(options: Partial<EmbeddedDatabaseOptions> = {}): Listening {
  const listening = listen(new EmbeddedDatabase({ directory, backoff: soon, ...options }));
  open.push(listening);
  return listening;
}

beforeAll(async () => {
  made = mkdtempSync(path.join(os.tmpdir(), 'tenon-registry-'));
  directory = path.join(made, 'registry');
  const first = listen(new EmbeddedDatabase({ directory }));
  await first.connected();
  await first.database.query("INSERT INTO plugins (name) VALUES ('kept')");
  await first.database.close();
});
afterAll(() => rmSync(made, { recursive: true, force: true }));
beforeEach(() => {
  home = mkdtempSync(path.join(os.tmpdir(), 'tenon-registry-'));
  directory = path.join(home, 'registry');
});
afterEach(async () => {
  for (const { database } of open.splice(0)) await database.close();
  rmSync(home, { recursive: true, force: true });
});

/** A copy that has to be moved into its place at once. */
const copied = async (): Promise<string> => {
  const beside = await mkdtemp(path.join(home, 'copy-'));
  cpSync(path.join(made, 'registry'), path.join(beside, 'registry'), { recursive: true });
  return beside;
};
const copy = (): void => cpSync(path.join(made, 'registry'), directory, { recursive: true });
const names = async ({ database }: Listening): Promise<string[]> =>
  (await database.query<{ name: string }>('SELECT name FROM plugins ORDER BY name')).map(({ name }) => name);

describe('a first start', () => {
  test('begins with the template that the build makes, and leaves nothing beside it', async () => {
    expect(existsSync(registryTemplate), 'run `npm run build`').toBe(true);
    const one = start();
    await one.connected();
    expect(await names(one)).toEqual([]);
    expect(readdirSync(home)).toEqual(['registry']);
  });

  test('goes without one, into an empty directory', async () => {
    mkdirSync(directory);
    const one = start({ template: null });
    await one.connected();
    expect(await one.database.query('SHOW wal_segment_size')).toEqual([{ wal_segment_size: '1MB' }]);
    expect(readdirSync(home)).toEqual(['registry']);
  });

  test('that was cut short leaves nothing that counts', async () => {
    mkdirSync(`${directory}.new/base`, { recursive: true });
    writeFileSync(`${directory}.new/PG_VERSION`, '17\n');
    const one = start();
    await one.connected();
    expect(readdirSync(home)).toEqual(['registry']);
  });

  test('from a damaged template is refused by name, and goes once that is whole', async () => {
    const template = path.join(home, 'template.tar.gz');
    cpSync(registryTemplate, template);
    truncateSync(template, 100_000);
    const one = start({ template });
    await one.lost();
    expect(one.told[0]).toMatch(/template\.tar\.gz is damaged/);
    cpSync(registryTemplate, template);
    await one.connected();
  });
});

/** A process that writes `rows` rows, one after the other, and tells the number of each once it is written. */
const writer = (rows: number): string[] => [
  process.execPath,
  '--input-type=module',
  '-e',
  `import { EmbeddedDatabase } from ${JSON.stringify(path.resolve('dist/registry/embedded.js'))};
   const database = new EmbeddedDatabase({ directory: process.argv[1] });
   database.open({ prepare: async () => {}, lost: console.error, notified: () => {}, connected: async () => {
     for (let at = 0; at < ${rows}; at += 1) {
       await database.query('INSERT INTO plugins (name) VALUES ($1)', ['p' + at]);
       console.log(at);
     }
     process.kill(process.pid, 'SIGKILL');
   }});`,
  directory,
];
const written = (rows: number): string[] => Array.from({ length: rows }, (_, at) => `p${at}`);

test('what was written is there again, also when the process was killed', async () => {
  copy();
  const [program = '', ...given] = writer(10_000);
  const child = spawn(program, given, { stdio: ['ignore', 'pipe', 'inherit'] });
  let last = -1;
  child.stdout.on('data', (bytes: Buffer) => {
    last = Number(bytes.toString().trim().split('\n').at(-1));
  });
  await vi.waitUntil(() => last >= 20, { timeout: 170_000, interval: 5 });
  child.kill('SIGKILL');
  await once(child, 'close');
  const one = start();
  await one.connected();
  expect(await names(one)).toEqual(expect.arrayContaining(['kept', ...written(last + 1)]));
});

test.skipIf(!canTrace())('what is written is on disk before it is said to be', async () => {
  copy();
  const trace = path.join(home, 'trace');
  const traced = ['-f', '-qq', '-y', '-e', 'trace=fsync,fdatasync', '-o', trace, ...writer(10)];
  await promisify(execFile)('strace', traced).catch(() => {}); // it ends by a signal
  const ofLog = readFileSync(trace, 'utf8').match(/f(?:data)?sync\(\d+<[^>]*\/pg_wal\/[0-9A-F]{24}>/g) ?? [];
  expect(ofLog.length).toBeGreaterThanOrEqual(10);
});

test('the log is cut and old rows are swept out now and then', async () => {
  copy();
  const one = start({ times: { upkeepMs: 200 } });
  await one.connected();
  const done = async (): Promise<object[]> =>
    one.database.query(
      `SELECT (SELECT redo_lsn FROM pg_control_checkpoint()) > $1::pg_lsn AS cut, last_vacuum > $2 AS swept
                        FROM pg_stat_user_tables WHERE relname = 'plugins'`,
      before,
    );
  const before = Object.values(
    (await one.database.query<object>('SELECT pg_current_wal_lsn()::text AS log, now() AS at'))[0] ?? {},
  );
  await one.database.query("UPDATE plugins SET status = 'disabled'");
  await expect.poll(done, { timeout: 30_000 }).toEqual([{ cut: true, swept: true }]);
  expect(one.told).toEqual(['connected']);
});

describe('is opened again', () => {
  test('when PGlite aborts: what is under way is told why', async () => {
    copy();
    const one = start();
    await one.connected();
    await rename(path.join(directory, 'pg_wal'), path.join(home, 'wal'));
    const lost = one.database.query(
      "INSERT INTO plugins (name) VALUES ('lost'); SELECT pg_switch_wal(); INSERT INTO plugins (name) VALUES ('too')",
    );
    await expect(lost).rejects.toThrow(/PGlite has aborted: PANIC: could not create file "pg_wal/);
    await one.lost();
    await rename(path.join(home, 'wal'), path.join(directory, 'pg_wal'));
    await one.connected(2);
    expect(await names(one)).toEqual(['kept']);
  });

  test('when a statement does not end', async () => {
    copy();
    const one = start({ times: { statementMs: 5000 } });
    await one.connected();
    await expect(one.database.query('DO $$ BEGIN LOOP END LOOP; END $$')).rejects.toThrow(
      /a statement was not done after 5000 ms/,
    );
    await one.connected(2);
    expect(await names(one)).toEqual(['kept']);
  });
});

describe('a damaged directory is named, and goes again once it is mended', () => {
  const damages: [string, RegExp, () => void][] = [
    ['no version', /it has no PG_VERSION/, () => rmSync(path.join(directory, 'PG_VERSION'))],
    ['an empty control file', /PANIC: /, () => truncateSync(path.join(directory, 'global', 'pg_control'))],
    ['no log', /FATAL: /, () => rmSync(path.join(directory, 'pg_wal'), { recursive: true })],
  ];

  test.each(damages)('%s', async (_, why, damage) => {
    copy();
    damage();
    const one = start();
    await one.lost();
    expect(one.told[0]).toContain(directory);
    expect(one.told[0]).toMatch(why);
    expect(one.errors[0]).toMatchObject({ code: 'RegistryUnavailable', next: expect.stringMatching(/remove it/) });
    await expect(one.database.query('SELECT 1')).rejects.toThrow(why);
    const whole = await copied();
    rmSync(directory, { recursive: true });
    renameSync(path.join(whole, 'registry'), directory);
    await one.connected();
    expect(await names(one)).toEqual(['kept']);
  });
});

test('a directory that is not absolute is a mistake', () => {
  expect(() => new EmbeddedDatabase({ directory: 'data' })).toThrow(TypeError);
});
