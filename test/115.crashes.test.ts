import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CrashReport, Party } from '../src/base/crash-report.js';
import { Command } from './load/command.js';
import type { Said } from './load/tenon.js';
import { World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const run = promisify(execFile);
const hash = '3f9c01ab'.repeat(8);

function party(plugin: string, more: Partial<Party> = {}): Party {
  const inside = { plugin, generation: 7, work: 'handle', route: `GET /${plugin}/:id`, request: 'h12', ms: 3.2 };
  return { plugin, generation: 7, sha256: hash, unloaded: false, inside, ...more };
}

/** Of the second `at` of a day. */
function reportOf(at: number, more: Partial<CrashReport> = {}): CrashReport {
  const second = String(at).padStart(2, '0');
  return {
    id: `20261121-0854${second}-123-4711`,
    at: `2026-11-21T08:54:${second}.123Z`,
    kind: 'signal',
    signal: 'SIGSEGV',
    code: 'SEGV_MAPERR',
    address: '0x10',
    verdict: {
      culprit: party('todo'),
      suspects: [],
      because: ['the fault is in its code (todo+0x12f7)'],
      sentence: 'todo generation 7 crashed the host (SIGSEGV in handle of GET /todo/:id)',
    },
    action: 'restarted',
    host: { pid: 4711, version: '0.1.0', node: '24.0.0', uptimeMs: 12_345 },
    thread: { tid: 4720, kind: 'pool', inside: party('todo').inside ?? expect.fail(), before: [] },
    registers: { rip: '0x7f0000001234', rsp: '0x7ffc00000000', rax: '0x0', rbx: '0x1', rcx: '0x2' },
    frames: [
      { address: '0x7f00000012f7', found: 'pc', plugin: 'todo', generation: 7, offset: '0x12f7' },
      { address: '0x7f0000000001', found: 'unwound', file: '/lib/libc.so.6' },
    ],
    threads: [
      { tid: 4711, kind: 'main', before: [{ plugin: 'hello', generation: 1, work: 'handle', route: 'GET /hello' }] },
    ],
    output: ['todo: \u001b[31mlast words'],
    gaps: ['the stack could not be unwound'],
    ...more,
  };
}

const doubtful = reportOf(17, {
  kind: 'killed',
  signal: 'SIGKILL',
  verdict: {
    suspects: [party('todo'), party('hello', { generation: 2 })],
    because: [],
    sentence: 'the host was killed; todo or hello may have to do with it',
  },
});
const unknown = reportOf(18, {
  kind: 'exit',
  status: 3,
  verdict: { suspects: [], because: [], sentence: 'the host ended with status 3, and nobody knows why' },
  action: 'safeMode',
});
const all = [reportOf(16), doubtful, unknown];

async function keep(data: string, reports: readonly CrashReport[]): Promise<void> {
  await mkdir(path.join(data, 'crashes'), { recursive: true });
  for (const report of reports)
    await writeFile(path.join(data, 'crashes', `${report.id}.json`), JSON.stringify(report));
}

interface Listed {
  crashes: { id: string; suspects: Party[]; culprit?: Party }[];
}

describe('over HTTP', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.make();
    await keep(world.data, all);
    await writeFile(path.join(world.data, 'crashes', `${reportOf(19).id}.json`), '{"id": "torn');
    await world.publish('service', await buildPlugin('service'));
    await world.start();
  });
  afterAll(() => world.close());

  async function ids(query = ''): Promise<string[]> {
    const { status, body } = await world.admin('GET', `/api/v1/crashes${query}`);
    expect(status).toBe(200);
    return (JSON.parse(body) as Listed).crashes.map(({ id }) => id);
  }

  test('crashes are listed, the newest first, of all or of those a plugin is blamed for', async () => {
    expect(await ids()).toEqual([unknown.id, doubtful.id, reportOf(16).id]);
    expect(await ids('?limit=1')).toEqual([unknown.id]);
    expect(await ids('?plugin=hello')).toEqual([doubtful.id]);
    expect(await ids('?plugin=todo&limit=9')).toEqual([doubtful.id, reportOf(16).id]);
    expect(await ids('?plugin=other')).toEqual([]);
    const { body } = await world.admin('GET', '/api/v1/crashes?plugin=todo');
    const [, sure] = (JSON.parse(body) as Listed).crashes;
    expect(sure).toMatchObject({ kind: 'signal', signal: 'SIGSEGV', action: 'restarted', culprit: { plugin: 'todo' } });
    expect(sure).not.toHaveProperty('registers');
  });

  test('one is told whole; there is none of an unknown id, of a damaged file, or elsewhere', async () => {
    const { status, body } = await world.admin('GET', `/api/v1/crashes/${doubtful.id}`);
    expect([status, JSON.parse(body)]).toEqual([200, doubtful]);
    for (const id of [reportOf(20).id, reportOf(19).id, '..%2Fadmin-token', 'counts'])
      expect(await world.admin('GET', `/api/v1/crashes/${id}`)).toMatchObject({
        status: 404,
        body: expect.stringContaining('CrashNotFound') as string,
      });
  });

  test('wrong words are refused', async () => {
    for (const query of ['?limit=0', '?limit=many', '?plugins=todo'])
      expect((await world.admin('GET', `/api/v1/crashes${query}`)).status).toBe(400);
    expect((await world.get('/api/v1/crashes')).status).toBe(401);
  });

  test('one is removed, once', async () => {
    const extra = reportOf(15, { stackOverflow: true });
    await keep(world.data, [extra]);
    const listed = JSON.parse((await world.admin('GET', '/api/v1/crashes')).body) as { crashes: object[] };
    expect(listed.crashes).toContainEqual(expect.objectContaining({ id: extra.id, stackOverflow: true }));
    const target = `/api/v1/crashes/${extra.id}`;
    expect(await world.admin('DELETE', target)).toMatchObject({ status: 200 });
    expect(await world.admin('DELETE', target)).toMatchObject({ status: 404 });
    expect(await ids()).not.toContain(extra.id);
  });

  test('a token of one plugin sees its crashes alone', async () => {
    const made = await world.request('POST', '/api/v1/tokens', {
      headers: { authorization: 'Bearer a-token-of-the-tests', 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'todo', scopes: ['read', 'config'], plugins: ['todo'] }),
    });
    const { token } = JSON.parse(made.body) as { token: string };
    const status = async (target: string, method = 'GET'): Promise<number> =>
      (await world.request(method, target, { headers: { authorization: `Bearer ${token}` } })).status;
    expect(await status('/api/v1/crashes?plugin=todo')).toBe(200);
    expect(await status('/api/v1/crashes?plugin=hello')).toBe(403);
    expect(await status('/api/v1/crashes')).toBe(403);
    expect(await status(`/api/v1/crashes/${doubtful.id}`)).toBe(403);
    expect(await status('/api/v1/plugins/service/release', 'POST')).toBe(403);
  });

  test('nothing is held back: there is nothing to release', async () => {
    const { body } = await world.admin('GET', '/api/v1/containment');
    expect(JSON.parse(body)).toEqual({ quarantined: [], bad: [] });
    expect(await world.admin('POST', '/api/v1/plugins/service/release')).toMatchObject({
      status: 409,
      body: expect.stringContaining('NotQuarantined') as string,
    });
    const ended = await world.admin('POST', '/api/v1/release');
    expect([ended.status, JSON.parse(ended.body)]).toEqual([200, { status: 'unchanged' }]);
  });

  test('a host without a parent process cannot be upgraded, and wrong folders are refused', async () => {
    expect(await world.admin('POST', '/api/v1/upgrade')).toMatchObject({
      status: 409,
      body: expect.stringContaining('UpgradeUnavailable') as string,
    });
    const headers = { authorization: 'Bearer a-token-of-the-tests' };
    for (const body of ['{"folder": "relative"}', '{"folder": 1}', '{"to": "/opt"}', '[]x'])
      expect((await world.request('POST', '/api/v1/upgrade', { headers, body })).status).toBe(400);
  });

  test('they are counted by plugin and kind, each once, over hosts and removed reports', async () => {
    const counts = async (): Promise<string[]> => {
      const { body } = await world.get('/metrics');
      return body
        .split('\n')
        .filter((line) => /^tenon_(?:crashes_total|host_restarts_total|safe_mode|plugin_quar)/.test(line))
        .toSorted();
    };
    const first = [
      'tenon_crashes_total{plugin="",kind="exit"} 1',
      'tenon_crashes_total{plugin="",kind="killed"} 1',
      'tenon_crashes_total{plugin="todo",kind="signal"} 1',
      'tenon_host_restarts_total 3',
      'tenon_safe_mode 0',
    ];
    expect(await counts()).toEqual(first);
    await world.host.close();
    await rm(path.join(world.data, 'crashes', `${reportOf(16).id}.json`));
    await keep(world.data, [reportOf(30), reportOf(31, { action: 'gaveUp', kind: 'hang' })]);
    await world.start();
    expect(await counts()).toEqual([
      ...first.slice(0, 2),
      'tenon_crashes_total{plugin="todo",kind="hang"} 1',
      'tenon_crashes_total{plugin="todo",kind="signal"} 2',
      'tenon_host_restarts_total 4',
      'tenon_safe_mode 0',
    ]);
  });
});

describe('tenon crashes, without a host', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-crashes-'));
    await keep(path.join(directory, 'data'), all);
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  async function tenon(...words: string[]): Promise<Said> {
    const command = new Command(words, directory, {});
    const [status] = await command.exit;
    return { status, out: command.out, err: command.err };
  }

  test('lists them in a table, with doubts marked', async () => {
    const { status, out } = await tenon('crashes');
    expect(status).toBe(0);
    expect(out.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['CRASH', 'AT', 'PLUGIN', 'GENERATION', 'HOW', 'WHERE', 'THEN'],
      [unknown.id, '2026-11-21 08:54:18', '-', '-', 'exit 3', '-', 'safe mode'],
      [
        doubtful.id,
        '2026-11-21 08:54:17',
        'todo? hello?',
        '7',
        'killed by SIGKILL',
        'handle GET /todo/:id',
        'restarted',
      ],
      [reportOf(16).id, '2026-11-21 08:54:16', 'todo', '7', 'SIGSEGV', 'handle GET /todo/:id', 'restarted'],
      [''],
    ]);
    expect((await tenon('crashes', '--plugin', 'hello', '--json')).out).toContain(doubtful.id);
    const none = await tenon('crashes', '--plugin', 'other');
    expect(none).toMatchObject({ status: 0, out: '', err: 'no crash is known; there are some of todo, hello\n' });
  });

  test('tells one: the sentence, why, where, what the threads did, what is missing', async () => {
    const { status, out } = await tenon('crashes', reportOf(16).id);
    expect(status).toBe(0);
    expect(out.split('\n')[0]).toBe(reportOf(16).verdict.sentence);
    expect(out).toMatch(/^how +SIGSEGV \(SEGV_MAPERR\) at 0x10$/m);
    expect(out).toMatch(
      /^culprit +todo generation 7 \(3f9c01ab3f9c\)\n +in handle GET \/todo\/:id, request h12, for 3\.2 ms$/m,
    );
    expect(out).toMatch(/^because +the fault is in its code \(todo\+0x12f7\)$/m);
    expect(out).toMatch(/^ {2}#0 +todo#7\+0x12f7/m);
    expect(out).toMatch(/^ {2}#1 +libc\.so\.6 +0x7f0000000001$/m);
    expect(out).toMatch(/^ {2}4711 main: in no plugin; before: hello#1 handle GET \/hello$/m);
    expect(out).toContain('\\u{1b}[31mlast words');
    expect(out).not.toContain('\u001b');
    expect(out).toMatch(/^Missing here\n {2}the stack could not be unwound$/m);
  });

  test('says of one by a used-up stack that it was', async () => {
    const deep = path.join(directory, 'deep');
    await keep(deep, [reportOf(21, { code: 'SEGV_ACCERR', stackOverflow: true })]);
    expect((await tenon('crashes', '--data', deep)).out).toMatch(/ {2}SIGSEGV \(stack overflow\) {2}handle GET/);
    expect((await tenon('crashes', 'last', '--data', deep)).out).toMatch(
      /^how +SIGSEGV \(SEGV_ACCERR, stack overflow\) at 0x10$/m,
    );
  });

  test('names functions by the debug information in the folder of applications that the report tells', async () => {
    const data = path.join(directory, 'other');
    const applications = path.join(directory, 'far', 'applications');
    await mkdir(path.join(data, 'versions', 'todo'), { recursive: true });
    await mkdir(path.join(applications, 'todo'), { recursive: true });
    const whole = await buildPlugin('service');
    const stripped = path.join(directory, 'stripped.so');
    await run('strip', ['-o', stripped, whole]);
    const sha256 = createHash('sha256')
      .update(await readFile(stripped))
      .digest('hex');
    await rename(stripped, path.join(data, 'versions', 'todo', `${sha256}.library`));
    const [, start = ''] = /^([0-9a-f]+) t initialize$/m.exec((await run('nm', [whole])).stdout) ?? [];
    const frames = [{ address: '0x7f0000001234', found: 'pc', plugin: 'todo', generation: 7, sha256 }] as const;
    const at = reportOf(16);
    const report = {
      ...at,
      host: { ...at.host, applications },
      frames: frames.map((frame) => ({ ...frame, offset: `0x${start.replace(/^0+/, '')}` })),
      gaps: [],
    };
    await keep(data, [report]);
    const bare = await tenon('crashes', 'last', '--data', data);
    const debugFile = path.join(applications, 'todo', 'todo.debug');
    expect(bare.out).toMatch(/^ {2}#0 +todo#7\+0x[0-9a-f]+$/m);
    expect(bare.out.endsWith(`, or put it at ${debugFile}\n`)).toBe(true);
    await run('objcopy', ['--only-keep-debug', whole, debugFile]);
    const named = await tenon('crashes', 'last', '--data', data);
    expect(named.out).toMatch(/^ {2}#0 +todo#7\+0x[0-9a-f]+ +initialize\+0x0/m);
    expect(named.out).not.toContain('Missing here');
  });

  test('knows the last one, of a plugin too, and says what was probably meant', async () => {
    const last = JSON.parse((await tenon('crashes', 'last', '--json')).out) as CrashReport;
    expect(last).toEqual(unknown);
    const ofPlugin = JSON.parse((await tenon('crashes', 'last', '--plugin', 'hello', '--json')).out) as CrashReport;
    expect(ofPlugin.id).toBe(doubtful.id);
    const near = await tenon('crashes', unknown.id.replace('4711', '4712'));
    expect(near).toMatchObject({ status: 1, out: '' });
    expect(near.err).toBe(
      `tenon: there is no crash report "${unknown.id.replace('4711', '4712')}"; did you mean ${unknown.id}?\n`,
    );
    expect((await tenon('crashes', 'lst')).err).toContain('did you mean last?');
  });

  test('refuses what does not go together', async () => {
    const words = [
      ['--limit', '0'],
      ['--debug-file', 'x'],
      [unknown.id, '--plugin', 'todo'],
      ['last', '--debug-file', 'nowhere'],
      ['last', '--debug-file', 'x', '--url', 'http://127.0.0.1:1'],
    ];
    for (const line of words)
      expect({ line, ...(await tenon('crashes', ...line)) }).toMatchObject({ line, status: 2, out: '' });
  });

  test('fails where there is no data directory', async () => {
    const { status, out, err } = await tenon('crashes', '--data', path.join(directory, 'nowhere'));
    expect([status, out]).toEqual([1, '']);
    expect(err).toContain('nowhere is not there');
  });

  test('leaves files alone that are no reports, and says so', async () => {
    const file = path.join(directory, 'data', 'crashes', `${reportOf(40).id}.json`);
    await writeFile(file, '[]');
    const { status, err } = await tenon('crashes');
    expect([status, err]).toEqual([0, expect.stringContaining('is left out: it is no crash report')]);
    expect(await readFile(file, 'utf8')).toBe('[]');
    await rm(file);
    expect(await readdir(path.join(directory, 'data', 'crashes'))).toHaveLength(all.length);
  });
});
