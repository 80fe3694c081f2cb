import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Command, killHost, token } from './load/command.js';
import { type Said, tenon } from './load/tenon.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

/** A host with the plugin `service`. */
async function serve(): Promise<void> {
  await world.publish('service', await buildPlugin('service'));
  await world.start();
}

/** A command about it. */
function ask(...words: string[]): Promise<Said> {
  return tenon(world.directory, ...words, '--data', 'state');
}

async function publishTwo(): Promise<void> {
  await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"two"' } }));
}

describe('a running host', () => {
  test('says in its data directory where it is, for its owner only, until it closes', async () => {
    await serve();
    const file = path.join(world.data, 'host.json');
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({
      pid: process.pid,
      url: world.url,
      startedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await world.host.close();
    await expect(stat(file)).rejects.toThrow('ENOENT');
  });

  test('that was killed with its parent is none: its commands end with 3', async () => {
    const host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, {});
    await until('it listens', () => host.err.includes('Try: '));
    const file = path.join(world.data, 'host.json');
    await killHost(host, world.data);
    expect((await stat(file)).size).toBeGreaterThan(0);
    expect(await ask('list')).toEqual({
      status: 3,
      out: '',
      err: `tenon: no host runs with the data directory ${world.data}; start one with \`tenon start\`, or say where it is with --data or --url\n`,
    });
  });

  test('is found by its URL, and wants its token', async () => {
    await serve();
    const elsewhere = await tenon('/', 'list', '--url', world.url);
    expect(elsewhere).toMatchObject({ status: 0, err: '' });
    const stranger = await tenon('/', 'list', '--url', world.url, '--token', 'wrong', '--json');
    expect(stranger.status).toBe(1);
    expect(JSON.parse(stranger.out)).toMatchObject({ error: 'Unauthorized', status: 401 });
    await writeFile(path.join(world.directory, 'tenon.yaml'), 'prot: 1\n');
    const beside = await tenon(world.directory, 'list', '--url', world.url, '--token', token);
    expect(beside).toMatchObject({ status: 0, err: '' });
    const relative = await tenon('/', 'list', '--url', 'unix:admin.sock');
    expect(relative).toMatchObject({ status: 2, err: expect.stringContaining('must be absolute') as string });
    await world.host.close();
    const gone = await tenon('/', 'list', '--url', world.url);
    expect(gone.status).toBe(3);
    expect(gone.err).toContain(`${world.url} does not answer: connect ECONNREFUSED`);
  });

  test('that ends before it has answered was there, and may have done it', async () => {
    const host = createServer((request, response) => {
      if (request.method === 'HEAD') response.end();
      else if (request.method === 'POST') request.socket.resetAndDestroy();
      else response.writeHead(200, { 'content-length': 100 }).write('{', () => response.destroy());
    });
    await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(host.address() as AddressInfo).port}`;
    try {
      for (const words of [['reload', 'service'], ['list']]) {
        const said = await tenon('/', ...words, '--url', url, '--json');
        expect({ words, status: said.status }).toEqual({ words, status: 1 });
        expect(JSON.parse(said.out)).toMatchObject({ error: 'HostEnded' });
        expect(said.err).toContain(`the host at ${url} ended before it had answered; see \`tenon crashes\``);
      }
    } finally {
      host.close();
    }
  });
});

describe('tenon', () => {
  beforeEach(serve);

  test('list, show, routes and status are tables, and with --json what the host answers', async () => {
    const listed = await ask('list');
    expect(listed.out.split('\n')).toEqual([
      'PLUGIN   STATE    VERSION  GENERATION  LEASES  ERROR',
      'service  running  1.0.0    1           0',
      '',
    ]);
    const json = await ask('show', 'service', '--json');
    expect(JSON.parse(json.out)).toEqual(JSON.parse((await world.admin('GET', '/api/v1/plugins/service')).body));
    const shown = await ask('show', 'service');
    expect(shown.out).toMatch(/^state +running$/m);
    expect(shown.out).toMatch(/^last reload +service: succeeded \(start\), generation 1, /m);
    const routes = await ask('routes', 'service');
    expect(routes.out).toMatch(/^GET +\/service\/build +service +open +inline +30000 +1048576$/m);
    const status = await ask('status');
    expect(status.out).toMatch(/^images alive +1, \d+ bytes$/m);
    expect(status.out).toMatch(/^hot reload +off$/m);
  });

  test('reload, rollback and versions: what came of it on stdout, how on stderr', async () => {
    await publishTwo();
    const reloaded = await ask('reload', 'service');
    expect(reloaded).toMatchObject({ status: 0, out: 'service: reloaded 1.0.0, generation 2\n' });
    expect(reloaded.err).toMatch(/^service: succeeded \(api\), generation 1 -> 2, [\d.]+ m?s\n$/);
    const versions = await ask('versions', 'service');
    const [, two = '', one = ''] = versions.out.split('\n');
    expect(two).toMatch(/^[0-9a-f]{12} +1\.0\.0 +2 +\d+ +\S+Z +running$/);
    const back = await ask('rollback', 'service', '--to', one.slice(0, 12), '--json');
    expect(JSON.parse(back.out)).toMatchObject({ status: 'rolledBack', plugin: { id: 'service', generation: 3 } });
    expect((await world.get('/service/build')).body).toBe('one');
    const nothing = await ask('rollback', 'service', '--to', '9.9.9');
    expect(nothing).toMatchObject({ status: 1, out: '' });
    expect(nothing.err).toContain('service: there is no kept build "9.9.9"');
    const reloads = await ask('reloads', 'service', '--limit', '1');
    const [line = '', bar = '', times = ''] = reloads.out.split('\n');
    expect(line).toContain('service: succeeded (rollback), generation 2 -> 3');
    expect(bar).toMatch(/^ {2}d+a+s*o+i+m*w+r+u+v+$/);
    expect(times).toMatch(/^ {2}detect [\d.]+ m?s, admit .*, verify [\d.]+ m?s$/);
  });

  test('unload and load', async () => {
    expect(await ask('unload', 'service')).toEqual({ status: 0, out: 'service: unloaded\n', err: '' });
    expect((await world.get('/service/build')).status).toBe(503);
    expect(await ask('load', 'service')).toEqual({ status: 0, out: 'service: loaded 1.0.0, generation 2\n', err: '' });
    expect((await world.get('/service/build')).body).toBe('one');
  });

  test('hot-reload is seen, turned on and off, configured, and triggered', async () => {
    expect((await ask('hot-reload', 'enable')).out).toMatch(/^hot reload +on$/m);
    expect(world.host.hotReload.status().enabled).toBe(true);
    const configured = await ask('hot-reload', 'configure', 'debounceMs=20', 'excludePatterns=*.bak,old', '--json');
    expect(JSON.parse(configured.out)).toMatchObject({ debounceDelayMs: 20, excludePatterns: ['*.bak', 'old'] });
    const wrong = await ask('hot-reload', 'configure', 'debounceM=20');
    expect(wrong.status).toBe(2);
    expect(wrong.err).toContain('did you mean debounceMs?');
    expect((await ask('hot-reload', 'disable')).out).toMatch(/^hot reload +off$/m);
    expect((await ask('hot-reload', 'status')).out).toMatch(/^debounceMs +20$/m);
    await publishTwo();
    expect((await ask('hot-reload', 'trigger', 'service')).out).toBe('service: reloaded 1.0.0, generation 2\n');
  });

  test('events follows what happens until the host is gone', async () => {
    const follower = new Command(['events', 'service', '--json', '--data', 'state'], world.directory, {});
    try {
      // It says nothing before something happens.
      await until('it hears', async () => {
        await world.host.reload('service');
        return follower.out !== '';
      });
      await publishTwo();
      await world.host.reload('service');
      await until('it is told', () => follower.out.includes('"plugin.serving"'));
      const told = follower.out
        .slice(0, follower.out.lastIndexOf('\n'))
        .split('\n')
        .map((line) => JSON.parse(line) as { type: string; plugin: string });
      expect(new Set(told.map(({ plugin }) => plugin))).toEqual(new Set(['service']));
      expect(told.find(({ type }) => type === 'plugin.serving')).toMatchObject({ generation: 2, from: 1 });
      await world.host.close();
      expect(await follower.exit).toEqual([3, null]);
    } finally {
      follower.child.kill('SIGKILL');
      await follower.exit;
    }
  });

  test('a plugin that is not there has a neighbour, and ends with 1; misuse ends with 2; help begins with examples', async () => {
    const wrong = await ask('unload', 'servise', '--json');
    expect(wrong.status).toBe(1);
    expect(wrong.err).toBe('tenon: there is no plugin "servise"; did you mean service?\n');
    expect(JSON.parse(wrong.out)).toMatchObject({ error: 'PluginNotFound', details: { known: ['service'] } });
    const without = await ask('reload');
    expect(without).toMatchObject({ status: 2, out: '' });
    expect((await ask('reloads', '--limit', 'many')).status).toBe(2);
    expect(await ask('show', '')).toMatchObject({ status: 2, err: 'tenon: the plugin must not be empty\n' });
    const help = await ask('rollback', '--help');
    expect(help.status).toBe(0);
    expect(help.out).toMatch(/^Examples:\n {2}tenon rollback hello\n/);
    expect(help.out).toContain('Exit status: 0 done; 1 the host or the plugin says no; 2 wrong use; 3 no host runs.');
    expect(help.out).not.toContain(token);
  });
});
