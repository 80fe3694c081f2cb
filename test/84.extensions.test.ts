import { rm } from 'node:fs/promises';
import path from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TenonError } from '../src/base/errors.js';
import { ExtensionSettings } from '../src/host/extension-settings.js';
import { inOrder } from '../src/host/in-order.js';
import type { Plugin } from '../src/host/plugin.js';
import { Turns } from '../src/host/turns.js';
import { journal, stage } from './load/actors.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
  journal.begin();
});
afterEach(async () => {
  await world.close();
  journal.end();
});

/** Of each plugin, in the order in which it came. */
function ids(step: string): string[] {
  return journal
    .read()
    .filter((line) => line.endsWith(` ${step}`))
    .map((line) => line.slice(0, line.indexOf(' ')));
}

function states(): string[] {
  return world.host.plugins().map(({ id, state, error }) => [id, state, error?.code].filter(Boolean).join(' '));
}

const extension = 'extension: true';

describe('at a start', () => {
  test('telemetry comes first, then whoever others list, and at the end it is the other way round', async () => {
    await stage(world, 'app', { config: 'extensions: [login, audit]' });
    await stage(world, 'audit', { config: `${extension}\nextensions: [login]` });
    await stage(world, 'base', { config: extension });
    await stage(world, 'login', { config: `${extension}\nextensions: [{id: store, required: false}]` });
    await stage(world, 'store', { config: extension });
    await stage(world, 'watch', { config: 'extension: telemetry\nextensions: [base]' });
    await world.start();
    const order = ids('ready');
    const place = (id: string): number => order.indexOf(id);
    expect(order.toSorted()).toEqual(['app', 'audit', 'base', 'login', 'store', 'watch']);
    expect(order.slice(0, 2)).toEqual(['base', 'watch']);
    expect([place('store') < place('login'), place('login') < place('audit'), place('audit') < place('app')]).toEqual([
      true,
      true,
      true,
    ]);
    await world.host.close();
    expect(ids('destroy')).toEqual(['app', 'audit', 'login', 'store', 'watch', 'base']);
  });

  test('who needs itself is refused with the way, and stops nobody else', async () => {
    await stage(world, 'a', { config: `${extension}\nextensions: [b]` });
    await stage(world, 'b', { config: `${extension}\nextensions: [c]` });
    await stage(world, 'c', { config: `${extension}\nextensions: [a]` });
    await stage(world, 'd', { config: 'extensions: [c]' });
    await stage(world, 'e');
    await world.start();
    expect(states()).toEqual([
      'a failed ExtensionCycle',
      'b failed ExtensionCycle',
      'c failed ExtensionCycle',
      'd failed ExtensionUnavailable',
      'e running',
    ]);
    expect(world.host.plugin('b').error).toMatchObject({
      message: 'b needs itself: b -> c -> a -> b',
      details: { path: ['b', 'c', 'a', 'b'] },
    });
    await stage(world, 'a', { config: extension });
    world.log.splice(0);
    await world.host.reload('a');
    await until('all of them run', () => world.host.plugins().every(({ state }) => state === 'running'));
    expect(world.log.filter(({ level }) => level >= 40)).toEqual([]);
  });

  test('what is not there is named with what was probably meant, and what is no extension as such', async () => {
    await stage(world, 'login', { config: extension });
    await stage(world, 'plain');
    await stage(world, 'one', { config: 'extensions: [logn]' });
    await stage(world, 'two', { config: 'extensions: [plain]' });
    await stage(world, 'four', { config: 'extensions: [{id: plain, required: false}]' });
    await stage(world, 'three', { config: 'extensions: [{id: nowhere, required: false}]' });
    await world.start();
    expect(states()).toEqual([
      'four running',
      'login running',
      'one failed ExtensionMissing',
      'plain running',
      'three running',
      'two failed ExtensionMissing',
    ]);
    expect(world.host.plugin('one').error?.message).toBe(
      'one lists the extension logn, which is not there; did you mean login?',
    );
    expect(world.host.plugin('two').error?.message).toBe('two lists plain, which is an application and no extension');
    expect(world.host.plugin('three').lastReload?.warnings).toEqual([
      'the extension nowhere, which is not required, is not there: three goes on without',
    ]);
    expect(world.host.plugin('four').lastReload?.warnings).toEqual([
      'the extension plain, which is not required, does not say `extension: true` in its config.yaml',
    ]);
  });

  test('an extension that fails keeps those who need it from being loaded, until it serves', async () => {
    await stage(world, 'login', { config: extension, defines: { FAIL_AT: '"ready"' } });
    await stage(world, 'audit', { config: `${extension}\nextensions: [login]` });
    await stage(world, 'app', { config: 'extensions: [audit]' });
    await stage(world, 'other', { config: 'extensions: [{id: login, required: false}]' });
    await world.start();
    expect(states()).toEqual([
      'app failed ExtensionUnavailable',
      'audit failed ExtensionUnavailable',
      'login failed LifecycleFailed',
      'other running',
    ]);
    expect(world.host.plugin('audit').error).toMatchObject({
      message: 'audit needs login, which does not run: it is failed (LifecycleFailed)',
      details: { plugin: 'audit', extension: 'login', state: 'failed' },
    });
    expect(ids('create')).not.toContain('audit');
    await stage(world, 'login', { config: extension });
    await world.host.reload('login');
    await until('all of them run', () => world.host.plugins().every(({ state }) => state === 'running'));
    const order = ids('ready');
    expect(order.slice(-2)).toEqual(['audit', 'app']);
    expect((await world.get('/app/who')).status).toBe(200);
  });

  test('one whose config cannot be read is there, and does not run', async () => {
    await stage(world, 'app', { config: 'extensions: [login]' });
    await world.write('login', 'config.yaml', 'extension: [\n');
    await world.start();
    expect(states()).toEqual(['app failed ExtensionUnavailable', 'login failed ConfigInvalid']);
  });

  test('one that comes later is found by who waits for it', async () => {
    await stage(world, 'app', { config: 'extensions: [login]' });
    await world.start();
    expect(states()).toEqual(['app failed ExtensionMissing']);
    await stage(world, 'login', { config: extension });
    await world.host.discover();
    await until('it runs', () => world.host.plugin('app').state === 'running');
  });

  test('who was stopped by hand stays stopped when its extension serves', async () => {
    await stage(world, 'app', { config: 'extensions: [login]' });
    await world.start();
    await world.host.unload('app');
    await stage(world, 'login', { config: extension });
    await world.host.discover();
    expect(states()).toEqual(['app stopped ExtensionMissing', 'login running']);
  });
});

describe('while it runs', () => {
  test('a changed list is taken up without another generation', async () => {
    await stage(world, 'login', { config: extension });
    await stage(world, 'audit', { config: extension });
    await stage(world, 'app', { config: 'extensions: [login]' });
    await world.start();
    await stage(world, 'app', { config: 'extensions: [audit, {id: login, required: false}]' });
    const record = await world.host.reload('app');
    expect(record).toMatchObject({ outcome: 'succeeded', unchanged: true, applied: ['extensions'] });
    expect(world.host.plugin('app')).toMatchObject({
      generation: 1,
      extensions: [
        { id: 'audit', required: true, state: 'running' },
        { id: 'login', required: false, state: 'running' },
      ],
    });
    expect(world.host.plugin('audit')).toMatchObject({ extension: true, consumers: ['app'] });
    await stage(world, 'app', { config: 'extensions: [nobody]' });
    await expect(world.host.reload('app')).rejects.toMatchObject({ code: 'ExtensionMissing' });
    expect(world.host.plugin('app')).toMatchObject({
      state: 'running',
      extensions: [{ id: 'audit' }, { id: 'login' }],
    });
  });

  test('a reload of an extension reloads nobody else', async () => {
    await stage(world, 'login', { config: extension });
    await stage(world, 'app', { config: 'extensions: [login]' });
    await world.start();
    journal.take();
    await stage(world, 'login', { config: extension, defines: { BUILD: '"2"' } });
    expect(await world.host.reload('login')).toMatchObject({ outcome: 'succeeded', to: { generation: 2 } });
    expect(journal.take().map((line) => line.split(' ')[0])).not.toContain('app');
    expect(world.host.plugin('app')).toMatchObject({ generation: 1, extensions: [{ id: 'login', state: 'running' }] });
  });

  test('who needs one that does not run is not loaded anew, and goes on', async () => {
    await stage(world, 'login', { config: extension });
    await stage(world, 'app', { config: 'extensions: [login]' });
    await world.start();
    await world.host.unload('login');
    await stage(world, 'app', { config: 'extensions: [login]', defines: { BUILD: '"2"' } });
    await expect(world.host.reload('app')).rejects.toMatchObject({ code: 'ExtensionUnavailable' });
    expect(world.host.plugin('app')).toMatchObject({ state: 'running', generation: 1 });
    await world.host.load('login');
    await until('it is tried again', () => world.host.plugin('app').generation === 2);
  });

  test('an extension that stops is said to leave those who need it without answers, until it serves', async () => {
    await stage(world, 'login', { config: extension });
    await stage(world, 'app', { config: 'extensions: [{id: login, settings: {level: 1}}]' });
    await stage(world, 'lax', { config: 'extensions: [{id: login, required: false}]' });
    await world.start();
    expect(world.host.plugin('login')).toMatchObject({ consumers: ['app', 'lax'], requiredBy: ['app'] });
    expect(world.host.plugin('app').extensions).toMatchObject([{ id: 'login', settings: ['level'] }]);
    expect([(await world.get('/readyz')).body, world.host.plugin('app').shutBy]).toEqual(['ok\n', undefined]);
    await world.host.unload('login');
    expect(world.log.filter(({ level }) => level === 40)).toMatchObject([
      { plugin: 'login', shut: ['app'], msg: 'login stopped; app needs it and answers 503 until it serves' },
    ]);
    expect(world.events.findLast(({ type }) => type === 'plugin.stopped')).toMatchObject({ shut: ['app'] });
    expect(states()).toEqual(['app running ExtensionUnavailable', 'lax running', 'login stopped']);
    expect(world.host.plugin('app')).toMatchObject({ shutBy: 'login' });
    const { status, body } = await world.get('/readyz');
    expect([status, body]).toEqual([200, 'degraded\n']);
    expect(JSON.parse((await world.admin('GET', '/readyz?verbose')).body)).toMatchObject({
      ready: true,
      degraded: true,
      plugins: [
        { id: 'app', healthy: false, health: expect.stringContaining('until login serves') },
        { id: 'lax', healthy: true },
        { id: 'login' },
      ],
    });
    await world.host.load('login');
    expect([states()[0], (await world.get('/readyz')).body]).toEqual(['app running', 'ok\n']);
  });

  test('an extension that calls itself none names those whom that breaks', async () => {
    await stage(world, 'login', { config: extension });
    await stage(world, 'app', { config: 'extensions: [login]' });
    await stage(world, 'lax', { config: 'extensions: [{id: login, required: false}]' });
    await world.start();
    await stage(world, 'login', { config: 'extension: false' });
    expect(await world.host.reload('login')).toMatchObject({
      outcome: 'succeeded',
      warnings: [
        'login does not say `extension: true` in its config.yaml: app needs it, and cannot be loaded any more',
      ],
    });
    await expect(world.host.reload('app')).rejects.toMatchObject({ code: 'ExtensionMissing' });
    expect(await world.host.reload('lax')).toMatchObject({ outcome: 'succeeded' });
  });

  test('an extension that is gone for good is missing to who lists it', async () => {
    await stage(world, 'login', { config: extension });
    await stage(world, 'app', { config: 'extensions: [login]' });
    await world.start();
    await rm(world.folder('login'), { recursive: true });
    await world.host.discover();
    expect(world.host.plugin('app')).toMatchObject({
      state: 'running',
      error: { code: 'ExtensionMissing' },
      extensions: [{ id: 'login', state: 'missing' }],
    });
  });
});

describe('an application that lists an extension no more, and then again,', () => {
  /** An extension that was told `{}`; what it hears waits until `finish`. */
  function listed() {
    const heard: string[] = [];
    let finish = (): void => {};
    const busy = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const configure = async (application: string, settings: string): Promise<string> => {
      heard.push(`${application} ${settings}`);
      await busy;
      return 'taken';
    };
    const turns = new Turns();
    const told = new Map([['app', '{}']]);
    const facts = { id: 'login', told, unasked: new Set(), asked: new Map(), turns, running: { configure } };
    const login = facts as unknown as Plugin;
    const settings = new ExtensionSettings({
      log: pino({ level: 'silent' }),
      plugins: new Map([['login', login]]),
      anew: () => Promise.resolve(),
    });
    const use = { id: 'login', required: true, settings: '{}' };
    const again = (): Promise<void> => settings.tell('app', [use]).then(() => settings.keepOnly('app', [use]));
    return { heard, busy, finish, turns, login, gone: () => settings.keepOnly('app', []), again };
  }

  test('is never away for one that has not heard it yet', async () => {
    const { heard, busy, finish, turns, login, gone, again } = listed();
    const before = turns.take('a reload', () => busy);
    const told = [gone(), again()];
    finish();
    await Promise.all([before, ...told]);
    expect([heard, login.told.get('app'), login.asked.size]).toEqual([[], '{}', 0]);
  });

  test('is told again to one that is just hearing it', async () => {
    const { heard, finish, login, gone, again } = listed();
    const leaving = gone();
    await until('it hears it', () => heard.length > 0);
    const told = [leaving, again()];
    finish();
    await Promise.all(told);
    expect([heard, login.told.get('app'), login.asked.size]).toEqual([['app ', 'app {}'], '{}', 0]);
  });
});

test('settings that an extension had no time for are not said to be wrong', async () => {
  const late = new TenonError('LifecycleTimeout', 'configure missed its deadline');
  const running = { configure: () => Promise.reject(late) };
  const maps = { told: new Map([['app', '{"a":1}']]), asked: new Map(), unasked: new Set() };
  const plugins = new Map([['login', { id: 'login', turns: new Turns(), running, ...maps } as unknown as Plugin]]);
  const settings = new ExtensionSettings({ log: pino({ level: 'silent' }), plugins, anew: () => Promise.resolve() });
  const told = settings.tell('app', [{ id: 'login', required: true, settings: '{"a":2}' }]);
  await expect(told).rejects.toMatchObject({
    code: 'LifecycleTimeout',
    details: { plugin: 'app', application: 'app', extension: 'login', pointer: '/extensions/0/settings' },
  });
});

describe('work in order', () => {
  test('waits for others, two at a time, and gets through where all wait for each other', async () => {
    const before: Record<string, string[]> = { b: ['a'], c: ['a', 'gone'], x: ['y'], y: ['x'] };
    const log: string[] = [];
    let running = 0;
    const work = async (key: string): Promise<void> => {
      running += 1;
      log.push(`${key}${running > 2 ? ' too many' : ''}`);
      await Promise.resolve();
      running -= 1;
      if (key === 'a') throw new Error('its own affair');
    };
    await inOrder(['b', 'c', 'x', 'y', 'a'], (key) => before[key] ?? [], work, 2);
    expect(log[0]).toBe('a');
    expect(log.toSorted()).toEqual(['a', 'b', 'c', 'x', 'y']);
    await inOrder([], () => [], work, 2);
  });
});

describe('config', () => {
  const told = (id: string): string[] =>
    journal
      .take()
      .filter((line) => line.startsWith(`${id} `))
      .map((line) => line.slice(id.length + 1))
      .filter((line) => /^(?:own|consumer|changed) /.test(line));
  const login = (answer: string, config = ''): Promise<void> =>
    stage(world, 'login', { config: `${extension}\n${config}`, defines: { WITH_CONFIG: answer } });
  const app = (settings: string): Promise<void> =>
    stage(world, 'app', { config: `extensions: [{id: login, settings: ${settings}}]` });

  test('of its own, and what each application sets, is there from initialize on, and changes while it runs', async () => {
    await login('TENON_OK', 'custom: {minutes: 30}');
    await app('{level: 1}');
    await stage(world, 'other', { config: 'extensions: [login]' });
    await world.start();
    expect(told('login')).toEqual([
      'own {"minutes":30}',
      'consumer app {"level":1}',
      'consumer other {}',
      'changed app {"level":1}',
    ]);
    await login('TENON_OK', 'custom: {minutes: 5}');
    expect(await world.host.reload('login')).toMatchObject({ unchanged: true, applied: ['custom'] });
    expect(told('login')).toEqual(['changed  {"minutes":5}']);
    await app('{level: 2}');
    expect(await world.host.reload('app')).toMatchObject({ unchanged: true, applied: ['extensions'] });
    expect(told('login')).toEqual(['changed app {"level":2}']);
    await stage(world, 'app');
    await world.host.reload('app');
    await rm(world.folder('other'), { recursive: true });
    await world.host.discover();
    await until('it is told that both are gone', () => ids('changed other ').length > 0);
    expect(told('login')).toEqual(['changed app ', 'changed other ']);
    expect(world.host.plugin('login')).toMatchObject({ generation: 1, consumers: [] });
  });

  test('that only a new generation can take is given to one', async () => {
    await login('TENON_ERROR_UNSUPPORTED', 'custom: {minutes: 30}');
    await world.start();
    await login('TENON_ERROR_UNSUPPORTED', 'custom: {minutes: 5}');
    const record = await world.host.reload('login');
    expect(record).toMatchObject({ outcome: 'succeeded', from: { generation: 1 }, to: { generation: 2 } });
    await app('{level: 1}');
    await world.host.discover();
    expect(world.host.plugin('app').state).toBe('running');
    expect(world.host.plugin('login').generation).toBe(3);
    expect(told('login').filter((line) => !line.startsWith('changed'))).toEqual([
      'own {"minutes":30}',
      'own {"minutes":5}',
      'own {"minutes":5}',
      'consumer app {"level":1}',
    ]);
  });

  test('that is refused fails the reload that brought it, and what was holds', async () => {
    await login('TENON_ERROR', 'custom: {minutes: 30}');
    await stage(world, 'app', { config: 'extensions: [login]' });
    await world.start();
    await login('TENON_ERROR', 'custom: {minutes: -1}');
    await expect(world.host.reload('login')).rejects.toMatchObject({
      // Tried again it would be refused again.
      code: 'ConfigInvalid',
      message: expect.stringMatching(/^login does not take its config: /),
      details: { plugin: 'login', step: 'configure' },
    });
    await app('{level: -1}');
    await expect(world.host.reload('app')).rejects.toMatchObject({
      code: 'ConfigInvalid',
      message: expect.stringMatching(/^login does not take what app sets there: /),
    });
    expect(world.host.plugins().map(({ state, generation }) => `${state} ${generation}`)).toEqual([
      'running 1',
      'running 1',
    ]);
  });

  test('that an extension has begun with and does not take keeps the application from being loaded', async () => {
    await login('TENON_ERROR');
    await app('{level: -1}');
    await stage(world, 'other', { config: 'extensions: [login]' });
    await world.start();
    expect(states()).toEqual(['app failed ConfigInvalid', 'login running', 'other running']);
    expect(world.host.plugin('app').error?.details).toMatchObject({
      plugin: 'app',
      extension: 'login',
      pointer: '/extensions/0/settings',
    });
    await login('TENON_OK');
    await world.host.reload('login');
    await until('it is tried again', () => world.host.plugin('app').state === 'running');
  });

  test('that a new build of an extension does not take keeps that build away', async () => {
    await login('TENON_OK');
    await app('{level: 1}');
    await world.start();
    await login('TENON_ERROR');
    await expect(world.host.reload('login')).rejects.toMatchObject({
      code: 'ConfigInvalid',
      details: { plugin: 'login', application: 'app', pointer: '/extensions/0/settings' },
    });
    expect(world.host.plugins().map(({ state, generation }) => `${state} ${generation}`)).toEqual([
      'running 1',
      'running 1',
    ]);
  });

  test('that kept a new build of an extension away lets it serve once it has changed', async () => {
    await login('TENON_OK');
    await app('{level: -1}');
    await world.start();
    const refusesLong = 'json.size>11?TENON_ERROR:TENON_OK';
    await stage(world, 'login', { config: extension, defines: { WITH_CONFIG: refusesLong, BUILD: '"2"' } });
    await expect(world.host.reload('login')).rejects.toMatchObject({ code: 'ConfigInvalid' });
    await app('{level: 5}');
    await world.host.reload('app');
    await until('it serves', () => states().join() === 'app running,login running');
    expect(world.host.plugins().map(({ generation }) => generation)).toEqual([1, 3]);
  });

  test('that was never taken is told to an application which runs, and keeps no extension away', async () => {
    await stage(world, 'login', { config: extension, defines: { WITH_CONFIG: 'TENON_ERROR', FAIL_AT: '"ready"' } });
    await stage(world, 'app', { config: 'extensions: [{id: login, required: false, settings: {level: -1}}]' });
    await world.start();
    expect(states()).toEqual(['app running', 'login failed LifecycleFailed']);
    await login('TENON_ERROR');
    await world.host.reload('login');
    await until('it is told', () => states().join() === 'app running ConfigInvalid,login running');
    const told = (): number =>
      world.log.filter(({ level, msg }) => level >= 40 && msg.includes('what app sets there')).length;
    await until('it is logged', () => told() > 0);
    expect(told()).toBe(1);
    await login('TENON_ERROR', 'concurrency: 3');
    await world.host.reload('login');
    expect(world.host.plugin('login').generation).toBeGreaterThan(1);
  });

  test('that comes with a save which fails is not in force, for the extension that runs and the next one', async () => {
    const schema = (text: string): Promise<void> => world.write('app', 'schema.graphql', text);
    await login('TENON_OK');
    await stage(world, 'audit', { config: extension, defines: { WITH_CONFIG: 'TENON_OK' } });
    await app('{level: 1}');
    await world.start();
    journal.take();
    await stage(world, 'app', { config: 'extensions: [{id: login, settings: {level: 2}}, audit]' });
    await schema('type');
    await expect(world.host.reload('app')).rejects.toMatchObject({ code: 'SchemaInvalid' });
    const lines = journal.read().filter((line) => line.includes(' changed '));
    expect(lines.toSorted()).toEqual([
      'audit changed app ',
      'audit changed app {}',
      'login changed app {"level":1}',
      'login changed app {"level":2}',
    ]);
    expect(lines.findLast((line) => line.startsWith('login'))).toContain('{"level":1}');
    journal.take();
    await login('TENON_OK', 'concurrency: 3');
    expect(await world.host.reload('login')).toMatchObject({ to: { generation: 2 } });
    expect(told('login')).toContain('consumer app {"level":1}');
    expect(world.host.plugin('audit').consumers).toEqual([]);
    await rm(path.join(world.folder('app'), 'schema.graphql'));
    await world.host.reload('app');
    expect(told('login')).toEqual(['changed app {"level":2}']);
  });

  test('that only a new generation can take is also given to one while the application runs', async () => {
    await login('TENON_ERROR_UNSUPPORTED');
    await app('{level: 1}');
    await world.start();
    await app('{level: 2}');
    await world.host.reload('app');
    expect(world.host.plugin('login').generation).toBe(2);
    expect(told('login').slice(-2)).toEqual(['consumer app {"level":2}', 'changed app {"level":2}']);
  });

  test('that only a new generation can take gives no build to serve that was saved since', async () => {
    const refuses = { WITH_CONFIG: 'TENON_ERROR_UNSUPPORTED' };
    await login(refuses.WITH_CONFIG);
    await app('{level: 1}');
    await world.start();
    const sha256 = (): string | undefined => world.host.plugin('login').generations[0]?.sha256;
    const before = sha256();
    await stage(world, 'login', {
      config: `${extension}\ncustom: {minutes: 5}`,
      defines: { ...refuses, BUILD: '"2"' },
    });
    journal.take();
    await app('{level: 2}');
    await world.host.reload('app');
    expect([world.host.plugin('login').generation, sha256()]).toEqual([2, before]);
    expect(told('login')).not.toContain('own {"minutes":5}');
    await world.host.reload('login');
    expect([world.host.plugin('login').generation, sha256() === before]).toEqual([3, false]);
  });

  test('of one that does not look at it changes without its notice', async () => {
    await stage(world, 'login', { config: extension });
    await world.start();
    await app('{level: 1}');
    await world.host.discover();
    await stage(world, 'login', { config: `${extension}\ncustom: {minutes: 5}` });
    expect(await world.host.reload('login')).toMatchObject({ unchanged: true, applied: ['custom'] });
    expect(world.host.plugin('login').generation).toBe(1);
  });
});

test('telemetry is told of those who were there before it, and of those who fail', async () => {
  await stage(world, 'base', { config: extension });
  await world.write(
    'watch',
    'config.yaml',
    'app_id: watch\nextension: telemetry\nextensions: [{id: base, required: false}]\n',
  );
  await world.publish(
    'watch',
    await buildPlugin('services', { defines: { PLUGIN_ID: '"watch"', SUBSCRIBE: '"tenon.plugin"' } }),
  );
  await stage(world, 'app', { defines: { FAIL_AT: '"ready"' } });
  await world.start();
  await world.host.unload('base');
  const seen = async (): Promise<string[]> => (await world.get('/watch/seen')).body.split('\n').slice(0, -1);
  await until('all of it has arrived', async () => (await seen()).length >= 4);
  expect(await seen()).toEqual([
    'tenon.plugin  base serves',
    'tenon.plugin  watch serves',
    'tenon.plugin  app failed',
    'tenon.plugin  base stopped',
  ]);
});
