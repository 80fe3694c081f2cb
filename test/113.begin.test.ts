/** The parent alone, with tiny programs in the place of hosts. */
import { execFileSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { resolveSettings } from '../src/base/config.js';
import { crashFolder, CrashReports } from '../src/base/crash-reports.js';
import type { SettingName } from '../src/base/settings.js';
import type { BoxContents, BoxImage } from '../src/binding/black-box.js';
import { readContainment } from '../src/supervisor/containment-file.js';
import { Crashes } from '../src/supervisor/crashes.js';
import { beatEvery, HangWatch, wakingFor } from '../src/supervisor/hang-watch.js';
import { HostChild, type HostChildOptions, type HostEnd } from '../src/supervisor/host-child.js';
import { HostProcess } from '../src/supervisor/host-process.js';
import { holdIn, holdOf, isInspected } from '../src/supervisor/process-look.js';
import { releaseIn } from '../src/supervisor/release.js';
import { Standby } from '../src/supervisor/standby.js';
import { until } from './load/world.js';

let folder: string;
let lines: string[];
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-begin-'));
  lines = [];
});
afterEach(() => rm(folder, { recursive: true }));

async function program(text: string, name = 'host.mjs'): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, text);
  return file;
}

type Boxes = HostChildOptions['boxes'];

/** Boxes with these contents, whatever a process does; without any there is no box. */
function boxes(contents?: () => Partial<BoxContents>): Boxes {
  return {
    createBlackBox: () => {
      if (contents === undefined) throw new Error('there is none here');
      return openSync('/dev/null', 'r');
    },
    readBlackBox: () => ({ pid: 0, ended: false, images: [], threads: [], files: [], ...contents?.() }),
    blackBoxBeat: () => contents?.().beatMs,
  };
}

const stands = "process.send({ told: 'standing by', version: '9.9.9', protocol: 1 });\n";
const waits = "process.on('disconnect', () => process.exit(0));\n";

function childOptions(file: string): HostChildOptions {
  const output = { stdio: 'pipe', captures: false, lastWords: () => {} } as const;
  const hear = (): void => {};
  return {
    release: { program: file, version: '9.9.9' },
    order: {},
    port: undefined,
    lock: undefined,
    ...output,
    boxes: boxes(),
    continues: true,
    hear,
  };
}

/** One that no system starts: its words are too long. */
function impossible(file: string): HostChild {
  return new HostChild({ ...childOptions(file), order: { words: 'x'.repeat(4 << 20) } });
}

describe('what stands by', () => {
  test('a process that the system refuses is told of, and tried again; the parent goes on', async () => {
    const file = await program(stands + waits);
    const started: HostChild[] = [];
    const standby = new Standby({
      start: () => {
        const child = started.length === 0 ? impossible(file) : new HostChild(childOptions(file));
        started.push(child);
        return child;
      },
      wanted: () => true,
      warn: (line) => lines.push(line),
    });
    standby.prepare();
    await until('the second one stands by', () => started[1]?.isStandingBy === true);
    expect(lines).toEqual([expect.stringMatching(/^no process stands by: spawn E2BIG/)]);
    standby.drop();
    await started[1]?.ended;
  });

  test('only what has said so, in words of this parent, is taken; another one is ended', async () => {
    const foreign = new HostChild(childOptions(await program(stands.replace('protocol: 1', 'protocol: 2') + waits)));
    await expect(foreign.standsBy(10_000)).rejects.toThrow('speaks protocol 2, this one 1');
    const standby = new Standby({ start: () => foreign, wanted: () => true, warn: (line) => lines.push(line) });
    standby.replace(foreign);
    expect(standby.take()).toBeUndefined();
    expect(await foreign.ended).toMatchObject({ signal: 'SIGKILL' });
    const ready = new HostChild(childOptions(await program(stands + waits)));
    await ready.standsBy(10_000);
    standby.replace(ready);
    expect(standby.take()).toBe(ready);
    ready.discard();
    await ready.ended;
  });

  test('what is on its way is taken as well, and begins when it has come so far; what has been on it for 5 s is given up', async () => {
    const gate = path.join(folder, 'gate');
    const held = `while (!existsSync('${gate}')) await new Promise((resolve) => setTimeout(resolve, 5));\n`;
    const begins = "process.on('message', ({ ask }) => ask === 'begin' && process.exit(7));\n";
    const file = await program(`import { existsSync } from 'node:fs';\n${waits}${begins}${held}${stands}`);
    const coming = new HostChild(childOptions(file));
    const standby = new Standby({ start: () => coming, wanted: () => true, warn: (line) => lines.push(line) });
    standby.replace(coming);
    expect(standby.take()).toBe(coming);
    coming.begin({ settings: resolveSettings({ isAlone: true }), containment: { plugins: {} } as never });
    await writeFile(gate, '');
    expect(await coming.ended).toEqual({ status: 7 });
    await rm(gate);
    const slow = new HostChild(childOptions(file));
    await until('it is not counted on any more', () => !slow.isOnItsWay);
    standby.replace(slow);
    expect(standby.take()).toBeUndefined();
    expect(await slow.ended).toMatchObject({ signal: 'SIGKILL' });
  });

  test('one that was put in its place is replaced when it ends, like any other', async () => {
    const file = await program(stands + waits);
    const first = new HostChild(childOptions(file));
    let second: HostChild | undefined;
    const start = (): HostChild => (second = new HostChild(childOptions(file)));
    const standby = new Standby({ start, wanted: () => true, warn: (line) => lines.push(line) });
    await first.standsBy(10_000);
    standby.replace(first);
    first.kill('SIGKILL');
    await until('it is told', () => lines.length > 0);
    expect(lines).toEqual(['no process stands by: it has ended']);
    await until('another one stands by', () => second?.isStandingBy === true);
    expect(standby.take()).toBe(second);
    second?.discard();
    await second?.ended;
  });
});

interface Run {
  readonly host: HostProcess;
  readonly ended: Promise<HostEnd>;
  readonly end: () => Promise<HostEnd>;
}

const crash = "process.kill(process.pid, 'SIGKILL');";

/** How many of them have begun. */
async function begun(): Promise<number> {
  return Number(await readFile(path.join(folder, 'count'), 'utf8'));
}

/** A parent whose hosts are `text`: `begins` is the number of the one that runs. */
async function run(
  text: string,
  settings: Partial<Record<SettingName, string>> = {},
  parts: Partial<HostChildOptions> = {},
): Promise<Run> {
  const count = path.join(folder, 'count');
  await writeFile(count, '0');
  const file = await program(`
    import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
    const tell = (notice) => process.send(notice);
    ${stands}
    process.on('disconnect', () => process.exit(0));
    process.on('message', (request) => {
      if (request.ask === 'end') process.exit(0);
      if (request.ask !== 'begin') return;
      const begins = Number(readFileSync(${JSON.stringify(count)}, 'utf8')) + 1;
      writeFileSync(${JSON.stringify(count)}, String(begins));
      const ready = () => (tell({ told: 'listens' }), tell({ told: 'ready', about: '' }));
      ${text}
    });
  `);
  const flags = { standby: 'false', data: folder, hangMs: '0', ...settings };
  const resolved = resolveSettings({ flags, variables: {}, directory: folder });
  const warn = (line: string): void => void lines.push(line);
  const options = childOptions(file);
  const host = new HostProcess({
    ...options,
    ...parts,
    settings: resolved,
    lock: { descriptor: 0, release: () => {} },
    crashes: new Crashes({ data: folder, keep: 10, rules: { limit: 3, windowMs: 60_000 }, warn }),
    manager: undefined,
    say: warn,
  });
  const ended = host.run();
  ended.catch(() => {}); // looked at where it matters
  return { host, ended, end: () => (host.stop('the test'), ended) };
}

/** An order that the first process can be given, and no later one. */
function spoiled(): object {
  let asked = 0;
  return {
    get words(): string {
      asked += 1;
      return asked === 1 ? '' : 'x'.repeat(4 << 20);
    },
  };
}

describe('a host that goes on and cannot begin', () => {
  test('is tried again, and the next one serves', async () => {
    const { end } = await run(`
      if (begins === 2 || begins === 3) process.exit(3);
      ready();
      if (begins === 1) setTimeout(() => process.kill(process.pid, 'SIGKILL'), 50);
    `);
    await until('two were tried', () => lines.filter((line) => line.includes('could not begin')).length === 2);
    await until('the crash is told', () => lines.some((line) => line.includes('; report ')));
    expect(lines).toContainEqual('tenon: the host that was to go on could not begin (status 3): another one is tried');
    expect(await end()).toEqual({ status: 0 });
  });

  test('is tried five times', async () => {
    const { ended } = await run(`
      if (begins > 1) process.exit(3);
      ready();
      setTimeout(() => process.kill(process.pid, 'SIGKILL'), 50);
    `);
    expect(await ended).toEqual({ status: 3 });
    expect(lines.filter((line) => line.includes('another one is tried'))).toHaveLength(4);
    expect(lines).toContainEqual('tenon: the host that was to go on could not begin (status 3): no other one is tried');
  });

  test('and that no system starts is one, too', async () => {
    const { end } = await run(`ready(); setTimeout(() => { ${crash} }, 50);`, {}, { order: spoiled() });
    const line = 'tenon: the host that was to go on could not begin (spawn E2BIG): another one is tried';
    await until('two were tried', () => lines.filter((one) => one === line).length === 2);
    expect(await end()).toEqual({ status: 0 });
  });

  test('the first one of all ends everything', async () => {
    expect(await (await run('process.exit(3);')).ended).toEqual({ status: 3 });
  });
});

test('a host that listens and ends without having meant it has crashed, although it was not ready', async () => {
  const { end } = await run(`
    if (begins > 1) return ready();
    tell({ told: 'listens' });
    setTimeout(() => process.exit(1), 50);
  `);
  await until('it is told', () => lines.some((line) => /exit with status 1.*restarted in/.test(line)));
  expect(await end()).toEqual({ status: 0 });
});

test('the limits of crashes are those of the settings that were read last', async () => {
  const { end } = await run(
    `
      ready();
      const settings = { ...request.settings, settings: { ...request.settings.settings, crashLimit: 1 } };
      if (begins === 1) setTimeout(() => (tell({ told: 'settings', settings }), setTimeout(() => process.exit(75), 20)), 20);
      if (begins === 2) setTimeout(() => { ${crash} }, 50);
    `,
    { crashLimit: '3' },
  );
  await until('the first crash is one too many', () =>
    lines.some((line) => line.includes('safe mode, without plugins')),
  );
  await until('the third one serves', async () => (await begun()) === 3);
  expect(await end()).toEqual({ status: 0 });
});

const plugin: BoxImage = {
  index: 0,
  plugin: 'todo',
  generation: 1,
  sha256: 'a'.repeat(64),
  state: 'serving',
  low: '0x1000',
  high: '0x2000',
};
const guilty: Partial<BoxContents> = {
  images: [plugin],
  fault: {
    kind: '_exit',
    signal: 0,
    code: 0,
    sent: false,
    overflow: false,
    address: '0x0',
    pc: '0x0',
    tid: 1,
    caller: 0,
    message: '',
    registers: {},
    unwound: [],
    scanned: [],
    stage: 'threads',
  },
};

describe('new settings', () => {
  /** The first host reads them and begins anew, the second one crashes before it is ready; what the third one begins with. */
  async function third(contents: Partial<BoxContents>): Promise<unknown> {
    const file = path.join(folder, 'settings');
    const text = `
      const { settings } = request.settings;
      const fresh = { ...request.settings, settings: { ...settings, deadlineMs: 77 } };
      if (begins === 1) { ready(); setTimeout(() => (tell({ told: 'settings', settings: fresh }), setTimeout(() => process.exit(75), 20)), 20); }
      if (begins === 2) { tell({ told: 'listens' }); setTimeout(() => process.exit(9), 20); }
      if (begins === 3) { writeFileSync(${JSON.stringify(file)}, String(settings.deadlineMs)); ready(); }
    `;
    let reads = 0;
    const { end } = await run(
      text,
      { deadlineMs: '55' },
      { boxes: boxes(() => (++reads === 1 ? { ended: true } : contents)) },
    );
    await until('the third one serves', async () => (await begun()) === 3);
    await end();
    return Number(await readFile(file, 'utf8'));
  }

  test('go when the host crashes before it is ready with them, and nobody knows why', async () => {
    expect(await third({})).toBe(55);
  });

  test('stay when a plugin has done it', async () => {
    expect(await third(guilty)).toBe(77);
  });
});

test('a new release stays wanted when the old one crashes before it was ready', async () => {
  const { host, end } = await run(`
    if (begins === 1) tell({ told: 'listens' }), setTimeout(() => { ${crash} }, 600);
    else ready();
  `);
  await until('the first one has begun', async () => (await begun()) === 1);
  await host.upgrade();
  await until('another one serves', async () => (await begun()) === 2);
  await end();
  expect(lines.filter((line) => line.includes('release'))).toEqual([
    'tenon: release 9.9.9 stands by: the host begins anew in it',
  ]);
});

describe('a hang', () => {
  test('is one only while nobody holds the process, and seen in two looks', async () => {
    let looks = 0;
    const stood: number[] = [];
    const watch = new HangWatch({
      hangMs: 250,
      wakingMs: 250,
      beatMs: () => 300,
      isHeld: () => ++looks < 5,
      stands: (ms) => stood.push(ms),
    });
    await until('it is told', () => stood.length > 0);
    expect([stood, looks]).toEqual([[300], 6]);
    watch.stop();
  });

  test('of a process that stood by and never turns is seen after seconds; how often it beats', () => {
    expect([wakingFor(10_000, true), wakingFor(400, true), wakingFor(400, false)]).toEqual([10_000, 5000, 60_000]);
    expect([beatEvery(0), beatEvery(250), beatEvery(60_000)]).toEqual([1000, 31.25, 1000]);
  });

  test('is none under a debugger or a tracer', () => {
    const status = (state: string, tracer: number): string => `Name:\tnode\nState:\t${state}\nTracerPid:\t${tracer}\n`;
    expect(holdIn(status('S (sleeping)', 0))).toBeUndefined();
    expect(holdIn(status('S (sleeping)', 7))).toBe('traced');
    expect(holdIn(status('t (tracing stop)', 0))).toBe('traced');
    expect(holdIn(status('T (stopped)', 0))).toBe('stopped');
    expect(holdOf(process.pid)).toBeUndefined();
    expect(isInspected(['--inspect-brk=0'], {})).toBe(true);
    expect(isInspected([], { NODE_OPTIONS: '--no-warnings --inspect' })).toBe(true);
    expect(isInspected(['--inspect-port=0'], { NODE_OPTIONS: '' })).toBe(false);
  });
});

test('each host that asks for an upgrade gets the answer to its own wish', async () => {
  const file = path.join(folder, 'answers');
  await writeFile(file, '');
  const { end } = await run(`
    ready();
    if (begins > 1) return;
    process.on('message', (answer) => answer.ask === 'upgrade' && appendFileSync(${JSON.stringify(file)}, JSON.stringify(answer) + '\\n'));
    tell({ told: 'upgrade', wish: 7, folder: '/nowhere' });
    tell({ told: 'upgrade', wish: 8 });
    tell({ told: 'upgrade', wish: 9 });
  `);
  const answers = async (): Promise<unknown[]> =>
    (await readFile(file, 'utf8'))
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as unknown);
  await until('all are answered', async () => (await answers()).length === 3);
  expect(await answers()).toMatchObject([
    { wish: 7, code: 'ReleaseInvalid' },
    { wish: 9, code: 'UpgradeRunning', failed: 'an upgrade is under way already' },
    { wish: 8, version: '9.9.9' },
  ]);
  await end();
});

test('the report of a crash has the end of a long output, and can be read', async () => {
  const crashes = new Crashes({
    data: folder,
    keep: 10,
    rules: { limit: 3, windowMs: 60_000 },
    warn: (line) => lines.push(line),
  });
  const dead = { version: '1', uptimeMs: 1, applications: folder };
  const { report } = crashes.take({ signal: 'SIGKILL' }, { ...dead, pid: 1 }, true);
  const output = Array.from({ length: 4096 }, (_, index) => `${index} ${'\u0001'.repeat(250)}`);
  crashes.keep({ ...report, output });
  await crashes.settled();
  const read = await new CrashReports({ folder: crashFolder(folder) }).read(report.id);
  expect(read.output.at(-1)).toBe(output.at(-1));
  expect(JSON.stringify(read.output).length).toBeLessThan(66 * 1024);
  expect(read.gaps.at(-1)).toBe(`${4096 - read.output.length} lines of output before those that are here`);
  const { report: short } = crashes.take({ signal: 'SIGKILL' }, { ...dead, pid: 2 }, true);
  crashes.keep({ ...short, output: output.slice(0, 300).map((_, index) => String(index)) });
  crashes.keep({ ...short, id: '20260101-000000-000-1', message: 'x'.repeat(1 << 20) });
  await crashes.settled();
  expect((await new CrashReports({ folder: crashFolder(folder) }).read(short.id)).output).toHaveLength(200);
  expect(lines).toEqual([expect.stringContaining('a report has at most 1048576')]);
});

test('what somebody else has put in the place of a file is named, and nobody waits for it', async () => {
  const file = path.join(folder, 'containment.json');
  execFileSync('mkfifo', [file, path.join(folder, 'package.json')]);
  expect(() => readContainment(folder, () => {})).toThrow(
    expect.objectContaining({
      code: 'SettingsInvalid',
      message: expect.stringContaining('is not a regular file') as string,
    }),
  );
  expect(() => releaseIn(folder)).toThrow(expect.objectContaining({ code: 'ReleaseInvalid' }));
});

test('a limit of hangs is none, or one that a host can keep to', () => {
  const hangMs = (value: string): number =>
    resolveSettings({ flags: { hangMs: value }, isAlone: true }).settings.hangMs;
  expect([hangMs('0'), hangMs('250')]).toEqual([0, 250]);
  expect(() => hangMs('249')).toThrow('is not 0 or a whole number from 250 to 3600000');
});
