import { appendFile, mkdir, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { warmUp } from '../src/cli/warm-up.js';
import { SavedStates } from '../src/host/saved-states.js';
import type { Wishes } from '../src/index.js';
import { configurationOf } from '../src/reload/configuration.js';
import { Command, hostProcess, killHost, token } from './load/command.js';
import { inProcessOnly } from './load/isolation.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';
import { savedState } from './state/saved-state.js';

function keeper(build: string, ...macros: string[]): Promise<string> {
  const defines = Object.fromEntries(macros.map((macro) => [macro, '1']));
  return buildPlugin('keeper', { defines: { BUILD: `"${build}"`, ...defines }, flags: ['-pthread'] });
}

let world: World;
const commands: Command[] = [];
beforeEach(async () => {
  world = await World.make();
});
afterEach(async () => {
  for (const { child } of commands) child.kill('SIGKILL');
  await Promise.all(commands.splice(0).map(({ exit }) => exit));
  await world.close();
});

const states = (): string => path.join(world.data, 'state');
const values = (): string => path.join(states(), 'keeper.values');

async function put(what: 'note' | 'value', body: string): Promise<number> {
  return (await world.request('PUT', `/keeper/${what}`, { body })).status;
}

async function get(what: 'note' | 'value' | 'build'): Promise<string> {
  return (await world.get(`/keeper/${what}`)).body;
}

async function restart(): Promise<void> {
  await world.host.close();
  await world.start();
}

/** A host in a process of its own, which nobody is sorry for. */
async function start(): Promise<Command> {
  const host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, {
    TENON_HOT_RELOAD_ENABLED: 'false',
  });
  commands.push(host);
  await until('it listens', () => host.err.includes('Try: '));
  return host;
}

async function call({ url }: Command, method: string, target: string, body?: string): Promise<string> {
  const answer = await fetch(`${url}/keeper/${target}`, { method, ...(body === undefined ? {} : { body }) });
  expect(answer.status).toBe(200);
  return answer.text();
}

describe('values of tenon.state', () => {
  test('are there as they were put last when the host is killed, with and without a reload before', async () => {
    await world.publish('keeper', await keeper('one'));
    const first = await start();
    for (const note of ['milk', 'bread', 'salt']) await call(first, 'PUT', 'note', note);
    await killHost(first, world.data);
    const second = await start();
    expect(await call(second, 'GET', 'note')).toBe('salt');
    await world.publish('keeper', await keeper('two', 'NO_STATE'));
    const headers = { authorization: `Bearer ${token}` };
    const reload = await fetch(`${second.url}/api/v1/plugins/keeper/reload`, { method: 'POST', headers });
    expect(reload.status).toBe(200);
    await call(second, 'PUT', 'note', 'butter');
    await killHost(second, world.data);
    expect(await call(await start(), 'GET', 'note')).toBe('butter');
  }, 60_000);

  test('are those before a change that was cut short with its host, which the record tells', async () => {
    await world.publish('keeper', await keeper('one'));
    await world.start();
    await put('note', 'milk');
    await world.host.close();
    await appendFile(values(), 'begun');
    await world.start();
    expect(await get('note')).toBe('milk');
    expect(world.host.reloads()[0]?.warnings).toEqual([
      expect.stringMatching(/the last change of the values of keeper was cut short/),
    ]);
    await put('note', 'bread');
    await restart();
    expect([await get('note'), world.host.reloads()[0]?.warnings]).toEqual(['bread', []]);
  });

  test('are those of the last end in order where their file is damaged, which is put aside', async () => {
    await world.publish('keeper', await keeper('one'));
    await world.start();
    await put('note', 'milk');
    await put('note', 'bread');
    await world.host.close();
    const bytes = await readFile(values());
    bytes[bytes.length - 1] = 0;
    await writeFile(values(), bytes);
    await world.start();
    expect(await get('note')).toBe('bread');
    const aside = (await readdir(states())).find((name) => name.startsWith('keeper.values.damaged-')) ?? '';
    expect(world.host.reloads()[0]?.warnings).toEqual([expect.stringContaining(aside)]);
    expect((await readFile(path.join(states(), aside))).equals(bytes)).toBe(true);
  });

  test('are refused by a disk that does not take them, and what was there stays', async () => {
    await world.publish('keeper', await keeper('one'));
    await world.start();
    await mkdir(`${values()}.new`, { recursive: true });
    expect(await put('note', 'milk')).toBe(500);
    expect(await get('note')).toBe('');
    await rmdir(`${values()}.new`);
    expect([await put('note', 'milk'), await get('note')]).toEqual([200, 'milk']);
  });

  test('of a file that is none end the load, and it is left alone', async () => {
    await mkdir(values(), { recursive: true });
    await world.publish('keeper', await keeper('one'));
    await world.start();
    expect(world.host.plugin('keeper').error).toMatchObject({
      code: 'StateUnreadable',
      message: 'the saved values of keeper were not taken: Is a directory',
    });
    await rmdir(values());
    await world.host.load('keeper');
    expect([await put('note', 'milk'), await get('note')]).toEqual([200, 'milk']);
  });

  test('are in memory alone where state is not preserved, and in a file from when it is', async () => {
    await world.publish('keeper', await keeper('one'));
    await world.start({ preserveState: false });
    await put('note', 'milk');
    await expect(readdir(states())).rejects.toThrow('ENOENT');
    await world.write('keeper', 'config.yaml', 'reload:\n  preserveState: true\n');
    await world.publish('keeper', await keeper('two'));
    await world.host.reload('keeper');
    expect(await readFile(values(), 'latin1')).toContain('milk');
    await world.write('keeper', 'config.yaml', 'reload:\n  preserveState: false\n');
    await world.publish('keeper', await keeper('three'));
    await world.host.reload('keeper');
    await put('note', 'bread');
    expect(await get('note')).toBe('bread');
    expect(await readFile(values(), 'latin1')).not.toContain('bread');
  });

  test('are forgotten with the state', async () => {
    const kept = new SavedStates({ directory: states(), stateLimit: 1000 });
    await kept.keep(await savedState(Buffer.from('state')));
    await writeFile(values(), 'values');
    await writeFile(`${values()}.damaged-x`, 'older');
    await kept.forget('keeper');
    expect(await readdir(states())).toEqual([]);
  });
});

async function addKeeper(isolation = 'inline'): Promise<void> {
  await world.write('keeper', 'config.yaml', `extension: true\nisolation: ${isolation}\n`);
  await world.publish('keeper', await keeper('one'));
}

/** One that ends its process in `shutdown`, and whose requests the keeper comes before: it is closed first. */
async function addDying(): Promise<void> {
  await world.write('dying', 'config.yaml', 'extensions: [keeper]\n');
  const defines = { ID: '"dying"', NO_STATE: '1', DIE_SHUTDOWN: '1' };
  await world.publish('dying', await buildPlugin('keeper', { defines, flags: ['-pthread'] }));
}

describe('the state of all plugins is on disk before the first is shut down at the end of a host', () => {
  beforeEach(() => inProcessOnly('a plugin in a process of its own ends that, and no host'));

  test.each([
    { where: 'in the host', isolation: 'inline' },
    { where: 'in a process of its own', isolation: 'process' },
  ])(
    'which is stopped, of a plugin $where',
    async ({ isolation }) => {
      await addKeeper(isolation);
      await addDying();
      const host = await start();
      await call(host, 'PUT', 'value', 'known');
      host.child.kill('SIGTERM');
      await host.exit;
      expect(host.err).toMatch(/dying generation 1 .* in shutdown/);
      expect(await call(await start(), 'GET', 'value')).toBe('known');
    },
    60_000,
  );

  test('whose place another one takes', async () => {
    await addKeeper();
    await addDying();
    const host = await start();
    const before = await hostProcess(world.data);
    await call(host, 'PUT', 'value', 'known');
    const headers = { authorization: `Bearer ${token}` };
    expect((await fetch(`${host.url}/api/v1/upgrade`, { method: 'POST', headers, body: '{}' })).status).toBe(200);
    await until('another one serves', async () => ![undefined, before].includes(await hostProcess(world.data)));
    await until('the keeper serves', async () => (await fetch(`${host.url}/keeper/value`)).status === 200);
    expect(await call(host, 'GET', 'value')).toBe('known');
  }, 60_000);

  test('also where one of them hangs while it saves', async () => {
    await writeFile(path.join(world.directory, 'tenon.yaml'), 'limits:\n  lifecycleMs: 1000\n');
    await addKeeper();
    await addDying();
    const defines = { ID: '"hanging"', HANG_SAVE: '1' };
    await world.publish('hanging', await buildPlugin('keeper', { defines, flags: ['-pthread'] }));
    await world.write('hanging', 'config.yaml', 'extensions: [keeper]\n');
    const host = await start();
    await call(host, 'PUT', 'value', 'known');
    host.child.kill('SIGTERM');
    await host.exit;
    expect(`${host.out}${host.err}`).toMatch(/save of hanging did not return/);
    expect(await call(await start(), 'GET', 'value')).toBe('known');
  }, 60_000);
});

describe('the state of a plugin', () => {
  test('is on disk before the build that takes it over can do any harm', async () => {
    inProcessOnly('a build in a process of its own ends that, and no host');
    await world.publish('keeper', await keeper('one'));
    const first = await start();
    await call(first, 'PUT', 'value', 'handed over');
    await world.publish('keeper', await keeper('two', 'SECOND', 'DIE_READY'));
    const headers = { authorization: `Bearer ${token}` };
    first.child.kill('SIGSTOP');
    await expect(
      fetch(`${first.url}/api/v1/plugins/keeper/reload`, { method: 'POST', headers }).then((answer) => answer.text()),
    ).rejects.toThrow();
    first.child.kill('SIGKILL');
    await first.exit;
    await world.publish('keeper', await keeper('one'));
    expect(await call(await start(), 'GET', 'value')).toBe('handed over');
  }, 60_000);

  test('is that of the last call when a new build kills the host in initialize', async () => {
    inProcessOnly('a build in a process of its own ends that, and no host');
    await world.publish('keeper', await keeper('one'));
    const host = await start();
    await call(host, 'PUT', 'value', 'known');
    await world.publish('keeper', await keeper('two', 'DIE_INITIALIZE'));
    const headers = { authorization: `Bearer ${token}` };
    await fetch(`${host.url}/api/v1/plugins/keeper/reload`, { method: 'POST', headers }).catch(() => undefined);
    await until('the build before it is back', async () =>
      call(host, 'GET', 'build').then(
        (text) => text === 'one',
        () => false,
      ),
    );
    expect(host.err).toMatch(/went back|wentBack|crash/);
    expect(await call(host, 'GET', 'value')).toBe('known');
  }, 60_000);

  test('of a build is there again when one goes back to it, also when the next one has saved what it cannot read', async () => {
    await world.publish('keeper', await keeper('one'));
    await world.start();
    await put('value', 'good');
    await world.publish('keeper', await keeper('two', 'SECOND'));
    await world.host.reload('keeper');
    await put('value', 'bad');
    await restart();
    expect(await get('value')).toBe('bad');
    const record = await world.host.rollback('keeper');
    const [name = ''] = (await readdir(states())).filter((each) => each.includes('.refused-'));
    expect(record.warnings).toEqual([expect.stringContaining(name)]);
    expect([await get('build'), await get('value')]).toEqual(['one', 'good']);
    await rm(path.join(states(), name));
    await restart();
    await world.host.rollback('keeper');
    expect([await get('build'), await get('value')]).toEqual(['one', 'good']);
  });

  describe('that is saved every so often', () => {
    const saved = async (): Promise<string> => readFile(path.join(states(), 'keeper.state'), 'latin1').catch(() => '');

    test('is there when its host is killed, as of the last calls that had ended', async () => {
      await world.publish('keeper', await keeper('one', 'WITH_QUIESCE'));
      await world.start({ stateSaveMs: 30 });
      await put('value', 'first');
      await until('it is kept', async () => (await saved()).endsWith('first'));
      await put('value', 'second');
      await until('it is kept', async () => (await saved()).endsWith('second'));
      expect(await get('value')).toBe('second');
      const said = world.said('keeper');
      expect(said.slice(0, 3)).toEqual(['ready', 'quiesce', 'save']);
    });

    test('is saved when calls have ended since, and not while one goes on', async () => {
      await world.publish('keeper', await keeper('one'));
      await world.start({ stateSaveMs: 20 });
      await put('value', 'first');
      await until('it is kept', async () => (await saved()).endsWith('first'));
      const saves = (): number => world.said('keeper').filter((each) => each === 'save').length;
      const before = saves();
      let over = false;
      const slow = world.get('/keeper/slow').finally(() => {
        over = true;
      });
      await until('the call is in', () => world.host.plugin('keeper').generations.some(({ leases }) => leases > 0));
      for (let time = 0; time < 3; time++) {
        expect(await get('build')).toBe('one');
        if (!over) expect(saves()).toBe(before);
      }
      expect((await slow).status).toBe(200);
      await until('it is kept', async () => (await saved()).endsWith('late'));
    });

    test('is not that of a build on probation', async () => {
      await world.publish('keeper', await keeper('one'));
      await world.start({ stateSaveMs: 20, probationMs: 60_000 });
      await put('value', 'first');
      await until('it is kept', async () => (await saved()).endsWith('first'));
      await world.publish('keeper', await keeper('two', 'SECOND'));
      await world.host.reload('keeper');
      await put('value', 'of the second');
      // Its turn comes again and again meanwhile.
      for (let time = 0; time < 20; time++) await get('value');
      expect(await saved()).toContain('"state":{"version":1');
      expect((await saved()).endsWith('first')).toBe(true);
    });
  });
});

describe('a host that begins where another one has ended', () => {
  test('begins with what was tried and served, and tries what was not in its session', async () => {
    await world.publish('keeper', await keeper('one', 'SLOW_TO_OPEN'));
    await world.start();
    await put('note', 'milk');
    const tried = path.join(world.data, 'versions-tried.json');
    await until('the build is known', async () => (await readdir(world.data)).includes('versions-tried.json'));
    const { sha256 = '' } = world.host.plugin('keeper').generations[0] ?? {};
    const wishes: Wishes = {
      plugins: [{ id: 'keeper', folder: world.folder('keeper'), sha256 }],
      hotReload: configurationOf(world.host.settings),
    };
    await world.host.close();
    // No trial passes.
    const options = { trialMs: 10 };
    await world.open(options);
    await world.host.resume(wishes);
    expect([await get('build'), await get('note')]).toEqual(['one', 'milk']);
    await world.host.close();
    const { builds } = JSON.parse(await readFile(tried, 'utf8')) as { builds: string[] };
    await writeFile(tried, JSON.stringify({ session: 'another', builds }));
    await world.open(options);
    await world.host.resume(wishes);
    expect(world.host.plugin('keeper').error?.code).toBe('TrialTimeout');
  });

  test('that stands by is prepared with nothing at all', () => {
    expect(warmUp()).toBeUndefined();
  });
});
