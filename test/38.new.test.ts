import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BuildReport } from '../src/cli/build.js';
import { makeApplication } from '../src/cli/new.js';
import { readApplication } from '../src/compiler/application.js';
import { Command } from './load/command.js';
import { tenon } from './load/tenon.js';
import { World } from './load/world.js';

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

describe('tenon new', () => {
  test('gives projects that pass their tests, without a warning, and serve at once', async () => {
    for (const [name, template] of [
      ['plain', 'c'],
      ['greeter-2', 'cpp'],
      ['visits_of_all', 'extension'],
    ] as const) {
      const made = await tenon(world.directory, 'new', name, '--template', template);
      expect(made).toMatchObject({ status: 0, out: `${world.folder(name)}\n` });
      expect(made.err).toContain(`tenon build --test applications/${name}`);
    }
    // Nothing half-written is left, and nothing of the template's own name.
    expect((await readdir(world.applications)).sort()).toEqual(['greeter-2', 'plain', 'visits_of_all']);
    for (const name of await readdir(world.applications))
      for (const file of await readdir(world.folder(name), { recursive: true, withFileTypes: true }))
        if (file.isFile())
          expect(await readFile(path.join(file.parentPath, file.name), 'utf8')).not.toMatch(/my-app|My App/i);

    const built = await tenon(world.directory, 'build', '--test', '--json', '--data', world.data);
    const { ok, applications } = JSON.parse(built.out) as BuildReport;
    expect(applications.map(({ id, diagnostics, tests }) => [id, diagnostics, tests?.passed, tests?.failed])).toEqual([
      ['greeter-2', [], 3, 0],
      ['plain', [], 3, 0],
      ['visits_of_all', [], 3, 0],
    ]);
    expect([built.status, ok]).toEqual([0, true]);

    await world.write('plain', 'config.yaml', 'name: Plain\nextensions: ["visits_of_all"]\n');
    await world.start();
    expect(world.host.plugin('visits_of_all')).toMatchObject({ extension: true, consumers: ['plain'] });
    expect((await world.get('/plain/greeting?name=Ada')).body).toBe('Hello, Ada\n');
    expect((await world.get('/greeter-2/greeting')).body).toBe('{"greeting":"Hello","name":"world"}');
    expect((await world.request('POST', '/visits_of_all/visits')).body).toBe('{"visits":1}');
    expect(world.host.plugin('greeter-2')).toMatchObject({ version: '0.1.0' });
  });

  test('writes here when no folder of applications is beside, with the words to serve it', async () => {
    const here = path.join(world.directory, 'elsewhere');
    await mkdir(here);
    const made = await tenon(here, 'new', 'todo');
    expect(made).toMatchObject({ status: 0, out: `${path.join(here, 'todo')}\n` });
    expect(made.err).toContain('tenon start --applications .');
    expect(await readFile(path.join(here, 'todo', 'config.yaml'), 'utf8')).toContain('name: "Todo"\n');
    const said = await tenon(here, 'new', 'other', '--json');
    expect(JSON.parse(said.out)).toEqual({
      id: 'other',
      template: 'cpp',
      folder: path.join(here, 'other'),
      files: ['config.yaml', 'resources/greeting.cpp', 'test/greeting.cpp'],
    });
  });

  test.each([
    ['exec', 'npx tenon'],
    ['', 'tenon'],
  ])('says what comes next as it was called (npm_command "%s")', async (command, called) => {
    const made = new Command(['new', 'todo'], world.directory, { npm_command: command });
    expect(await made.exit).toEqual([0, null]);
    expect(made.err).toContain(`\n  ${called} build --test applications/todo\n  ${called} start\n`);
  });

  test.each(['2024', 'true', 'null', '1e3', 'a', `x${'-'.repeat(62)}`])('takes the name %s', async (name) => {
    for (const template of ['c', 'cpp', 'extension']) {
      const { folder } = await makeApplication(name, template, path.dirname(world.applications));
      expect((await readApplication(folder)).id).toBe(name);
      await rm(folder, { recursive: true });
    }
  });

  test('never overwrites: a folder, an empty one, a file, a link to nowhere', async () => {
    await world.write('taken', 'config.yaml', 'name: mine\n');
    await mkdir(world.folder('empty'));
    await writeFile(world.folder('file'), 'mine');
    await symlink('nowhere', world.folder('link'));
    for (const name of ['taken', 'empty', 'file', 'link'])
      await expect(makeApplication(name, 'cpp', world.directory)).rejects.toMatchObject({
        code: 'ApplicationExists',
        message: `${world.folder(name)} exists already, and nothing was written`,
      });
    const refused = await tenon(world.directory, 'new', 'taken');
    expect(refused).toMatchObject({ status: 1, out: '' });
    expect(refused.err).toContain('exists already, and nothing was written; choose another name');
    expect(await readFile(path.join(world.folder('taken'), 'config.yaml'), 'utf8')).toBe('name: mine\n');
    expect(await readdir(world.folder('empty'))).toEqual([]);
    expect((await readdir(world.applications)).sort()).toEqual(['empty', 'file', 'link', 'taken']);
  });

  test.each([
    ['Upper', 'c', 'cannot be the id of an application'],
    ['../up', 'c', 'cannot be the id of an application'],
    ['.', 'c', 'cannot be the id of an application'],
    ['', 'c', 'cannot be the id of an application'],
    ['a'.repeat(64), 'c', 'cannot be the id of an application'],
    ['todo', 'zig', 'the template zig does not exist; choose c, cpp, extension, table-app'],
    ['todo', 'constructor', 'the template constructor does not exist'],
    ['todo', '../templates/c', 'does not exist'],
  ])('refuses "%s" of the template %s, and writes nothing', async (name, template, sentence) => {
    await expect(makeApplication(name, template, world.directory)).rejects.toThrow(TypeError);
    await expect(makeApplication(name, template, world.directory)).rejects.toThrow(sentence);
    expect(await readdir(world.applications)).toEqual([]);
    expect(existsSync(path.join(world.directory, 'todo'))).toBe(false);
  });

  test('ends with 2 when it is used wrongly', async () => {
    const lacking = await tenon(world.directory, 'new', 'todo', '--template', 'zig');
    expect(lacking.status).toBe(2);
    expect(lacking.err).toContain('the template zig does not exist');
    const without = await tenon(world.directory, 'new');
    expect(without.status).toBe(2);
    expect(without.err).toContain("missing required argument 'name'");
  });
});
