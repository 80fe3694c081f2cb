import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Containment, movedOut, nothingContained } from '../src/base/containment.js';
import type { BoxContents, BoxImage } from '../src/binding/black-box.js';
import type { CrashReport } from '../src/base/crash-report.js';
import { crashId, CrashReports } from '../src/base/crash-reports.js';
import type { Accused } from '../src/host/crash-finding.js';
import { withBegun } from '../src/supervisor/begun-generations.js';
import { readContainment, writeContainment } from '../src/supervisor/containment-file.js';
import { type CountedCrash, decide, type Decision, released } from '../src/supervisor/crash-decision.js';

const rules = { limit: 3, windowMs: 60_000 };
const told = { reason: 'it crashed', crash: '20260101-000000-000-1', since: '2026-01-01T00:00:00.000Z' };
const serving: Accused = {
  by: 'verdict',
  plugin: 'todo',
  generation: 7,
  sha256: 'a'.repeat(64),
  state: 'serving',
  isProven: false,
};

/** What is decided of crashes one after the other. */
function decided(
  crashes: readonly { at: number; accused?: Accused }[],
  begin = nothingContained,
  isAutomatic = false,
): Decision[] {
  let containment: Containment = begin;
  let history: readonly CountedCrash[] = [];
  return crashes.map(({ at, accused }) => {
    const decision = decide({ at, accused, told, containment, history, rules, isAutomatic });
    ({ containment, history } = decision);
    return decision;
  });
}

function actions(decisions: readonly Decision[]): string[] {
  return decisions.map(({ action }) => action);
}

const held = { plugin: 'todo', sha256: serving.sha256, ...told };

describe('after a crash', () => {
  test('the third of one plugin within the window puts it into quarantine', () => {
    const all = decided([0, 10, 20].map((at) => ({ at, accused: serving })));
    expect(actions(all)).toEqual(['restarted', 'restarted', 'quarantined']);
    expect(all.at(-1)?.containment).toEqual({ quarantined: [held], bad: [] });
    expect(all.map(({ delayMs }) => delayMs)).toEqual([0, 0, 0]);
  });

  test('crashes of others, and those before the window, do not count', () => {
    const other = { ...serving, plugin: 'other' };
    const all = decided([
      { at: 0, accused: serving },
      { at: 10, accused: serving },
      { at: 20, accused: other },
      { at: 60_005, accused: serving },
    ]);
    expect(actions(all)).toEqual(['restarted', 'restarted', 'restarted', 'restarted']);
  });

  test.each(['loading', 'open'] as const)('a build that was %s is not loaded again, at once', (state) => {
    const [only] = decided([{ at: 0, accused: { ...serving, state } }]);
    expect(only).toMatchObject({ action: 'wentBack', containment: { quarantined: [], bad: [held] } });
  });

  test.each([
    ['that has shown before that it is well', { isProven: true }],
    ['that is only suspected', { by: 'suspicion' }],
  ] as const)('one %s counts as one that serves', (_, change) => {
    const all = decided([0, 10, 20].map((at) => ({ at, accused: { ...serving, state: 'open', ...change } })));
    expect(actions(all)).toEqual(['restarted', 'restarted', 'quarantined']);
    expect(all.map(({ containment }) => containment.bad)).toEqual([[], [], []]);
  });

  const present: Accused = { ...serving, by: 'presence' };

  test('one of isolation auto goes on in a process of its own once, and is as any other when it is accused again', () => {
    const all = decided(
      [0, 10, 20, 30].map((at) => ({ at, accused: serving })),
      nothingContained,
      true,
    );
    expect(actions(all)).toEqual(['demoted', 'restarted', 'restarted', 'quarantined']);
    expect(all.at(-1)?.containment).toEqual({
      quarantined: [{ ...held, isolation: 'auto' }],
      bad: [],
      demoted: [held],
    });
  });

  test('one of isolation auto that is new, and was demoted before, is held back', () => {
    const before: Containment = { quarantined: [], bad: [], demoted: [{ ...held, sha256: 'b'.repeat(64) }] };
    const [only] = decided([{ at: 0, accused: { ...serving, state: 'open' } }], before, true);
    expect(only).toMatchObject({
      action: 'wentBack',
      containment: { ...before, bad: [{ ...held, isolation: 'auto' }] },
    });
  });

  test('one of isolation auto that was only at work when the host was killed stays in it', () => {
    expect(actions(decided([{ at: 0, accused: present }], nothingContained, true))).toEqual(['restarted']);
  });

  test('when the host was killed it is of unknown cause, unless always the same plugin alone was at work', () => {
    const other = { ...present, plugin: 'other' };
    const mixed = decided([present, other, present].map((accused, at) => ({ at, accused })));
    expect(actions(mixed)).toEqual(['restarted', 'restarted', 'safeMode']);
    expect(mixed.at(-1)?.containment.quarantined).toEqual([]);
    const nobodyOnce = decided([{ at: 0, accused: present }, { at: 10 }, { at: 20, accused: present }]);
    expect(actions(nobodyOnce)).toEqual(['restarted', 'restarted', 'safeMode']);
    const same = decided([0, 10, 20].map((at) => ({ at, accused: { ...present, state: 'loading' as const } })));
    expect(actions(same)).toEqual(['restarted', 'restarted', 'quarantined']);
    expect(same.at(-1)?.containment).toEqual({ quarantined: [held], bad: [] });
    expect(same.map(({ delayMs }) => delayMs)).toEqual([0, 100, 500]);
  });

  test('that the host was killed in does not count towards its quarantine', () => {
    const all = decided([serving, present, serving, present].map((accused, at) => ({ at, accused })));
    expect(actions(all)).toEqual(['restarted', 'restarted', 'restarted', 'restarted']);
  });

  test('three of unknown cause lead to safe mode, each begun later; three more there to the end', () => {
    const all = decided([0, 10, 20, 30, 40, 50].map((at) => ({ at })));
    expect(actions(all)).toEqual(['restarted', 'restarted', 'safeMode', 'restarted', 'restarted', 'gaveUp']);
    expect(all[2]?.containment).toEqual({ quarantined: [], bad: [], safeMode: told });
    expect(all.map(({ delayMs }) => delayMs)).toEqual([0, 100, 500, 0, 100, 500]);
  });

  test('what is released is held no more: a plugin, or the safe mode', () => {
    const containment: Containment = {
      quarantined: [held],
      bad: [held, { ...held, plugin: 'other' }],
      safeMode: told,
    };
    expect(released(containment, 'todo', true)).toEqual({
      quarantined: [],
      bad: [{ ...held, plugin: 'other' }],
      safeMode: told,
    });
    expect(released(containment, undefined, true)).toEqual({
      quarantined: containment.quarantined,
      bad: containment.bad,
    });
  });
});

describe('what is held back of a plugin that leaves the process of the host', () => {
  const apart = { ...held, sha256: 'c'.repeat(64), isolation: 'process' } as const;
  const automatic = { ...held, sha256: 'b'.repeat(64), isolation: 'auto' } as const;
  const other = { ...held, plugin: 'other' };
  const before: Containment = { quarantined: [held, other], bad: [automatic, apart] };

  test('is over by process, but for what it did in one', () => {
    expect(movedOut(before, 'todo', 'process')).toEqual({ quarantined: [other], bad: [apart] });
  });

  test('is why it stays there by auto, but for what it did while it was of that', () => {
    const after: Containment = { quarantined: [other], bad: [automatic, apart], demoted: [held] };
    expect(movedOut(before, 'todo', 'auto')).toEqual(after);
    expect(movedOut(after, 'todo', 'auto')).toBe(after);
  });
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-crashes-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('what is held back', () => {
  test('is the same after it was written and read', async () => {
    const containment: Containment = { quarantined: [held], bad: [held], safeMode: told };
    await writeContainment(folder, containment);
    const warnings: string[] = [];
    expect(readContainment(folder, (line) => warnings.push(line))).toEqual(containment);
    expect(readContainment(path.join(folder, 'none'), (line) => warnings.push(line))).toEqual(nothingContained);
    expect(warnings).toEqual([]);
  });

  test('has the numbers of generations beside it that were begun in a host that crashed', async () => {
    const generations = { todo: 7 };
    await writeContainment(folder, { ...nothingContained, generations });
    expect(readContainment(folder, () => {})).toEqual({ ...nothingContained, generations });
    const spoilt = { ...nothingContained, generations: { todo: 'seven', other: 1.5, good: 2 } };
    await writeFile(path.join(folder, 'containment.json'), JSON.stringify(spoilt));
    expect(readContainment(folder, () => {})).toEqual({ ...nothingContained, generations: { good: 2 } });
  });

  test('counts the last generation of each plugin that was begun, as far as the black box can be believed', () => {
    const image = {
      index: 0,
      plugin: 'todo',
      generation: 7,
      sha256: '',
      state: 'loading',
      low: '0x0',
      high: '0x0',
    } as const;
    const box = (...images: BoxImage[]): BoxContents => ({ pid: 1, ended: false, images, threads: [], files: [] });
    expect(withBegun({ other: 2 }, box(image, { ...image, generation: 6, state: 'serving' }))).toEqual({
      other: 2,
      todo: 7,
    });
    const known = { todo: 7 };
    for (const one of [
      image,
      { ...image, generation: 6 },
      { ...image, generation: 2 ** 52 },
      { ...image, plugin: 'To do', generation: 8 },
    ])
      expect(withBegun(known, box(one))).toBe(known);
    expect(withBegun(known, undefined)).toBe(known);
  });

  test.each(['', 'null', '{"quarantined":[{"plugin":1}],"bad":[]}', '{"quarantined":[],"bad":[],"safeMode":true}'])(
    'is nothing when its file is damaged (%j), which is put aside and told',
    async (text) => {
      await writeFile(path.join(folder, 'containment.json'), text);
      const warnings: string[] = [];
      expect(readContainment(folder, (line) => warnings.push(line))).toEqual(nothingContained);
      expect(warnings).toEqual([expect.stringContaining('was damaged')]);
      expect(await readFile(path.join(folder, 'containment.json.damaged'), 'utf8')).toBe(text);
    },
  );
});

function report(id: string, plugin = 'todo'): CrashReport {
  return {
    id,
    at: '2026-01-01T00:00:00.000Z',
    kind: 'signal',
    verdict: {
      culprit: { plugin, generation: 1, sha256: '', unloaded: false },
      suspects: [],
      because: [],
      sentence: 'it crashed',
    },
    action: 'restarted',
    host: { pid: 1, version: '1', node: '1', uptimeMs: 1 },
    registers: {},
    frames: [],
    threads: [],
    output: [],
    gaps: [],
  };
}

describe('crash reports', () => {
  const ids = [1, 2, 3].map((ms) => crashId(new Date(Date.UTC(2026, 0, 1, 0, 0, 0, ms)), 10 - ms));

  test('are listed newest first, and the oldest are removed', async () => {
    const reports = new CrashReports({ folder, keep: 2 });
    for (const id of ids) await reports.write(report(id, id === ids[1] ? 'other' : 'todo'));
    const listed = async (filter: object): Promise<string[]> =>
      (await reports.list(filter)).reports.map(({ id }) => id);
    expect(await listed({})).toEqual([ids[2], ids[1]]);
    expect(await listed({ plugin: 'other' })).toEqual([ids[1]]);
    expect(await listed({ limit: 1 })).toEqual([ids[2]]);
    expect(await reports.read(ids[2] ?? '')).toEqual(report(ids[2] ?? ''));
    expect(await reports.remove(ids[2] ?? '')).toBe(true);
    expect(await reports.remove(ids[2] ?? '')).toBe(false);
    expect(await readdir(folder)).toEqual([`${ids[1]}.json`]);
  });

  test('of processes of a plugin are ten, and take the place of no others', async () => {
    const reports = new CrashReports({ folder, keep: 100 });
    const [ofHost = '', ofOther = ''] = ids;
    await reports.write(report(ofHost));
    const ofProcess = (id: string, plugin: string): CrashReport => ({
      ...report(id, plugin),
      action: 'processRestarted',
      process: { pid: 1, uptimeMs: 1 },
    });
    await reports.write(ofProcess(ofOther, 'other'));
    const later = Array.from({ length: 12 }, (_, count) => `20270102-000000-0${10 + count}-1`);
    for (const id of later) await reports.write(ofProcess(id, 'todo'));
    const left = (await reports.list()).reports.map(({ id }) => id);
    expect(left).toEqual([...later.slice(2).toReversed(), ofOther, ofHost].toSorted().toReversed());
  });

  test('that are none are skipped, and it is said why', async () => {
    const reports = new CrashReports({ folder });
    await reports.write(report(ids[0] ?? ''));
    const name = (pid: number): string => path.join(folder, `20260102-000000-000-${pid}.json`);
    await writeFile(name(1), '{');
    await writeFile(name(2), JSON.stringify({ ...report('20260102-000000-000-2'), frames: [1] }));
    await writeFile(name(3), ' '.repeat(1024 * 1024 + 1));
    await writeFile(name(4), JSON.stringify(report(ids[1] ?? '')));
    await symlink('/dev/zero', name(5));
    await writeFile(path.join(folder, 'other.txt'), '');
    const { reports: listed, skipped } = await reports.list();
    expect(listed.map(({ id }) => id)).toEqual([ids[0]]);
    expect(skipped.map(({ file }) => file).toSorted()).toEqual([1, 2, 3, 4, 5].map(name));
    for (const id of ['20260102-000000-000-1', '../x', ''])
      await expect(reports.read(id)).rejects.toMatchObject({ code: 'CrashNotFound' });
  });
});
