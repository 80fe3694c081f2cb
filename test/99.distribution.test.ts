import { copyFile, mkdir, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { publint } from 'publint';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { root } from './architecture/tree.js';
import { Project, type Running } from './distribution/project.js';
import { leftOut, npmPackage, run } from './distribution/scratch.js';

// a dozen hosts and compilers are started, perhaps beside others
vi.setConfig({ testTimeout: 240_000 });

const machine = `${process.platform}-${process.arch}`;

let project: Project | undefined;
let without = '';
let running: Running | undefined;

beforeAll(async () => {
  await run(process.execPath, [path.join(root, 'scripts', 'build-prebuilds.mjs'), '--target', machine], root);
  try {
    project = await Project.make();
  } catch (error) {
    // nothing to install the dependencies from
    if (!/E(?:NOTFOUND|AI_AGAIN|TIMEDOUT|NOTCACHED|CONNREFUSED)/.test(String(error))) throw error;
    without = leftOut(`npm cannot install the package here: ${String(error)}`);
  }
}, 240_000);
afterEach(() => {
  running?.kill();
  running = undefined;
});
afterAll(() => project?.remove());

/** The project, or the test that asks is left out. */
function installed(context: { skip: (note: string) => never }): Project {
  return project ?? context.skip(without);
}

async function everyFile(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}

describe('the package', () => {
  test('has what belongs into it and nothing else', async (context) => {
    const { tenon, archiveSize } = installed(context);
    const files = await everyFile(tenon);
    const folders = 'applications cmake dist docs native/include/tenon prebuilds templates'.split(' ');
    const alone = new Set(['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json']);
    const strange = files.filter(
      (file) => !alone.has(file) && !folders.some((folder) => file.startsWith(`${folder}/`)),
    );
    expect(strange).toEqual([]);
    const parts = ['librocksdb.so', 'native.json', 'tenon-runner', 'tenon.node'];
    expect(files).toEqual(expect.arrayContaining(parts.map((part) => `prebuilds/${machine}/${part}`)));
    expect(files.filter((file) => /\.(?:o|a|d|stamp|tsbuildinfo)$|\.test\.|^dist\/.*[^d]\.ts$/.test(file))).toEqual([]);
    console.log(`the archive has ${(archiveSize / 1e6).toFixed(1)} MB`);
    expect(archiveSize).toBeLessThan(20e6);
  });

  test('names no folder of the machine that made it', async (context) => {
    const { tenon } = installed(context);
    const traces = [root, os.homedir()].map((folder) => Buffer.from(`${folder}/`));
    for (const file of await everyFile(tenon)) {
      const bytes = await readFile(path.join(tenon, file));
      const found = traces.filter((trace) => trace.length > 2 && bytes.includes(trace));
      expect(found.map(String), file).toEqual([]);
    }
  });

  test('passes publint', async (context) => {
    const { archive } = installed(context);
    const bytes = await readFile(archive);
    const tarball = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    const { messages } = await publint({ pack: { tarball }, level: 'suggestion' });
    expect(messages).toEqual([]);
  });
});

describe('in an empty project, installed without install scripts', () => {
  const words = ['dev', '--plain', '--port', '0'];
  const place = '/app/greeting?name=Ada';
  const answer = (text: string): string => `{"greeting":"${text}","name":"Ada"}`;

  async function change({ directory }: Project, text: string): Promise<void> {
    const file = path.join(directory, 'applications', 'app', 'resources', 'greeting.cpp');
    const source = await readFile(file, 'utf8');
    await writeFile(file, source.replace(/"greeting", "\w+"/, `"greeting", "${text}"`));
  }

  test('`npx tenon new app && npx tenon dev` serves, and takes a change up', async (context) => {
    const its = installed(context);
    await its.npx('tenon', 'new', 'app');
    running = its.start(words);
    await running.answers(place, answer('Hello'));
    await change(its, 'Again');
    await running.answers(place, answer('Again'));
    expect(await running.end()).toBe(0);
  });

  const [present = ''] = process.versions.node.split('.');
  for (const major of ['20', '22', '24', '26'].filter((one) => one !== present))
    test(`the same serves, and takes a change up, under Node ${major}`, async (context) => {
      const its = installed(context);
      const node = await npmPackage(`node-${machine}@${major}`).catch((error: unknown) =>
        context.skip(leftOut(`there is no Node ${major} to be had: ${String(error)}`)),
      );
      running = its.start(words, node);
      await running.answers(place, answer('Again'));
      expect(await running.program()).toBe(await realpath(path.join(node, 'bin', 'node')));
      await change(its, `Under${major}`);
      await running.answers(place, answer(`Under${major}`));
      await change(its, 'Again');
      await running.answers(place, answer('Again'));
      expect(await running.end()).toBe(0);
    });
});

describe('native parts', () => {
  interface Finding {
    what: string;
    ok: boolean;
    found: string;
    next?: string;
  }

  /** What `tenon doctor` finds of the core and of the runner. */
  async function doctor(
    { directory, tenon }: Project,
    ...flags: string[]
  ): Promise<{ core: Finding; runner: Finding }> {
    const words = [...flags, path.join(tenon, 'dist', 'cli', 'tenon.js'), 'doctor', '--json'];
    const { stdout } = await run(process.execPath, words, directory).catch(
      (error: Error & { stdout: string; stderr: string }) => error,
    );
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    const of = (what: string): Finding => findings.find((one) => one.what === what) ?? expect.fail(`no ${what}`);
    return { core: of('core'), runner: of('runner') };
  }

  let its: Project;
  let prebuilt = '';
  let built = '';
  beforeEach(async (context) => {
    its = installed(context);
    prebuilt = path.join(its.tenon, 'prebuilds', machine);
    built = path.join(its.tenon, 'build', 'Release');
    await mkdir(built, { recursive: true });
  });
  afterEach(() => rm(path.dirname(built), { recursive: true, force: true }));

  async function build(damage: (runner: Buffer) => Buffer): Promise<void> {
    await copyFile(path.join(prebuilt, 'tenon.node'), path.join(built, 'tenon.node'));
    await writeFile(path.join(built, 'tenon-runner'), damage(await readFile(path.join(prebuilt, 'tenon-runner'))));
  }

  test('that were built come before those that came along', async () => {
    await build((runner) => runner);
    expect(await doctor(its)).toMatchObject({
      core: { ok: true },
      runner: { found: path.join(built, 'tenon-runner') },
    });
  });

  test.each([
    [
      'another processor',
      (runner: Buffer) => {
        runner.writeUInt16LE(runner.readUInt16LE(18) === 62 ? 183 : 62, 18);
        return runner;
      },
    ],
    ['another C library', (runner: Buffer) => replaced(runner, /\/lib\w*\/ld-linux[\w.-]+/, '/lib/ld-musl-any.so.1')],
  ])('for %s are passed over', async (_, damage) => {
    await build(damage);
    expect(await doctor(its)).toMatchObject({
      core: { ok: true },
      runner: { found: path.join(prebuilt, 'tenon-runner') },
    });
  });

  test('that are missing on a machine, musl here, are an error that names it and what to do', async () => {
    // what a Node built for musl looks like, and the place where that is looked for
    const node = await readFile(process.execPath);
    const musl = path.join(built, 'node');
    const preload = path.join(built, 'preload.mjs');
    await writeFile(musl, replaced(node.subarray(0, 4096), /\/lib\w*\/ld-linux[\w.-]+/, '/lib/ld-musl-any.so.1'));
    await writeFile(preload, `process.execPath = ${JSON.stringify(musl)};\n`);
    const { core, runner } = await doctor(its, '--import', preload);
    expect(core).toMatchObject({ ok: false, next: expect.stringContaining(`prebuilds/${machine}-musl`) as string });
    expect(core.found).toMatch(
      new RegExp(`^There are no native parts that run on ${machine}-musl: .*; prebuilt are those for .*${machine}`),
    );
    expect(runner).toMatchObject({ ok: false, found: core.found });
  });

  test('that the system refuses to open are an error that says why', async () => {
    await build((runner) => runner);
    await writeFile(path.join(built, 'tenon.node'), 'no library');
    const { core } = await doctor(its);
    expect(core.ok).toBe(false);
    expect(core.found).toMatch(/tenon\.node cannot be opened: .*(?:too short|invalid ELF header)/);
    expect(core.next).toContain(`prebuilds/${machine}`);
  });
});

/** The bytes with the one text in them that `what` finds replaced by another, no longer one. */
function replaced(bytes: Buffer, what: RegExp, by: string): Buffer {
  const [found] = what.exec(bytes.toString('latin1')) ?? expect.fail(`no ${String(what)} in it`);
  const at = bytes.indexOf(found);
  bytes.fill(0, at, at + found.length);
  bytes.write(by, at, found.length, 'latin1');
  return bytes;
}
