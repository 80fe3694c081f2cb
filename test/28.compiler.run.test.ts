import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ran, type RunOptions, run } from '../src/compiler/run.js';
import { until } from './load/world.js';

const linux = process.platform === 'linux';
const limits = { memory: 1024 ** 3, file: 1024 ** 2 };

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-run-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

function shell(script: string, options: Partial<RunOptions> = {}): Promise<Ran> {
  const env = { PATH: process.env['PATH'] ?? '' };
  const usual = { cwd: directory, env, timeLimitMs: 60_000, outputLimit: 1024 };
  return run('/bin/sh', ['-c', script], { ...usual, ...options });
}

function alive(pid: number): boolean {
  try {
    if (linux) return !/^\d+ \(.*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Of the process that wrote its number to `name`, once it has. */
async function pidIn(name: string): Promise<number> {
  let pid = 0;
  await until(`${name} is written`, async () => {
    pid = Number(await readFile(path.join(directory, name), 'utf8').catch(() => ''));
    return pid > 0;
  });
  return pid;
}

describe('a tool', () => {
  test('is heard on both streams, and its answer is on one', async () => {
    const ran = await shell('echo out; echo error >&2; exit 3');
    expect(ran).toMatchObject({ status: 3, answer: 'out\n', killed: undefined, end: 'it ended with status 3' });
    expect(ran.output.split('\n').sort()).toEqual(['', 'error', 'out']);
  });

  test('is ended with its time, also when it refuses and has closed its streams', async () => {
    const ran = await shell('trap "" TERM; echo $$ > deaf; exec >&- 2>&-; while :; do sleep 1; done', {
      timeLimitMs: 500,
    });
    expect(ran).toMatchObject({ status: null, killed: 'timeout', end: 'it was ended after 500 ms' });
    expect(alive(await pidIn('deaf'))).toBe(false);
  });

  test('may take as long as a timer cannot count', async () => {
    expect((await shell('sleep 0.2', { timeLimitMs: Number.POSITIVE_INFINITY })).status).toBe(0);
  });

  test('that writes without an end is ended, and the beginning is kept', async () => {
    const ran = await shell('exec yes', { floodLimit: 1024 ** 2 });
    expect(ran).toMatchObject({ killed: 'output', output: 'y\n'.repeat(512) });
    expect(ran.end).toBe('it was ended because it wrote more than 1 MiB of output');
  });

  test('is not waited for by those who hold its streams after it', async () => {
    const ran = await shell('sleep 300 & echo $! > heir; exit 0');
    expect(ran).toMatchObject({ status: 0, killed: undefined });
    expect(alive(await pidIn('heir'))).toBe(false);
  });

  test.runIf(linux)('is found by its mark when it left its session', async () => {
    const abort = new AbortController();
    const ran = shell('setsid sh -c "echo \\$\\$ > gone; exec sleep 300" & wait', {
      mark: 'a-mark-of-the-tests',
      signal: abort.signal,
    });
    const pid = await pidIn('gone');
    abort.abort();
    expect(await ran).toMatchObject({ killed: 'aborted', end: 'it was interrupted' });
    expect(alive(pid)).toBe(false);
  });

  test('is not started when it is aborted before', async () => {
    const ran = await shell('echo > started', { signal: AbortSignal.abort() });
    expect(ran).toMatchObject({ killed: 'aborted' });
    await expect(readFile(path.join(directory, 'started'))).rejects.toThrow('ENOENT');
  });

  test.each([
    ['KILL', 'it was ended by SIGKILL, as the system does when memory runs out'],
    ['SEGV', 'it was ended by SIGSEGV'],
    ['XCPU', 'it was ended by SIGXCPU after 1800 s of processor time'],
  ])('that ends by SIG%s says so', async (signal, end) => {
    expect(await shell(`kill -${signal} $$`, { limits })).toMatchObject({ status: null, killed: undefined, end });
  });

  test('may not write a larger file than it may', async () => {
    const { status, end } = await shell('exec dd if=/dev/zero of=large bs=65536 count=64', { limits });
    expect([status, end]).toEqual([null, 'it was ended by SIGXFSZ because it wrote more than 1 MiB to one file']);
  });
});

describe('a tool that cannot be started', () => {
  const start = (program: string, parameters: string[] = [], cwd = directory): Promise<Ran> =>
    run(program, parameters, { cwd, env: {}, timeLimitMs: 60_000, outputLimit: 1024 });

  test('is named, with the reason', async () => {
    const file = path.join(directory, 'no-program');
    await writeFile(file, '', { mode: 0o644 });
    await mkdir(path.join(directory, 'folder'));
    for (const [program, why] of [
      [path.join(directory, 'nowhere'), 'ENOENT'],
      [file, 'EACCES'],
      [path.join(directory, 'folder'), 'EACCES'],
    ] as const)
      await expect(start(program)).rejects.toMatchObject({
        code: 'ToolchainMissing',
        message: `${program} cannot be started in ${directory}: ${why}`,
      });
    const elsewhere = path.join(directory, 'no-folder');
    await expect(start('/bin/sh', [], elsewhere)).rejects.toThrow(`/bin/sh cannot be started in ${elsewhere}: ENOENT`);
  });

  test('for the length of what it is told', async () => {
    const long = Array.from({ length: 64 }, () => 'x'.repeat(120_000));
    await expect(start('/bin/echo', long)).rejects.toMatchObject({
      code: 'BuildFailed',
      message: `/bin/echo cannot be started in ${directory}: E2BIG`,
    });
  });

  test('for want of file descriptors does not end the host', async () => {
    const script = path.join(directory, 'exhaust.mts');
    const module = JSON.stringify(path.resolve(import.meta.dirname, '../src/compiler/run.ts'));
    await writeFile(
      script,
      `import { openSync } from 'node:fs';
import { run } from ${module};
const options = { cwd: '/', env: {}, timeLimitMs: 60_000, outputLimit: 1024 };
await run('/bin/sh', ['-c', ':'], options);
try { for (;;) openSync('/dev/null'); } catch {}
console.log(await run('/bin/sh', ['-c', ':'], options).then(() => 'started', (error) => error.code + ' ' + error.message));
`,
    );
    const tsx = import.meta.resolve('tsx');
    const ran = await shell(`ulimit -n 64; exec '${process.execPath}' --import '${tsx}' '${script}'`);
    expect(ran.output.trim()).toMatch(/^BuildFailed \/bin\/sh cannot be started in \/: E[MN]FILE$/);
  });
});
