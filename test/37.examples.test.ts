import { execFile, execFileSync } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, type TestContext, test } from 'vitest';
import type { BuildReport } from '../src/cli/build.js';
import { tenon } from './load/tenon.js';
import { World } from './load/world.js';

const examples = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'examples');

function works(program: string, ...words: string[]): boolean {
  try {
    execFileSync(program, words, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Skip, saying why, where a library is not installed; in CI that is a failure. */
function needs(context: TestContext, module: string, debian: string): void {
  const there = works('pkg-config', '--exists', module);
  if (!there && process.env['CI']) throw new Error(`${module} is missing: install ${debian} and pkg-config`);
  context.skip(!there, `${module} is not installed (Debian: ${debian}, pkg-config)`);
}

let world: World;
beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

async function take(id: string): Promise<void> {
  await cp(path.join(examples, id), world.folder(id), { recursive: true });
}

/** Its own tests pass, without a warning. */
async function passes(id: string): Promise<void> {
  const built = await tenon(world.directory, 'build', '--test', '--json', '--data', world.data, `applications/${id}`);
  const { applications } = JSON.parse(built.out) as BuildReport;
  const failed = applications[0]?.tests?.cases.filter(({ ok }) => !ok);
  expect({ built: applications[0]?.error, failed }).toEqual({ built: undefined, failed: [] });
  expect([built.status, applications[0]?.diagnostics]).toEqual([0, []]);
}

/** Change `text` of a file to something else. */
async function edit(id: string, file: string, text: string, other: string): Promise<void> {
  const place = path.join(world.folder(id), file);
  const before = await readFile(place, 'utf8');
  expect(before).toContain(text);
  await writeFile(place, before.replaceAll(text, other));
}

/** A reload swaps, and the build of before is unmapped. */
async function swaps(id: string): Promise<void> {
  const record = await world.host.reload(id);
  expect(record).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
  expect(record.to?.generation).toBe(2);
}

describe('the example', () => {
  test('rust-greeting: prebuilt by rustc, served, replaced and unmapped; a panic is a 500', async (context) => {
    context.skip(!works('rustc', '--version'), 'rustc is not installed');
    await take('rust-greeting');
    const build = (): Promise<unknown> =>
      promisify(execFile)(path.join(world.folder('rust-greeting'), 'build.sh'), { timeout: 120_000 });
    await build();
    await passes('rust-greeting');
    await world.start();
    expect((await world.get('/rust-greeting/greeting/Ada%20L')).body).toBe('Hello from Rust, Ada L\n');
    const panic = await world.get('/rust-greeting/panic');
    expect([panic.status, JSON.parse(panic.body)]).toMatchObject([
      500,
      { message: expect.stringContaining('no route 2') },
    ]);
    expect((await world.request('POST', '/rust-greeting/length', { body: 'Grüß' })).body).toBe('4\n');
    await edit('rust-greeting', 'src/lib.rs', 'Hello from Rust', 'Servus');
    await build();
    await swaps('rust-greeting');
    expect((await world.get('/rust-greeting/greeting/Ada')).body).toBe('Servus, Ada\n');
  });

  test('thumbnail: images with libjpeg-turbo', async (context) => {
    needs(context, 'libturbojpeg', 'libturbojpeg0-dev');
    await take('thumbnail');
    await passes('thumbnail');
    await world.start();
    expect((await world.request('POST', '/thumbnail/scaled', { body: 'no image' })).status).toBe(415);
    await edit('thumbnail', 'resources/thumbnail.cpp', 'Send a JPEG', 'Give me a JPEG');
    await swaps('thumbnail');
    const refused = await world.request('POST', '/thumbnail/size', { body: 'no image' });
    expect(refused.body).toContain('Give me a JPEG');
  });

  test('notes: a SQLite database that goes from build to build', async (context) => {
    needs(context, 'sqlite3', 'libsqlite3-dev');
    await take('notes');
    await passes('notes');
    await world.start();
    for (const body of ['buy milk', 'call Ada'])
      expect((await world.request('POST', '/notes/notes', { body })).status).toBe(201);
    await edit('notes', 'resources/notes.cpp', 'There is no such note.', 'Nothing there.');
    await swaps('notes');
    expect((await world.get('/notes/search?text=milk')).body).toBe('[{"id":1,"text":"buy milk"}]');
    expect((await world.get('/notes/notes/7')).body).toBe('Nothing there.\n');
  });
});
