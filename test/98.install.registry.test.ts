import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { InstallOptions } from '../src/index.js';
import { makeBundle } from './load/bundles.js';
import { until, type World } from './load/world.js';
import { Fleet } from './registry/fleet.js';
import { noPostgres, PostgresServer } from './registry/postgres.js';

const upload: InstallOptions = { origin: 'upload', by: 'a test' };

describe.skipIf(noPostgres !== undefined)(`a host whose registry says otherwise ${noPostgres ?? ''}`, () => {
  let server: PostgresServer;
  let fleet: Fleet;
  let world: World;
  beforeAll(async () => {
    server = await PostgresServer.start();
  }, 120_000);
  afterAll(() => server.dispose());
  beforeEach(async () => {
    fleet = await Fleet.make(server, 1);
    await fleet.start({ uploadSignatures: 'off', localSignatures: 'off' });
    [world] = fleet.worlds as [World];
    await world.host.install(await makeBundle('shop'), upload);
    await fleet.converged('shop');
    await until('it is registered', async () => (await fleet.sql('SELECT version FROM plugins')) === '1.0.0');
  });
  afterEach(() => fleet.close());

  test('installs no other version than the one that is pinned', async () => {
    const { sha256 } = world.host.plugin('shop').bundle ?? {};
    await fleet.steer(`UPDATE plugins SET pinned = true`, 'shop');
    await expect(world.host.install(await makeBundle('shop', { version: '1.1.0' }), upload)).rejects.toMatchObject({
      code: 'VersionUnavailable',
      details: { plugin: 'shop', pin: '1.0.0' },
    });
    expect(world.host.plugin('shop')).toMatchObject({ state: 'running', version: '1.0.0', bundle: { sha256 } });
    expect(world.host.plugin('shop').error).toBeUndefined();
    const manifest = await readFile(path.join(world.folder('shop'), 'manifest.json'));
    expect(hash('sha256', manifest)).toBe(sha256);
  });

  test('installs what is disabled there, and says so', async () => {
    await fleet.steer(`UPDATE plugins SET status = 'disabled'`, 'shop');
    expect(await world.host.install(await makeBundle('shop', { version: '1.1.0' }), upload)).toMatchObject({
      status: 'upgraded',
      warnings: [expect.stringContaining('does not run: shop is disabled in the registry')],
    });
    await fleet.steer(`UPDATE plugins SET status = 'active'`, 'shop');
    expect((await world.get('/shop/version')).body).toBe('1.1.0');
  });
});
