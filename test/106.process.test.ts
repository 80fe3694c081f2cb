import { existsSync } from 'node:fs';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { selfSigned } from './edge/certificates.js';
import { callOnce, Clients } from './load/clients.js';
import { Command, hostProcess, token } from './load/command.js';
import { tenon } from './load/tenon.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const headers = { authorization: `Bearer ${token}` };

async function get(url: string): Promise<number> {
  return (await callOnce(url, { method: 'GET', path: '/readyz' })).status;
}

/** Start a host in `world` with `lines` in its tenon.yaml; resolves when all is served. */
async function start(world: World, lines: string, variables: Record<string, string> = {}): Promise<Command> {
  await writeSettings(world, lines);
  const host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, variables);
  await until('it serves', () => host.err.includes('Try: '));
  return host;
}

function writeSettings(world: World, lines: string): Promise<void> {
  return writeFile(path.join(world.directory, 'tenon.yaml'), lines);
}

async function isCalled(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/api/v1/plugins/service`, { headers });
  const { generations } = (await answer.json()) as { generations: { leases: number }[] };
  return generations.some(({ leases }) => leases > 0);
}

describe('settings of a host that runs', () => {
  let world: World;
  let host: Command;
  beforeAll(async () => {
    world = await World.make();
    await world.publish('service', await buildPlugin('service'));
    host = await start(world, 'hotReload:\n  enabled: false\n');
  });
  afterAll(async () => {
    host.child.kill('SIGKILL');
    await host.exit;
    await world.close();
  });

  function settings(...words: string[]): ReturnType<typeof tenon> {
    return tenon(world.directory, 'settings', ...words, '--data', 'state');
  }

  async function valueOf(key: string): Promise<unknown> {
    const answer = await fetch(`${host.url}/api/v1/settings`, { headers });
    const { settings: all } = (await answer.json()) as { settings: { key: string; value: unknown }[] };
    return all.find((one) => one.key === key)?.value;
  }

  test('SIGHUP has them read again: fresh processes go on under 32 keep-alive clients, and no request fails', async () => {
    const clients = new Clients({
      url: host.url,
      count: 32,
      next: () => ({ method: 'GET', path: '/service/build' }),
      judge: ({ status, body }) => (status === 200 ? undefined : `${status} ${body}`),
    });
    for (const queue of [901, 902, 903]) {
      const before = await hostProcess(world.data);
      await writeSettings(world, `hotReload:\n  enabled: false\nlimits:\n  queue: ${queue}\n`);
      host.child.kill('SIGHUP');
      await until('a fresh process serves', async () => {
        const now = await hostProcess(world.data);
        return now !== undefined && now !== before && (await get(host.url)) === 200;
      });
      expect(await valueOf('limits.queue')).toBe(queue);
    }
    await writeSettings(world, 'limits:\n  queue: many\n');
    host.child.kill('SIGHUP');
    await until('it is told', () => host.out.includes('limits.queue: \\"many\\" is not a whole number'));
    expect(host.out).toContain('the settings stay as they were');
    const { answered } = clients;
    await until('clients go on', () => clients.answered > answered + 100);
    expect((await clients.stop()).unexpected).toEqual([]);
    expect(await valueOf('limits.queue')).toBe(903);
  });

  test('a certificate that is none is told, and the host goes on; the settings are read all the same', async () => {
    const place = path.join(world.directory, 'tls');
    const { certificate, key } = await selfSigned(place, 'own');
    const other = await World.make();
    const lines = `tls:\n  certificate: ${certificate}\n  key: ${key}\n`;
    const secure = await start(other, lines);
    try {
      await writeFile(certificate, 'nonsense');
      await writeSettings(other, `${lines}log:\n  level: debug\n`);
      secure.child.kill('SIGHUP');
      await until('settings are read', () => secure.out.includes('settings were read again'));
      expect(secure.out).toContain('the certificate stays as it was');
      secure.child.kill('SIGTERM');
      expect(await secure.exit).toEqual([0, null]);
    } finally {
      secure.child.kill('SIGKILL');
      await other.close();
    }
  });

  test('SIGHUP that comes while the host begins anew is for the next one', async () => {
    const slow = callOnce(host.url, { method: 'GET', path: '/service/slow?ms=1500' });
    await until('the call is in', () => isCalled(host.url));
    const begun = (): number => host.out.split('then the host begins anew').length;
    const before = begun();
    await writeSettings(world, 'hotReload:\n  enabled: false\nlimits:\n  queue: 801\n');
    host.child.kill('SIGHUP');
    await until('it ends to begin anew', () => begun() > before);
    await writeSettings(world, 'hotReload:\n  enabled: false\nlimits:\n  queue: 903\n');
    host.child.kill('SIGHUP');
    expect((await slow).body).toBe('one');
    await until('the next one has read it, and begins anew in turn', () => begun() === before + 2);
    await until('the one after it serves', async () => (await hostProcess(world.data)) !== undefined);
    await until('it answers', async () => (await get(host.url)) === 200);
    expect(await valueOf('limits.queue')).toBe(903);
    expect(host.out).not.toContain('the settings stay as they were: the host is shutting down');
  });

  test('what can hold at once does, in the same process', async () => {
    await writeSettings(
      world,
      'hotReload:\n  enabled: false\n  debounceMs: 77\nlog:\n  level: debug\nlimits:\n  queue: 903\n',
    );
    const before = await hostProcess(world.data);
    const said = await settings('reload', '--json');
    expect(JSON.parse(said.out)).toEqual({
      status: 'applied',
      changed: [
        { name: 'libraryDebounceMs', key: 'hotReload.debounceMs', effect: 'live' },
        { name: 'logLevel', key: 'log.level', effect: 'live' },
      ],
    });
    const status = await fetch(`${host.url}/api/v1/hot-reload/status`, { headers });
    expect(await status.json()).toMatchObject({ debounceDelayMs: 77 });
    expect((await settings('reload')).out).toBe('nothing has changed\n');
    expect(await hostProcess(world.data)).toBe(before);
  });

  test('are shown with their source, secrets masked', async () => {
    const { out, status } = await settings();
    expect(status).toBe(0);
    expect(out).toMatch(/^port +0 +flag +PORT$/m);
    expect(out).toMatch(/^limits\.queue +903 +tenon\.yaml$/m);
    expect(out).toMatch(/^adminToken +"\*+" +environment +TENON_ADMIN_TOKEN$/m);
    expect(out).not.toContain(token);
  });

  test('a change of the address asks for a restart, and takes nothing else; a dry run takes nothing at all', async () => {
    await writeSettings(world, 'host: 0.0.0.0\nlimits:\n  queue: 904\n');
    const refused = await settings('reload');
    expect(refused).toMatchObject({ status: 1, out: '' });
    expect(refused.err).toContain('host cannot change while the host runs: nothing was taken; restart the host');
    await writeSettings(world, 'admin:\n  port: 0\n  host: 0.0.0.0\n  socket: a.sock\nlog:\n  output: false\n');
    expect((await settings('reload')).err).toContain(
      'admin.port and admin.host and admin.socket and log.output cannot change while the host runs',
    );
    await writeSettings(world, 'limits:\n  queue: 905\n');
    const dry = await settings('reload', '--dry-run');
    expect(dry.out).toContain('limits.queue (by a fresh process)');
    expect(await valueOf('limits.queue')).toBe(903);
    expect((await settings('relod')).status).toBe(2);
  });

  test('those before come back when no host can begin with those that were read', async () => {
    await writeSettings(world, 'applications: /dev/null\nlimits:\n  queue: 906\n');
    expect((await settings('reload')).out).toContain('a fresh process goes on with them');
    await until('the parent says so', () => host.err.includes('the next one has those before'));
    await until('it serves again', async () => (await get(host.url)) === 200);
    expect(await valueOf('limits.queue')).toBe(903);
    expect((await callOnce(host.url, { method: 'GET', path: '/service/build' })).body).toBe('one');
  });

  test('a hundred signals within a tenth of a second are one: the call under way ends, and the host does, once', async () => {
    const slow = callOnce(host.url, { method: 'GET', path: '/service/slow?ms=1500' });
    await until('the call is in', () => isCalled(host.url));
    const stopped = host.out.match(/"msg":"stopped"/g)?.length ?? 0;
    for (let sent = 0; sent < 100; sent += 1) host.child.kill(sent % 2 === 0 ? 'SIGTERM' : 'SIGINT');
    expect((await slow).body).toBe('one');
    expect(await host.exit).toEqual([0, null]);
    expect(host.out.match(/"msg":"stopped"/g)).toHaveLength(stopped + 1);
    expect(host.err).not.toContain('was ended by');
  });
});

describe('the end of a host', () => {
  let world: World;
  let host: Command;
  beforeEach(async () => {
    world = await World.make();
    await world.publish('service', await buildPlugin('service'));
  });
  afterEach(async () => {
    host.child.kill('SIGKILL');
    await host.exit;
    await world.close();
  });

  test('begins with /readyz, which says no while all else is served; what it has written is its owner’s alone', async () => {
    const mask = process.umask(0);
    try {
      host = await start(world, 'http:\n  shutdownDelayMs: 60000\n');
    } finally {
      process.umask(mask);
    }
    expect(await get(host.url)).toBe(200);
    const written = await readdir(world.data, { recursive: true });
    const modes = await Promise.all(
      written.map(async (name) => (await stat(path.join(world.data, name))).mode & 0o077),
    );
    expect(written.filter((_, index) => modes[index] !== 0)).toEqual([]);
    expect(written).not.toEqual([]);
    host.child.kill('SIGTERM');
    await until('it is not ready', async () => (await get(host.url)) === 503);
    expect((await callOnce(host.url, { method: 'GET', path: '/service/build' })).body).toBe('one');
    await until('a second signal ends it', () => {
      host.child.kill('SIGTERM');
      return host.child.exitCode !== null;
    });
    expect(host.child.exitCode).toBe(130);
  });

  test('comes at a second signal also when its event loop stands', async () => {
    host = await start(world, '');
    const pid = (await hostProcess(world.data)) ?? 0;
    process.kill(pid, 'SIGSTOP');
    try {
      await until('it ends', () => {
        host.child.kill('SIGTERM');
        return host.child.exitCode !== null;
      });
    } catch (error) {
      process.kill(pid, 'SIGKILL');
      throw error;
    }
    expect(await host.exit).toEqual([130, null]);
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });

  test('comes at a signal in the middle of its start, once and with 0', async () => {
    host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, {});
    const children = `/proc/${host.child.pid}/task/${host.child.pid}/children`;
    await until('its host is begun', async () => (await readFile(children, 'utf8')).trim() !== '');
    host.child.kill('SIGTERM');
    expect(await host.exit).toEqual([0, null]);
    expect(host.err).not.toContain('Try: ');
  });
});

test('a host that is not ready answers 503 where nothing is served: it may be what is loaded next', async () => {
  const world = await World.make();
  await world.publish(
    'fault',
    await buildPlugin('hang_in_initialize', { defines: { PLUGIN_TRIAL: 'TENON_TRIAL_OPEN' } }),
  );
  const host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, {});
  try {
    await until('it listens', () => host.url !== '');
    const early = await fetch(`${host.url}/shop/list`);
    expect(early.status).toBe(503);
    expect(early.headers.get('retry-after')).toBe('1');
    expect(await early.json()).toMatchObject({ error: 'HostNotReady' });
    await until('it is ready', () => host.err.includes('Try: '));
    expect((await fetch(`${host.url}/shop/list`)).status).toBe(404);
  } finally {
    host.child.kill('SIGKILL');
    await host.exit;
    await world.close();
  }
});

describe('a host that goes on while one that has come takes its time', () => {
  let world: World;
  let host: Command;
  let hold: string;
  const begun = (): string => path.join(world.directory, 'begun');
  beforeEach(async () => {
    world = await World.make();
    hold = path.join(world.directory, 'hold');
    await writeFile(hold, '');
    await world.publish('service', await buildPlugin('service'));
  });
  afterEach(async () => {
    await rm(hold, { force: true });
    host.child.kill('SIGKILL');
    await host.exit;
    await world.close();
  });

  async function come(): Promise<void> {
    const defines = { DIRECTORY: JSON.stringify(world.directory) };
    await world.publish('fault', await buildPlugin('held_in_initialize', { defines }));
  }

  /** Status, and whether all was looked at. */
  async function readiness(): Promise<unknown> {
    const answer = await fetch(`${host.url}/readyz?verbose`);
    return [answer.status, ((await answer.json()) as { started: boolean }).started];
  }

  async function killed(): Promise<void> {
    await rm(begun(), { force: true });
    const pid = await hostProcess(world.data);
    if (pid === undefined) throw new Error(`no host serves: ${host.err}`);
    process.kill(pid, 'SIGKILL');
    await until('the next one looks at it', () => existsSync(begun()));
    await until(
      'it serves',
      async () => (await callOnce(host.url, { method: 'GET', path: '/service/build' })).status === 200,
    );
  }

  test('is ready when all that served before serves again, and so is the one after it', async () => {
    host = await start(world, 'hotReload:\n  enabled: false\n');
    expect(await readiness()).toEqual([200, true]);
    await come();
    for (let kills = 0; kills < 2; kills += 1) {
      await killed();
      expect(await readiness()).toEqual([200, false]);
    }
    await rm(hold);
    await until('all is there', async () => String(await readiness()) === '200,true');
  });

  test('is ready without one that was stopped and disabled', async () => {
    await world.publish('second', await buildPlugin('service', { defines: { PLUGIN_ID: '"second"' } }));
    host = await start(world, 'hotReload:\n  enabled: false\n', { TENON_REGISTRY: 'true' });
    const ask = async (verb: string): Promise<number> =>
      (await fetch(`${host.url}/api/v1/plugins/second/${verb}`, { method: 'POST', headers })).status;
    expect(await ask('unload')).toBe(200);
    expect(await ask('disable')).toBe(200);
    const copy = path.join(world.data, 'registry.json');
    await until('its copy has it', async () => (await readFile(copy, 'utf8').catch(() => '')).includes('"disabled"'));
    await come();
    await killed();
    expect(await readiness()).toEqual([200, false]);
  });

  test('is not when the one before it had not come to all that there was', async () => {
    await come();
    await writeSettings(world, 'hotReload:\n  enabled: false\n');
    host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, {});
    await until('it looks at it', () => host.url !== '' && existsSync(begun()));
    expect(await readiness()).toEqual([503, false]);
    await killed();
    expect(await readiness()).toEqual([503, false]);
    await rm(hold);
    await until('all is there', async () => String(await readiness()) === '200,true');
  });
});

test('a host that begins anew before it has gone on with everything leaves all of it to the next one', async () => {
  const world = await World.make();
  const hold = path.join(world.directory, 'hold');
  const defines = { DIRECTORY: JSON.stringify(world.directory) };
  await world.publish('fault', await buildPlugin('held_in_initialize', { defines }));
  await world.publish('service', await buildPlugin('service'));
  const host = await start(world, 'hotReload:\n  enabled: false\n');
  try {
    await fetch(`${host.url}/api/v1/plugins/service/unload`, { method: 'POST', headers });
    await writeFile(hold, '');
    process.kill((await hostProcess(world.data)) ?? 0, 'SIGKILL');
    await until('the next one has it in its hands', () => existsSync(path.join(world.directory, 'begun')));
    await writeSettings(world, 'hotReload:\n  enabled: false\nlimits:\n  queue: 801\n');
    host.child.kill('SIGHUP');
    await until('it ends to begin anew', () => host.out.includes('then the host begins anew'));
    await rm(hold);
    // It may come to serve before.
    await until('it has ended', () => host.out.includes('stopped, to begin anew'));
    const { url } = host;
    await until('it is ready', async () => (await get(url)) === 200);
    const answer = await fetch(`${url}/api/v1/plugins/service`, { headers });
    expect(await answer.json()).toMatchObject({ state: 'stopped' });
  } finally {
    host.child.kill('SIGKILL');
    await host.exit;
    await world.close();
  }
});

test('a host of a program says that its settings are the program’s', async () => {
  const world = await World.make();
  try {
    await world.start({ adminToken: token });
    for (const [method, target] of [
      ['GET', 'settings'],
      ['POST', 'settings/reload'],
    ]) {
      const answer = await fetch(`${world.url}/api/v1/${target}`, { method: method ?? '', headers });
      expect(answer.status).toBe(404);
      expect(await answer.json()).toMatchObject({ message: expect.stringContaining('part of a program') as string });
    }
  } finally {
    await world.close();
  }
});
