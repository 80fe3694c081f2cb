import { existsSync, readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Answer, until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

type Defines = Record<string, string>;

let world: World;
/** Whoever hangs does while this file is there: see wicked.c. */
const hold = path.join(os.tmpdir(), `tenon-hold-${process.pid}`);
beforeEach(async () => {
  world = await World.make();
  await writeFile(hold, '');
});
afterEach(async () => {
  for (const end of ['', '.fresh', '.late', '.told']) await rm(`${hold}${end}`, { force: true });
  await world.close();
});

async function put(id: string, config: string, defines: Defines): Promise<void> {
  await world.write(id, 'config.yaml', `app_id: ${id}\n${config}\n`);
  await world.publish(id, await buildPlugin('wicked', { defines: { PLUGIN_ID: `"${id}"`, ...defines } }));
}

/** The extension that does wrong, one application that lists it, and one that does not. */
async function cast(defines: Defines, config = ''): Promise<void> {
  await put('wicked', `extension: true\n${config}`, defines);
  await put('app', 'extensions: [wicked]\nauth: open', {});
  await put('apart', '', {});
}

const wicked = (defines: Defines): Promise<void> => put('wicked', 'extension: true', defines);
const ada = { headers: { authorization: 'Key ada' } };

async function told(answer: Answer | Promise<Answer>): Promise<{ status: number; error?: string; message: string }> {
  const { status, body } = await answer;
  if (status === 200) return { status, message: body };
  const { error, message } = JSON.parse(body) as { error: string; message: string };
  return { status, error, message };
}

const app = (target = '/app/ok'): ReturnType<typeof told> => told(world.request('GET', target, ada));
const apart = (): ReturnType<typeof told> => app('/apart/ok');

describe('a step that answers nonsense', () => {
  const steps = {
    authenticate: { offer: 'AUTH', status: 503, error: 'ExtensionFailed' },
    resolve_roles: { offer: 'AUTH', status: 503, error: 'ExtensionFailed' },
    authorize: { offer: 'AUTH', status: 503, error: 'ExtensionFailed' },
    before: { offer: 'MIDDLEWARE', status: 500, error: 'ExtensionFailed' },
    after: { offer: 'MIDDLEWARE', status: 502, error: 'ResponseInvalid' },
    call: { offer: 'HOOKS', status: 500, error: 'HandlerFailed' },
  };
  for (const [step, { offer, status, error }] of Object.entries(steps))
    test.each(['99', '-1', '2147483647'])(`${step} is answered in the name of the extension: %s`, async (number) => {
      await cast({ [offer]: '1', FAIL_AT: `"${step}"`, STATUS: number });
      await world.start();
      const target = step === 'call' ? '/app/run' : '/app/ok';
      for (let i = 0; i < 3; i++)
        expect(await app(target)).toEqual({ status, error, message: expect.stringContaining('wicked') });
      expect(await apart()).toEqual({ status: 200, message: 'one' });
      await wicked({ [offer]: '1', BUILD: '"two"' });
      expect(await world.host.reload('wicked')).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
      expect((await app(target)).status).toBe(200);
    });
});

describe('what is offered', () => {
  test.each([
    ['AUTH', { PROVIDERS: '-1' }, '4294967295 providers are more than 16'],
    ['AUTH', { PROVIDER: 'NULL' }, 'provider 0 is NULL or smaller than version 1 of the struct'],
    ['HOOKS', { HOOK_COUNT: '-1' }, '4294967295 hooks are more than 64'],
    ['HOOKS', { HOOK_COUNT: '10000' }, '10000 hooks are more than 64'],
    ['HOOKS', { HOOK: 'NULL' }, 'hook 0 is NULL or smaller than version 1 of the struct'],
    ['HOOKS', { HOOK_NAME: '{NULL,5}' }, 'hook 0 has a name that is not 1 to 127 bytes of [a-z0-9_.-]'],
  ])('and is garbage is refused: %s %j', async (offer, garbage, problem) => {
    await cast({ [offer]: '1', ...garbage });
    await world.start();
    expect(world.host.plugin('wicked').error).toMatchObject({
      code: 'RouteInvalid',
      message: `generation 1: routes of wicked failed: ${problem}`,
      details: { plugin: 'wicked', generation: 1, step: 'routes' },
    });
    expect(world.host.plugin('app').error).toMatchObject({ code: 'ExtensionUnavailable' });
    expect((await apart()).status).toBe(200);
  });
});

describe('a step that does not return', () => {
  test.each([
    ['authenticate', 'AUTH'],
    ['resolve_roles', 'AUTH'],
    ['authorize', 'AUTH'],
    ['before', 'MIDDLEWARE'],
    ['after', 'MIDDLEWARE'],
    ['call', 'HOOKS'],
  ])('%s of a request is answered in the name of the extension, and others are not touched', async (step, offer) => {
    await cast({ [offer]: '1', HANG_AT: `"${step}"` });
    await world.start({ deadlineMs: 500, drainMs: 300, lifecycleMs: 2000 });
    const late = app(step === 'call' ? '/app/run' : '/app/ok');
    await until('it is in there', async () => (await apart()).status === 200);
    expect(await late).toMatchObject({
      status: 504,
      error: 'DeadlineExceeded',
      message: expect.stringContaining('the extension wicked'),
    });
    expect(await apart()).toEqual({ status: 200, message: 'one' });
    await wicked({ [offer]: '1', BUILD: '"two"' });
    expect(await world.host.reload('wicked')).toMatchObject({ outcome: 'succeeded', unload: 'pinned' });
    expect((await app()).status).toBe(200);
    await rm(hold);
    await until('the old one is gone', () => world.host.plugin('wicked').generations.length === 1);
  });

  test.each(['create', 'initialize', 'provider_count', 'provider', 'hook_count', 'hook', 'routes', 'ready'])(
    '%s at a start is named, and nobody else waits for it for good',
    async (step) => {
      await cast({ AUTH: '1', HOOKS: '1', HANG_AT: `"${step}"` });
      await world.start({ lifecycleMs: 500, drainMs: 500 });
      const named = ['create', 'initialize', 'ready'].includes(step) ? step : 'routes';
      expect(world.host.plugin('wicked').error).toMatchObject({
        code: 'LifecycleTimeout',
        message: `generation 1: ${named} of wicked did not return within 500 ms`,
        details: { plugin: 'wicked', generation: 1, step: named },
      });
      expect(world.host.plugin('app').error).toMatchObject({
        code: 'ExtensionUnavailable',
        details: { plugin: 'app', extension: 'wicked' },
      });
      expect((await apart()).status).toBe(200);
      await wicked({ AUTH: '1', HOOKS: '1', BUILD: '"two"' });
      await world.host.reload('wicked');
      await until('who needs it runs', () => world.host.plugin('app').state === 'running');
      expect((await app()).status).toBe(200);
      await rm(hold);
    },
  );

  test('at a start has what is left of the time for all of it', async () => {
    await cast({ HANG_AT: '"ready"' });
    await world.start({ startupMs: 500, drainMs: 500 });
    expect(world.host.plugin('wicked').error).toMatchObject({
      code: 'LifecycleTimeout',
      message: expect.stringMatching(
        /^generation 1: ready of wicked did not return within \d+ ms, which was left of the 500 ms that its start may take$/,
      ),
    });
  });

  test.each(['create', 'initialize', 'routes', 'try', 'load', 'ready'])(
    '%s of a new build leaves the old one serving',
    async (step) => {
      await cast({ STATE: '1', MIDDLEWARE: '1' });
      await world.start({ lifecycleMs: 500, drainMs: 500 });
      await wicked({ STATE: '1', MIDDLEWARE: '1', HANG_AT: `"${step}"` });
      const named = step === 'try' ? 'load' : step;
      await expect(world.host.reload('wicked')).rejects.toMatchObject({
        message: expect.stringContaining(`generation 2: ${named} of wicked did not return within 500 ms`),
        details: { plugin: 'wicked', step: named },
      });
      expect(world.host.plugin('wicked')).toMatchObject({ state: 'running', generation: 1 });
      expect((await app()).status).toBe(200);
      await rm(hold);
    },
  );

  test.each(['save', 'quiesce'])('%s keeps the successor away, and the old one goes on', async (step) => {
    await cast({ STATE: '1', MIDDLEWARE: '1', LEAVING: '1', HANG_AT: `"${step}"` });
    await world.start({ lifecycleMs: 500, drainMs: 500 });
    await wicked({ STATE: '1', MIDDLEWARE: '1', LEAVING: '1', BUILD: '"two"' });
    await expect(world.host.reload('wicked')).rejects.toMatchObject({
      message: expect.stringContaining(`generation 1: ${step} of wicked did not return within 500 ms`),
      details: { plugin: 'wicked', step },
    });
    expect(world.host.plugin('wicked')).toMatchObject({ state: 'running', generation: 1 });
    expect([(await app()).status, (await apart()).status]).toEqual([200, 200]);
    await rm(hold);
    await until('it can be replaced', () =>
      world.host.reload('wicked').then(
        () => true,
        () => false,
      ),
    );
    expect((await app()).status).toBe(200);
  });

  test.each(['shutdown', 'destroy'])('%s keeps its image, by name, and its successor serves', async (step) => {
    await cast({ MIDDLEWARE: '1', HANG_AT: `"${step}"` });
    await world.start({ lifecycleMs: 500, drainMs: 500 });
    await wicked({ MIDDLEWARE: '1', BUILD: '"two"' });
    expect(await world.host.reload('wicked')).toMatchObject({
      outcome: 'succeeded',
      unload: 'pinned',
      pinnedReason: `thread still running: ${step} did not return`,
    });
    expect([(await app()).status, (await apart()).status]).toEqual([200, 200]);
    await rm(hold);
    await until('the old one is gone', () => world.host.plugin('wicked').generations.length === 1);
  });

  test('changed refuses the change, by name, and what was holds', async () => {
    await cast({ CONFIG: '1', HANG_AT: '"changed"' }, 'custom: {minutes: 1}');
    await world.start({ lifecycleMs: 500, drainMs: 500 });
    await put('wicked', 'extension: true\ncustom: {minutes: 2}', { CONFIG: '1', HANG_AT: '"changed"' });
    await expect(world.host.reload('wicked')).rejects.toMatchObject({
      code: 'LifecycleTimeout',
      message: 'generation 1: configure of wicked did not return within 500 ms',
      details: { plugin: 'wicked', step: 'configure' },
    });
    expect([(await app()).status, (await apart()).status]).toEqual([200, 200]);
    await rm(hold);
  });

  test('on_event keeps no event from others, and nobody waits for it', async () => {
    await put('wicked', 'extension: true', { SUBSCRIBE: '"wicked.*"', HANG_AT: '"on_event"' });
    await put('other', 'extension: true', { SUBSCRIBE: '"wicked.*"' });
    await put('app', 'extensions: [wicked, other]', {});
    await world.start({ drainMs: 500, lifecycleMs: 500 });
    for (let i = 0; i < 100; i++) expect((await app('/app/publish')).status).toBe(200);
    await until('they have come', async () => (await app('/other/seen')).message === '100');
    await wicked({ SUBSCRIBE: '"wicked.*"', BUILD: '"two"' });
    const record = await world.host.reload('wicked');
    expect(record).toMatchObject({ outcome: 'succeeded', unload: 'pinned', pinnedReason: 'on_event did not return' });
    await app('/app/publish');
    await until('they go on', async () => (await app('/other/seen')).message === '101');
    await rm(hold);
    await until('the old one is gone', () => world.host.plugin('wicked').generations.length === 1);
  });

  test('a task keeps its image, by name', async () => {
    await cast({ TIMERS: '1', HANG_AT: '"task"' });
    await world.start({ drainMs: 500, lifecycleMs: 500 });
    await wicked({ BUILD: '"two"' });
    expect(await world.host.reload('wicked')).toMatchObject({
      outcome: 'succeeded',
      unload: 'pinned',
      pinnedReason: 'task 1 did not return',
    });
    expect([(await app()).status, (await apart()).status]).toEqual([200, 200]);
    await rm(hold);
    await until('the old one is gone', () => world.host.plugin('wicked').generations.length === 1);
  });
});

describe('what an extension leaves behind', () => {
  test('timers and tasks that nobody cancels end with their generation', async () => {
    await cast({ TIMERS: '1000' });
    await world.start();
    expect(world.host.plugin('wicked').generations).toMatchObject([{ ledger: { timers: 2000 } }]);
    await wicked({ BUILD: '"two"' });
    expect(await world.host.reload('wicked')).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
    expect(world.host.plugin('wicked').generations).toMatchObject([{ ledger: { timers: 0 } }]);
  });

  test('a thread of its own keeps its image, by name, and everybody serves on', async () => {
    await cast({ OWN_THREAD: '1', AUTH: '1', MIDDLEWARE: '1' });
    await world.start({ lifecycleMs: 500, drainMs: 500 });
    expect((await app()).status).toBe(200);
    await wicked({ AUTH: '1', MIDDLEWARE: '1', BUILD: '"two"' });
    expect(await world.host.reload('wicked')).toMatchObject({
      outcome: 'succeeded',
      unload: 'pinned',
      pinnedReason: expect.stringMatching(/^thread still running: .*wicked's own/),
    });
    expect([(await app()).status, (await apart()).status]).toEqual([200, 200]);
    expect((await app('/wicked/ok')).message).toBe('two');
    await rm(hold);
    await until('the old one is gone', () => world.host.plugin('wicked').generations.length === 1);
  });

  test('a thread of its own that calls every service when it is over is told so', async () => {
    await cast({ CALL_LATE: '1', SUBSCRIBE: '"wicked.*"' }, 'custom: {minutes: 1}');
    await world.start({ lifecycleMs: 500, drainMs: 500 });
    await wicked({ BUILD: '"two"' });
    expect(await world.host.reload('wicked')).toMatchObject({ outcome: 'succeeded', unload: 'pinned' });
    await writeFile(`${hold}.late`, '');
    await until('it has called', () => existsSync(`${hold}.told`));
    // TENON_ERROR_STATE of what answers with a status; nothing of what does not.
    const refused = 'submit once every publish span subscribe unsubscribe send series collect run sign verify'.split(
      ' ',
    );
    const answers = readFileSync(`${hold}.told`, 'utf8').trimEnd().split('\n');
    expect(answers.toSorted()).toEqual([...refused.map((name) => `${name} 3`), 'config 0', 'wanted 0'].toSorted());
    expect([(await app()).status, (await apart()).status]).toEqual([200, 200]);
    await rm(hold);
    await until('the old one is gone', () => world.host.plugin('wicked').generations.length === 1);
  });
});

describe('a C++ exception', () => {
  test('out of anything that an extension does is contained, and named', async () => {
    const source = await readFile(new URL('plugins/thrower/thrower.cpp', import.meta.url), 'utf8');
    const config = (minutes: number): string => `app_id: thrower\nextension: true\ncustom: {minutes: ${minutes}}\n`;
    await world.write('thrower', 'config.yaml', config(1));
    await world.write('thrower', 'resources/thrower.cpp', source);
    await put('app', 'extensions: [thrower]\nauth: open', {});
    await put('apart', '', {});
    await world.start();
    expect(world.host.plugin('thrower').error).toBeUndefined();
    expect(world.host.plugin('app').state).toBe('running');
    const answers: Record<string, number> = {
      authenticate: 503,
      resolve_roles: 503,
      authorize: 503,
      'no exception': 503,
      before: 500,
    };
    for (const [step, status] of Object.entries(answers)) {
      expect([step, await app(`/app/ok?throw=${step}`)]).toMatchObject([
        step,
        { status, message: expect.stringContaining('extension thrower') },
      ]);
      expect((await app()).status).toBe(200);
    }
    expect(await app('/app/run')).toMatchObject({
      status: 500,
      message: expect.stringContaining('hook wicked.hook of extension thrower: it failed'),
    });
    // What is after the answer cannot change it.
    expect((await app('/app/ok?throw=after')).status).toBe(200);
    expect((await app('/app/publish')).status).toBe(200);
    expect((await world.request('POST', '/thrower/work', ada)).status).toBe(200);
    await world.write('thrower', 'config.yaml', config(2));
    await expect(world.host.reload('thrower')).rejects.toMatchObject({
      message: expect.stringContaining('config_changed threw'),
      details: { plugin: 'thrower', step: 'configure' },
    });
    const threw = [
      'authenticate threw',
      'resolve_roles threw',
      'authorize threw',
      'the hook threw',
      'an exception that is not a std::exception',
      'after threw',
      'on_event threw',
      'the task threw',
      'done threw',
      'config_changed threw',
    ];
    const said = (): string[] => world.log.filter(({ plugin }) => plugin === 'thrower').map(({ msg }) => msg);
    await until('all of it is in the log', () => threw.every((text) => said().some((line) => line.includes(text))));
    expect([(await app()).status, (await apart()).status]).toEqual([200, 200]);
    expect(world.host.plugins().map(({ generation }) => generation)).toEqual([1, 1, 1]);
    await world.host.unload('app');
    expect(await world.host.unload('thrower')).toMatchObject({ generations: [] });
  });
});
