import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { librarySuffix, readApplication } from '../src/compiler/application.js';
import { compile } from '../src/compiler/build.js';
import { parseDiagnostics } from '../src/compiler/diagnostics.js';
import type { Preprocessor } from '../src/compiler/preprocess.js';
import { isDoubtful, type Scan, scanSource } from '../src/compiler/scan.js';
import { readSources, type Sources } from '../src/compiler/source.js';

// Input of which the size, and not what it says, is the trouble: what takes quadratic time runs into the time limit.
const huge = 10_000_000;

describe('what a compiler says is read, though it', { timeout: 10_000 }, () => {
  const error = 'resources/a.cpp:3:5: error: expected ;';
  const mistake = { file: 'resources/a.cpp', line: 3, column: 5, severity: 'error', message: 'expected ;' };
  const around: [string, string][] = [
    ['quotes a line of 200 KB without a blank', 'S'.repeat(200_000)],
    ['has a line of nothing but objects', 'In file glue/0.cpp.o'.repeat(50_000)],
    ['has 70,000 notes', 'resources/a.cpp:1:2: note: x\n'.repeat(70_000)],
    ['has 70,000 headings without a text', 'CMake Error:\n'.repeat(70_000)],
  ];
  for (const [what, text] of around)
    it(what, () => {
      expect(parseDiagnostics(`${text}\n${error}\n`, '/app', ['resources/a.cpp']).at(-1)).toEqual(mistake);
    });

  it('has a message longer than anybody would read', () => {
    const [found] = parseDiagnostics(`${error}${'y'.repeat(100_000)}\n`, '/app', []);
    expect(found).toMatchObject({ line: 3, column: 5 });
    expect(found?.message.length).toBeLessThan(5000);
  });

  it('names objects by their whole path', () => {
    const said = [
      "/usr/bin/ld: CMakeFiles/plugin.dir/glue/1.cpp.o: in function `f':",
      "1.cpp:(.text+0x0): multiple definition of `f()'; CMakeFiles/plugin.dir/glue/0.cpp.o:0.cpp:(.text+0x0): first here",
    ].join('\n');
    expect(parseDiagnostics(said, '/app', ['resources/a.cpp', 'resources/b.cpp'])).toEqual([
      {
        file: 'resources/b.cpp',
        line: 0,
        column: 0,
        severity: 'error',
        message: "multiple definition of `f()'; resources/a.cpp: first here",
      },
    ]);
  });
});

describe('a source is scanned to its end, though it has', { timeout: 10_000 }, () => {
  const parts: [string, string][] = [
    ['a string of 10 MB', `const char* s = "${'x'.repeat(huge)}";`],
    ['a string of 10 MB of escapes', `const char* s = "${'\\"'.repeat(huge / 2)}";`],
    ['a macro of 10 MB', `#define X ${'x'.repeat(huge)}`],
    ['a macro of a million lines', `#define X ${'x \\\n'.repeat(1_000_000)}`],
    ['a line comment of 10 MB', `// ${'x'.repeat(huge)}`],
    ['a number of 10 MB', `int i = 1${"'1".repeat(huge / 2)};`],
    ['a table of 1.6 million numbers', `int t[] = {${'0x12, -5, '.repeat(800_000)}};`],
    ['a table of strings on one line', `const char* t[] = {${'"ab", '.repeat(400_000)}};`],
    [
      '20,000 conditions in each other',
      `${'#if A\n'.repeat(20_000)}${'int a;\n'.repeat(40_000)}${'#endif\n'.repeat(20_000)}`,
    ],
    ['a macro with what opens a comment in a string', `#define ALL "${'/*'.repeat(100_000)}"`],
  ];
  for (const [what, text] of parts)
    it(what, () => {
      const { resources } = scanSource(`${text}\nstruct A : tenon::Resource {};\n/* end */`);
      expect(resources).toMatchObject([{ qualified: '::A', conditional: false, line: text.split('\n').length + 1 }]);
    });

  it('a line of 100,000 resources', () => {
    const { resources } = scanSource('struct A:tenon::Resource{};'.repeat(100_000));
    expect(resources.at(-1)).toMatchObject({ line: 1, column: 99_999 * 27 + 8 });
  });

  it('macros that stand for each other 10,000 times', () => {
    const chain = Array.from({ length: 10_000 }, (_, index) => `#define A${index} A${index + 1}\n`).join('');
    const scan = (use: string): Scan => scanSource(`${chain}#define A10000 {\n${use}\nstruct R : tenon::Resource {};`);
    expect(isDoubtful(scan('int i;'), [])).toBe(false);
    expect(isDoubtful(scan('A0 }'), [])).toBe(true);
  });

  it('brackets that nobody closes', () => {
    for (const open of ['struct A : B< ', 'struct A : B<( ', 'struct [[ ', 'namespace a { ', 'extern "C" { '])
      expect(scanSource(open.repeat(20_000)).resources).toEqual([]);
  });
});

describe('what the preprocessor makes of a source', { timeout: 10_000 }, () => {
  let folder: string;
  const outputs: string[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-expanded-'));
    await mkdir(path.join(folder, 'resources'));
    await writeFile(path.join(folder, 'config.yaml'), 'app_id: app\n');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** What is read when a preprocessor makes `text` of the source. */
  async function read(source: string, text: string): Promise<Sources> {
    const file = path.join(folder, 'resources', 'a.cpp');
    await writeFile(file, source);
    const application = await readApplication(folder);
    const ask: Preprocessor['ask'] = async (_, parameters) => {
      const output = parameters[parameters.indexOf('-o') + 1] ?? '';
      outputs.push(output);
      await writeFile(output, `# 1 "${file}"\n${text}`);
      return { status: 0, output: '', answer: '', end: '', killed: undefined };
    };
    return readSources(application, {
      toolchain: { cc: 'cc', cxx: 'c++', cmake: 'cmake', ninja: undefined },
      located: { includes: [], compileOptions: [], linkOptions: [], cmake: [], inputs: [], traced: true, warnings: [] },
      profile: 'release',
      searched: [],
      directory: path.join(folder, 'build'),
      ask,
    });
  }

  it('is read, though it has a line of 20,000 resources and 4 MB', async () => {
    const line = (key: string, gap: string): string =>
      Array.from({ length: 20_000 }, (_, index) => `${key} A${index}:tenon::Resource{};${gap}`).join('');
    const { sources } = await read(`#define W struct\n${line('W', ' '.repeat(200))}\n`, `\n${line('struct', '')}\n`);
    expect(sources[0]?.resources[3]).toMatchObject({ name: 'A3', line: 2, column: 3 * 223 + 3 });
    expect(sources[0]?.resources.at(-1)).toMatchObject({ name: 'A19999', line: 2 });
  });

  it('is put where nobody has written before', async () => {
    outputs.length = 0;
    for (let turn = 0; turn < 2; turn += 1) await read('#define X\nstruct X A : tenon::Resource {};', '\n');
    expect(new Set(outputs).size).toBe(2);
    expect(await readdir(path.join(folder, 'build'))).toEqual([]);
  });
});

describe('what is no regular file', () => {
  let parent: string;
  let folder: string;
  beforeEach(async () => {
    parent = await mkdtemp(path.join(os.tmpdir(), 'tenon-hostile-'));
    folder = path.join(parent, 'app');
    await mkdir(path.join(folder, 'resources'), { recursive: true });
  });
  afterEach(() => rm(parent, { recursive: true, force: true }));

  const fifo = (file: string): Promise<unknown> => promisify(execFile)('mkfifo', [path.join(folder, file)]);
  const configs: [string, () => Promise<unknown>][] = [
    ['a FIFO', () => fifo('config.yaml')],
    ['a link to a device', () => symlink('/dev/zero', path.join(folder, 'config.yaml'))],
    ['a directory', () => mkdir(path.join(folder, 'config.yaml'))],
  ];
  for (const [what, put] of configs)
    it(`is no config: ${what}, and a library beside it changes nothing`, async () => {
      await put();
      await writeFile(path.join(folder, `app${librarySuffix}`), 'x');
      await expect(readApplication(folder)).rejects.toMatchObject({
        code: 'ConfigNotFound',
        message: expect.stringMatching(/config\.yaml is not a regular file/) as string,
      });
    });

  it('is a config of 64 KiB at the most', async () => {
    await writeFile(path.join(folder, 'resources', 'a.c'), '');
    const config = (size: number): Promise<void> =>
      writeFile(path.join(folder, 'config.yaml'), `name: App\n${'#'.repeat(size - 10)}`);
    await config(64 * 1024);
    expect(await readApplication(folder)).toMatchObject({ id: 'app' });
    await config(64 * 1024 + 1);
    await expect(readApplication(folder)).rejects.toMatchObject({
      code: 'ConfigInvalid',
      message: 'config.yaml:1:1: the file is larger than 65536 bytes',
    });
  });

  it('is not included: the build fails at once and names the FIFO', async () => {
    await writeFile(path.join(folder, 'config.yaml'), 'name: App\n');
    await writeFile(path.join(folder, 'resources', 'a.cpp'), '#include "pipe.h"\nstruct A : tenon::Resource {};\n');
    await fifo('resources/pipe.h');
    const application = await readApplication(folder);
    const building = compile(application, { dataDirectory: path.join(parent, 'data'), env: process.env });
    await expect(building).rejects.toMatchObject({
      code: 'BuildFailed',
      message: expect.stringContaining('resources/pipe.h') as string,
    });
  });

  it('is no package of npm: its FIFO of a package.json is not read', async () => {
    await writeFile(path.join(folder, 'config.yaml'), 'dependencies: {npm: piped}\n');
    await writeFile(path.join(folder, 'resources', 'a.cpp'), 'struct A : tenon::Resource {};\n');
    await mkdir(path.join(folder, 'node_modules/piped/include'), { recursive: true });
    await fifo('node_modules/piped/package.json');
    const writer = execFile('sh', ['-c', 'echo "{}" > node_modules/piped/package.json'], { cwd: folder });
    const application = await readApplication(folder);
    const building = compile(application, { dataDirectory: path.join(parent, 'data'), env: process.env });
    await expect(building).rejects.toMatchObject({
      code: 'DependencyMissing',
      message: expect.stringContaining('package.json is not a regular file') as string,
      details: { kind: 'npm', name: 'piped' },
    });
    writer.kill();
  });

  it('is matched at once by any pattern that is taken, however long its name', async () => {
    await writeFile(path.join(folder, 'resources', 'a.c'), '');
    await writeFile(path.join(folder, 'resources', `${'a'.repeat(200)}.c`), '');
    for (const [pattern, taken] of [
      ['{a,aa}+b', true],
      ['resources/*a*a*.c', true],
      ['*a*a*a*a*a*a*a', false],
      ['(a|aa)+b', false],
    ] as const) {
      await writeFile(path.join(folder, 'config.yaml'), `resources: ["${pattern}", resources/a.c]\n`);
      const reading = readApplication(folder);
      if (taken) expect((await reading).sources).toContain('resources/a.c');
      else await expect(reading).rejects.toMatchObject({ code: 'ConfigInvalid' });
    }
  });
});
