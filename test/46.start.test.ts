import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { callOnce } from './load/clients.js';
import { Command, hostProcess, token } from './load/command.js';
import { stagingDirectories } from './load/gauge.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

/** Whether a call is under way in the plugin `service`. */
async function isCalled(url: string): Promise<boolean> {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${url}/api/v1/plugins/service`, { headers });
  const { generations } = (await answer.json()) as { generations: { leases: number }[] };
  return generations.some(({ leases }) => leases > 0);
}

describe('tenon start', () => {
  let world: World;
  const running: Command[] = [];
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(async () => {
    for (const { child } of running) child.kill('SIGKILL');
    await Promise.all(running.splice(0).map(({ exit }) => exit));
    await world.close();
  });

  function tenon(variables: Record<string, string>, ...words: string[]): Command {
    const started = new Command(words, world.directory, variables);
    running.push(started);
    return started;
  }

  test('says where it listens and what it serves; a signal lets calls finish, then it ends with 0', async () => {
    await world.publish('service', await buildPlugin('service'));
    const host = tenon({}, 'start', '--port', '0', '--data', 'state');
    await until('it listens', () => host.err.includes('Try: '));
    const { url } = host;
    expect(host.err).toContain('service 1.0.0: running');
    expect(host.err).toContain(`Try: curl ${url}/service/build`);
    expect((await stat(world.data)).mode & 0o777).toBe(0o700);

    const second = tenon({}, 'start', '--port', '0', '--data', 'state');
    expect(await second.exit).toEqual([1, null]);
    expect(second.err).toContain(
      `process ${await hostProcess(world.data)} uses the data directory ${world.data}; stop it`,
    );

    const slow = callOnce(url, { method: 'GET', path: '/service/slow?ms=500' });
    await until('the call is in', () => isCalled(url));
    host.child.kill('SIGTERM');
    expect((await slow).body).toBe('one');
    expect(await host.exit).toEqual([0, null]);
    const lines = host.out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { msg: string }).msg);
    expect(lines.at(-1)).toBe('stopped');
  });

  test('a second signal ends it at once', async () => {
    await world.publish('service', await buildPlugin('service'));
    const host = tenon({}, 'start', '--port', '0', '--data', 'state');
    await until('it listens', () => host.err.includes('Try: '));
    const { url } = host;
    const slow = callOnce(url, { method: 'GET', path: '/service/slow?ms=20000' }).catch(() => 'cut');
    await until('the call is in', () => isCalled(url));
    host.child.kill('SIGINT');
    await until('the first is taken', () => host.out.includes('a second signal stops it at once'));
    // Those that come with the first are the same wish.
    await until('it ends', () => {
      host.child.kill('SIGINT');
      return host.child.exitCode !== null || host.child.signalCode !== null;
    });
    expect(await host.exit).toEqual([130, null]);
    expect(await slow).toBe('cut');
  });

  test('makes the admin token at the first start, for its owner only', async () => {
    const host = tenon({ TENON_ADMIN_TOKEN: '' }, 'start', '--port', '0', '--data', 'state');
    await until('it listens', () => host.err.includes('Try: '));
    const file = path.join(world.data, 'admin-token');
    expect(host.err).toContain(file);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const { url } = host;
    const headers = { authorization: `Bearer ${(await readFile(file, 'utf8')).trim()}` };
    expect((await fetch(`${url}/api/v1/plugins`, { headers })).status).toBe(200);
    host.child.kill('SIGTERM');
    expect(await host.exit).toEqual([0, null]);
  });

  test('listens before the applications are built; a signal then ends the builds and leaves nothing', async () => {
    await world.write('greeter', 'config.yaml', 'name: Greeter\n');
    await world.write('greeter', 'resources/build.cpp', 'int never;\n');
    // A compiler that answers what it is, and never compiles.
    const compiler = path.join(world.directory, 'compiler');
    const pid = path.join(world.directory, 'compiler.pid');
    const questions = '*--version*|*-dumpversion*|*-dumpmachine*) exec c++ "$@"';
    await writeFile(compiler, `#!/bin/sh\ncase "$*" in ${questions};; esac\necho $$ > ${pid}\nexec sleep 600\n`);
    await chmod(compiler, 0o755);
    const host = tenon({ CXX: compiler }, 'start', '--port', '0', '--data', 'state');
    await until('it compiles', async () => (await readFile(pid, 'utf8').catch(() => '')).endsWith('\n'));
    const asked = async (target: string): Promise<number> =>
      (await callOnce(host.url, { method: 'GET', path: target })).status;
    expect([await asked('/livez'), await asked('/readyz')]).toEqual([200, 503]);
    host.child.kill('SIGINT');
    expect(await host.exit).toEqual([0, null]);
    expect(() => process.kill(Number(readFileSync(pid, 'utf8')), 0)).toThrow('ESRCH');
    expect(stagingDirectories(host.child.pid ?? 0, world.data)).toEqual([]);
    expect(host.err).not.toContain('Try: ');
  });

  test('a taken address is told before anything is built', async () => {
    await world.write('greeter', 'config.yaml', 'name: Greeter\n');
    await world.write('greeter', 'resources/build.cpp', 'int nothing;\n');
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const host = tenon({}, 'start', '--port', String(port), '--data', 'state');
    expect(await host.exit).toEqual([1, null]);
    other.close();
    expect(host.err).toContain(`127.0.0.1:${port} is taken by another process; choose another with --host or --port`);
    expect(host.out).not.toContain('greeter');
    expect(existsSync(path.join(world.data, 'cache'))).toBe(false);
  });

  test('takes a data directory and a token that others could read for its owner alone, and says so', async () => {
    await mkdir(world.data, { mode: 0o755 });
    const file = path.join(world.data, 'admin-token');
    await writeFile(file, `${'t'.repeat(40)}\n`, { mode: 0o644 });
    const host = tenon({ TENON_ADMIN_TOKEN: '' }, 'start', '--port', '0', '--data', 'state');
    await until('it listens', () => host.err.includes('Try: '));
    expect((await stat(world.data)).mode & 0o777).toBe(0o700);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(host.out).toContain(`${world.data} was open to others (mode 755)`);
    expect(host.out).toContain(`${file} was open to others (mode 644)`);
    const headers = { authorization: `Bearer ${'t'.repeat(40)}` };
    expect((await fetch(`${host.url}/api/v1/plugins`, { headers })).status).toBe(200);
    host.child.kill('SIGTERM');
    expect(await host.exit).toEqual([0, null]);
  });

  test('--print-config shows every setting with its source; misuse ends with 2 and a suggestion', async () => {
    const shown = tenon({}, 'start', '--print-config', '--port', '9');
    expect(await shown.exit).toEqual([0, null]);
    expect(shown.out).toMatch(/^port +9 +flag +PORT$/m);
    expect(shown.out).toMatch(/^key in tenon\.yaml +value +source +environment$/m);
    expect(shown.out).toMatch(/^limits\.drainMs +30000 +default$/m);
    const wrong = tenon({}, 'strat');
    expect(await wrong.exit).toEqual([2, null]);
    expect(wrong.err).toContain('Did you mean start?');
    const bad = tenon({}, 'start', '--port', 'many');
    expect(await bad.exit).toEqual([2, null]);
    expect(bad.err).toContain('option port: "many" is not a whole number');
  });
});
