import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { FaultyHost } from './faults/faulty-host.js';
import { tenon } from './load/tenon.js';
import { until } from './load/world.js';

let host: FaultyHost | undefined;
afterEach(async () => {
  await host?.close();
  host = undefined;
});

const plain = 'hotReload:\n  enabled: false\n';

async function start(plugins: string[], settings = ''): Promise<FaultyHost> {
  host = await FaultyHost.start(plugins, plain + settings);
  return host;
}

/** Have the host end by `crash`; the report of it, once another one serves. */
async function crashed(at: FaultyHost, crash: () => unknown): ReturnType<FaultyHost['report']> {
  const before = await at.pid();
  const known = await at.reports();
  await crash();
  await until('another one serves', async () => {
    const now = await at.pid();
    return now !== undefined && now !== before;
  });
  const report = await at.reportAfter(known);
  if (report === undefined) throw new Error('there is no report');
  return report;
}

async function killed(at: FaultyHost, signal: NodeJS.Signals): ReturnType<FaultyHost['report']> {
  const pid = await at.serving();
  return crashed(at, () => process.kill(pid, signal));
}

test('a crash is told and reported: a build on probation goes, the second crash of one that is well quarantines it', async () => {
  const at = await start(['bad', 'good'], 'crashes:\n  limit: 2\n');
  const { sha256 } = await at.renew('bad');
  await until('another process stands by', () => at.standsBy());
  const first = await crashed(at, () => at.call('POST', '/bad/inline?kind=null-write'));
  expect(first).toMatchObject({
    kind: 'signal',
    signal: 'SIGSEGV',
    code: 'SEGV_MAPERR',
    address: '0x0',
    action: 'wentBack',
    verdict: {
      culprit: { plugin: 'bad', generation: 2, sha256, unloaded: false, inside: { work: 'handle' } },
      suspects: [],
      sentence: expect.stringMatching(
        /^bad generation 2 crashed the host \(SIGSEGV in handle of POST \/bad\/inline/,
      ) as string,
    },
    frames: expect.arrayContaining([expect.objectContaining({ found: 'pc', plugin: 'bad' })]) as unknown,
    host: { node: process.versions.node, applications: at.world.applications },
  });
  const told = `^tenon: bad generation 2 crashed .*: not loaded again; restarted in \\d+ ms; report ${first.id}$`;
  await expect.poll(() => at.said).toMatch(new RegExp(told, 'm'));
  await until('the other one serves', async () => (await at.who('good')) !== undefined);
  await until('the build before serves', async () => (await at.who('bad'))?.serial === 's1');
  expect((await crashed(at, () => at.call('POST', '/bad/pool?kind=abort'))).action).toBe('restarted');
  const last = await crashed(at, () => at.call('POST', '/bad/own?kind=null-call'));
  expect(last).toMatchObject({ action: 'quarantined', verdict: { culprit: { plugin: 'bad' } } });
  const refused = await at.call('GET', '/bad/who');
  expect({ status: refused.status, body: JSON.parse(refused.body) as unknown }).toMatchObject({
    status: 503,
    body: { error: 'PluginQuarantined' },
  });
  expect((await at.call('GET', '/good/who')).status).toBe(200);
  const kept = await readFile(path.join(at.world.data, 'containment.json'), 'utf8');
  expect(JSON.parse(kept)).toMatchObject({
    quarantined: [{ plugin: 'bad', crash: last.id }],
    bad: [{ plugin: 'bad', sha256, crash: first.id }],
  });
});

test('a generation that ran in a host that crashed keeps its number for itself, and the parent remembers it', async () => {
  const at = await start(['bad'], 'crashes:\n  limit: 9\n');
  await at.publish('bad', (serial) => `initialize abort host ${serial}`);
  const report = await crashed(at, () => void at.reload('bad'));
  const { generation } = report.verdict.culprit ?? expect.fail(report.verdict.sentence);
  expect(report.verdict.culprit).toMatchObject({ plugin: 'bad', inside: { work: 'initialize' } });
  await until('the build before serves', async () => (await at.who('bad'))?.serial === 's1');
  expect((await at.who('bad'))?.generation).toBe(generation + 1);
  const kept = await readFile(path.join(at.world.data, 'containment.json'), 'utf8');
  expect(JSON.parse(kept)).toMatchObject({ generations: { bad: generation } });
  for (const next of [generation + 1, generation + 2]) {
    const { verdict } = await crashed(at, () => at.call('POST', '/bad/inline?kind=null-write'));
    expect(verdict.culprit).toMatchObject({ plugin: 'bad', generation: next });
    await until('it serves again', async () => (await at.who('bad')) !== undefined);
  }
});

test('crashes that nobody can explain end all plugins, and their limit there ends everything', async () => {
  const at = await start(['good'], 'crashes:\n  limit: 2\n  standby: false\n');
  expect(await killed(at, 'SIGKILL')).toMatchObject({
    kind: 'killed',
    signal: 'SIGKILL',
    action: 'restarted',
    verdict: { suspects: [] },
    gaps: ['such an end cannot be reported from within'],
  });
  await until('its plugin serves again', async () => (await at.who('good')) !== undefined);
  expect(await at.standsBy()).toBe(false);
  expect((await killed(at, 'SIGSEGV')).action).toBe('safeMode');
  expect(JSON.parse((await at.call('GET', '/good/who')).body)).toMatchObject({ error: 'SafeMode' });
  expect((await at.call('GET', '/api/v1/plugins')).status).toBe(200);
  expect(at.said).toMatch(/in safe mode, without plugins, since \S+: see `tenon crashes`; `tenon release` ends it/);
  await killed(at, 'SIGKILL');
  process.kill(await at.serving(), 'SIGKILL');
  await until('it gives up', () => at.hasEnded);
  expect(at.said).toMatch(/nobody knows why: no other one begins/);
});

test('an event loop that stands is ended, and the route is named; one that was stopped, too', async () => {
  const at = await start(['bad', 'good'], 'crashes:\n  hangMs: 2000\n');
  await until('another process stands by', () => at.standsBy());
  expect(await crashed(at, () => void at.call('POST', '/bad/inline?kind=endless-loop'))).toMatchObject({
    kind: 'hang',
    verdict: {
      culprit: { plugin: 'bad', inside: { route: 'POST /bad/inline' } },
      sentence: expect.stringMatching(/its event loop stood for \d+ ms in handle of POST \/bad\/inline/) as string,
    },
    frames: expect.arrayContaining([expect.objectContaining({ plugin: 'bad' })]) as unknown,
  });
  expect((await at.call('GET', '/good/who')).status).toBe(200);
  expect(await killed(at, 'SIGSTOP')).toMatchObject({
    kind: 'hang',
    verdict: { suspects: [], because: [expect.any(String) as string, 'the process was stopped, as SIGSTOP does'] },
  });
  expect((await at.call('GET', '/good/who')).status).toBe(200);
});

/** Processes of hosts: the one that serves, and the one that stands by. */
async function children(at: FaultyHost): Promise<number[]> {
  const text = await readFile(`/proc/${at.parent}/task/${at.parent}/children`, 'utf8');
  return text.split(' ').filter(Boolean).map(Number);
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('what stands by is replaced when it ends, and ends with its parent, as the host does; a report that cannot be kept is told', async () => {
  const at = await start(['good']);
  await writeFile(path.join(at.world.data, 'crashes'), 'in the way');
  await until('another process stands by', () => at.standsBy());
  const serving = await at.serving();
  const other = await at.spare();
  if (other === undefined) throw new Error('nothing stands by');
  process.kill(other, 'SIGKILL');
  await until('it is told', () => at.said.includes('no process stands by'));
  await until('a third one stands by', async () => ![undefined, other].includes(await at.spare()));
  expect(await at.pid()).toBe(serving);
  process.kill(serving, 'SIGKILL');
  await until('it is told', () => /crash report \S+ .* could not be kept: /.test(at.said));
  await until('another one serves', async () => ![undefined, serving].includes(await at.pid()));
  await until('another process stands by', () => at.standsBy());
  const last = await children(at);
  process.kill(at.parent, 'SIGKILL');
  await until('all have ended', () => !last.some(isThere));
});

/** A package whose host is `program`. */
async function release(at: FaultyHost, name: string, program?: string): Promise<string> {
  const folder = path.join(at.world.directory, name);
  await mkdir(path.join(folder, 'dist', 'cli'), { recursive: true });
  await writeFile(
    path.join(folder, 'package.json'),
    JSON.stringify({ name: 'tenon', version: '9.9.9', type: 'module' }),
  );
  if (program !== undefined) await writeFile(path.join(folder, 'dist', 'cli', 'serve.js'), program);
  return folder;
}

const standsBy = (protocol: number): string =>
  `process.send({ told: 'standing by', version: '9.9.9', protocol: ${protocol} });\n`;
const waits = "process.on('disconnect', () => process.exit(0));\n";

describe('another release', () => {
  async function upgrade(at: FaultyHost, folder?: string): Promise<{ status: number | string; body: string }> {
    return at.call('POST', '/api/v1/upgrade', JSON.stringify(folder === undefined ? {} : { folder }));
  }

  test('takes the place of the host, at SIGUSR2 that of the same folder; one that cannot changes nothing', async () => {
    const at = await start(['good']);
    const before = await at.pid();
    process.kill(at.parent, 'SIGUSR2');
    await until('another one serves', async () => ![undefined, before].includes(await at.pid()));
    expect((await at.call('GET', '/good/who')).status).toBe(200);
    expect(at.said).toMatch(/release \S+ stands by: the host begins anew in it/);
    expect(await at.reports()).toEqual([]);
    const now = await at.pid();
    const cases: readonly [string, string | undefined, string, number, string][] = [
      ['none', undefined, 'is not there: the package is not built', 422, 'ReleaseInvalid'],
      ['ends', 'process.exit(3);\n', 'it ended with status 3', 500, 'UpgradeFailed'],
      ['foreign', standsBy(77) + waits, 'release 9.9.9 speaks protocol 77', 500, 'UpgradeFailed'],
    ];
    for (const [name, program, why, status, error] of cases) {
      const answer = await upgrade(at, await release(at, name, program));
      expect({ status: answer.status, body: JSON.parse(answer.body) as unknown }).toMatchObject({
        status,
        body: { error, message: expect.stringContaining(why) as string },
      });
    }
    expect(await at.pid()).toBe(now);
    const dies = `${standsBy(1)}process.on('message', () => process.exit(4));\n`;
    const told = await tenon(at.world.directory, 'upgrade', '--data', 'state', '--to', await release(at, 'dies', dies));
    expect(told).toMatchObject({ status: 1, out: 'Tenon 9.9.9 takes over\n' });
    expect(told.err).toContain('tenon: Tenon 9.9.9 did not come to serve: ');
    expect([undefined, now]).not.toContain(await at.pid());
    expect(at.said).toContain('the new release did not serve: the next host is of the one before');
    expect((await at.call('GET', '/good/who')).status).toBe(200);
  });
});
