import { appendFile, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const authorization = 'Bearer a-token-of-the-tests';

function parsed({ status, body }: Answer): unknown {
  return { status, body: JSON.parse(body) as unknown };
}

function build(name: string): Promise<string> {
  return buildPlugin('service', { defines: { BUILD: `"${name}"` } });
}

describe('a dry run', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.make();
    await world.publish('service', await build('one'));
    await world.start({ drainMs: 500, imageLimit: 1024 * 1024 });
  });
  afterAll(() => world.close());

  /** Everything that a reload would have changed. */
  async function standing(): Promise<unknown> {
    const { generations, state, error, lastReload } = world.host.plugin('service');
    const files = await readdir(path.join(world.data, 'staging')).catch(() => []);
    return { generations: generations.length, state, error, lastReload, files, told: world.events.length };
  }

  async function rehearsed(target: string): Promise<unknown> {
    const before = await standing();
    const answer = await world.admin('POST', `/api/v1/plugins/${target}`);
    expect(await standing()).toEqual(before);
    return parsed(answer);
  }

  test('of a reload of what runs says that it stays, with its routes', async () => {
    expect(await rehearsed('service/reload?dryRun=true')).toMatchObject({
      status: 200,
      body: {
        status: 'valid',
        would: 'unchanged',
        plugin: { id: 'service', state: 'running', generation: 1 },
        to: { id: 'service', version: '1.0.0', routes: expect.arrayContaining(['GET /service/items/:id']) },
        warnings: [],
      },
    });
  });

  test('of a new build says what would come in place of what', async () => {
    await world.publish('service', await build('two'));
    const { sha256 } = world.host.plugin('service').generations[0] ?? {};
    const answer = await rehearsed('service/reload?dryRun=true');
    expect(answer).toMatchObject({
      status: 200,
      body: { would: 'replace', from: { generation: 1, sha256 }, to: { abi: '1.0', findings: [] } },
    });
    expect(answer).not.toMatchObject({ body: { to: { sha256 } } });
    expect((await world.admin('POST', '/api/v1/plugins/service/reload')).status).toBe(200);
    expect(world.host.plugin('service').generations.at(-1)).toMatchObject({ number: 2, state: 'ready' });
  });

  test('of what would be refused is refused for the same reason', async () => {
    const good = await build('two');
    await world.publish('service', await buildPlugin('crash_in_initialize', { defines: { PLUGIN_ID: '"service"' } }));
    const dry = (await rehearsed('service/reload?dryRun=true')) as { status: number; body: { error: string } };
    const wet = parsed(await world.admin('POST', '/api/v1/plugins/service/reload')) as typeof dry;
    expect({ status: dry.status, error: dry.body.error }).toEqual({ status: wet.status, error: wet.body.error });
    expect(dry.status).toBe(422);
    await world.publish('service', good);
    expect((await world.admin('POST', '/api/v1/plugins/service/reload')).status).toBe(200);
  });

  test('of a config that is wrong says so', async () => {
    await world.write('service', 'config.yaml', 'nmae: x\n');
    expect(await rehearsed('service/reload?dryRun=true')).toMatchObject({
      status: 422,
      body: { error: 'ConfigInvalid' },
    });
    await world.write('service', 'config.yaml', 'enabled: false\n');
    expect(await rehearsed('service/reload?dryRun=true')).toMatchObject({ status: 200, body: { would: 'disabled' } });
    await world.write('service', 'config.yaml', 'route_prefix: /other\n');
    expect(await rehearsed('service/reload?dryRun=true')).toMatchObject({
      body: { would: 'replace', to: { routes: expect.arrayContaining(['GET /other/items/:id']) } },
    });
    await world.write('service', 'config.yaml', 'name: service\n');
  });

  test('of paths that are taken says by whom', async () => {
    await world.publish('rival', await buildPlugin('service', { defines: { PLUGIN_ID: '"rival"' } }));
    await world.write('rival', 'config.yaml', 'route_prefix: /service\n');
    expect(await rehearsed('rival/load?dryRun=true')).toMatchObject({
      status: 409,
      body: { error: 'RouteConflict', details: { owner: 'service' } },
    });
    await world.write('rival', 'config.yaml', 'name: rival\n');
    expect(await rehearsed('rival/load?dryRun=true')).toMatchObject({
      body: { would: 'load', plugin: { id: 'rival' } },
    });
    expect(world.host.plugins().map(({ id }) => id)).toEqual(['service']);
    expect(await rehearsed('service/load?dryRun=true')).toMatchObject({ body: { would: 'unchanged' } });
  });

  test('of going back names the kept build, and finds one that is damaged', async () => {
    expect(await rehearsed('service/rollback?dryRun=true&to=99')).toMatchObject({
      status: 404,
      body: { error: 'VersionNotFound' },
    });
    let kept: readonly { sha256: string }[] = [];
    await until('the first build is kept', async () => {
      kept = await world.host.versions('service');
      return kept.length >= 2;
    });
    const running = world.host.plugin('service').generations.find(({ state }) => state === 'ready')?.sha256;
    const other = kept.find(({ sha256 }) => sha256 !== running)?.sha256 ?? '';
    expect(await rehearsed('service/rollback?dryRun=true')).toMatchObject({
      status: 200,
      body: { would: 'replace', to: { sha256: other } },
    });
    await appendFile(path.join(world.data, 'versions', 'service', `${other}.library`), 'more');
    expect(await rehearsed('service/rollback?dryRun=true')).toMatchObject({
      status: 422,
      body: { error: 'VersionDamaged' },
    });
  });

  test('is not there for what has nothing to be tried', async () => {
    for (const target of ['service/unload?dryRun=true', 'service/disable?dryRun=true', 'service/reload?dryRun=yes'])
      expect(await rehearsed(target)).toMatchObject({ status: 400, body: { error: 'BadRequest' } });
    expect(await rehearsed('nobody/reload?dryRun=true')).toMatchObject({
      status: 404,
      body: { error: 'PluginNotFound' },
    });
  });

  test('of a library says what is found in it, and keeps nothing', async () => {
    const send = (body: Uint8Array<ArrayBuffer>): Promise<unknown> =>
      world.request('POST', '/api/v1/plugins/validate', { headers: { authorization }, body }).then(parsed);
    const good = await readFile(await build('two'));
    expect(await send(new Uint8Array(good))).toMatchObject({
      status: 200,
      body: { status: 'valid', library: { id: 'service', version: '1.0.0', size: good.length, findings: [] } },
    });
    const pinning = await readFile(await buildPlugin('service', { flags: ['-Wl,-z,nodelete'] }));
    expect(await send(new Uint8Array(pinning))).toMatchObject({
      body: { library: { findings: [expect.objectContaining({ rule: 'nodelete', pins: true })] } },
    });
    const cut = new Uint8Array(good.subarray(0, good.length / 2));
    expect(await send(cut)).toMatchObject({ status: 422, body: { error: 'ImageTruncated' } });
    expect(await send(new Uint8Array(Buffer.from('no library')))).toMatchObject({ status: 422 });
    expect(await send(new Uint8Array())).toMatchObject({ status: 400, body: { error: 'BadRequest' } });
    expect(await send(new Uint8Array(1024 * 1024 + 1))).toMatchObject({
      status: 422,
      body: { error: 'ImageTooLarge' },
    });
    const crashing = new Uint8Array(await readFile(await buildPlugin('crash_in_initialize')));
    expect(await send(crashing)).toMatchObject({ status: 422, body: { error: 'TrialCrashed' } });
    expect(await standing()).toMatchObject({ state: 'running' });
  });

  test('learns nothing that a look at the folder would have to tell others', async () => {
    const file = path.join(world.folder('service'), 'config.yaml');
    const before = world.host.plugin('service');
    await writeFile(file, 'extensions:\n  - nobody\n');
    expect(await rehearsed('service/reload?dryRun=true')).toMatchObject({
      status: 422,
      body: { error: 'ExtensionMissing' },
    });
    expect(world.host.plugin('service')).toEqual(before);
    await writeFile(file, 'name: service\n');
  });
});
