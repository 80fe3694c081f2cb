import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Containment } from '../src/base/containment.js';
import type { CrashReport } from '../src/base/crash-report.js';
import { FaultyHost } from './faults/faulty-host.js';
import { readLines } from './load/exposition.js';
import { Command } from './load/command.js';
import type { Said } from './load/tenon.js';
import { until } from './load/world.js';

let host: FaultyHost;
beforeAll(async () => {
  host = await FaultyHost.start(['bad', 'good'], 'hotReload:\n  enabled: false\ncrashes:\n  limit: 2\n');
});
afterAll(() => host.close());

async function tenon(...words: string[]): Promise<Said> {
  const command = new Command([...words, '--data', 'state'], host.world.directory, {});
  const [status] = await command.exit;
  return { status, out: command.out, err: command.err };
}

/** Have the host end by `target`; another one serves when it resolves. */
async function crash(target: string): Promise<void> {
  const before = await host.pid();
  await host.call('POST', target);
  await until('another one serves', async () => {
    const now = await host.pid();
    return now !== undefined && now !== before && (await host.call('GET', '/good/who')).status === 200;
  });
}

async function metric(name: string): Promise<(string | number)[][]> {
  const { body } = await host.call('GET', '/metrics');
  return readLines(body).flatMap((line) =>
    line.name === name ? [[line.labels['plugin'] ?? '', line.labels['kind'] ?? '', line.value]] : [],
  );
}

test('a crash is told with the name of the function that it was in', async () => {
  await crash('/bad/pool?kind=null-write');
  await until('the report is there', async () => (await host.reports()).length === 1);
  const { status, out } = await tenon('crashes', 'last', '--json');
  expect(status).toBe(0);
  const report = JSON.parse(out) as CrashReport;
  expect(report.frames[0]).toMatchObject({
    found: 'pc',
    plugin: 'bad',
    symbol: expect.stringContaining('null_write') as string,
  });
  const asked = await host.call('GET', `/api/v1/crashes/${report.id}`);
  expect(JSON.parse(asked.body)).toEqual(report);
  expect((await tenon('crashes', 'last')).out).toMatch(/^ {2}#0 +bad#\d+\+0x[0-9a-f]+ +.*null_write\(\)/m);
  expect(await metric('tenon_crashes_total')).toEqual([['bad', 'signal', 1]]);
});

test('a plugin leaves its quarantine by tenon release, and serves', async () => {
  await crash('/bad/pool?kind=abort');
  expect((await host.call('GET', '/bad/who')).status).toBe(503);
  const held = JSON.parse((await host.call('GET', '/api/v1/containment')).body) as Containment;
  expect(held).toMatchObject({ quarantined: [{ plugin: 'bad' }], bad: [] });
  expect(await metric('tenon_plugin_quarantined')).toEqual([['bad', '', 1]]);
  expect((await tenon('status')).out).toMatch(/^ready +yes, degraded$[^]*^quarantined +bad/m);
  expect((await tenon('release')).err).toContain('in quarantine: bad; `tenon release bad` lets one out');
  expect(await tenon('release', 'bad')).toMatchObject({
    status: 0,
    out: expect.stringMatching(/^bad: released 1\.0\.0, generation \d+\n$/) as string,
  });
  expect((await host.call('GET', '/bad/who')).status).toBe(200);
  expect(await tenon('release', 'bad', '--json')).toMatchObject({
    status: 1,
    out: expect.stringContaining('NotQuarantined') as string,
  });
  expect(await metric('tenon_plugin_quarantined')).toEqual([]);
  const [ended = ''] = held.quarantined.map((build) => build.crash);
  await until('the report says it', async () => (await host.report(ended)).released?.by === 'hand');
  expect((await tenon('crashes')).out).toMatch(new RegExp(`^${ended} .* quarantined, released \\(hand\\)$`, 'm'));
});

test('the report of a crash says that another build has ended what it led to', async () => {
  await crash('/bad/pool?kind=abort');
  await crash('/bad/pool?kind=abort');
  const held = JSON.parse((await host.call('GET', '/api/v1/containment')).body) as Containment;
  const [before = ''] = held.quarantined.map((build) => build.crash);
  await host.renew('bad');
  await until('the report says it', async () => (await host.report(before)).released !== undefined);
  expect((await host.report(before)).released?.by).toBe('build');
});

test('the safe mode ends by tenon release, and everything serves', async () => {
  for (let count = 0; count < 2; count += 1) {
    const before = await host.serving();
    process.kill(before, 'SIGKILL');
    await until('another one serves', async () => {
      const now = await host.pid();
      return now !== undefined && now !== before && (await host.call('GET', '/livez')).status === 200;
    });
  }
  await until('there is no plugin', async () => (await host.call('GET', '/good/who')).body.includes('SafeMode'));
  const { out } = await tenon('status');
  const [, crash = ''] = /^ +`tenon crashes (\S+)` says more, `tenon release` ends it$/m.exec(out) ?? [];
  expect(out).toMatch(/^safe mode +since \S+: the host crashed/m);
  await until('the report is there', async () => (await host.reports()).includes(crash));
  expect((await host.report(crash)).action).toBe('safeMode');
  expect(await metric('tenon_safe_mode')).toEqual([['', '', 1]]);
  expect((await tenon('doctor')).out).toMatch(/^crashes +warning +\d+ known, .*; safe mode$/m);
  expect(await tenon('release')).toMatchObject({ status: 0, out: 'the safe mode is over\n' });
  expect((await host.call('GET', '/good/who')).status).toBe(200);
  expect(JSON.parse((await tenon('release', '--json')).out)).toEqual({ status: 'unchanged' });
});

test('tenon upgrade ends when another host serves', async () => {
  const before = await host.pid();
  expect((await tenon('upgrade', '--to', 'nowhere', '--json')).out).toContain('ReleaseInvalid');
  expect(await host.pid()).toBe(before);
  expect((await tenon('audit')).out).toMatch(/ upgradeHost .*\/nowhere$/m);
  const { status, out } = await tenon('upgrade');
  expect([status, out]).toEqual([0, expect.stringMatching(/^Tenon \d+\.\d+\.\d+\S* takes over\nit serves\n$/)]);
  expect([undefined, before]).not.toContain(await host.pid());
  expect((await host.call('GET', '/good/who')).status).toBe(200);
});
