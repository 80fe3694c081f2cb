import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Client } from '../src/cli/client.js';
import { callOnce, Clients } from './load/clients.js';
import { Command, hostProcess, token } from './load/command.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

/** A build of `service` that counts, and whose image the system keeps for ever. */
function pinning(build: string): Promise<string> {
  return buildPlugin('service', {
    defines: { WITH_STATE: '1', BUILD: `"${build}"` },
    flags: ['-Wl,-z,nodelete'],
  });
}

/** Another plugin, which can be unmapped. */
function plain(id: string, build: string): Promise<string> {
  return buildPlugin('service', { defines: { PLUGIN_ID: `"${id}"`, BUILD: `"${build}"` } });
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('the host of tenon start', () => {
  let world: World;
  let host: Command;
  beforeEach(async () => {
    world = await World.make();
    await world.publish('service', await pinning('one'));
    await writeFile(path.join(world.directory, 'tenon.yaml'), 'pinned:\n  images: 0\nhotReload:\n  enabled: false\n');
    host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, {});
    await until('it serves', () => host.err.includes('Try: '));
  });
  afterEach(async () => {
    host.child.kill('SIGKILL');
    await host.exit;
    await world.close();
  });

  async function reload(): Promise<void> {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${host.url}/api/v1/plugins/service/reload`, { method: 'POST', headers });
    expect(await answer.json()).toMatchObject({ reload: { unload: 'pinned' } });
  }

  async function admin(method: string, target: string, body?: unknown): Promise<unknown> {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    const answer = await fetch(`${host.url}/api/v1/${target}`, init);
    expect(answer.status).toBe(200);
    return answer.json();
  }

  /** One that goes on is ready before. */
  async function hasLooked(): Promise<boolean> {
    const answer = await fetch(`${host.url}/readyz?verbose`);
    return ((await answer.json()) as { started?: boolean }).started === true;
  }

  /** Make the host full, and wait for the next one, which finds `after`. */
  async function recycle(build = 'two', after = build): Promise<void> {
    // It looks at its applications when it listens: that is not to find what is reloaded here.
    await until('it has', hasLooked);
    const before = await hostProcess(world.data);
    await world.publish('service', await pinning(build));
    const last = await pinning(after);
    await reload();
    await world.publish('service', last);
    await until('a fresh process serves', async () => {
      const now = await hostProcess(world.data);
      return now !== undefined && now !== before;
    });
  }

  /** A call that is under way. */
  async function slowCall(): Promise<{ answer: Promise<{ body: string }> }> {
    const answer = callOnce(host.url, { method: 'GET', path: '/service/slow?ms=2000' });
    const headers = { authorization: `Bearer ${token}` };
    await until('the call is in', async () => {
      const shown = await fetch(`${host.url}/api/v1/plugins/service`, { headers });
      const { generations } = (await shown.json()) as { generations: { leases: number }[] };
      return generations.some(({ leases }) => leases > 0);
    });
    return { answer };
  }

  test('that is full begins anew: no request fails, and every one is counted once', async () => {
    const { url } = host;
    const counted: number[] = [];
    const failures: unknown[] = [];
    let stopping = false;
    const client = async (): Promise<void> => {
      while (!stopping)
        try {
          const { status, body } = await callOnce(url, { method: 'POST', path: '/service/count' });
          if (status === 200) counted.push(Number(body));
          else failures.push([status, body]);
        } catch (error) {
          failures.push(error);
        }
    };
    const clients = Array.from({ length: 6 }, client);
    for (const build of ['two', 'three']) {
      await recycle(build);
      expect((await callOnce(url, { method: 'GET', path: '/service/build' })).body).toBe(build);
      await until('clients call it', () => counted.length > 0);
    }
    stopping = true;
    await Promise.all(clients);
    expect(failures).toEqual([]);
    expect(counted.toSorted((one, other) => one - other)).toEqual(counted.map((_, index) => index + 1));
    await until('it was said twice', () => host.err.match(/goes on in a fresh process/g)?.length === 2);
    host.child.kill('SIGTERM');
    expect(await host.exit).toEqual([0, null]);
  });

  test('that begins anew closes no connection under a request: 16 keep-alive clients, two fresh processes', async () => {
    const clients = new Clients({
      url: host.url,
      count: 16,
      next: (client) => ({ method: 'GET', path: client % 4 === 0 ? '/service/slow?ms=30' : '/service/build' }),
      judge: ({ status, body }) => (status === 200 ? undefined : `${status} ${body}`),
    });
    for (const build of ['two', 'three']) {
      await recycle(build);
      const { answered } = clients;
      await until('clients go on', () => clients.answered > answered + 100);
    }
    const { unexpected } = await clients.stop();
    expect(unexpected).toEqual([]);
    await until('it was said twice', () => host.err.match(/goes on in a fresh process/g)?.length === 2);
  });

  test('that begins anew is asked meanwhile: the next one answers, unless nobody begins it', async () => {
    const before = await hostProcess(world.data);
    await world.publish('service', await pinning('two'));
    await reload();
    await until('it is on its way down', async () => (await hostProcess(world.data)) === undefined);
    const client = Client.find({ data: world.data, token });
    expect(await client.get('/api/v1/status')).toMatchObject({ ready: expect.any(Boolean) as boolean });
    const now = await hostProcess(world.data);
    expect(now).not.toBe(before);
    const marker = path.join(world.data, 'next-host.json');
    await until('it is not announced any more', () => !existsSync(marker));
    host.child.kill('SIGTERM');
    await host.exit;
    await writeFile(marker, JSON.stringify({ url: host.url, parent: host.child.pid }));
    expect(() => Client.find({ data: world.data, token })).toThrow(/no host runs/);
  });

  test('that begins anew keeps what was stopped, gone back to and configured', async () => {
    for (const id of ['idle', 'tool']) await world.publish(id, await plain(id, 'one'));
    await admin('POST', 'plugins/discover');
    await world.publish('tool', await plain('tool', 'two'));
    await admin('POST', 'plugins/tool/reload');
    await admin('POST', 'plugins/tool/rollback');
    await admin('POST', 'plugins/idle/unload');
    await admin('PUT', 'hot-reload/config', { enabled: true, excludePatterns: ['*.bak'] });
    await recycle();
    await until('it has looked at its applications', hasLooked);
    expect((await callOnce(host.url, { method: 'GET', path: '/tool/build' })).body).toBe('one');
    expect(await admin('GET', 'plugins/idle')).toMatchObject({ state: 'stopped' });
    expect(await admin('GET', 'hot-reload/status')).toMatchObject({ enabled: true, excludePatterns: ['*.bak'] });
    await admin('POST', 'plugins/idle/load');
    await admin('POST', 'plugins/tool/reload');
    expect((await callOnce(host.url, { method: 'GET', path: '/idle/build' })).body).toBe('one');
    expect((await callOnce(host.url, { method: 'GET', path: '/tool/build' })).body).toBe('two');
  });

  test('that begins anew serves what ran, also when what its application is now cannot be loaded', async () => {
    await world.publish('tool', await plain('tool', 'one'));
    await admin('POST', 'plugins/discover');
    await writeFile(path.join(world.folder('tool'), 'tool.so'), 'no library');
    await recycle();
    expect((await callOnce(host.url, { method: 'GET', path: '/tool/build' })).body).toBe('one');
    await until('it has tried what is there', async () => {
      const { error } = (await admin('GET', 'plugins/tool')) as { error?: object };
      return error !== undefined;
    });
    expect((await callOnce(host.url, { method: 'GET', path: '/tool/build' })).body).toBe('one');
  });

  test('that begins anew serves the tables that ran, also when what its applications say of them now is wrong', async () => {
    const task = 'type Task @table @export { id: ID! @primaryKey title: String! }\n';
    const put = { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{"title":"kept"}' };
    for (const id of ['schema', 'config']) {
      await world.publish(id, await plain(id, 'one'));
      await world.write(id, 'config.yaml', `route_prefix: /at-${id}\n`);
      await world.write(id, 'schema.graphql', task);
    }
    await admin('POST', 'plugins/discover');
    for (const id of ['schema', 'config']) expect((await fetch(`${host.url}/at-${id}/Task/a`, put)).status).toBe(201);
    await world.write('schema', 'schema.graphql', task.replace('String!', 'Strin!'));
    await world.write('config', 'config.yaml', 'route_prefix: [');
    await recycle();
    for (const id of ['schema', 'config']) {
      const answer = await fetch(`${host.url}/at-${id}/Task/a`);
      expect({ id, status: answer.status, body: await answer.text() }).toMatchObject({
        id,
        status: 200,
        body: expect.stringContaining('kept') as string,
      });
      expect((await fetch(`${host.url}/at-${id}/build`)).status).toBe(200);
    }
  });

  test('that begins anew and is full before it has looked at all its applications begins anew once more', async () => {
    await recycle('two', 'three');
    await until('the last build serves in an empty host', async () => {
      const { images } = (await admin('GET', 'status').catch(() => ({}))) as { images?: { pinned: { count: number } } };
      const { body } = await callOnce(host.url, { method: 'GET', path: '/service/build' });
      return body === 'three' && images?.pinned.count === 0;
    });
    await until('it was said twice', () => host.err.match(/goes on in a fresh process/g)?.length === 2);
    expect((await callOnce(host.url, { method: 'GET', path: '/service/build' })).body).toBe('three');
  });

  test('that is full begins anew also when a state could not be kept at its end', async () => {
    await mkdir(path.join(world.data, 'state', 'service.state.new'), { recursive: true });
    await recycle();
    expect(host.out).toContain('the state of service was not written');
    expect((await callOnce(host.url, { method: 'GET', path: '/service/build' })).body).toBe('two');
  });

  test('ends when its parent is killed, after the calls under way', async () => {
    const pid = (await hostProcess(world.data)) ?? 0;
    const slow = await slowCall();
    host.child.kill('SIGKILL');
    expect((await slow.answer).body).toBe('one');
    await until('it has ended', () => !isThere(pid));
    expect(host.out).toContain('the parent process has ended');
    expect(await hostProcess(world.data)).toBeUndefined();
  });

  test('stops when the group of both is interrupted, and does not count that as two signals', async () => {
    const pid = (await hostProcess(world.data)) ?? 0;
    const slow = await slowCall();
    host.child.kill('SIGINT');
    process.kill(pid, 'SIGINT');
    expect((await slow.answer).body).toBe('one');
    expect(await host.exit).toEqual([0, null]);
  });
});
