import { cp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { root } from './architecture/tree.js';
import { Command } from './load/command.js';
import { until, World } from './load/world.js';

describe('the examples, served by the command line', () => {
  let world: World;
  let host: Command;
  beforeEach(async () => {
    world = await World.make();
    for (const id of ['hello', 'counter', 'task-tracker'])
      await cp(path.join(root, 'applications', id), world.folder(id), { recursive: true });
    host = new Command(['start', '--port', '0', '--data', 'state'], world.directory, {});
  });
  afterEach(async () => {
    host.child.kill('SIGKILL');
    await host.exit;
    await world.close();
  });

  const answer = async (method: string, target: string): Promise<string> =>
    (await fetch(host.url + target, { method })).text();

  test('task-tracker serves its tables, sums them up in C++ and tells of changes', async () => {
    await until('all are served', () => host.err.includes('Try: '), 120_000);
    const projects = JSON.parse(await answer('GET', '/task-tracker/summary')) as object[];
    expect(projects).toEqual([
      { project: 'garden', name: 'Plan the garden', open: 1, done: 0, hoursLeft: 3 },
      { project: 'house', name: 'Paint the house', open: 2, done: 1, hoursLeft: 9 },
    ]);
    const activity = await fetch(`${host.url}/task-tracker/activity`);
    const told = activity.body?.pipeThrough(new TextDecoderStream()).getReader();
    let heard = (await told?.read())?.value ?? '';
    const patched = await fetch(`${host.url}/task-tracker/Task/t3`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: '{"state":"done"}',
    });
    expect(patched.status).toBe(200);
    while (!heard.includes('data: ')) heard += (await told?.read())?.value ?? '';
    expect(heard).toContain('data: Paint the hall is done\n\n');
    await told?.cancel();
    expect(await answer('GET', '/task-tracker/summary')).toContain('"open":1,"done":2,"hoursLeft":1');
  });

  /** Replace `from` in a source, which must have it. */
  async function edit(id: string, file: string, from: string, to: string): Promise<void> {
    const before = await readFile(path.join(world.folder(id), file), 'utf8');
    expect(before).toContain(from);
    await writeFile(path.join(world.folder(id), file), before.replace(from, to));
  }

  test('an edit is answered without a restart, and keeps the count; a mistake is logged with its line and changes nothing', async () => {
    await until('both are served', () => host.err.includes('Try: '), 120_000);
    expect(await answer('GET', '/hello/greeting')).toBe('Hello from C++\n');
    expect(await answer('POST', '/counter/increment')).toBe('{"value":1,"build":"A"}');

    await edit('hello', 'resources/greeting.cpp', 'Hello from C++', 'Good evening');
    await edit('counter', 'resources/counter.c', '#define BUILD "A"', '#define BUILD "B"');
    await until(
      'the edits are answered',
      async () =>
        (await answer('GET', '/hello/greeting')) === 'Good evening\n' &&
        (await answer('GET', '/counter/value')) === '{"value":1,"build":"B"}',
      120_000,
    );

    await edit('hello', 'resources/greeting.cpp', 'Good evening\\n")', 'Good night\\n"');
    const errors = (): string[] => host.out.split('\n').filter((line) => /resources\/greeting\.cpp:\d+:\d+/.test(line));
    await until('the mistake is logged', () => errors().length > 0, 120_000);
    const lines = (await readFile(path.join(world.folder('hello'), 'resources/greeting.cpp'), 'utf8')).split('\n');
    const line = lines.findIndex((text) => text.includes('Good night')) + 1;
    expect(errors()[0]).toContain(`resources/greeting.cpp:${line}:`);
    expect(await answer('GET', '/hello/greeting')).toBe('Good evening\n');

    host.child.kill('SIGTERM');
    expect(await host.exit).toEqual([0, null]);
  }, 300_000);
});
