import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { callOnce } from './load/clients.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const program = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'src', 'cli', 'tenon.ts');

const token = 'a-token-of-the-tests';

/** Whether a call is under way in the plugin `service`. */
async function isCalled(url: string): Promise<boolean> {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${url}/api/v1/plugins/service`, { headers });
  const { generations } = (await answer.json()) as { generations: { leases: number }[] };
  return generations.some(({ leases }) => leases > 0);
}

/** The command in a process of its own. */
class Tenon {
  readonly child: ChildProcess;
  readonly exit: Promise<unknown[]>;
  out = '';
  err = '';

  constructor(words: string[], directory: string, variables: Record<string, string>) {
    const { PATH, HOME } = process.env;
    this.child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), program, ...words], {
      cwd: directory,
      env: { PATH, HOME, TENON_ADMIN_TOKEN: token, ...variables },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout?.on('data', (text: Buffer) => {
      this.out += text.toString();
    });
    this.child.stderr?.on('data', (text: Buffer) => {
      this.err += text.toString();
    });
    this.exit = once(this.child, 'close');
  }
}

describe('tenon start', () => {
  let world: World;
  const running: Tenon[] = [];
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(async () => {
    for (const { child } of running) child.kill('SIGKILL');
    await Promise.all(running.splice(0).map(({ exit }) => exit));
    await world.close();
  });

  function tenon(variables: Record<string, string>, ...words: string[]): Tenon {
    const started = new Tenon(words, world.directory, variables);
    running.push(started);
    return started;
  }

  test('says where it listens and what it serves; a signal lets calls finish, then it ends with 0', async () => {
    await world.publish('service', await buildPlugin('service'));
    const host = tenon({}, 'start', '--port', '0', '--data', 'state');
    await until('it listens', () => host.err.includes('Try: '));
    const [, url = ''] = /listens on (\S+)/.exec(host.err) ?? [];
    expect(host.err).toContain('service 1.0.0: running');
    expect(host.err).toContain(`Try: curl ${url}/service/build`);
    expect((await stat(world.data)).mode & 0o777).toBe(0o700);

    const second = tenon({}, 'start', '--port', '0', '--data', 'state');
    expect(await second.exit).toEqual([1, null]);
    expect(second.err).toContain(String(host.child.pid));

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
    const [, url = ''] = /listens on (\S+)/.exec(host.err) ?? [];
    const slow = callOnce(url, { method: 'GET', path: '/service/slow?ms=20000' }).catch(() => 'cut');
    await until('the call is in', () => isCalled(url));
    host.child.kill('SIGINT');
    await until('the first is taken', () => host.out.includes('a second signal stops it at once'));
    host.child.kill('SIGINT');
    expect(await host.exit).toEqual([130, null]);
    expect(await slow).toBe('cut');
  });

  test('makes the admin token at the first start, for its owner only', async () => {
    const host = tenon({ TENON_ADMIN_TOKEN: '' }, 'start', '--port', '0', '--data', 'state');
    await until('it listens', () => host.err.includes('Try: '));
    const file = path.join(world.data, 'admin-token');
    expect(host.err).toContain(file);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const [, url = ''] = /listens on (\S+)/.exec(host.err) ?? [];
    const headers = { authorization: `Bearer ${(await readFile(file, 'utf8')).trim()}` };
    expect((await fetch(`${url}/api/v1/plugins`, { headers })).status).toBe(200);
    host.child.kill('SIGTERM');
    expect(await host.exit).toEqual([0, null]);
  });

  test('--print-config shows every setting with its source; misuse ends with 1 or 2 and a suggestion', async () => {
    const shown = tenon({}, 'start', '--print-config', '--port', '9');
    expect(await shown.exit).toEqual([0, null]);
    expect(shown.out).toMatch(/^port +9 +flag +PORT$/m);
    expect(shown.out).toMatch(/^drainMs +30000 +default$/m);
    const wrong = tenon({}, 'strat');
    expect(await wrong.exit).toEqual([1, null]);
    expect(wrong.err).toContain('Did you mean start?');
    const bad = tenon({}, 'start', '--port', 'many');
    expect(await bad.exit).toEqual([2, null]);
    expect(bad.err).toContain('option port: "many" is not a whole number');
  });
});
