import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { callOnce } from './load/clients.js';
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

  /** A call that is under way. */
  async function slowCall(): Promise<{ answer: Promise<{ body: string }> }> {
    const answer = callOnce(host.url, { method: 'GET', path: '/service/slow?ms=700' });
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
      const before = await hostProcess(world.data);
      await world.publish('service', await pinning(build));
      await reload();
      await until('a fresh process serves', async () => {
        const now = await hostProcess(world.data);
        return now !== undefined && now !== before;
      });
      expect((await callOnce(url, { method: 'GET', path: '/service/build' })).body).toBe(build);
      await until('clients call it', () => counted.length > 0);
    }
    stopping = true;
    await Promise.all(clients);
    expect(failures).toEqual([]);
    expect(counted.toSorted((one, other) => one - other)).toEqual(counted.map((_, index) => index + 1));
    expect(host.err.match(/goes on in a fresh process/g)).toHaveLength(2);
    host.child.kill('SIGTERM');
    expect(await host.exit).toEqual([0, null]);
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
