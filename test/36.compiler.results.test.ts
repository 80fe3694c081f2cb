import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TenonError } from '../src/base/errors.js';
import { readApplication } from '../src/compiler/application.js';
import { type Built, type CompileOptions, compile, describeWarning } from '../src/compiler/build.js';
import { until } from './load/world.js';

const run = promisify(execFile);
const linux = process.platform === 'linux';

let parent: string;
let count = 0;
let folder: string;
let dataDirectory: string;

beforeAll(async () => {
  parent = await mkdtemp(path.join(os.tmpdir(), 'tenon-results-'));
});
afterAll(() => rm(parent, { recursive: true, force: true }));
beforeEach(async () => {
  count += 1;
  folder = path.join(parent, 'applications', `app${count}`);
  dataDirectory = path.join(parent, `data${count}`);
  await write('config.yaml', 'name: App\n');
});

async function write(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
  await writeFile(path.join(folder, file), text);
}

async function build(options: Partial<CompileOptions> = {}): Promise<Built> {
  return compile(await readApplication(folder), { dataDirectory, env: process.env, ...options });
}

async function failure(options: Partial<CompileOptions> = {}): Promise<TenonError> {
  return build(options).then(
    () => expect.unreachable('the build succeeded'),
    (error: TenonError) => error,
  );
}

/** A plugin in plain C whose description is `text`. */
function plain(text: string, more = ''): string {
  return `#include <tenon/entry.h>
${more}
static tenon_status create(const tenon_host_t *host, tenon_plugin_t **out) {
  (void)host;
  (void)out;
  return TENON_ERROR;
}
TENON_PLUGIN("app", "App", "1.0.0", ${text}, NULL, TENON_TRIAL_OPEN, create)
`;
}

const symbols = async (library: string): Promise<string> => (await run('nm', ['-D', library])).stdout;
const needed = (library: string): string => execFileSync('readelf', ['-d', library], { encoding: 'utf8' });

function hasModule(name: string): boolean {
  try {
    execFileSync('pkg-config', ['--exists', name]);
    return true;
  } catch {
    return false;
  }
}

interface Command {
  directory: string;
  command: string;
  file: string;
}

async function commandsBeside(library: string): Promise<Command[]> {
  return JSON.parse(await readFile(path.join(path.dirname(library), 'compile_commands.json'), 'utf8')) as Command[];
}

function hasTool(name: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  return folders.some((directory) => existsSync(path.join(directory, name)));
}

describe('the list of commands for editors', () => {
  const filesIn = async (library: string): Promise<string[]> =>
    (await commandsBeside(library)).map(({ file }) => path.relative(folder, file));

  it.skipIf(!hasTool('clang'))('is understood by clang, whichever compiler builds', async () => {
    folder = path.join(parent, 'with a space', 'editors');
    dataDirectory = path.join(parent, 'data of editors');
    await write('config.yaml', 'name: Editors\n');
    // Without an #include: what is included first is said in the command.
    await write(
      'resources/A.cpp',
      'struct A : tenon::Resource {\n  tenon::Response get(const tenon::Request&) override { return tenon::text(""); }\n};\n',
    );
    await write('resources/b.cpp', 'int b();\nint b() { return 1; }\n');
    await write('resources/c.c', 'int c(void);\nint c(void) { return 1; }\n');
    await write('test/a test.cpp', '#include <tenon/testing.hpp>\nTENON_TEST("does nothing") {}\n');
    const sources = ['resources/A.cpp', 'resources/b.cpp', 'resources/c.c', 'test/a test.cpp'];
    for (const [env, looked] of [
      [process.env, sources],
      [{ ...process.env, CC: 'clang', CXX: 'clang++' }, sources.slice(0, 1)],
    ] as const) {
      const { library } = await build({ env });
      expect(await filesIn(library)).toEqual(sources);
      for (const { command, directory, file } of await commandsBeside(library)) {
        if (!looked.includes(path.relative(folder, file))) continue;
        const compiler = file.endsWith('.c') ? 'clang' : 'clang++';
        const asked = command.replace(/^\S+/, `${compiler} -fsyntax-only -Werror`);
        const { stderr } = await run('sh', ['-c', asked], { cwd: directory });
        expect([file, stderr]).toEqual([file, '']);
      }
    }
  });

  it('has each source and test as soon as it is built', async () => {
    await write('resources/b.c', plain('"one"'));
    expect(await filesIn((await build()).library)).toEqual(['resources/b.c']);
    await write('resources/a.c', 'int a(void);\nint a(void) { return 1; }\n');
    expect(await filesIn((await build()).library)).toEqual(['resources/a.c', 'resources/b.c']);
    await write('test/a.cpp', '');
    const { library, cached } = await build();
    expect(cached).toBe(true);
    expect(await filesIn(library)).toEqual(['resources/a.c', 'resources/b.c', 'test/a.cpp']);
    await rm(path.join(folder, 'resources/a.c'));
    await build();
    expect(await filesIn(library)).toEqual(['resources/b.c', 'test/a.cpp']);
  });
});

describe('profiles', () => {
  it('have a library each, and a list of commands for editors', async () => {
    await write('resources/a.c', plain('"one"'));
    const release = await build();
    const debug = await build({ profile: 'debug' });
    const base = path.join(dataDirectory, 'cache', 'builds', path.basename(folder));
    expect(path.dirname(release.library)).toBe(base);
    expect(path.dirname(debug.library)).toBe(path.join(base, 'debug'));
    expect([release.changed, debug.changed]).toEqual([true, true]);
    for (const [library, flag] of [
      [release.library, ' -O2 '],
      [debug.library, ' -O0 '],
    ] as const) {
      const commands = await commandsBeside(library);
      expect(commands.map(({ file }) => file)).toEqual([path.join(folder, 'resources/a.c')]);
      expect(commands[0]?.command).toContain(flag);
      expect(commands[0]?.command).toMatch(/ -c \S*resources\/a\.c$/);
    }
    if (linux) {
      const sections = (file: string): string => execFileSync('readelf', ['-SW', file], { encoding: 'utf8' });
      expect(sections(debug.library)).toContain('.debug_info');
      expect(sections(release.library)).not.toContain('.debug_info');
    }
    expect((await build()).changed).toBe(false);
  });

  it('sanitize looks for misuse of memory', async () => {
    await write(
      'resources/a.c',
      plain('"one"', 'int at(int *list, int index);\nint at(int *list, int index) { return list[index]; }'),
    );
    expect(await symbols((await build({ profile: 'sanitize' })).library)).toMatch(/__asan_report/);
  });

  it('that do not exist are a misuse', async () => {
    await write('resources/a.c', plain('"one"'));
    await expect(build({ profile: 'fast' as 'debug' })).rejects.toThrow(TypeError);
  });
});

describe('dependencies', () => {
  it.skipIf(!hasModule('pkg-config'))(
    'of pkg-config that are not installed are named, with the package that has them',
    async () => {
      await write('config.yaml', 'dependencies: {pkg-config: [libzstd]}\n');
      await write('resources/a.c', plain('"one"'));
      const empty = path.join(parent, 'no-modules');
      await mkdir(empty, { recursive: true });
      const script = path.join(empty, 'pkg-config');
      await writeFile(
        script,
        `#!/bin/sh\nPKG_CONFIG_LIBDIR=${empty} exec /usr/bin/env PATH=/usr/bin:/bin pkg-config "$@"\n`,
        { mode: 0o755 },
      );
      const error = await failure({ env: { ...process.env, PATH: `${empty}:${process.env['PATH'] ?? ''}` } });
      expect(error.code).toBe('DependencyMissing');
      expect(error.message).toContain('needs libzstd (pkg-config)');
      expect(error.next).toMatch(linux ? /apt install libzstd-dev/ : /brew install zstd/);
      expect(error.details).toMatchObject({ kind: 'pkg-config', name: 'libzstd' });
    },
  );

  it.skipIf(!linux || !hasModule('zlib'))('that Node exports too are linked statically, or warned of', async () => {
    await write('config.yaml', 'dependencies: {pkg-config: zlib}\n');
    const use = '#include <zlib.h>\nconst char *version(void);\nconst char *version(void) { return zlibVersion(); }';
    await write('resources/a.c', plain('"one"', use));
    const { library, warnings } = await build();
    const shared = /NEEDED.*libz\.so/.test(needed(library));
    expect(warnings.some(({ message }) => message.includes('Node exports its own copy (zlib'))).toBe(shared);
    expect(await symbols(library)).not.toMatch(/ T zlibVersion/);
    expect((await build()).cached).toBe(true);
  });

  it.skipIf(!linux || !hasModule('zlib'))('are looked at again when what was found has changed', async () => {
    const prefix = path.join(parent, `prefix${count}`);
    const env = { ...process.env, PKG_CONFIG_PATH: path.join(prefix, 'modules') };
    await mkdir(path.join(prefix, 'modules'), { recursive: true });
    const library = async (text: string, ...flags: string[]): Promise<void> => {
      await writeFile(
        path.join(prefix, 'p.c'),
        `const char *probe(void);\nconst char *probe(void) { return ${text}; }\n`,
      );
      await run('cc', [
        ...flags,
        path.join(prefix, 'p.c'),
        '-o',
        path.join(prefix, flags[0] === '-c' ? 'p.o' : 'libprobe.so'),
      ]);
    };
    const archive = async (text: string, ...flags: string[]): Promise<void> => {
      await library(text, '-c', ...flags);
      await rm(path.join(prefix, 'libprobe.a'), { force: true });
      await run('ar', ['rcs', path.join(prefix, 'libprobe.a'), path.join(prefix, 'p.o')]);
    };
    const describeModule = (version: string): Promise<void> =>
      writeFile(
        path.join(prefix, 'modules/probe.pc'),
        `Name: probe\nDescription: probe\nVersion: ${version}\nLibs: -L${prefix} -lprobe\nCflags: -DPROBE="${version}"\n`,
      );
    const shared = async (): Promise<boolean> => needed((await build({ env })).library).includes('libprobe.so');
    await library('"shared"', '-shared', '-fPIC');
    await describeModule('1.0');
    await write('config.yaml', 'dependencies: {pkg-config: probe}\n');
    await write(
      'resources/a.c',
      plain('"one"', 'const char *probe(void);\nconst char *use(void);\nconst char *use(void) { return probe(); }'),
    );
    expect(await shared()).toBe(true);
    // Nothing of it has changed: it is not asked for again.
    expect((await build({ env })).cached).toBe(true);
    await archive('"archive"', '-fPIC');
    expect(await shared()).toBe(false);
    await archive('&probe == 0 ? "a" : "absolute"', '-fno-pic', '-fno-pie');
    expect(await shared()).toBe(true);
    await rm(path.join(prefix, 'libprobe.a'));
    await rm(path.join(prefix, 'modules/probe.pc'));
    expect(await failure({ env })).toMatchObject({ code: 'DependencyMissing', details: { name: 'probe' } });
  });

  describe.skipIf(!linux || !hasModule('zlib'))('of pkg-config', () => {
    /** Absolute; where a module `probe` is. */
    let prefix: string;
    const env = (): NodeJS.ProcessEnv => ({ ...process.env, PKG_CONFIG_PATH: prefix });
    const use = 'const char *probe(void);\nconst char *use(void);\nconst char *use(void) { return probe(); }';
    const describeModule = (said: string): Promise<void> =>
      writeFile(path.join(prefix, 'probe.pc'), `Name: probe\nDescription: probe\nVersion: 1\n${said}\n`);
    const archive = async (kind: 'rcs' | 'rcsT', file: string, name: string, text: string): Promise<void> => {
      await writeFile(
        path.join(prefix, `${name}.c`),
        `const char *${name}(void);\nconst char *${name}(void) { return "${text}"; }\n`,
      );
      await run('cc', ['-c', '-fPIC', `${name}.c`, '-o', `${name}.o`], { cwd: prefix });
      await run('ar', [kind, file, `${name}.o`], { cwd: prefix });
    };
    beforeEach(async () => {
      prefix = path.join(parent, `prefix${count}`);
      await mkdir(prefix);
      await write('config.yaml', 'dependencies: {pkg-config: probe}\n');
    });

    it('are looked at again when an archive only names what it holds', async () => {
      await describeModule(`Libs: -L${prefix} -lprobe`);
      await archive('rcsT', 'libprobe.a', 'probe', 'object one');
      await write('resources/a.c', plain('"one"', use));
      const { library } = await build({ env: env() });
      expect(readFileSync(library, 'latin1')).toContain('object one');
      await archive('rcsT', 'libprobe.a', 'probe', 'object two');
      await build({ env: env() });
      expect(readFileSync(library, 'latin1')).toContain('object two');
    });

    it('are taken at their word, and what is left out of it is said', async () => {
      await mkdir(path.join(prefix, 'headers'));
      await writeFile(path.join(prefix, 'headers', 'probe.h'), use.replace('probe(); }', 'other() + *probe(); }'));
      await archive('rcs', 'probe.archive.a', 'probe', 'by its path');
      await archive('rcs', 'other.a', 'other', 'by its name');
      const libraries = `${prefix}/probe.archive.a -L${prefix} -l:other.a -Wl,-rpath,${prefix}`;
      const headers = `-isystem ${prefix}/headers`;
      await describeModule(`Libs: ${libraries}\nCflags: ${headers} -std=c++11 -std=c++20 -ffast-math`);
      await write('resources/a.c', plain('"one"', 'const char *other(void);\n#include <probe.h>'));
      const { library, warnings } = await build({ env: env() });
      const text = readFileSync(library, 'latin1');
      expect([text.includes('by its path'), text.includes('by its name')]).toEqual([true, true]);
      const left = `-std=c++20 -ffast-math -Wl,-rpath,${prefix}`;
      expect(warnings.map(({ message }) => message)).toEqual([
        `pkg-config says \`${left}\` for probe, which is left out`,
      ]);
      expect((await build({ env: env() })).cached).toBe(true);
      await archive('rcs', 'other.a', 'other', 'by the same name');
      await build({ env: env() });
      expect(readFileSync(library, 'latin1')).toContain('by the same name');
    });
  });

  it('are asked for within the limits of the build', async () => {
    const tools = path.join(parent, `tools${count}`);
    await mkdir(tools);
    const pids = path.join(tools, 'pids');
    await writeFile(path.join(tools, 'pkg-config'), `#!/bin/sh\necho $$ >> ${pids}\nexec sleep 300\n`, { mode: 0o755 });
    await write('config.yaml', 'dependencies: {pkg-config: anything}\n');
    await write('resources/a.c', plain('"one"'));
    const asked = (): number[] => (readFileSync(pids, 'utf8').match(/^\d+(?=\n)/gm) ?? []).map(Number);
    const env = { ...process.env, PATH: `${tools}:${process.env['PATH'] ?? ''}` };
    expect(await failure({ env, timeoutMs: 500 })).toMatchObject({ code: 'BuildTimeout' });
    await rm(pids, { force: true });
    const abort = new AbortController();
    const ended = build({ env, signal: abort.signal });
    await Promise.all([
      expect(ended).rejects.toThrow('enough'),
      // The shell makes the file before it writes to it.
      until('it is asked', () => existsSync(pids) && asked().length > 0).then(() => abort.abort(new Error('enough'))),
    ]);
    for (const pid of asked()) expect(() => process.kill(pid, 0), String(pid)).toThrow('ESRCH');
    const said = path.join(tools, 'said');
    await writeFile(path.join(tools, 'pkg-config'), `#!/bin/sh\nulimit -v > ${said}\nexit 1\n`);
    expect(await failure({ env, memoryLimit: 1024 ** 3 })).toMatchObject({ code: 'DependencyMissing' });
    if (linux) expect(readFileSync(said, 'utf8')).toBe('1048576\n');
  });

  it('are asked for by as many builds at once as there are cores', async () => {
    const tools = path.join(parent, `tools${count}`);
    await mkdir(tools);
    const log = path.join(tools, 'log');
    const script = `#!/bin/sh\nfor last; do :; done\necho "+ $last" >> ${log}\nsleep 0.2\necho "- $last" >> ${log}\nexit 1\n`;
    await writeFile(path.join(tools, 'pkg-config'), script, { mode: 0o755 });
    const env = { ...process.env, PATH: `${tools}:${process.env['PATH'] ?? ''}` };
    const cores = os.availableParallelism();
    const builds = Array.from({ length: cores + 3 }, async (_, at) => {
      const place = path.join(parent, `asking${count}`, `a${at}`);
      await mkdir(path.join(place, 'resources'), { recursive: true });
      await writeFile(path.join(place, 'config.yaml'), `dependencies: {pkg-config: module${at}}\n`);
      await writeFile(path.join(place, 'resources', 'a.c'), plain('"one"'));
      await expect(compile(await readApplication(place), { dataDirectory, env })).rejects.toThrow(`module${at}`);
    });
    await Promise.all(builds);
    const running = new Map<string, number>();
    let most = 0;
    for (const line of readFileSync(log, 'utf8').trim().split('\n')) {
      const [sign, name = ''] = line.split(' ');
      if (!name.startsWith('module')) continue;
      const now = (running.get(name) ?? 0) + (sign === '+' ? 1 : -1);
      if (now > 0) running.set(name, now);
      else running.delete(name);
      most = Math.max(most, running.size);
    }
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(cores);
  });

  it('of npm give their headers', async () => {
    await write('config.yaml', 'dependencies:\n  - npm: [carried, "@scope/plain", said]\n');
    await write('node_modules/carried/package.json', '{"version": "1.0.0"}');
    await write('node_modules/carried/include/carried/one.h', '#define ONE "one"\n');
    await write('node_modules/@scope/plain/package.json', '{}');
    await write('node_modules/@scope/plain/two.h', '#define TWO "two"\n');
    await write('node_modules/said/package.json', '{"include_dir": "deep/in"}');
    await write('node_modules/said/deep/in/three.h', '#define THREE "three"\n');
    const includes = '#include <carried/one.h>\n#include <two.h>\n#include <three.h>';
    await write('resources/a.c', plain('"<" ONE TWO THREE ">"', includes));
    const { library } = await build();
    expect(readFileSync(library, 'latin1')).toContain('<onetwothree>');
    await write('node_modules/@scope/plain/two.h', '#define TWO "2"\n');
    expect((await build()).changed).toBe(true);
    expect(readFileSync(library, 'latin1')).toContain('<one2three>');
    await rm(path.join(folder, 'node_modules/@scope/plain/two.h'));
    expect(await failure()).toMatchObject({
      code: 'DependencyMissing',
      details: { kind: 'npm', name: '@scope/plain' },
    });
    await write('config.yaml', 'dependencies: {npm: no-such-package-anywhere}\n');
    expect((await failure()).next).toBe('run `npm install no-such-package-anywhere` beside the application');
  });

  it('that are vendored are compiled in, without their warnings', async () => {
    await write('config.yaml', 'dependencies: {vendored: [third party/lib]}\nresources: ["**/*.c"]\n');
    await write('third party/lib/include/lib.h', 'const char *lib(void);\n');
    await write('third party/lib/src/part.h', '#define PART "part"\n');
    await write(
      'third party/lib/src/lib.c',
      '#include "part.h"\n#include <lib.h>\nconst char *lib(void) { int unused; return "lib:" PART; }\nint lacking(void) {}\n',
    );
    await write(
      'resources/a.c',
      plain('"one"', '#include <lib.h>\nconst char *use(void);\nconst char *use(void) { return lib(); }'),
    );
    const { library, warnings } = await build();
    expect(warnings).toEqual([]);
    expect(readFileSync(library, 'latin1')).toContain('lib:part');
    await write('third party/lib/src/part.h', '#define PART "other"\n');
    expect((await build()).changed).toBe(true);
    await write('third party/lib/src/lib.c', 'const char *lib(void) { return 0 }\n');
    expect((await failure()).message).toMatch(/^third party\/lib\/src\/lib\.c:1:\d+: /);
    await rm(path.join(folder, 'third party'), { recursive: true });
    expect(await failure()).toMatchObject({ code: 'DependencyMissing', details: { kind: 'vendored' } });
  });

  it('of CMake are found with their targets, or refused', async () => {
    await write('config.yaml', 'dependencies: {cmake: {package: Threads, targets: [Threads::Threads]}}\n');
    await write('resources/a.c', plain('"one"'));
    expect((await build()).changed).toBe(true);
    // Nobody tells when a package of CMake's would be found elsewhere: it is asked each time.
    expect(await build()).toMatchObject({ changed: false, cached: false });
    await write('config.yaml', 'dependencies: {cmake: {package: Threads, targets: Threads::Other}}\n');
    expect(await failure()).toMatchObject({ code: 'DependencyMissing', details: { name: 'Threads::Other' } });
    await write('config.yaml', 'dependencies: {cmake: {package: NoSuchPackage, targets: No::Such}}\n');
    const error = await failure();
    expect(error).toMatchObject({ code: 'DependencyMissing', details: { kind: 'cmake', name: 'NoSuchPackage' } });
    await write('config.yaml', 'name: App\n');
    expect((await build()).changed).toBe(false);
  });
});

describe('a result that cannot be trusted', () => {
  it('is made again when an edit was undone while it was compiled', async () => {
    await write('resources/a.c', `#include "a.h"\n${plain('TEXT')}`);
    await write('resources/a.h', '#define TEXT "good"\n');
    const header = path.join(folder, 'resources/a.h');
    const once = path.join(dataDirectory, 'once');
    const compiler = path.join(dataDirectory, 'undoing-cc');
    const script = `#!/bin/sh
      case "$*" in *plugin.dir*-c*) if [ ! -e '${once}' ]; then
        : > '${once}'; mv '${header}' '${once}'; echo '#define TEXT "undone"' > '${header}'
        cc "$@"; status=$?; mv '${once}' '${header}'; : > '${once}'; exit $status
      fi;; esac
      exec cc "$@"\n`;
    await mkdir(dataDirectory, { recursive: true });
    await writeFile(compiler, script, { mode: 0o755 });
    const built = await build({ env: { ...process.env, CC: compiler } });
    expect((await readFile(once, 'utf8')).length).toBe(0);
    expect((await readFile(built.library)).includes('undone')).toBe(false);
    expect((await readFile(built.library)).includes('good')).toBe(true);
  });

  for (const [moved, way] of [
    ['a link', 'ln -s v1 current'],
    ['a folder', 'cp -R v1 current'],
  ] as const)
    it.skipIf(!hasModule('zlib'))(
      `is made again when ${moved} on the way to a header was switched while it was compiled`,
      async () => {
        const opt = path.join(parent, `opt${count}`);
        for (const name of ['v1', 'v2']) {
          await mkdir(path.join(opt, name), { recursive: true });
          await writeFile(path.join(opt, name, 'switched.h'), `#define TEXT "of ${name}"\n`);
        }
        await run('sh', ['-c', way], { cwd: opt });
        const script = `#!/bin/sh
        cc "$@"; status=$?
        case "$*" in *plugin.dir*-c*) if [ ! -e '${opt}/once' ]; then
          : > '${opt}/once'; mv '${opt}/current' '${opt}/v0'; mv '${opt}/v2' '${opt}/current'
        fi;; esac
        exit $status\n`;
        await writeFile(path.join(opt, 'cc'), script, { mode: 0o755 });
        await write('resources/a.c', `#include <switched.h>\n${plain('TEXT')}`);
        await writeFile(
          path.join(opt, 'opt.pc'),
          `Name: opt\nDescription: opt\nVersion: 1\nCflags: -I${opt}/current\n`,
        );
        await write('config.yaml', 'dependencies: {pkg-config: opt}\n');
        const env = { ...process.env, CC: `${opt}/cc`, PKG_CONFIG_PATH: opt };
        expect(readFileSync((await build({ env })).library, 'latin1')).toContain('of v2');
        expect((await build({ env })).cached).toBe(true);
      },
    );

  for (const [how, says] of [
    ['puts a file into it', '.incbin \\"TABLE\\"'],
    ['reads a further file, named behind a tab', '.include\\t\\"TABLE\\"'],
    ['reads a further file, named in a string of its own', '.include" " \\"TABLE\\"'],
  ] as const)
    it(`is not kept when the assembler ${how}`, async () => {
      const table = path.join(folder, 'table');
      const content = (text: string): string => (how.startsWith('puts') ? text : `.string "${text}"\n`);
      await write('table', content('table one'));
      await write('resources/a.c', `__asm__("${says.replace('TABLE', table)}");\n${plain('"one"')}`);
      expect((await readFile((await build()).library)).includes('table one')).toBe(true);
      await write('table', content('table two'));
      expect((await readFile((await build()).library)).includes('table two')).toBe(true);
    });
});

describe('the cache of results', () => {
  const results = (): string => path.join(dataDirectory, 'cache', 'results');

  it('answers what is known without a tool being started', async () => {
    await write('resources/a.c', `#include "a.h"\n${plain('TEXT')}`);
    await write('resources/a.h', '#define TEXT "one"\n');
    const one = await build();
    const bytes = await readFile(one.library);
    await write('resources/a.h', '#define TEXT "two"\n');
    expect(await build()).toMatchObject({ changed: true, cached: false });
    await write('resources/a.h', '#define TEXT "one"\n');
    const again = await build();
    expect(again).toMatchObject({ changed: true, cached: true });
    expect((await readFile(again.library)).equals(bytes)).toBe(true);
    await utimes(path.join(folder, 'resources/a.h'), new Date(), new Date());
    expect(await build()).toMatchObject({ changed: false, cached: true });
  });

  it('keeps the warnings', async () => {
    await write('resources/a.c', plain('"one"', 'static int unused;'));
    const first = await build();
    const second = await build();
    expect(first.warnings.map(describeWarning)).toEqual([expect.stringMatching(/^resources\/a\.c:2:\d+: .*unused/)]);
    expect(second).toMatchObject({ cached: true, warnings: first.warnings });
  });

  it('mends what was damaged in it, and does without it', async () => {
    await write('resources/a.c', plain('"one"'));
    const first = await build();
    const bytes = await readFile(first.library);
    for (const name of await readdir(results())) await appendFile(path.join(results(), name), 'x');
    expect(await build()).toMatchObject({ changed: false, cached: false });
    const library = (await readdir(results())).find((name) => name.endsWith('.library')) ?? '';
    const damaged = Buffer.from(bytes);
    damaged[bytes.length >> 1] = (damaged[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(path.join(results(), library), damaged);
    await writeFile(first.library, damaged);
    expect(await build()).toMatchObject({ changed: true, cached: false });
    expect((await readFile(first.library)).equals(bytes)).toBe(true);
    await rm(results(), { recursive: true });
    await writeFile(results(), 'no folder');
    expect(await build()).toMatchObject({ changed: false, cached: false });
  });

  it('is bounded, the oldest first', async () => {
    for (const text of ['one', 'two', 'three']) {
      await write('resources/a.c', plain(`"${text}"`));
      const { library } = await build();
      const { size } = await stat(library);
      const old = new Date(Date.now() - 60_000);
      if (text === 'one')
        for (const name of await readdir(results())) await utimes(path.join(results(), name), old, old);
      if (text === 'two') {
        await write('resources/a.c', plain('"two and a half"'));
        await build({ cacheLimit: size * 2.9 });
      }
    }
    await write('resources/a.c', plain('"two"'));
    expect((await build()).cached).toBe(true);
    await write('resources/a.c', plain('"one"'));
    expect((await build()).cached).toBe(false);
  });

  it('sees another compiler, and one that was replaced', async () => {
    const real = execFileSync('sh', ['-c', 'command -v cc'], { encoding: 'utf8' }).trim();
    const script = path.join(parent, `cc${count}`);
    await write('resources/a.c', plain('TEXT'));
    const env = { ...process.env, CC: script };
    await writeFile(script, `#!/bin/sh\nexec ${real} -DTEXT='"old"' "$@"\n`, { mode: 0o755 });
    const { library } = await build({ env });
    expect((await build({ env })).cached).toBe(true);
    await writeFile(script, `#!/bin/sh\nexec ${real} -DTEXT='"new"' "$@"\n`);
    expect(await build({ env })).toMatchObject({ changed: true, cached: false });
    expect(readFileSync(library, 'latin1')).toContain('new');
  });

  it('asks a compiler within its limits, and again when it did not answer', async () => {
    const real = execFileSync('sh', ['-c', 'command -v cc'], { encoding: 'utf8' }).trim();
    const script = path.join(parent, `cc${count}`);
    const answers = path.join(parent, `answers${count}`);
    const pid = path.join(parent, `pid${count}`);
    await write('resources/a.c', plain('"one"'));
    const wait = `trap "" TERM; echo $$ > ${pid}; while :; do sleep 1; done`;
    await writeFile(script, `#!/bin/sh\ntest -e ${answers} && exec ${real} "$@"\n${wait}\n`, { mode: 0o755 });
    const env = { ...process.env, CC: script };
    expect(await failure({ env, timeoutMs: 500 })).toMatchObject({ code: 'BuildTimeout' });
    expect(() => process.kill(Number(readFileSync(pid, 'utf8')), 0)).toThrow('ESRCH');
    await writeFile(answers, '');
    const { library } = await build({ env });
    expect(readFileSync(library, 'latin1')).toContain('one');
  });

  it('does not build with a compiler that does not say what it is', async () => {
    const real = execFileSync('sh', ['-c', 'command -v cc'], { encoding: 'utf8' }).trim();
    const script = path.join(parent, `cc${count}`);
    const broken = path.join(parent, `broken${count}`);
    await write('resources/a.c', plain('"one"'));
    await writeFile(broken, '');
    const question = `case "$*" in *-v*) test -e ${broken} && { echo no >&2; exit 3; };; esac`;
    await writeFile(script, `#!/bin/sh\n${question}\nexec ${real} "$@"\n`, { mode: 0o755 });
    const env = { ...process.env, CC: script };
    expect(await failure({ env })).toMatchObject({
      code: 'BuildFailed',
      message: `${script} does not say what it is, it ended with status 3: no`,
    });
    await rm(broken);
    await build({ env });
  });

  it('sees a header that comes before the one that was found', async () => {
    await write('config.yaml', 'dependencies: {vendored: v}\n');
    await write('v/a.h', '#define TEXT "far"\n');
    await write('resources/a.c', `#include "a.h"\n${plain('TEXT')}`);
    const { library } = await build();
    await write('resources/a.h', '#define TEXT "near"\n');
    expect((await build()).changed).toBe(true);
    expect(readFileSync(library, 'latin1')).toContain('near');
    await rm(path.join(folder, 'resources/a.h'));
    expect((await build()).cached).toBe(true);
    expect(readFileSync(library, 'latin1')).toContain('far');
  });

  it('sees a change of a header, whatever that is called', async () => {
    const header = 'resources/o d$d#:';
    await write('resources/a.c', plain('TEXT', `#include "${path.basename(header)}"`));
    await write(header, '#define TEXT "one"\n');
    await build();
    await write(header, '#define TEXT "two"\n');
    expect((await build()).changed).toBe(true);
  });

  it('sees a change of a header that lies above where a link leads', async () => {
    await write('resources/a.c', `#include "../deep/b.h"\n${plain('TEXT')}`);
    await write('c.h', '#define TEXT "of another"\n');
    await write(`../above${count}/deep/b.h`, '#include "../c.h"\n');
    await write(`../above${count}/c.h`, '#define TEXT "one"\n');
    await symlink(`../above${count}/deep`, path.join(folder, 'deep'));
    const { library } = await build();
    await write(`../above${count}/c.h`, '#define TEXT "of two"\n');
    expect((await build()).cached).toBe(false);
    expect(readFileSync(library, 'latin1')).toContain('of two');
  });

  it('sees that a link to a folder of headers leads elsewhere', async () => {
    await write('config.yaml', 'dependencies: {npm: linked}\n');
    await write('node_modules/linked/package.json', '{}');
    for (const name of ['v1', 'v2']) await write(`../opt${count}/${name}/a.h`, `#define TEXT "of ${name}"\n`);
    await write('resources/a.c', `#include <a.h>\n${plain('TEXT')}`);
    const link = path.join(folder, 'node_modules/linked/include');
    await symlink(`../../../opt${count}/v1`, link);
    const { library } = await build();
    expect((await build()).cached).toBe(true);
    await rm(link);
    await symlink(`../../../opt${count}/v2`, link);
    expect((await build()).cached).toBe(false);
    expect(readFileSync(library, 'latin1')).toContain('of v2');
  });

  it('is right for a header that only the preprocessor can name', async () => {
    await write('resources/a.c', `#define NAME "deep/a.h"\n#include NAME\n${plain('TEXT')}`);
    await write('resources/deep/a.h', '#define TEXT "one"\n');
    const past = new Date('2001-01-01');
    await utimes(path.join(folder, 'resources/deep/a.h'), past, past);
    const { library } = await build();
    await write('resources/deep/a.h', '#define TEXT "two"\n');
    await utimes(path.join(folder, 'resources/deep/a.h'), past, past);
    expect((await build()).changed).toBe(true);
    expect(readFileSync(library, 'latin1')).toContain('two');
  });
});

describe('several builds at once', () => {
  it('of one application end with one result, and each is answered', async () => {
    await write('resources/a.c', plain('"one"'));
    const built = await Promise.all([build(), build(), build()]);
    expect(built.filter(({ changed }) => changed)).toHaveLength(1);
    expect(built.filter(({ cached }) => !cached)).toHaveLength(1);
  });

  it('of several applications do not disturb each other', async () => {
    const folders = ['x', 'y', 'z'].map((name) => path.join(parent, `many${count}`, name));
    const made = folders.map(async (place) => {
      await mkdir(path.join(place, 'resources'), { recursive: true });
      await writeFile(path.join(place, 'config.yaml'), 'version: 1.0.0\n');
      await writeFile(path.join(place, 'resources', 'a.c'), plain(`"this is ${path.basename(place)}"`));
      return compile(await readApplication(place), { dataDirectory, env: process.env });
    });
    for (const [index, { library }] of (await Promise.all(made)).entries())
      expect(readFileSync(library, 'latin1')).toContain(`this is ${['x', 'y', 'z'][index] ?? ''}`);
  });
});

describe('the result', () => {
  it.skipIf(!linux)('is looked at for what keeps it from being unloaded', async () => {
    const tls =
      '__thread int storage __attribute__((tls_model("initial-exec")));\nint get(void);\nint get(void) { return storage; }';
    await write('resources/other.c', 'int other(void);\nint other(void) { return 1; }\n');
    await write('resources/a.c', plain('"one"', tls));
    await write(
      'resources/b.cpp',
      '#include <string>\nstd::string &name();\nstd::string &name() { static thread_local std::string text; return text; }\n',
    );
    const { findings, warnings } = await build();
    expect(findings.map(({ rule }) => rule).sort()).toEqual(['static-tls', 'thread-local-destructor']);
    expect(findings.find(({ rule }) => rule === 'thread-local-destructor')).toMatchObject({ file: 'resources/b.cpp' });
    expect(warnings.map(describeWarning)).toContainEqual(expect.stringMatching(/^resources\/b\.cpp: .*thread/));
    expect((await build()).findings).toEqual(findings);
  });

  it('may be looked at by the caller', async () => {
    await write('resources/a.c', plain('"one"'));
    const finding = { rule: 'own', detail: 'is not to my taste', pins: false };
    const { warnings } = await build({ inspect: () => [finding] });
    expect(warnings.map(describeWarning)).toEqual(['resources/a.c: is not to my taste']);
  });

  it('may not be larger than its limit', async () => {
    await write('resources/a.c', plain('"one"', 'char table[4 << 20] = {1};'));
    expect(await failure({ imageLimit: 1 << 20 })).toMatchObject({ code: 'ImageTooLarge' });
    expect(
      existsSync(path.join(dataDirectory, 'cache', 'builds', path.basename(folder), `${path.basename(folder)}.so`)),
    ).toBe(false);
  });
});
