import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BenchReport, Spread } from '../src/cli/bench-report.js';
import { spreadOf, verdictOf } from '../src/cli/bench-report.js';
import { Command } from './load/command.js';
import type { Said } from './load/tenon.js';
import { buildPlugin } from './plugins/build.js';

let directory: string;
/** Where the commands put what is temporary. */
let temporary: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-bench-test-'));
  temporary = path.join(directory, 'tmp');
  await mkdir(temporary);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function publish(id: string, library: string): Promise<string> {
  const folder = path.join(directory, 'applications', id);
  await mkdir(folder, { recursive: true });
  const file = path.join(folder, `${id}.so`);
  await writeFile(file, await readFile(library));
  return file;
}

async function bench(...words: string[]): Promise<Said> {
  const command = new Command(['bench', 'reload', ...words], directory, { TMPDIR: temporary });
  const [status] = await command.exit;
  return { status, out: command.out, err: command.err };
}

async function hashOf(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}

const spread = { p50: expect.any(Number), p95: expect.any(Number), p99: expect.any(Number), max: expect.any(Number) };

describe('tenon bench reload', () => {
  test('measures a library on a copy: phases, clients, memory, and a verdict; nothing else is touched or left', async () => {
    const file = await publish('service', await buildPlugin('service'));
    const before = await hashOf(file);
    const said = await bench('--rounds', '4', '--clients', '2', '--json');
    expect(said).toMatchObject({
      status: 0,
      err: expect.stringMatching(/^service: 4 rounds on a host of its own/) as string,
    });
    const report = JSON.parse(said.out) as BenchReport;
    expect(report).toMatchObject({
      plugin: 'service',
      measured: {
        kind: 'library',
        rounds: 4,
        clients: 2,
        route: expect.stringMatching(/^GET \/service\//) as string,
        status: 200,
      },
      reloads: { asked: 8, failed: 0, failures: [] },
      clients: { failed: 0, answer: spread, pause: spread, quiet: spread },
      memory: { pinned: [] },
      verdict: { ok: true },
    });
    for (const phase of [
      'detect',
      'admit',
      'stage',
      'open',
      'initialize',
      'swap',
      'drain',
      'unload',
      'verify',
      'total',
    ] as const)
      expect(report.changed[phase], phase).toEqual(spread);
    expect(report.unchanged).toMatchObject({ detect: spread, total: spread });
    expect(report.unchanged).not.toHaveProperty('swap');
    expect(report.clients.requests).toBeGreaterThan(8);
    expect(report.clients.pause.max).toBeGreaterThan(0);
    expect(report.verdict.sentences[0]).toMatch(
      /^No request was lost: \d+ were answered with 200 while the library was replaced 4 times\.$/,
    );
    expect(await hashOf(file)).toBe(before);
    expect((await readdir(directory)).sort()).toEqual(['applications', 'tmp']);
    expect(await readdir(temporary)).toEqual([]);
  });

  test('changes sources so that they are compiled each time', async () => {
    const folder = path.join(directory, 'made', 'answer');
    await mkdir(path.join(folder, 'resources'), { recursive: true });
    await writeFile(path.join(folder, 'config.yaml'), 'name: Answer\n');
    const source = path.join(import.meta.dirname, '..', 'templates', 'c', 'resources');
    for (const name of await readdir(source))
      await writeFile(
        path.join(folder, 'resources', name),
        (await readFile(path.join(source, name), 'utf8')).replaceAll('my-app', 'answer'),
      );
    const said = await bench(folder, '--rounds', '1', '--clients', '1', '--json');
    expect(said.err).toMatch(/^answer: 1 rounds/);
    const report = JSON.parse(said.out) as BenchReport;
    expect(report).toMatchObject({ measured: { kind: 'sources', status: 200 }, verdict: { ok: true } });
    expect(report.changed.build?.p50).toBeGreaterThan(report.unchanged.build?.p50 ?? 0);
  });

  test('ends with 1, and says by name what stays, when images cannot be unmapped', async () => {
    await rm(path.join(directory, 'applications'), { recursive: true, force: true });
    await publish('service', await buildPlugin('service', { flags: ['-Wl,-z,nodelete'] }));
    const said = await bench('service', '--rounds', '1', '--clients', '1');
    expect(said.status).toBe(1);
    expect(said.out).toMatch(/^Not good\.$/m);
    expect(said.out).toMatch(/^ {2}\d+ images cannot be unmapped: service, generation \d+: .*NODELETE/im);
    expect(said.out).toMatch(/^admit +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+/m);
  });

  test('says what is wrong with its words, and that a plugin does not run', async () => {
    await publish('service', await buildPlugin('service'));
    expect(await bench('service', '--rounds', '0')).toMatchObject({
      status: 2,
      out: '',
      err: 'tenon: option rounds: "0" is not a whole number from 1 to 10000\n',
    });
    const unknown = await bench('servise');
    expect(unknown).toMatchObject({
      status: 2,
      err: expect.stringContaining('there is no application "servise"; did you mean service?') as string,
    });
    const folder = path.join(directory, 'applications', 'ill');
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'ill.so'), 'no library');
    const ill = await bench('ill', '--json');
    expect(ill.status).toBe(1);
    expect(JSON.parse(ill.out)).toMatchObject({ error: 'ImageFormat' });
    expect(await readdir(temporary)).toEqual([]);
  });
});

describe('the figures', () => {
  test('are percentiles by the nearest rank', () => {
    const values = Array.from({ length: 200 }, (_, index) => 200 - index);
    expect(spreadOf(values)).toEqual({ p50: 100, p95: 190, p99: 198, max: 200 });
    expect(spreadOf([7])).toEqual({ p50: 7, p95: 7, p99: 7, max: 7 });
    expect(spreadOf([])).toEqual({ p50: 0, p95: 0, p99: 0, max: 0 });
  });

  test('make a verdict that names what was lost, what failed, and the longest phase', () => {
    const of = (p50: number): Spread => ({ p50, p95: p50, p99: p50, max: p50 });
    const facts: Omit<BenchReport, 'verdict'> = {
      plugin: 'shop',
      measured: {
        kind: 'library',
        change: 'bytes',
        rounds: 10,
        clients: 2,
        thinkMs: 5,
        route: 'GET /shop',
        status: 200,
      },
      machine: { name: 'linux-x64', node: 'v20', processors: 2, load: 4, busy: true },
      changed: { admit: of(2), open: of(6), total: of(10) },
      unchanged: {},
      reloads: { asked: 20, failed: 1, failures: ['it refused'] },
      clients: { requests: 100, failed: 2, failures: ['2 times HTTP 503'], answer: of(1), pause: of(3), quiet: of(2) },
      memory: { beforeBytes: 2 ** 20, afterBytes: 2 ** 21, pinned: [] },
    };
    const { ok, sentences } = verdictOf(facts);
    expect(ok).toBe(false);
    expect(sentences).toContain('2 of 100 requests were lost: 2 times HTTP 503.');
    expect(sentences).toContain('1 of 20 reloads failed: it refused.');
    expect(sentences.find((one) => one.startsWith('The longest phase'))).toContain(
      'is open, 6.0 ms or 60 % of a reload',
    );
    expect(sentences.find((one) => one.startsWith('The machine was busy'))).toContain('load 4 on 2 processors');
    const good = { ...facts, reloads: { ...facts.reloads, failed: 0 }, clients: { ...facts.clients, failed: 0 } };
    expect(verdictOf(good).ok).toBe(true);
    expect(verdictOf({ ...good, memory: { ...facts.memory, pinned: ['shop: x'] } }).ok).toBe(false);
  });
});
