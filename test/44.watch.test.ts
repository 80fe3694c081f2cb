import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { appendFile, mkdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { resolveSettings } from '../src/base/config.js';
import { lookAt } from '../src/reload/look.js';
import { RuleBook } from '../src/reload/rules.js';
import { Watch } from '../src/reload/watch.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

function service(build: string, id = 'service'): Promise<string> {
  return buildPlugin('service', { defines: { BUILD: `"${build}"`, PLUGIN_ID: `"${id}"` } });
}

function source(build: string): string {
  return `#include <tenon/tenon.hpp>
struct Build : tenon::Resource {
  tenon::Response get(const tenon::Request&) override { return tenon::text("${build}"); }
};
`;
}

const { settings } = resolveSettings({ flags: { sourceDebounceMs: 20, libraryDebounceMs: 50 }, variables: {} });

describe('hot reload', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(() => world.close());

  const answers = (target: string, body: string): Promise<void> =>
    until(`${target} answers ${body}`, async () => (await world.get(target)).body === body);

  test('takes up an edited source; an error is logged with its line and the old build serves on', async () => {
    await world.write('greeter', 'config.yaml', 'name: Greeter\n');
    await world.write('greeter', 'resources/build.cpp', source('one'));
    await world.start({ hotReload: true });
    await world.write('greeter', 'resources/build.cpp', source('two'));
    await answers('/greeter/build', 'two');
    await until('it is recorded', () => world.host.plugin('greeter').lastReload?.trigger === 'watch');
    expect(world.host.plugin('greeter').lastReload).toMatchObject({ trigger: 'watch', outcome: 'succeeded' });
    await world.write('greeter', 'resources/build.cpp', source('three').replace('override {', 'override { oops'));
    await until('the error is logged', () =>
      world.log.some((line) => line.level === 50 && /resources\/build\.cpp:\d+:\d+/.test(line.msg)),
    );
    expect((await world.get('/greeter/build')).body).toBe('two');
    await world.write('greeter', 'resources/build.cpp', source('four'));
    await answers('/greeter/build', 'four');
  }, 120_000);

  test('takes up a new library, a new application, and one that is gone', async () => {
    await world.publish('service', await service('one'));
    await world.start({ hotReload: true, libraryDebounceMs: 100 });
    await world.publish('service', await service('two'));
    await answers('/service/build', 'two');
    await world.publish('other', await service('one', 'other'));
    await answers('/other/build', 'one');
    expect(world.host.plugin('other')).toMatchObject({ state: 'running', generation: 1 });
    await rm(world.folder('service'), { recursive: true });
    await until('service is gone', async () => (await world.get('/service/build')).status === 404);
    await until('it is forgotten', () => world.host.plugins().every(({ id }) => id === 'other'));
  });

  test('of many changes in a row the last one wins, with one reload for each time of quiet at most', async () => {
    const quietMs = 100;
    await world.publish('service', await service('one'));
    await world.start({ hotReload: true, libraryDebounceMs: quietMs });
    const [last, ...libraries] = await Promise.all(['last', 'two', 'three'].map((text) => service(text)));
    const begun = performance.now();
    for (let turn = 0; turn < 40; turn++) await world.publish('service', libraries[turn % 2] ?? '');
    await world.publish('service', last ?? '');
    await answers('/service/build', 'last');
    // One at the start; a slow machine may be quiet between two of the changes.
    expect(world.host.reloads().length).toBeLessThanOrEqual(2 + (performance.now() - begun) / quietMs);
  });

  test('a plugin that was unloaded by hand stays so', async () => {
    await world.publish('service', await service('one'));
    await world.publish('other', await service('one', 'other'));
    await world.start({ hotReload: true, libraryDebounceMs: 50 });
    await world.host.unload('service');
    await world.publish('service', await service('two'));
    await world.publish('other', await service('two', 'other'));
    await answers('/other/build', 'two');
    expect(world.host.plugin('service').state).toBe('stopped');
  });

  test('a link to a folder is no application, at the start and after a change in it', async () => {
    const elsewhere = path.join(world.directory, 'elsewhere');
    await world.publish('service', await service('one'));
    await rename(world.folder('service'), elsewhere);
    await symlink(elsewhere, world.folder('service'));
    await world.start({ hotReload: true, libraryDebounceMs: 50 });
    await world.publish('service', await service('two'));
    await world.publish('other', await service('one', 'other'));
    await answers('/other/build', 'one');
    await world.host.discover();
    expect(world.host.plugins().map(({ id }) => id)).toEqual(['other']);
  });

  test('takes up a new library beside a file that never rests', async () => {
    await world.publish('service', await service('one'));
    await world.start({ hotReload: true, libraryDebounceMs: 200 });
    const growing = setInterval(() => void world.write('service', 'rows.txt', `${performance.now()}\n`), 30);
    try {
      await world.publish('service', await service('two'));
      await answers('/service/build', 'two');
      expect(world.host.plugin('service').generation).toBe(2);
    } finally {
      clearInterval(growing);
    }
  });
});

describe('the watch', () => {
  let world: World;
  let watch: Watch;
  const changed: string[] = [];
  const files: (readonly string[])[] = [];
  beforeEach(async () => {
    world = await World.make();
    await world.write('one', 'config.yaml', 'name: One\n');
    changed.length = 0;
    files.length = 0;
    watch = new Watch({
      directory: world.applications,
      ignore: [world.folder('ignored')],
      rules: new RuleBook(settings),
      intervalMs: () => 30_000,
      changed: (folder, which) => {
        changed.push(folder);
        files.push(which);
      },
      failed: (error) => {
        throw error;
      },
    });
    await watch.enable();
  });
  afterEach(async () => {
    await watch.close();
    await world.close();
  });

  test('tells a change within 50 ms of the one before', async () => {
    await world.write('one', 'resources/a.c', 'int a;\n');
    await until('it is told', () => changed.length === 1);
    for (const text of ['int b;\n', 'int cc;\n']) await world.write('one', 'resources/a.c', text);
    await until('it is told', () => changed.length >= 2);
    const before = changed.length;
    await world.write('one', 'resources/a.c', 'int last;\n');
    await until('the last is told', () => changed.length > before);
    expect(new Set(changed)).toEqual(new Set([world.folder('one')]));
  });

  test('tells a change that comes right after it told one', async () => {
    for (const name of ['Uno', 'Due', 'Tre']) {
      const before = changed.length;
      writeFileSync(path.join(world.folder('one'), 'config.yaml'), `name: ${name}\n`);
      await until(`${name} is told`, () => changed.length > before);
    }
    expect(new Set(changed)).toEqual(new Set([world.folder('one')]));
  });

  test('tells of what never rests now and then, and not each of its changes', async () => {
    const begun = performance.now();
    let writes = 0;
    let last = begun;
    let rests = 0;
    const growing = setInterval(() => {
      appendFileSync(path.join(world.folder('one'), 'grown.c'), 'x');
      const now = performance.now();
      if (now - last > settings.sourceDebounceMs / 2) rests += 1;
      last = now;
      writes += 1;
    }, 5);
    try {
      await until('it is told', () => changed.length > 0);
      const then = writes;
      await until('it has grown on', () => writes > then + 100);
      // Once in five seconds; and when a busy machine let it rest.
      expect(changed.length).toBeLessThanOrEqual(1 + rests + (performance.now() - begun) / 5000);
    } finally {
      clearInterval(growing);
    }
  });

  test('tells the last of many changes in a row, once it rests, with the files', async () => {
    for (let turn = 0; turn < 30; turn++) await world.write('one', 'resources/a.c', `int a${turn};\n`);
    await rm(path.join(world.folder('one'), 'config.yaml'));
    await until('the last is told', () => files.flat().includes('config.yaml'));
    expect(files.flat()).toContain('resources/a.c');
  });

  test('tells of what was excluded, once it is not', async () => {
    await world.write('one', 'config.yaml', 'reload: {exclude: [er]}\n');
    await until('it is told', () => changed.length === 1);
    await world.write('one', 'deep/er/a.c', 'int a;\n');
    await world.write('one', 'config.yaml', 'reload: {exclude: [none]}\n');
    await until('it is told', () => changed.length === 2);
    // A library has to be quiet for longer than the second look takes, which would find it too.
    await world.write('two', 'two.so', 'no library');
    await until('two is told', () => changed.length === 3);
    await world.write('two', 'two.so', 'none still');
    await until('two is told again', () => changed.length === 4);
    await world.write('one', 'deep/er/a.c', 'int b;\n');
    await until('it is told', () => files.at(-1)?.join() === 'deep/er/a.c');
    expect(files[0]).toEqual(['config.yaml']);
  });

  test('tells a touch too: whether the content changed is for the build to see', async () => {
    const past = new Date('2001-01-01');
    await utimes(path.join(world.folder('one'), 'config.yaml'), past, past);
    await until('it is told', () => changed.length > 0);
    expect(changed).toEqual([world.folder('one')]);
  });

  test('tells nothing for what is ignored', async () => {
    await world.write('one', 'app.log', 'x');
    await world.write('one', 'app.log.1', 'x');
    await world.write('ignored', 'config.yaml', 'name: Ignored\n');
    await world.write('one', '.config.yaml.swp', 'x');
    await world.write('one', 'resources/a.c~', 'x');
    await world.write('two', 'config.yaml', 'name: Two\n');
    await until('two is told', () => changed.length > 0);
    expect(changed).toEqual([world.folder('two')]);
  });

  test('tells nothing while it is off, and again when it is on', async () => {
    await watch.disable();
    expect(watch.enabled).toBe(false);
    await world.write('one', 'config.yaml', 'name: Uno\n');
    await watch.enable();
    await world.write('two', 'config.yaml', 'name: Two\n');
    await until('two is told', () => changed.length > 0);
    expect(changed).toEqual([world.folder('two')]);
  });
});

describe('an application of many files', () => {
  const count = 3000;
  let world: World;
  beforeEach(async () => {
    world = await World.make();
    await world.write('large', 'config.yaml', 'name: Large\n');
    for (let file = 0; file < count; file++) writeFileSync(path.join(world.folder('large'), `f${file}.txt`), '');
  });
  afterEach(() => world.close());

  test('is looked at bit by bit: others have their turns meanwhile', async () => {
    let turns = 0;
    let counts = true;
    const another = (): void => {
      turns += 1;
      if (counts) setImmediate(another);
    };
    another();
    const folder = world.folder('large');
    const look = await lookAt(folder, new RuleBook(settings).look(folder), () => false);
    counts = false;
    expect(look.size).toBe(count + 1);
    expect(turns).toBeGreaterThan(count / 256);
  });

  test('is told with all that changed, also what did so while it was looked at', async () => {
    const told = new Set<string>();
    const watch = new Watch({
      directory: world.applications,
      ignore: [],
      rules: new RuleBook(settings),
      intervalMs: () => 30_000,
      changed: (_folder, files) => {
        for (const file of files) told.add(file);
      },
      failed: (error) => {
        throw error;
      },
    });
    try {
      await watch.enable();
      const wanted = new Set<string>();
      for (let turn = 0; turn < 30; turn++) {
        const file = `f${turn * 100}.txt`;
        writeFileSync(path.join(world.folder('large'), file), 'changed');
        wanted.add(file);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await until('all of them are told', () => told.size === wanted.size);
      expect(told).toEqual(wanted);
      // What moves while the rules change is neither lost nor taken for known.
      appendFileSync(path.join(world.folder('large'), 'f2999.txt'), 'changed');
      await watch.renew(() => {}, false);
      await until('it is told', () => told.has('f2999.txt'));
    } finally {
      await watch.close();
    }
  });
});

test('a look around finds what the system did not tell', async () => {
  const world = await World.make();
  const own = { ...settings, excludePatterns: ['deep'] };
  const rules = new RuleBook(own);
  const changed: (readonly string[])[] = [];
  await world.write('one', 'config.yaml', 'name: One\n');
  const watch = new Watch({
    directory: world.applications,
    ignore: [],
    rules,
    intervalMs: () => 50,
    changed: (_folder, files) => changed.push(files),
    failed: (error) => {
      throw error;
    },
  });
  try {
    await watch.enable();
    await world.write('one', 'deep/er/a.c', 'int a;\n');
    // The system's watches are those from before.
    own.excludePatterns = [];
    rules.renew();
    await until('it is told', () => changed.length > 0);
    expect(changed[0]).toEqual(['deep/er/a.c']);
  } finally {
    await watch.close();
    await world.close();
  }
});

const queueFile = '/proc/sys/fs/inotify/max_queued_events';
/** Events that the system keeps for a watcher that does not read them; it drops the others. */
const queued = existsSync(queueFile) ? Number(readFileSync(queueFile, 'utf8')) : Infinity;

test.skipIf(queued > 50_000)('a look around finds what was lost when the system had too much to tell', async () => {
  const world = await World.make();
  const changed = new Set<string>();
  for (const id of ['loud', 'quiet']) await world.write(id, 'config.yaml', `name: ${id}\n`);
  const watch = new Watch({
    directory: world.applications,
    ignore: [],
    rules: new RuleBook(settings),
    intervalMs: () => 500,
    changed: (folder) => changed.add(path.basename(folder)),
    failed: (error) => {
      throw error;
    },
  });
  try {
    await watch.enable();
    // Nobody reads events meanwhile, and the same one twice in a row would be one.
    const fill = `const fs = require('node:fs');
      const files = ['a.c', 'b.c'].map((name) => fs.openSync(name, 'w'));
      for (let event = 0; event < ${queued + 1000}; event++) fs.writeSync(files[event % 2], 'x');
      fs.writeFileSync('../quiet/config.yaml', 'name: Changed');`;
    execFileSync(process.execPath, ['-e', fill], { cwd: world.folder('loud') });
    await until('both are told', () => changed.size === 2);
    expect(changed).toEqual(new Set(['loud', 'quiet']));
  } finally {
    await watch.close();
    await world.close();
  }
});

describe('the watch follows no link', () => {
  let world: World;
  const changed: string[] = [];
  const watches: Watch[] = [];
  const watching = async (directory: string): Promise<void> => {
    const watch = new Watch({
      directory,
      ignore: [path.join(directory, 'ignored')],
      rules: new RuleBook(settings),
      intervalMs: () => 30_000,
      changed: (folder) => changed.push(folder),
      failed: (error) => {
        throw error;
      },
    });
    watches.push(watch);
    await watch.enable();
  };
  beforeEach(async () => {
    world = await World.make();
    changed.length = 0;
  });
  afterEach(async () => {
    for (const watch of watches.splice(0)) await watch.close();
    await world.close();
  });

  test('in an application: not to a large tree, and not to what changes', async () => {
    const elsewhere = path.join(world.directory, 'elsewhere');
    await mkdir(elsewhere);
    await world.write('one', 'config.yaml', 'name: One\n');
    await symlink('/', path.join(world.folder('one'), 'root'));
    await symlink(elsewhere, path.join(world.folder('one'), 'link'));
    await symlink(elsewhere, world.folder('linked'));
    await watching(world.applications);
    await writeFile(path.join(elsewhere, 'config.yaml'), 'name: Elsewhere\n');
    await world.write('two', 'config.yaml', 'name: Two\n');
    await until('two is told', () => changed.length > 0);
    await appendFile(path.join(elsewhere, 'config.yaml'), 'version: 1.0.0\n');
    await world.write('two', 'config.yaml', 'name: Zwei\n');
    await until('two is told again', () => changed.length > 1);
    expect(new Set(changed)).toEqual(new Set([world.folder('two')]));
  });

  test('but the applications directory may be one', async () => {
    const link = path.join(world.directory, 'link');
    await symlink(world.applications, link);
    await watching(link);
    await world.write('ignored', 'config.yaml', 'name: Ignored\n');
    await world.write('one', 'config.yaml', 'name: One\n');
    await until('one is told', () => changed.length > 0);
    await world.write('one', 'config.yaml', 'name: Uno\n');
    await until('one is told again', () => changed.length > 1);
    expect(new Set(changed)).toEqual(new Set([path.join(link, 'one')]));
  });
});
