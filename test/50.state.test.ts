import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CreateHostOptions } from '../src/index.js';
import { inProcessOnly } from './load/isolation.js';
import { callOnce } from './load/clients.js';
import { Command, killHost, token } from './load/command.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

function keeper(build: string, ...macros: string[]): Promise<string> {
  const defines = Object.fromEntries(macros.map((macro) => [macro, '1']));
  return buildPlugin('keeper', { defines: { BUILD: `"${build}"`, ...defines }, flags: ['-pthread'] });
}

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

/** Publish it and start a host with it. */
async function serve(library: string, options: CreateHostOptions = {}): Promise<void> {
  await world.publish('keeper', library);
  await world.start(options);
}

/** Close the host and begin another with the same data, and with `library` when it is given. */
async function restart(library?: string, options: CreateHostOptions = {}): Promise<void> {
  await world.host.close();
  if (library !== undefined) await world.publish('keeper', library);
  await world.start(options);
}

async function put(value: string | Uint8Array<ArrayBuffer>): Promise<void> {
  expect((await world.request('PUT', '/keeper/value', { body: value })).status).toBe(200);
}

async function value(): Promise<string> {
  return (await world.get('/keeper/value')).body;
}

const file = (): string => path.join(world.data, 'state', 'keeper.state');

/** Names beside the file itself. */
async function putAside(): Promise<string[]> {
  return (await readdir(path.dirname(file()))).filter((name) => name !== 'keeper.state');
}

describe('the state of a plugin', () => {
  test('is there again in the next host, to the byte', async () => {
    await serve(await keeper('one'));
    const bytes = randomBytes(3_000_000);
    await put(bytes);
    await restart(await keeper('two'));
    const answer = await fetch(`${world.url}/keeper/value`);
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
    expect((await world.get('/keeper/build')).body).toBe('two');
    expect(world.host.reloads()).toMatchObject([{ trigger: 'start', warnings: [] }]);
    expect(world.host.reloads()[0]?.phases.migrate).toBeGreaterThan(0);
    expect((await stat(file())).mode & 0o777).toBe(0o600);
    expect(await putAside()).toEqual([]);
  });

  test('may be empty, and is loaded like any other', async () => {
    await serve(await keeper('one'));
    await restart(await keeper('two'));
    await until('its log has arrived', () => world.said('keeper').includes('load'));
    expect(await value()).toBe('');
  });

  test('is there again after unload and load, and when its config disables and enables it', async () => {
    await serve(await keeper('one'));
    await put('by hand');
    await world.host.unload('keeper');
    await world.host.load('keeper');
    expect(await value()).toBe('by hand');
    await world.write('keeper', 'config.yaml', 'enabled: false\n');
    await world.host.reload('keeper');
    await world.write('keeper', 'config.yaml', 'enabled: true\n');
    await world.host.reload('keeper');
    expect(await value()).toBe('by hand');
  });

  test('has what the last calls did, and is saved between quiesce and shutdown', async () => {
    await serve(await keeper('one', 'WITH_QUIESCE'));
    const slow = world.get('/keeper/slow');
    await until('the call is in', () => world.host.plugin('keeper').generations.some(({ leases }) => leases > 0));
    await world.host.unload('keeper');
    expect((await slow).status).toBe(200);
    await until('its log has arrived', () => world.said('keeper').includes('shutdown'));
    expect(world.said('keeper')).toEqual(['ready', 'quiesce', 'save', 'shutdown']);
    await world.host.load('keeper');
    expect(await value()).toBe('late');
  });

  test('waits for an application that is gone, until it comes back', async () => {
    await serve(await keeper('one'));
    await put('patient');
    await rm(world.folder('keeper'), { recursive: true });
    await world.host.discover();
    expect(world.host.plugins()).toEqual([]);
    await world.publish('keeper', await keeper('two'));
    await world.host.discover();
    expect(await value()).toBe('patient');
  });

  test('is carried by builds that have none', async () => {
    await serve(await keeper('one'));
    await put('carried');
    await world.publish('keeper', await keeper('two', 'NO_STATE'));
    expect((await world.host.reload('keeper')).warnings).toEqual([expect.stringContaining('is kept for a build that')]);
    await restart();
    expect(world.host.reloads()[0]?.warnings).toEqual([expect.stringContaining('is kept for a build that does')]);
    await world.publish('keeper', await keeper('three'));
    await world.host.reload('keeper');
    expect(await value()).toBe('carried');
  });

  test('stays with the old generation when the new one fails after it loaded', async () => {
    await serve(await keeper('one'));
    await put('before');
    await world.publish('keeper', await keeper('two', 'FAIL_READY'));
    await expect(world.host.reload('keeper')).rejects.toMatchObject({ code: 'LifecycleFailed' });
    await until('the new one had loaded', () => world.said('keeper').includes('load'));
    expect([await value(), (await world.get('/keeper/build')).body]).toEqual(['before', 'one']);
    await put('after');
    await world.publish('keeper', await keeper('three'));
    await world.host.reload('keeper');
    expect(await value()).toBe('after');
  });

  const failures = [
    { fault: 'does not save', macro: 'REFUSE_SAVE', says: 'the lid is stuck' },
    { fault: 'saved what the one before cannot read', macro: 'SECOND', says: 'it cannot read state of version 2' },
  ];
  test.each(failures)('goes back to what it was with a build, when the bad one $fault', async ({ macro, says }) => {
    await serve(await keeper('one'));
    await put('good');
    await world.publish('keeper', await keeper('two', macro));
    await world.host.reload('keeper');
    await put('bad');
    const record = await world.host.rollback('keeper');
    expect(record).toMatchObject({ outcome: 'succeeded', warnings: [expect.stringContaining(says)] });
    expect([await value(), (await world.get('/keeper/build')).body]).toEqual(['good', 'one']);
  });

  test('is not kept where it is not preserved: no hand-over, no pause, no file', async () => {
    await serve(await keeper('one'), { preserveState: false });
    await put('fleeting');
    await world.publish('keeper', await keeper('two'));
    const record = await world.host.reload('keeper');
    expect(record.phases.migrate).toBeUndefined();
    expect(await value()).toBe('');
    await put('fleeting');
    await world.host.unload('keeper');
    expect(await readdir(world.data)).not.toContain('state');
    expect(world.said('keeper')).not.toContain('save');
  });

  test('comes through any number of versions, forwards, whatever it is', async () => {
    const versions = [await keeper('one'), await keeper('one b'), await keeper('two', 'SECOND')];
    versions.push(await keeper('two b', 'SECOND'));
    await serve(versions[0] ?? '');
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, close) => {
        await world.host.unload('keeper');
        await rm(file(), { force: true });
        await world.publish('keeper', versions[0] ?? '');
        await world.host.load('keeper');
        await put(new Uint8Array(bytes));
        for (const library of versions.slice(1)) {
          if (close) await restart(library);
          else {
            await world.publish('keeper', library);
            await world.host.reload('keeper');
          }
          const answer = await fetch(`${world.url}/keeper/value`);
          expect(new Uint8Array(await answer.arrayBuffer())).toEqual(bytes);
        }
      }),
      { numRuns: 12, examples: [[new Uint8Array(), true]] },
    );
  }, 120_000);
});

describe('values of tenon.state', () => {
  async function note(text?: string): Promise<string> {
    if (text === undefined) return (await world.get('/keeper/note')).body;
    return (await world.request('PUT', '/keeper/note', { body: text })).body;
  }

  test('are there again in the next host, with and without a state beside them', async () => {
    await serve(await keeper('one', 'NO_STATE'));
    await note('milk');
    await restart(await keeper('two'));
    expect(await note()).toBe('milk');
    await note('bread');
    await put('and a value');
    await restart(await keeper('three', 'NO_STATE'));
    expect(await note()).toBe('bread');
    await note('salt');
    await restart(await keeper('four'));
    expect([await note(), await value()]).toEqual(['salt', 'and a value']);
  });

  test('of a plugin that stops and starts again are those it had, also when they could not be kept', async () => {
    await serve(await keeper('one'));
    await note('milk');
    await world.host.unload('keeper');
    await world.publish('keeper', await keeper('two', 'REFUSE_SAVE'));
    await world.host.load('keeper');
    expect(await note()).toBe('milk');
    await note('bread');
    await world.host.unload('keeper');
    await world.host.load('keeper');
    expect(await note()).toBe('bread');
  });

  test.each([[[]], [['NO_STATE']]])('are kept when also older generations have ended: then %j', async (macros) => {
    await serve(await keeper('one', 'NO_STATE'));
    await note('early');
    const slow = world.get('/keeper/slow');
    await until('the call is in', () => world.host.plugin('keeper').generations.some(({ leases }) => leases > 0));
    await world.publish('keeper', await keeper('two', ...macros));
    const reload = world.host.reload('keeper');
    await until('the new one serves', () => world.host.plugin('keeper').generation === 2);
    await world.host.unload('keeper');
    expect(world.host.plugin('keeper').generations).toEqual([]);
    expect((await slow).status).toBe(200);
    await reload;
    await restart();
    expect(await note()).toBe('late');
  });
});

describe('a state that a new build does not take', () => {
  const refusals = [
    { when: 'dry', macro: 'REFUSE_TRY', says: 'it smells' },
    { when: 'in earnest', macro: 'REFUSE_LOAD', says: 'load of keeper failed' },
  ];
  test.each(refusals)('$when is put aside at a first load, and the plugin begins empty', async ({ macro, says }) => {
    await serve(await keeper('one'));
    await put('precious');
    await restart(await keeper('two', macro));
    expect(world.host.plugin('keeper').state).toBe('running');
    expect([await value(), (await world.get('/keeper/build')).body]).toEqual(['', 'two']);
    const [record] = world.host.reloads();
    expect(record).toMatchObject({ outcome: 'succeeded', warnings: [expect.stringContaining(says)] });
    const [name = ''] = await putAside();
    expect(name).toMatch(/^keeper\.state\.refused-/);
    expect(record?.warnings[0]).toContain(name);
    expect(await readFile(path.join(path.dirname(file()), name), 'latin1')).toContain('precious');
  });

  test('ends the first load where that is the policy, and waits for a build that takes it', async () => {
    await serve(await keeper('one'));
    await put('precious');
    await restart(await keeper('two', 'REFUSE_TRY'), { refusedState: 'fail' });
    expect(world.host.plugin('keeper')).toMatchObject({ state: 'failed', error: { code: 'StateRefused' } });
    await world.publish('keeper', await keeper('three'));
    await world.host.reload('keeper');
    expect(await value()).toBe('precious');
    expect(await putAside()).toEqual([]);
  });

  test('is not put aside for a build that does not serve', async () => {
    await serve(await keeper('one'));
    await put('precious');
    await restart(await keeper('two', 'REFUSE_TRY', 'FAIL_READY'));
    expect(world.host.plugin('keeper')).toMatchObject({ state: 'failed', error: { code: 'LifecycleFailed' } });
    await world.publish('keeper', await keeper('three'));
    await world.host.reload('keeper');
    expect(await value()).toBe('precious');
  });

  test('because it hangs is not put aside: the load fails', async () => {
    await serve(await keeper('one'));
    await put('precious');
    await restart(await keeper('two', 'HANG_TRY'), { lifecycleMs: 2000 });
    expect(world.host.plugin('keeper').error).toMatchObject({ code: 'StateRefused', details: { step: 'load' } });
    expect(await putAside()).toEqual([]);
  });

  test('for its version is refused with both versions named', async () => {
    await serve(await keeper('two', 'SECOND'));
    await put('newer');
    await world.publish('keeper', await keeper('one'));
    const says = 'it cannot read state of version 2, its own is version 1';
    await expect(world.host.reload('keeper')).rejects.toMatchObject({
      code: 'StateRefused',
      message: expect.stringContaining(says),
    });
    expect(await value()).toBe('newer');
    await restart();
    expect(world.host.reloads()[0]?.warnings).toEqual([expect.stringContaining(says)]);
  });
});

describe('a state that is not saved', () => {
  /** What a host with this build says when it is closed, after one that kept `before`. */
  async function closing(library: string, options: CreateHostOptions = {}): Promise<string[]> {
    await serve(await keeper('one'));
    await put('before');
    await restart(library, options);
    await put('later, and longer than the limit');
    await world.host.close();
    return world.log.filter(({ level }) => level === 50).map(({ msg }) => msg);
  }

  const faults = [
    { fault: 'is refused', macro: 'REFUSE_SAVE', options: {}, says: 'save of keeper failed: the lid is stuck' },
    { fault: 'hangs', macro: 'HANG_SAVE', options: { lifecycleMs: 2000 }, says: 'save of keeper' },
    {
      fault: 'is too big',
      macro: 'WITH_QUIESCE',
      options: { stateLimit: 20 },
      says: '32 bytes is over the limit of 20',
    },
  ];
  test.each(faults)('because it $fault is named at the end, and what was kept before stays', async (fault) => {
    const said = await closing(await keeper('two', fault.macro), fault.options);
    expect(said).toEqual([expect.stringContaining(fault.says)]);
    expect(said[0]).toContain('keeper');
    await world.publish('keeper', await keeper('three'));
    await world.start();
    expect(await value()).toBe('before');
  });

  test('because a call does not end is named', async () => {
    inProcessOnly('a process that such a call holds is ended, and cannot save');
    await serve(await keeper('one'), { drainMs: 100 });
    const slow = world.get('/keeper/slow');
    await until('the call is in', () => world.host.plugin('keeper').generations.some(({ leases }) => leases > 0));
    await world.host.unload('keeper');
    expect(world.log.filter(({ level }) => level === 50).map(({ msg }) => msg)).toEqual([
      expect.stringContaining('keeper generation 1 did not save its state: 1 call holds it'),
    ]);
    await slow;
  });

  test('because it cannot be written is named', async () => {
    await serve(await keeper('one'));
    await put('before');
    await restart();
    await mkdir(`${file()}.new`);
    await world.host.unload('keeper');
    expect(world.log.filter(({ level }) => level === 50)).toMatchObject([{ code: 'StateNotKept', plugin: 'keeper' }]);
    await world.host.load('keeper');
    expect(await value()).toBe('before');
  });

  test('because it is too big ends a reload, and the old generation goes on', async () => {
    await serve(await keeper('one'), { stateLimit: 20 });
    await put('longer than twenty bytes');
    await world.publish('keeper', await keeper('two'));
    await expect(world.host.reload('keeper')).rejects.toMatchObject({
      code: 'StateRefused',
      message: expect.stringContaining('24 bytes is over the limit of 20'),
    });
    expect([await value(), (await world.get('/keeper/build')).body]).toEqual(['longer than twenty bytes', 'one']);
  });
});

describe('the file of a state', () => {
  test('that is damaged is put aside, which the record tells, and the plugin begins empty', async () => {
    await serve(await keeper('one'));
    await put('precious');
    await world.host.close();
    const bytes = await readFile(file());
    bytes[bytes.length - 1] = 0;
    await writeFile(file(), bytes);
    await world.start();
    expect(await value()).toBe('');
    const [name = ''] = await putAside();
    expect(name).toMatch(/^keeper\.state\.damaged-/);
    expect(world.host.reloads()[0]?.warnings).toEqual([expect.stringContaining(name)]);
    expect(world.log.some(({ level, msg }) => level === 40 && msg.includes(name))).toBe(true);
    expect((await readFile(path.join(path.dirname(file()), name))).equals(bytes)).toBe(true);
  });

  test('that cannot be read ends the load, and is left alone', async () => {
    await mkdir(file(), { recursive: true });
    await serve(await keeper('one'));
    expect(world.host.plugin('keeper').error).toMatchObject({
      code: 'StateUnreadable',
      message: expect.stringContaining('it is not a regular file'),
    });
    expect((await stat(file())).isDirectory()).toBe(true);
  });

  test('has what was handed over, when the host is killed after a reload', async () => {
    await world.publish('keeper', await keeper('one'));
    const commands: Command[] = [];
    const start = async (): Promise<Command> => {
      const host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, {
        TENON_HOT_RELOAD_ENABLED: 'false',
      });
      commands.push(host);
      await until('it listens', () => host.err.includes('Try: '));
      return host;
    };
    try {
      const first = await start();
      const body = 'handed over';
      await fetch(`${first.url}/keeper/value`, { method: 'PUT', body });
      await world.publish('keeper', await keeper('two'));
      const headers = { authorization: `Bearer ${token}` };
      const reload = await fetch(`${first.url}/api/v1/plugins/keeper/reload`, { method: 'POST', headers });
      expect(reload.status).toBe(200);
      await until('it is kept', async () => (await readFile(file(), 'latin1').catch(() => '')).endsWith(body));
      await fetch(`${first.url}/keeper/value`, { method: 'PUT', body: 'forgotten' });
      await killHost(first, world.data);
      const second = await start();
      expect((await callOnce(second.url, { method: 'GET', path: '/keeper/value' })).body).toBe(body);
    } finally {
      for (const { child } of commands) child.kill('SIGKILL');
      await Promise.all(commands.map(({ exit }) => exit));
    }
  });
});
