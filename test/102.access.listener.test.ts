import { existsSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Command, hostProcess, token } from './load/command.js';
import { tenon } from './load/tenon.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const admin = 'a-token-of-the-tests';

interface Said {
  status: number;
  body: string;
}

/** What is answered over a unix socket. */
function overSocket(socketPath: string, target: string, headers: Record<string, string> = {}): Promise<Said> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: target, headers, agent: false }, (answer) => {
      let body = '';
      answer.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
    });
    asked.on('error', reject);
    asked.end();
  });
}

function listenOn(server: Server, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(file, () => resolve());
  });
}

describe('a listener of the admin API', () => {
  let world: World;
  let socket: string;
  beforeEach(async () => {
    world = await World.make();
    socket = path.join(world.directory, 'admin.sock');
    await world.publish('service', await buildPlugin('service'));
  });
  afterEach(() => world.close());

  const authorization = `Bearer ${admin}`;
  const statusAt = async (url: string, headers: Record<string, string> = { authorization }): Promise<number> =>
    (await fetch(url, { headers })).status;

  test('has the API, health, metrics and documents; the public port has no API, and no plugin is at the other', async () => {
    await world.start({ adminPort: '0', adminSocket: socket, drainMs: 500, logRequests: true });
    const url = world.host.adminUrl() ?? '';
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    for (const target of ['/api/v1/plugins', '/livez', '/readyz', '/metrics', '/plugins', '/docs/errors.md'])
      expect({ target, status: await statusAt(url + target) }).toEqual({ target, status: 200 });
    expect(await statusAt(`${url}/api/v1/plugins`, {})).toBe(401);
    expect(await statusAt(`${url}/service/items/1`)).toBe(404);
    for (const target of ['/livez', '/metrics', '/plugins', '/service/items/1'])
      expect({ target, status: await statusAt(world.url + target) }).toEqual({ target, status: 200 });
    for (const target of ['/api/v1/plugins', '/API/v1/plugins', '/api/', '/api/v1/tokens'])
      for (const headers of [{ authorization }, {} as Record<string, string>])
        expect({ target, status: await statusAt(world.url + target, headers) }).toEqual({ target, status: 404 });
    expect((await world.get('/api/v1/plugins')).body).toContain('it has a listener of its own');
    expect((await overSocket(socket, '/api/v1/plugins', { authorization })).status).toBe(200);
    await until('both are logged', () => world.log.filter(({ listener }) => listener === 'admin').length > 1);
    expect(world.log.filter(({ msg }) => msg === 'GET /service/items/1 404')).toMatchObject([{ listener: 'admin' }]);
    expect(world.log.find(({ msg }) => msg === 'GET /service/items/1 200')).not.toHaveProperty('listener');
    const counted = await (await fetch(`${url}/metrics`)).text();
    expect(counted).toMatch(
      /^tenon_http_requests_total\{plugin="",method="GET",route="\/api\/v1\/plugins",code="200"\} 2$/m,
    );
    for (const listener of ['public', 'admin', 'socket'])
      expect(counted).toMatch(
        new RegExp(`^tenon_http_connections_accepted_total\\{listener="${listener}"\\} [1-9]`, 'm'),
      );
    const facts = JSON.parse(await readFile(path.join(world.data, 'host.json'), 'utf8')) as object;
    expect(facts).toMatchObject({ url: world.url, api: url });
    await world.host.close();
    await expect(statusAt(`${url}/livez`)).rejects.toThrow('fetch failed');
    expect(existsSync(socket)).toBe(false);
  });

  test('at a socket is for its owner alone, whatever name the host is called by, and counts wrong tokens', async () => {
    await world.start({ adminSocket: socket, drainMs: 500 });
    expect(world.host.adminUrl()).toBe(`unix:${socket}`);
    expect((await stat(socket)).mode & 0o777).toBe(0o600);
    const called = await overSocket(socket, '/api/v1/status', { authorization, host: 'evil.example' });
    expect(called.status).toBe(200);
    expect((await overSocket(socket, '/api/v1/status')).status).toBe(401);
    for (let turn = 0; turn < 20; turn++) await overSocket(socket, '/api/v1/status', { authorization: 'Bearer no' });
    expect((await overSocket(socket, '/api/v1/status', { authorization })).status).toBe(429);
    expect(await statusAt(`${world.url}/readyz?verbose`)).toBe(200);
  });

  test('is kept from nobody by wrong tokens at the public port, which trusts none', async () => {
    await world.start({ adminPort: '0', drainMs: 500 });
    const wrong = { authorization: 'Bearer no' };
    for (let turn = 0; turn < 25; turn++) await statusAt(`${world.url}/readyz?verbose`, wrong);
    expect(await statusAt(`${world.host.adminUrl() ?? ''}/api/v1/status`)).toBe(200);
  });

  test('whose port is taken may be tried again, with its socket', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const taken = { code: 'AddressInUse', message: expect.stringContaining(`127.0.0.1:${port}`) as string };
    const options = { adminPort: String(port), adminSocket: socket, drainMs: 500 };
    await expect(world.start(options)).rejects.toMatchObject(taken);
    await expect(world.host.listen()).rejects.toMatchObject(taken);
    expect(existsSync(socket)).toBe(false);
    await new Promise((resolve) => other.close(resolve));
    await world.host.listen();
    expect((await overSocket(socket, '/api/v1/status', { authorization })).status).toBe(200);
  });

  test('that cannot be had is said to be of its setting', async () => {
    const gone = path.join(world.directory, 'gone', 'admin.sock');
    const host = new Command(['start', '--port', '0', '--data', 'left'], world.directory, { TENON_ADMIN_SOCKET: gone });
    expect(await host.exit).toEqual([1, null]);
    expect(host.err).toMatch(/gone\/admin\.sock: E[A-Z]+; choose another with TENON_ADMIN_SOCKET\n/);
  });

  test('takes the place of a socket that was left behind, and of nothing else', async () => {
    const other = createServer();
    await listenOn(other, socket);
    await expect(world.start({ adminSocket: socket })).rejects.toMatchObject({ code: 'AddressInUse' });
    await world.host.close();
    expect(existsSync(socket)).toBe(true);
    await new Promise((resolve) => other.close(resolve));
    const left = new Command(['start', '--port', '0', '--data', 'left'], world.directory, {
      TENON_ADMIN_SOCKET: socket,
      TENON_APPLICATIONS: 'none',
    });
    await until('it listens', () => left.url !== '');
    const child = await hostProcess(path.join(world.directory, 'left'));
    left.child.kill('SIGKILL');
    if (child !== undefined) process.kill(child, 'SIGKILL');
    await left.exit;
    expect(existsSync(socket)).toBe(true);
    await world.start({ adminSocket: socket, drainMs: 500 });
    expect((await overSocket(socket, '/api/v1/status', { authorization })).status).toBe(200);
    await world.host.close();
    await writeFile(socket, 'precious');
    await expect(world.start({ adminSocket: socket })).rejects.toMatchObject({
      code: 'SettingsInvalid',
      message: expect.stringContaining('is no socket'),
    });
    expect(await readFile(socket, 'utf8')).toBe('precious');
    const long = path.join(world.directory, 'x'.repeat(100));
    await world.host.close();
    await expect(world.start({ adminSocket: long })).rejects.toThrow('at most 107');
  });

  test('stays where it is while the host begins anew, and the command line finds it', async () => {
    const pinning = (name: string): Promise<string> =>
      buildPlugin('service', { defines: { BUILD: `"${name}"` }, flags: ['-Wl,-z,nodelete'] });
    await world.publish('service', await pinning('one'));
    await writeFile(path.join(world.directory, 'tenon.yaml'), 'pinned:\n  images: 0\nhotReload:\n  enabled: false\n');
    const host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, {
      ADMIN_PORT: '0',
      TENON_ADMIN_SOCKET: socket,
    });
    try {
      await until('it serves', () => host.err.includes('Try: '));
      const url = /its admin API on (\S+)/.exec(host.err)?.[1] ?? '';
      const first = await hostProcess(world.data);
      await world.publish('service', await pinning('two'));
      const reloaded = await tenon(world.directory, 'reload', 'service', '--data', 'state');
      expect(reloaded).toMatchObject({ status: 0, out: expect.stringContaining('service: reloaded') });
      await until('a fresh process serves', async () => {
        const now = await hostProcess(world.data);
        return now !== undefined && now !== first;
      });
      expect(await statusAt(`${url}/api/v1/plugins`, { authorization: `Bearer ${token}` })).toBe(200);
      expect((await stat(socket)).mode & 0o777).toBe(0o600);
      const made = await tenon(world.directory, 'token', 'create', 'ci', '--scope', 'read', '--url', `unix:${socket}`);
      expect(made).toMatchObject({ status: 0, out: expect.stringMatching(/^tenon_[0-9a-f]{8}_[\w-]{49}\n$/) });
      const words = ['list', '--json', '--url', `unix:${socket}`, '--token', made.out.trim()];
      const listed = await tenon(world.directory, ...words);
      expect(JSON.parse(listed.out)).toMatchObject({ plugins: [{ id: 'service' }] });
      const refused = await tenon(world.directory, 'unload', 'service', '--data', 'state', '--token', made.out.trim());
      expect(refused).toMatchObject({ status: 1, err: expect.stringContaining('needs the scope config') });
    } finally {
      host.child.kill('SIGTERM');
      await host.exit;
    }
    expect(existsSync(socket)).toBe(false);
  });
});

describe('tenon token and dry runs', () => {
  test('say what they do, and what is wrong', async () => {
    const world = await World.make();
    try {
      await world.publish('service', await buildPlugin('service'));
      await world.start({ adminToken: token, drainMs: 500 });
      const ask = (...words: string[]) => tenon(world.directory, ...words, '--url', world.url);
      const words = ['--scope', 'read,config', '--expires', '30d', '--plugin', 'service', '--plugin', 'other'];
      const made = await ask('token', 'create', 'team', ...words, '--json');
      expect(JSON.parse(made.out)).toMatchObject({
        name: 'team',
        scopes: ['read', 'config'],
        plugins: ['service', 'other'],
        expired: false,
      });
      const listed = await ask('token', 'list');
      expect(listed.out).toMatch(/^team +tenon_[0-9a-f]{8}_… +read,config +service,other +\d{4}-.*never/m);
      expect(await ask('token', 'create', 'team', '--scope', 'read')).toMatchObject({
        status: 1,
        err: expect.stringContaining('there is a token team already'),
      });
      expect(await ask('token', 'create', 'x')).toMatchObject({ status: 2 });
      expect(await ask('token', 'create', 'x', '--scope', 'read', '--expires', 'soon')).toMatchObject({ status: 2 });
      expect(await ask('token', 'create', 'x', '--scope', 'root')).toMatchObject({
        status: 2,
        err: expect.stringContaining('"root" is none of read, config, install, admin'),
      });
      expect(await ask('token', 'revoke', 'team')).toMatchObject({ status: 0, out: 'team: revoked\n' });
      expect(await ask('token', 'revoke', 'team')).toMatchObject({ status: 1 });
      expect(await tenon(world.directory, 'list', '--url', 'unix:relative')).toMatchObject({ status: 2 });
      expect(await tenon(world.directory, 'list', '--url', 'unix:/nowhere/a.sock')).toMatchObject({ status: 3 });
      await world.publish('service', await buildPlugin('service', { defines: { BUILD: '"two"' } }));
      expect(await ask('reload', 'service', '--dry-run')).toMatchObject({
        status: 0,
        out: expect.stringMatching(/^service: would be replaced: 1\.0\.0 \([0-9a-f]{12}\), in place of generation 1 /),
      });
      expect(await ask('load', 'service', '--dry-run')).toMatchObject({ out: 'service: would stay as it is\n' });
      expect(await ask('rollback', 'service', '--dry-run', '--to', 'none')).toMatchObject({
        status: 1,
        err: expect.stringContaining('no kept build "none"'),
      });
      expect(world.host.plugin('service').generations).toMatchObject([{ number: 1 }]);
    } finally {
      await world.close();
    }
  });
});
