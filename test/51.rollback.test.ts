import { mkdir, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Clients } from './load/clients.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

function service(build: string, defines: Record<string, string> = {}): Promise<string> {
  return buildPlugin('service', { defines: { BUILD: `"${build}"`, ...defines } });
}

describe('going back', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(() => world.close());

  async function serve(build: string, defines: Record<string, string> = {}): Promise<void> {
    await world.publish('service', await service(build, defines));
    await world.host.reload('service');
    expect((await world.get('/service/build')).body).toBe(build);
  }
  const build = async (): Promise<string> => (await world.get('/service/build')).body;

  test('by hand to the build before, and forth again by name; the state goes along', async () => {
    await world.publish('service', await service('one', { WITH_STATE: '1' }));
    await world.start();
    await serve('two', { WITH_STATE: '1' });
    for (let count = 1; count <= 3; count++)
      expect((await world.request('POST', '/service/count')).body).toBe(String(count));

    const record = await world.host.rollback('service');
    expect(record).toMatchObject({
      outcome: 'succeeded',
      trigger: 'rollback',
      from: { generation: 2 },
      unload: 'clean',
    });
    expect(record.phases.build).toBeUndefined();
    expect(await build()).toBe('one');
    expect((await world.request('POST', '/service/count')).body).toBe('4');
    await expect(world.host.rollback('service')).rejects.toMatchObject({ code: 'VersionNotFound' });
    await world.host.rollback('service', '2');
    expect(await build()).toBe('two');
  });

  test('twice is two builds back, asked for at once is one; and not into one that its config disables', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    await serve('two');
    await serve('three');
    await Promise.all([world.host.rollback('service'), world.host.rollback('service')]);
    expect(await build()).toBe('two');
    await world.host.rollback('service');
    expect(await build()).toBe('one');
    await serve('four');
    await world.host.rollback('service');
    expect(await build()).toBe('three');
    await world.write('service', 'config.yaml', 'enabled: false\n');
    await world.host.reload('service');
    await expect(world.host.rollback('service')).rejects.toMatchObject({ code: 'PluginDisabled' });
    expect(world.host.plugin('service').state).toBe('disabled');
  });

  test('to any kept build, by its hash, generation or version; another start of the host still knows them', async () => {
    await world.publish('service', await service('one'));
    await world.start({ keptVersions: 3 });
    await serve('two');
    await serve('three');
    await serve('four');
    const kept = await world.host.versions('service');
    expect(kept.map(({ generation }) => generation)).toEqual([4, 3, 2]);
    await world.host.rollback('service', kept[2]?.sha256.slice(0, 8));
    expect(await build()).toBe('two');
    await world.host.rollback('service', '4');
    expect(await build()).toBe('four');
    await expect(world.host.rollback('service', '99')).rejects.toMatchObject({
      code: 'VersionNotFound',
      details: { plugin: 'service', wanted: '99' },
    });

    await world.host.close();
    await world.start({ keptVersions: 3 });
    expect(await build()).toBe('four');
    await world.host.rollback('service', kept[1]?.sha256);
    expect(await build()).toBe('three');
    const left = await world.host.versions('service');
    expect(left).toHaveLength(3);
    expect((await readdir(path.join(world.data, 'versions', 'service'))).toSorted()).toEqual(
      [...left.map(({ sha256 }) => `${sha256}.library`), 'versions.json'].toSorted(),
    );
  });

  test('a kept build that was damaged on disk is refused, and what runs goes on', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    await serve('two');
    const [, first] = await world.host.versions('service');
    const file = path.join(world.data, 'versions', 'service', `${first?.sha256}.library`);
    const bytes = await readFile(file);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(file, bytes);
    await expect(world.host.rollback('service')).rejects.toMatchObject({ code: 'VersionDamaged' });
    expect(await build()).toBe('two');
  });

  test('at a start the build that served last serves in place of a library that is refused, until that changes', async () => {
    await world.publish('service', await service('one', { WITH_STATE: '1' }));
    await world.start();
    await serve('two', { WITH_STATE: '1' });
    expect((await world.request('POST', '/service/count')).body).toBe('1');
    await world.host.close();
    await writeFile(path.join(world.folder('service'), 'service.so'), 'no library');
    await world.start({ hotReload: true });
    expect(await build()).toBe('two');
    expect((await world.request('POST', '/service/count')).body).toBe('2');
    const { state, error, lastReload } = world.host.plugin('service');
    expect({ state, error }).toMatchObject({
      state: 'running',
      error: { code: expect.stringMatching(/^Image/) as string },
    });
    const says = `${error?.message}; the build that served last (1.0.0, `;
    expect(lastReload).toMatchObject({ outcome: 'succeeded', warnings: [expect.stringContaining(says) as string] });
    expect(world.log.filter(({ level, msg }) => level === 40 && msg.startsWith(says))).toHaveLength(1);
    await world.publish('service', await service('three', { WITH_STATE: '1' }));
    await until('the change is taken up', async () => (await build()) === 'three');
    expect(world.host.plugin('service').error).toBeUndefined();
    expect((await world.request('POST', '/service/count')).body).toBe('3');
  });

  test('at a start the error of the application is the one that is told when no kept build serves either', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    const [kept] = await world.host.versions('service');
    await world.host.close();
    await writeFile(path.join(world.folder('service'), 'service.so'), 'no library');
    await writeFile(path.join(world.data, 'versions', 'service', `${kept?.sha256}.library`), 'no library either');
    await world.start();
    expect(world.host.plugin('service')).toMatchObject({
      state: 'failed',
      error: { code: expect.stringMatching(/^Image/) as string },
      lastReload: { warnings: [expect.stringContaining('is not what was kept') as string] },
    });
  });

  test('kept builds of applications that are gone stay, of the 16 that served last', async () => {
    await world.publish('service', await service('one'));
    const place = path.join(world.data, 'versions');
    for (let age = 0; age < 20; age++) {
      await mkdir(path.join(place, `gone-${age}`), { recursive: true });
      const index = path.join(place, `gone-${age}`, 'versions.json');
      await writeFile(index, '[]');
      const at = new Date(Date.now() - 86_400_000 * (age + 1));
      await utimes(index, at, at);
    }
    await world.start();
    await until('the oldest have gone', async () => (await readdir(place)).length <= 17);
    const rest = Array.from({ length: 16 }, (_, age) => `gone-${age}`);
    expect(new Set(await readdir(place))).toEqual(new Set(['service', ...rest]));
  });

  test('numbers of generations go on in the next host, and name one build each', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    await serve('two');
    await world.host.close();
    await world.start();
    expect(world.host.plugin('service').generation).toBe(3);
    await serve('three');
    expect(world.host.plugin('service').generation).toBe(4);
    const numbers = (await world.host.versions('service')).map(({ generation }) => generation);
    expect(numbers).toEqual([4, 3, 1]);
    await world.host.rollback('service', '1');
    expect(await build()).toBe('one');
  });

  const losses = [
    { loss: 'damaged', lose: (index: string) => writeFile(index, '[{') },
    { loss: 'unreadable', lose: (index: string) => rm(index).then(() => mkdir(index)) },
    { loss: 'lost', lose: (index: string) => rm(index) },
  ];
  test.each(losses)('a list of the kept builds that is $loss costs none of them', async ({ loss, lose }) => {
    await world.publish('service', await service('one'));
    await world.start();
    await serve('two');
    await world.host.close();
    const folder = path.join(world.data, 'versions', 'service');
    await lose(path.join(folder, 'versions.json'));

    for (let start = 0; start < 2; start++) {
      await world.start();
      const kept = await world.host.versions('service');
      expect(kept).toHaveLength(2);
      expect(new Set((await readdir(folder)).filter((name) => name.endsWith('.library')))).toEqual(
        new Set(kept.map(({ sha256 }) => `${sha256}.library`)),
      );
      if (start === 0) await world.host.close();
    }
    await world.host.rollback('service');
    expect(await build()).toBe('one');
    const aside = (await readdir(folder)).filter((name) => name.startsWith('versions.json.damaged-'));
    expect(aside).toHaveLength(loss === 'lost' ? 0 : 1);
    expect(world.log.filter(({ msg }) => aside.some((name) => msg.includes(name)))).toHaveLength(aside.length);
  });

  test('over HTTP: what is kept, and back to one of it', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    await serve('two');
    const listed = JSON.parse((await world.admin('GET', '/api/v1/plugins/service/versions')).body) as {
      versions: { sha256: string; running: boolean; generation: number }[];
    };
    expect(listed.versions).toMatchObject([
      { generation: 2, running: true },
      { generation: 1, running: false },
    ]);
    const back = await world.admin('POST', `/api/v1/plugins/service/rollback?to=${listed.versions[1]?.sha256}`);
    expect(JSON.parse(back.body)).toMatchObject({ status: 'rolledBack', plugin: { generation: 3 } });
    expect(await build()).toBe('one');
    const wrong = await world.admin('POST', '/api/v1/plugins/service/rollback?to=77');
    expect(wrong.status).toBe(404);
    expect(JSON.parse(wrong.body)).toMatchObject({ error: 'VersionNotFound' });
    expect((await world.admin('POST', '/api/v1/plugins/service/rollback?to=')).status).toBe(400);
  });

  test('there is nothing to go back to before a second build has served', async () => {
    await world.publish('service', await service('one'));
    await world.start();
    await expect(world.host.rollback('service')).rejects.toMatchObject({ code: 'VersionNotFound' });
    await expect(world.host.rollback('nobody')).rejects.toMatchObject({ code: 'PluginNotFound' });
    expect(await build()).toBe('one');
  });
});

describe('a new build on probation', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
    await world.publish('service', await service('good', { WITH_STATE: '1' }));
  });
  afterEach(() => world.close());

  const build = async (): Promise<string> => (await world.get('/service/build')).body;
  const rolledBack = (): boolean => world.events.some(({ type }) => type === 'reload.rolledBack');

  test('is taken back when its health fails, with its state and without a failed request', async () => {
    await world.start();
    for (let count = 1; count <= 3; count++) await world.request('POST', '/service/count');
    const clients = new Clients({
      url: world.url,
      count: 8,
      next: () => ({ method: 'GET', path: '/service/build' }),
      judge: ({ status, body }) => (status === 200 ? undefined : `${status} ${body}`),
    });
    await world.publish('service', await service('ill', { WITH_STATE: '1', FALLS_ILL: '1' }));
    await world.host.reload('service');
    await until('it was taken back', rolledBack);
    expect((await clients.stop()).unexpected).toEqual([]);
    expect(await build()).toBe('good');
    expect((await world.request('POST', '/service/count')).body).toBe('4');
    await until('its record is written', () => world.host.reloads()[0]?.trigger === 'rollback');
    const [last, first] = world.host.reloads();
    expect(last).toMatchObject({ outcome: 'succeeded' });
    expect(first).toMatchObject({
      trigger: 'api',
      outcome: 'rolledBack',
      error: { code: 'ProbationFailed', details: { plugin: 'service', generation: 2 } },
    });
    expect(world.host.plugin('service').error).toMatchObject({ code: 'ProbationFailed' });
  });

  test('that cannot save its state either is taken back with the state that it was given', async () => {
    await world.start();
    for (let count = 1; count <= 3; count++) await world.request('POST', '/service/count');
    await world.publish('service', await service('ill', { WITH_STATE: '1', FALLS_ILL: '1', REFUSE_SAVE: '1' }));
    await world.host.reload('service');
    await world.request('POST', '/service/count');
    await until('it was taken back', rolledBack);
    expect((await world.request('POST', '/service/count')).body).toBe('4');
    await until('its record is written', () => world.host.reloads()[0]?.trigger === 'rollback');
    expect(world.host.reloads()[0]).toMatchObject({ outcome: 'succeeded' });
    expect(world.host.reloads()[0]?.warnings.join()).toContain('went back to what was known before');
  });

  test('that lets go of nothing is taken back all the same, while a call hangs in it', async () => {
    await world.start({ lifecycleMs: 1000 });
    await world.publish('service', await service('ill', { WITH_STATE: '1', WITH_QUIESCE: '1', FALLS_ILL: '1' }));
    await world.host.reload('service');
    const slow = world.get('/service/slow?ms=4000');
    await until('it was taken back', rolledBack);
    expect(await build()).toBe('good');
    expect(await slow).toMatchObject({ status: 200, body: 'ill' });
  });

  test('is taken back when more of its calls fail than before', async () => {
    await world.start();
    for (let count = 0; count < 30; count++) await world.get('/service/build');
    await world.publish('service', await service('faulty', { WITH_STATE: '1' }));
    await world.host.reload('service');
    for (let count = 0; count < 30; count++) await world.get('/service/fail');
    await until('it was taken back', rolledBack);
    expect(await build()).toBe('good');
    expect(world.host.reloads().find(({ outcome }) => outcome === 'rolledBack')?.error?.message).toMatch(
      /\d+ of its \d+ calls failed/,
    );
  });

  test('is taken back when its calls are many times slower than before', async () => {
    await world.start();
    for (let count = 0; count < 60; count++) await world.get('/service/slow?ms=1');
    await world.publish('service', await service('slow', { WITH_STATE: '1' }));
    await world.host.reload('service');
    // So much slower that what a busy machine adds to both does not count.
    await Promise.all(Array.from({ length: 24 }, () => world.get('/service/slow?ms=300')));
    await until('it was taken back', rolledBack);
    expect(await build()).toBe('good');
    expect(world.host.reloads().find(({ outcome }) => outcome === 'rolledBack')?.error?.message).toContain(
      '95th percentile',
    );
  });

  test('is not judged while it saves', async () => {
    await world.start({ lifecycleMs: 10_000 });
    await world.publish('service', await service('two', { WITH_STATE: '1', SAVE_MS: '1500' }));
    await world.host.reload('service');
    await world.publish('service', await service('three', { WITH_STATE: '1', REFUSE_LOAD: '1' }));
    await expect(world.host.reload('service')).rejects.toMatchObject({ code: 'StateRefused' });
    expect(await build()).toBe('two');
    expect(rolledBack()).toBe(false);
    expect((await world.host.versions('service')).some(({ condemned }) => condemned !== undefined)).toBe(false);
  });

  test('is taken back as soon as the kept build is there, and is told of once, after its own record', async () => {
    await world.start();
    const kept = path.join(world.data, 'versions', 'service');
    const slow = world.get('/service/slow?ms=3000');
    // Without a state there is nothing that the slow call has to end for.
    await world.publish('service', await service('ill', { FALLS_ILL: '1' }));
    const reload = world.host.reload('service').catch(() => {});
    await until('it serves', () => world.host.plugin('service').generation === 2);
    expect(await world.host.versions('service')).toHaveLength(2);
    await rename(kept, `${kept}-away`);
    await until('a way back has failed', () => world.host.reloads().some(({ trigger }) => trigger === 'rollback'));
    await rename(`${kept}-away`, kept);
    await until('it was taken back', rolledBack);
    expect(await build()).toBe('good');
    await slow;
    await reload;
    const told = world.events.filter((event) => 'record' in event && event.record.trigger === 'api');
    expect(told.map(({ type }) => type)).toEqual(['reload.succeeded', 'reload.rolledBack']);
    expect(world.host.hotReload.status().failedReloads).toBe(2);
  });

  test('that replaced one on probation gives its rest to that one, which is taken back too', async () => {
    await world.start();
    await world.publish('service', await service('ill', { WITH_STATE: '1', FALLS_ILL: '1' }));
    await world.host.reload('service');
    await world.publish('service', await service('faulty', { WITH_STATE: '1' }));
    await world.host.reload('service');
    for (let count = 0; count < 30; count++) await world.get('/service/fail');
    await until('both were taken back', () => {
      return world.events.filter(({ type }) => type === 'reload.rolledBack').length === 2;
    });
    expect(await build()).toBe('good');
  });

  test('stays when its calls fail as often as those of the build before', async () => {
    await world.start();
    for (let count = 0; count < 30; count++) await world.get('/service/fail');
    await world.publish('service', await service('same', { WITH_STATE: '1' }));
    await world.host.reload('service');
    for (let count = 0; count < 30; count++) await world.get('/service/fail');
    await new Promise((resolve) => {
      setTimeout(resolve, 400); // four looks: nothing is to happen in them
    });
    expect(rolledBack()).toBe(false);
    expect(await build()).toBe('same');
  });

  test('is not what serves already, under another route_prefix', async () => {
    await world.start();
    await world.write('service', 'config.yaml', 'app_id: service\nroute_prefix: /moved\n');
    await world.host.reload('service');
    for (let count = 0; count < 30; count++) await world.get('/moved/fail');
    await new Promise((resolve) => {
      setTimeout(resolve, 400); // four looks: nothing is to happen in them
    });
    expect(rolledBack()).toBe(false);
    expect((await world.host.versions('service')).map(({ condemned }) => condemned)).toEqual([undefined]);
  });

  test('that was taken back is not loaded again by itself, also by the next start, but by hand', async () => {
    await world.start();
    await world.publish('service', await service('ill', { WITH_STATE: '1', FALLS_ILL: '1' }));
    await world.host.reload('service');
    await until('it was taken back', rolledBack);
    await until('its record is written', () => world.host.reloads()[0]?.trigger === 'rollback');
    await world.host.discover();
    expect(await build()).toBe('good');
    expect(world.host.reloads()[0]).toMatchObject({ unchanged: true });
    expect(world.host.reloads()[0]?.warnings[0]).toContain('was taken back');
    await world.write('service', 'schema.graphql', 'type Task @table @export { id: ID! @primaryKey }\n');
    await world.host.discover();
    expect(world.host.reloads()[0]?.warnings[0]).toContain('its schema');
    await rm(path.join(world.folder('service'), 'schema.graphql'));

    await world.host.close();
    await world.start();
    expect(await build()).toBe('good');
    expect(await world.host.reload('service')).toMatchObject({ outcome: 'succeeded' });
    expect(await build()).toBe('ill');
  });
});
