import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CrashReport } from '../src/base/crash-report.js';
import { crashFolder, crashId, CrashReports } from '../src/base/crash-reports.js';
import { CrashCounts } from '../src/host/crash-counts.js';

let data: string;
let reports: CrashReports;
beforeEach(async () => {
  data = await mkdtemp(path.join(os.tmpdir(), 'tenon-counts-'));
  reports = new CrashReports({ folder: crashFolder(data), keep: 2 });
});
afterEach(() => rm(data, { recursive: true, force: true }));

function report(second: number): CrashReport {
  const at = new Date(Date.UTC(2026, 0, 1, 0, 0, second));
  return {
    id: crashId(at, 7),
    at: at.toISOString(),
    kind: 'signal',
    verdict: {
      culprit: { plugin: 'todo', generation: 1, sha256: '', unloaded: false },
      suspects: [],
      because: [],
      sentence: 'it crashed',
    },
    action: 'restarted',
    host: { pid: 7, version: '1', node: '1', uptimeMs: 1 },
    registers: {},
    frames: [],
    threads: [],
    output: [],
    gaps: [],
  };
}

function counted(count: number): unknown {
  return { crashes: count === 0 ? [] : [{ plugin: 'todo', kind: 'signal', count }], restarts: count };
}

test('a crash whose report comes when they were counted already is counted, each once, by this host and the next', async () => {
  const counts = new CrashCounts(reports, data);
  expect(await counts.figures()).toEqual(counted(0));
  for (const second of [1, 2, 3]) {
    await reports.write(report(second));
    expect(await Promise.all([counts.figures(), counts.figures()])).toEqual([counted(second), counted(second)]);
  }
  expect(await counts.figures()).toEqual(counted(3));
  expect(await new CrashCounts(reports, data).figures()).toEqual(counted(3));
});

test('reports that could not be read are counted when they can be', async () => {
  await writeFile(crashFolder(data), 'in the way');
  const counts = new CrashCounts(reports, data);
  expect(await counts.figures()).toEqual(counted(0));
  await rm(crashFolder(data));
  await mkdir(crashFolder(data));
  await reports.write(report(1));
  expect(await counts.figures()).toEqual(counted(1));
});
