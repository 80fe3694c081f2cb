import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Result } from '../bench/reload/result.js';
import type { Row } from '../bench/rounds.js';
import { root } from './architecture/tree.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tenon-bench-test-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Against standing still; what it takes is the business of the machine. */
const limitMs = 400_000;

test(
  'bench:reload measures reloads, pauses, detection and peers, and no request fails',
  async () => {
    const [json, svg] = [path.join(folder, 'result.json'), path.join(folder, 'result.svg')];
    const program = path.join(root, 'bench', 'reload', 'reload.ts');
    const words = ['--import', 'tsx', program, '--quick', '--json', json, '--svg', svg];
    const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: root, timeout: limitMs });
    const result = JSON.parse(await readFile(json, 'utf8')) as Result;

    const positive = expect.toSatisfy((value: unknown) => typeof value === 'number' && value > 0);
    const time = expect.objectContaining({ p50: positive, p95: positive, p99: positive });
    expect(result.tenon.map(({ name, condition }) => `${name}, ${condition}`)).toEqual(
      ['C, 20 KB', 'C, 20 KB, state', 'C, 20 MB'].flatMap((name) => [`${name}, idle`, `${name}, load`]),
    );
    for (const { name, times, toLoop } of result.tenon) {
      expect(times).toMatchObject({ admit: time, stage: time, open: time, swap: time, unload: time, total: time });
      expect(times.migrate === undefined).toBe(!name.includes('state'));
      expect(toLoop).toBeGreaterThan(0);
    }
    for (const { answered, failed, each } of result.pauses) {
      expect(failed).toBe(0);
      expect(answered).toBeGreaterThan(0);
      expect(each).toEqual({ pauses: [expect.any(Number)], controls: [expect.any(Number)] });
    }
    expect(result.detection).toMatchObject([
      { name: 'library', time },
      { name: 'source', time },
    ]);
    expect(result.peers.map(({ name }) => name)).toEqual([
      ...['loop in C', 'loop in C, no rest', 'loop in koffi'].flatMap((loop) => [
        `${loop}: C, 20 KB`,
        `${loop}: C, 20 MB`,
      ]),
      'restart of Node and Express',
    ]);
    expect(result.aims).toContainEqual({ name: 'failed requests', value: 0, below: 1, unit: 'requests', met: true });
    expect(stdout).toContain('Reloads in Tenon, p99, ms');
    expect(await readFile(svg, 'utf8')).toMatch(/^<svg [\s\S]+<\/svg>\n$/);
  },
  limitMs,
);

test(
  'bench:tables measures a table beside RocksDB and stores of JavaScript, and all of them find every record',
  async () => {
    const words = ['--import', 'tsx', path.join(root, 'bench', 'tables', 'tables.ts'), '--quick', '--json'];
    const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: root, timeout: limitMs });
    const { rows } = JSON.parse(stdout) as { rows: Row[] };
    const positive = expect.toSatisfy((value: unknown) => typeof value === 'number' && value > 0);
    for (const { name, peer, values, ratios } of rows) {
      expect([name, values]).toEqual([name, { 'ops/s': positive, 'ns CPU/op': positive }]);
      if (peer !== undefined) expect([name, ratios]).toEqual([name, { 'ops/s': positive, 'ns CPU/op': positive }]);
    }
    const works = ['get of 10000', 'get of 20000', 'put', 'put in batches of 1000', 'scan'];
    expect(rows.filter(({ peer }) => peer?.startsWith('RocksDB') === true).map(({ name }) => name)).toEqual(
      works.map((work) => `table, ${work}`),
    );
  },
  limitMs,
);
