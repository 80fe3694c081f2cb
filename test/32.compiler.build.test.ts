import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TenonError } from '../src/base/errors.js';
import { librarySuffix, readApplication } from '../src/compiler/application.js';
import { type Built, type CompileOptions, compile, describeWarning } from '../src/compiler/build.js';
import { createHost } from '../src/index.js';

const run = promisify(execFile);
const examples = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'applications');

let parent: string;
let count = 0;
/** A fresh application for each test. */
let folder: string;
let dataDirectory: string;

beforeAll(async () => {
  parent = await mkdtemp(path.join(os.tmpdir(), 'tenon-build-'));
  dataDirectory = path.join(parent, 'data');
});
afterAll(() => rm(parent, { recursive: true, force: true }));
beforeEach(async () => {
  count += 1;
  folder = path.join(parent, 'applications', `app${count}`);
  await write('config.yaml', 'name: App\nversion: 1.0.0\n');
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

async function exported(library: string): Promise<string[]> {
  const { stdout } = await run(
    'nm',
    process.platform === 'darwin' ? ['-gU', library] : ['-D', '--defined-only', library],
  );
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.split(' ').at(-1) ?? '');
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

function onPath(tool: string): boolean {
  return (process.env['PATH'] ?? '').split(path.delimiter).some((directory) => existsSync(path.join(directory, tool)));
}

const resource = (name: string, body: string): string =>
  `struct ${name} : tenon::Resource {\n  tenon::Response get(const tenon::Request&) override { ${body} }\n};\n`;
const sdk = '#include <tenon/tenon.hpp>\n';

describe('the example applications', () => {
  for (const name of ['hello', 'counter']) {
    it(`${name} compiles without a warning and exports only the entry`, async () => {
      folder = path.join(examples, name);
      const built = await build();
      expect(built).toMatchObject({ changed: true, warnings: [] });
      expect(built.library).toBe(path.join(dataDirectory, 'cache', 'builds', name, name + librarySuffix));
      expect(await exported(built.library)).toEqual([expect.stringMatching(/^_?tenon_plugin_entry$/)]);
    });
  }
});

describe('a build', () => {
  it('of an unchanged input leaves the library alone', async () => {
    await write('resources/a.c', plain('"one"'));
    const first = await build();
    const before = await stat(first.library);
    const second = await build();
    const after = await stat(second.library);
    expect({ first: first.changed, second: second.changed }).toEqual({ first: true, second: false });
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
  });

  it('of a source that was only touched gives the same bytes', async () => {
    await write('resources/a.c', plain('"one"'));
    await build();
    await utimes(path.join(folder, 'resources/a.c'), new Date(), new Date());
    expect((await build()).changed).toBe(false);
  });

  it('sees a changed source, whatever its times say', async () => {
    await write('resources/a.c', plain('"one"'));
    const { library } = await build();
    await write('resources/a.c', plain('"two"'));
    const past = new Date('2001-01-01');
    await utimes(path.join(folder, 'resources/a.c'), past, past);
    expect((await build()).changed).toBe(true);
    expect(readFileSync(library, 'latin1')).toContain('two');
  });

  it('sees a changed header, whatever its times say', async () => {
    await write('resources/a.c', `#include "deep/a.h"\n${plain('TEXT')}`);
    await write('resources/deep/a.h', '#include "b.h"\n');
    await write('resources/deep/b.h', '#define TEXT "one"\n');
    const { library } = await build();
    await write('resources/deep/b.h', '#define TEXT "two"\n');
    const past = new Date('2001-01-01');
    await utimes(path.join(folder, 'resources/deep/b.h'), past, past);
    expect((await build()).changed).toBe(true);
    expect(readFileSync(library, 'latin1')).toContain('two');
    await rm(path.join(folder, 'resources/deep'), { recursive: true });
    await write('resources/a.c', plain('"three"'));
    expect((await build()).changed).toBe(true);
  });

  it('mends what was damaged in the cache', async () => {
    await write('resources/a.c', plain('"one"'));
    const { library } = await build();
    const ninja = path.join(path.dirname(library), 'build', 'build.ninja');
    await writeFile(existsSync(ninja) ? ninja : path.join(path.dirname(library), 'build', 'Makefile'), 'nonsense');
    await write('resources/a.c', plain('"two"'));
    expect((await build()).changed).toBe(true);
  });

  it('sees a source that comes and one that goes', async () => {
    const caller = 'int other(void); int call(void); int call(void) { return other(); }';
    await write('resources/a.c', plain('"one"', caller));
    await write('resources/b.c', 'int other(void);\nint other(void) { return 1; }\n');
    const { library } = await build();
    await rm(path.join(folder, 'resources/b.c'));
    expect((await failure()).message).toMatch(/^resources\/a\.c: undefined .*other/);
    await write('resources/c.c', 'int other(void);\nint other(void) { return 2; }\n');
    expect((await build()).changed).toBe(true);
    await rm(path.join(folder, 'resources/c.c'));
    await write('resources/a.c', plain('"one"'));
    expect((await build()).changed).toBe(true);
    expect(await readdir(path.join(path.dirname(library), 'glue'))).toEqual(['0.c']);
  });

  it('sees a changed config', async () => {
    await write('resources/a.cpp', sdk + resource('A', 'return tenon::text("x");'));
    const { library } = await build();
    await write('config.yaml', 'name: App\nversion: 7.6.5\n');
    expect((await build()).changed).toBe(true);
    expect(readFileSync(library, 'latin1')).toContain('7.6.5');
  });

  it('gives the same bytes wherever the folder is', async () => {
    const source = sdk + resource('A', 'return tenon::text(__FILE__);');
    await write('resources/a.cpp', source);
    const one = await build();
    folder = path.join(parent, 'elsewhere', path.basename(folder));
    await write('config.yaml', 'name: App\nversion: 1.0.0\n');
    await write('resources/a.cpp', source);
    const two = await build({ dataDirectory: path.join(parent, 'data2') });
    expect((await readFile(one.library)).equals(await readFile(two.library))).toBe(true);
    expect(readFileSync(two.library, 'latin1')).not.toContain(parent);
  });

  it('bears odd characters in the path', async () => {
    folder = path.join(parent, `odd $HOME;(a) 'b' #${count}`, 'odd');
    await write('config.yaml', 'name: Odd "x" \\ ??/ é\n');
    await write('resources/my file.cpp', sdk + resource('A', 'return tenon::text("x");'));
    const { library } = await build({ dataDirectory: path.join(parent, "data $x(y) 'z' #") });
    expect(readFileSync(library, 'utf8')).toContain('Odd "x" \\ ??/ é');
  });

  it('compiles what is there, below an #if as well', async () => {
    const absent = `namespace n {\n#ifdef NEVER_DEFINED\n${resource('Absent', 'return tenon::text("absent");')}#endif\n}\n`;
    await write('resources/a.cpp', sdk + absent + resource('Present', 'return tenon::text("present");'));
    expect((await build()).warnings).toEqual([]);
  });

  it('keeps helpers of the same name in two sources apart', async () => {
    const helper = (name: string): string =>
      `${sdk}static int helper() { return 1; }\n${resource(name, 'return tenon::status(200 + helper());')}`;
    await write('resources/a.cpp', helper('A'));
    await write('resources/b.cpp', helper('B'));
    expect((await build()).warnings).toEqual([]);
  });

  it('does not take a source for a header: its lambdas may hold what only it knows', async () => {
    const holder = '[hidden](tenon::Writer& writer) { writer.write(hidden.text); }';
    await write(
      'resources/a.cpp',
      `${sdk}namespace { struct Hidden { const char* text; }; }\n${resource('A', `const Hidden hidden{"x"}; return tenon::stream(${holder});`)}`,
    );
    expect((await build()).warnings).toEqual([]);
  });

  it('takes C beside C++', async () => {
    await write(
      'resources/a.cpp',
      `${sdk}extern "C" int help();\n${resource('A', 'return tenon::status(200 + help());')}`,
    );
    await write('resources/help.c', 'int help(void);\nint help(void) { return 1; }\n');
    expect((await build()).warnings).toEqual([]);
  });

  it('reports warnings without failing', async () => {
    await write('resources/a.cpp', sdk + resource('A', 'int unused = 4; return tenon::text("x");'));
    const [warning] = (await build()).warnings;
    expect(warning).toMatchObject({ file: 'resources/a.cpp', line: 3, severity: 'warning' });
    expect(warning && describeWarning(warning)).toMatch(/^resources\/a\.cpp:3:\d+: .*unused/);
  });

  it('hands a prebuilt library on as it is', async () => {
    const library = path.join(folder, path.basename(folder) + librarySuffix);
    await writeFile(library, 'anything');
    expect(await build({ env: {} })).toMatchObject({ library, changed: false, warnings: [] });
  });

  /** An environment in which there are only `more` and what every build needs. */
  async function onlyWith(...more: string[]): Promise<NodeJS.ProcessEnv> {
    const tools = path.join(parent, `tools${count}`);
    await mkdir(tools, { recursive: true });
    for (const tool of ['cmake', 'cc', 'c++', 'as', 'ld', 'ar', 'ranlib', 'nm', 'strip', 'sh', 'uname', ...more]) {
      const place = execFileSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).trim();
      if (path.isAbsolute(place)) await symlink(place, path.join(tools, tool));
    }
    return { ...process.env, PATH: tools };
  }

  it.skipIf(!onPath('ld.lld') || !onPath('ninja'))('links with lld where there is no mold', async () => {
    await write('resources/a.c', plain('"one"'));
    const { library } = await build({ env: await onlyWith('ninja', 'ld.lld') });
    expect(readFileSync(library, 'latin1')).toMatch(/Linker: [\w ]*LLD/);
    expect(await exported(library)).toEqual(['tenon_plugin_entry']);
  });

  it('uses make where there is no Ninja', async () => {
    await write('resources/a.c', plain('"one"'));
    const env = await onlyWith('make');
    const { library } = await build({ env });
    await write('resources/a.c', plain('"two"'));
    expect((await build({ env })).changed).toBe(true);
    expect(existsSync(path.join(path.dirname(library), 'build', 'Makefile'))).toBe(true);
    // With Ninja again, the build of the other tools is not mistaken for its own.
    await build();
    expect(existsSync(path.join(path.dirname(library), 'build', 'build.ninja'))).toBe(true);
  });
});

/** What stands between angles in the library's data. */
const text = (library: string): string | undefined => /<([^<>]*)>/.exec(readFileSync(library, 'latin1'))?.[1];

describe('a file that comes where another one was found', () => {
  /** What is found in builds with `far` alone, again, with `near` beside it, and without it. */
  async function found(far: string, near: string, options: Partial<CompileOptions> = {}): Promise<unknown[]> {
    await write(far, '#define TEXT "<far>"\n');
    const first = text((await build(options)).library);
    const again = (await build(options)).cached;
    await write(near, '#define TEXT "<near>"\n');
    const second = text((await build(options)).library);
    await rm(path.join(folder, near));
    return [first, again, second, text((await build(options)).library)];
  }
  const overtaken = ['far', true, 'near', 'far'];

  for (const name of ['plain', '.hidden', 'table.def', '.deep/a.h', 'node.js'])
    it(`is seen, though its name is ${name}`, async () => {
      await write('config.yaml', 'dependencies: {vendored: v}\n');
      await write('resources/a.c', `#include "${name}"\n${plain('TEXT')}`);
      expect(await found(`v/${name}`, `resources/${name}`)).toEqual(overtaken);
    });

  it('is seen in the folder of a dependency', async () => {
    await write('config.yaml', 'dependencies: {npm: [first, second]}\n');
    for (const name of ['first', 'second']) await write(`node_modules/${name}/package.json`, '{}');
    await write('node_modules/first/include/other.h', '');
    await write('resources/a.c', `#include <deep/a.h>\n${plain('TEXT')}`);
    expect(await found('node_modules/second/include/deep/a.h', 'node_modules/first/include/deep/a.h')).toEqual(
      overtaken,
    );
  });

  it('is seen where the compiler searches by itself', async () => {
    const searched = ['first', 'second'].map((name) => path.join(parent, `system${count}`, name));
    for (const place of searched) await mkdir(path.join(place, 'deep'), { recursive: true });
    await write('resources/a.c', `#include <deep/a.h>\n${plain('TEXT')}`);
    const env = { ...process.env, CC: `cc ${searched.map((place) => `-isystem ${place}`).join(' ')}` };
    const [first = '', second = ''] = searched.map((place) => path.relative(folder, path.join(place, 'deep/a.h')));
    expect(await found(second, first, { env })).toEqual(overtaken);
  });

  it('is seen beside a header outside the application', async () => {
    await write('config.yaml', 'dependencies: {vendored: v}\n');
    await write(`../shared${count}/b.h`, '#include "a.h"\n');
    await write('resources/a.c', `#include "../../shared${count}/b.h"\n${plain('TEXT')}`);
    expect(await found('v/a.h', `../shared${count}/a.h`)).toEqual(overtaken);
  });

  it('is seen by who only asks for it', async () => {
    const asks = `#define OTHER "other"\n#if __has_include("deep/a") || __has_include(OTHER) || __has_include("../../asked${count}/far")\n#define T "<there>"\n#else\n#define T "<none>"\n#endif\n`;
    await write('resources/a.c', asks + plain('T'));
    expect(text((await build()).library)).toBe('none');
    await write('resources/deep/a', '');
    expect(text((await build()).library)).toBe('there');
    await rm(path.join(folder, 'resources/deep/a'));
    expect(text((await build()).library)).toBe('none');
    await write('resources/other', '');
    expect(text((await build()).library)).toBe('there');
    await rm(path.join(folder, 'resources/other'));
    expect(text((await build()).library)).toBe('none');
    await write(`../asked${count}/far`, '');
    expect(text((await build()).library)).toBe('there');
  });

  for (const [how, asks] of [
    ['through another name', '#define HAS __has_include\n#if HAS("other")'],
    ['through a name that is put together', '#define JOIN(a, b) a##b\n#if JOIN(__has_inc, lude)("other")'],
    ['in several lines', '#define NAME "other"\n#if __has_\\\ninclude(NAME)'],
  ] as const)
    it(`is seen by who asks for it ${how}`, async () => {
      const tells = `${asks}\n#define T "<there>"\n#else\n#define T "<none>"\n#endif\n`;
      await write('resources/a.c', `#ifndef __has_include\n#error asked for nothing\n#endif\n${tells}${plain('T')}`);
      expect(text((await build()).library)).toBe('none');
      await write('resources/other', '');
      expect(text((await build()).library)).toBe('there');
    });

  it('under a name that nobody includes makes no difference', async () => {
    const tests = '#if defined(__has_include) && __has_include("b")\n#endif // __has_include\n';
    await write('resources/a.c', `#include "a.h"\n#include <sys/stat.h>\n${tests}${plain('TEXT')}`);
    await write('resources/a.h', '#define TEXT "one"\n');
    await build();
    await write('resources/.a.c.swp', 'of an editor');
    await write('resources/b.h', '');
    expect((await build()).cached).toBe(true);
  });
});

describe('a header that goes while it is compiled', () => {
  it('leaves nothing that is taken for known', async () => {
    await write('resources/a.c', `#define NAME ".a"\n#include NAME\n${plain('TEXT')}`);
    await write('resources/.a', '#define TEXT "one"\n');
    const header = path.join(folder, 'resources/.a');
    const compiler = path.join(parent, `removing-cc${count}`);
    const script = `#!/bin/sh\ncc "$@"; status=$?; case "$*" in *plugin.dir*-c*) rm -f '${header}';; esac; exit $status\n`;
    await writeFile(compiler, script, { mode: 0o755 });
    const env = { ...process.env, CC: compiler };
    expect((await failure({ env })).message).toContain('.a');
    expect(existsSync(header)).toBe(false);
    expect((await failure({ env })).message).toContain('.a');
    await write('resources/.a', '#define TEXT "<two>"\n');
    expect(text((await build()).library)).toBe('two');
  });
});

describe('two folders of one id', () => {
  /** A second checkout of the application. */
  async function twin(text: string): Promise<string> {
    const place = path.join(parent, `twin${count}`, path.basename(folder));
    await mkdir(path.join(place, 'resources'), { recursive: true });
    await writeFile(path.join(place, 'config.yaml'), 'name: App\n');
    await writeFile(path.join(place, 'resources/a.c'), plain(`"${text}"`));
    return place;
  }
  const buildIn = async (place: string): Promise<Built> =>
    compile(await readApplication(place), { dataDirectory, env: process.env });

  it('have a library each, and none is built for the other', async () => {
    await write('resources/a.c', plain('"the first"'));
    const second = await twin('the second');
    const built = await Promise.all([buildIn(folder), buildIn(second), buildIn(folder), buildIn(second)]);
    const said = built.map(({ library }) => /the (?:first|second)/.exec(readFileSync(library, 'latin1'))?.[0]);
    expect(said).toEqual(['the first', 'the second', 'the first', 'the second']);
    for (const place of [folder, second]) expect(await buildIn(place)).toMatchObject({ changed: false, cached: true });
  });

  it('do not keep what belonged to one that is gone', async () => {
    await write('resources/a.c', plain('"the first"'));
    const { library } = await build();
    const second = await twin('the second');
    const aside = await buildIn(second);
    await rm(second, { recursive: true });
    await rm(folder, { recursive: true });
    folder = path.join(parent, `moved${count}`, path.basename(folder));
    await write('config.yaml', 'name: App\n');
    await write('resources/a.c', plain('"the third"'));
    expect((await build()).library).toBe(library);
    expect(readFileSync(library, 'latin1')).toContain('the third');
    expect(existsSync(aside.library)).toBe(false);
  });
});

describe('a failed build', () => {
  it('names file, line and column, and leaves the library of before', async () => {
    await write('resources/a.cpp', sdk + resource('A', 'return tenon::text("x");'));
    const { library } = await build();
    const before = await readFile(library);
    await write('resources/a.cpp', sdk + resource('A', 'return tenon::text(nothing);'));
    const error = await failure();
    expect(error.code).toBe('BuildFailed');
    expect(error.message).toMatch(/^resources\/a\.cpp:3:\d+: .*nothing/);
    expect(error.details).toMatchObject({ file: 'resources/a.cpp', line: 3, column: expect.any(Number) });
    expect(error.details['diagnostics']).toMatchObject([{ severity: 'error', file: 'resources/a.cpp', line: 3 }]);
    expect((await readFile(library)).equals(before)).toBe(true);
    await write('resources/a.cpp', sdk + resource('A', 'return tenon::text("y");'));
    expect((await build()).changed).toBe(true);
  });

  it('at the first try can be corrected too', async () => {
    await write('resources/a.c', plain('"one"').replace('return TENON_ERROR;', 'return TENON_ERROR'));
    expect((await failure()).message).toMatch(/^resources\/a\.c:6:\d+: expected/);
    await write('resources/a.c', plain('"one"'));
    expect((await build()).changed).toBe(true);
  });

  it('in a header names the header', async () => {
    await write('resources/a.c', `#include "deep/a.h"\n${plain('"one"')}`);
    await write('resources/deep/a.h', '\n#error not like this\n');
    expect((await failure()).message).toMatch(/^resources\/deep\/a\.h:2:\d+: .*not like this/);
  });

  for (const [cc, cxx] of [
    ['gcc', 'g++'],
    ['clang', 'clang++'],
  ] as const) {
    it.skipIf(!onPath(cxx))(`by a misuse of the SDK points at the author, with ${cxx}`, async () => {
      const wrong =
        'struct A : tenon::Resource {\n  tenon::Response get(const tenon::Request&) const { return {}; }\n};\n';
      await write('resources/a.cpp', `${sdk}\n${wrong}`);
      const error = await failure({ env: { ...process.env, CC: cc, CXX: cxx } });
      expect(error.message).toMatch(/^resources\/a\.cpp:3:/);
      expect(error.message).toContain('a handler is: tenon::Response get(const tenon::Request& request) override');
    });
  }

  it('by a resource that would serve nothing points at it', async () => {
    await write('resources/a.cpp', `${sdk}\nstruct A : tenon::Resource {\n  int Get();\n};\n`);
    const error = await failure();
    expect(error.message).toMatch(/^resources\/a\.cpp:3:/);
    expect(error.message).toContain('a resource overrides get, post, put, patch or del');
  });

  it('of the linker names the source', async () => {
    await write('resources/a.c', plain('"one"'));
    await write('resources/b.c', 'int missing(void);\nint use(void);\nint use(void) { return missing(); }\n');
    const error = await failure();
    expect(error.message).toMatch(/^resources\/b\.c: undefined .*missing/);
    expect(error.details).toMatchObject({ file: 'resources/b.c' });
  });

  it('without anything to serve is SourcesMissing', async () => {
    await write('resources/a.cpp', 'int x;\n');
    expect(await failure()).toMatchObject({ code: 'SourcesMissing' });
  });

  const clashes: [string, Record<string, string>, RegExp][] = [
    [
      'two plugins by hand',
      { 'a.c': plain('"a"'), 'b.c': plain('"b"') },
      /^resources\/b\.c:8:1: a second TENON_PLUGIN.*a\.c:8/,
    ],
    [
      'a plugin by hand beside a resource',
      { 'a.c': plain('"a"'), 'b.cpp': sdk + resource('B', 'return {};') },
      /^resources\/a\.c:8:1: a plugin written by hand does not serve: B \(resources\/b\.cpp:2\)/,
    ],
    [
      'two extensions',
      { 'a.cpp': `${sdk}struct OneExtension : tenon::Extension {};\nstruct TwoExtension : tenon::Extension {};\n` },
      /^resources\/a\.cpp:3:8: a second extension in one application: OneExtension/,
    ],
  ];
  for (const [what, files, message] of clashes) {
    it(`for ${what} says which`, async () => {
      for (const [file, text] of Object.entries(files)) await write(`resources/${file}`, text);
      const error = await failure();
      expect(error.code).toBe('BuildFailed');
      expect(error.message).toMatch(message);
    });
  }
});

describe('tools', () => {
  it('that are missing are named', async () => {
    await write('resources/a.c', plain('"one"'));
    const error = await failure({ env: { PATH: parent } });
    expect(error.code).toBe('ToolchainMissing');
    expect(error.details['missing']).toEqual(['CMake', 'Ninja or make', 'a C compiler', 'a C++ compiler']);
    expect(error.next).toMatch(/install/);
  });

  it('that CC names must be there', async () => {
    await write('resources/a.c', plain('"one"'));
    const error = await failure({ env: { ...process.env, CC: 'no-such-compiler' } });
    expect(error.message).toContain('a C compiler that CC names (no-such-compiler)');
  });
});

describe('a build that does not end', () => {
  /** A C compiler that configures, but sleeps over the application, with a child; their pids are in `pids`. */
  async function sleeper(): Promise<{ env: Record<string, string | undefined>; pids: string }> {
    const pids = path.join(folder, 'pids');
    const script = path.join(folder, 'cc.sh');
    const real = execFileSync('sh', ['-c', 'command -v cc'], { encoding: 'utf8' }).trim();
    await writeFile(
      script,
      `#!/bin/sh\ncase "$*" in *glue/0.c*) sleep 600 & echo $$ $! > "${pids}.new"; mv "${pids}.new" "${pids}"; wait;; esac\nexec ${real} "$@"\n`,
    );
    await chmod(script, 0o755);
    await write('resources/a.c', plain('"one"'));
    return { env: { ...process.env, CC: script }, pids };
  }

  const alive = (pid: number): boolean => {
    try {
      process.kill(pid, 0);
      // A killed orphan may wait to be reaped by init.
      return process.platform !== 'linux' || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
      return false;
    }
  };

  it('is killed at its time limit, with everything it started', async () => {
    const { env, pids } = await sleeper();
    const error = await failure({ env, timeoutMs: 4000 });
    expect(error.code).toBe('BuildTimeout');
    const started = readFileSync(pids, 'utf8').trim().split(' ').map(Number);
    expect(started).toHaveLength(2);
    await expect.poll(() => started.filter(alive)).toEqual([]);
    // The next build starts clean.
    expect((await build()).changed).toBe(true);
  });

  it('is killed when it is aborted', async () => {
    const { env, pids } = await sleeper();
    const controller = new AbortController();
    const outcome = failure({ env, signal: controller.signal });
    await expect.poll(() => existsSync(pids)).toBe(true);
    controller.abort();
    expect(await outcome).toMatchObject({ name: 'AbortError' });
    const started = readFileSync(pids, 'utf8').trim().split(' ').map(Number);
    await expect.poll(() => started.filter(alive)).toEqual([]);
  });

  it('is not waited for longer than the signal and the time limit allow', async () => {
    const { env, pids } = await sleeper();
    const controller = new AbortController();
    const sleeping = failure({ env, signal: controller.signal });
    await expect.poll(() => existsSync(pids)).toBe(true);
    const waiter = new AbortController();
    const aborted = failure({ signal: waiter.signal });
    const late = failure({ timeoutMs: 50 });
    const patient = build();
    waiter.abort();
    expect(await aborted).toMatchObject({ name: 'AbortError' });
    expect(await late).toMatchObject({ code: 'BuildTimeout', details: { holder: process.pid } });
    controller.abort();
    expect(await sleeping).toMatchObject({ name: 'AbortError' });
    expect((await patient).changed).toBe(true);
  });

  it.skipIf(process.platform !== 'linux')('ends with the next host when its own was killed', async () => {
    const { env, pids } = await sleeper();
    const data = path.join(parent, `killed${count}`);
    const drive = fileURLToPath(new URL('compiler/drive.mjs', import.meta.url));
    const parameters = [drive, folder, data];
    const child = spawn(process.execPath, parameters, { env, stdio: 'ignore' });
    await expect.poll(() => existsSync(pids)).toBe(true);
    const started = readFileSync(pids, 'utf8').trim().split(' ').map(Number);
    const settings = { applications: path.join(parent, 'none'), data, hotReload: false, registry: false };
    // What a living process builds is left alone.
    await (await createHost(settings)).close();
    expect(started.map(alive)).toEqual([true, true]);
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    expect(started.map(alive)).toEqual([true, true]);
    await (await createHost(settings)).close();
    await expect.poll(() => started.filter(alive)).toEqual([]);
    expect((await build({ dataDirectory: data })).changed).toBe(true);
  });

  it.skipIf(process.platform !== 'linux').each([
    ['pkg-config', 'dependencies: {pkg-config: anything}\n'],
    ['c++', 'name: App\n'],
  ])('ends also a %s that it only asked, and loses nothing by that', async (tool, config) => {
    const data = path.join(parent, `asking${count}`);
    const tools = path.join(parent, `tools${count}`);
    const pids = path.join(tools, 'pids');
    await mkdir(tools);
    await write('resources/a.c', plain('"one"'));
    await build({ dataDirectory: data });
    const real = execFileSync('sh', ['-c', 'command -v c++'], { encoding: 'utf8' }).trim();
    const script = `case "$*" in *-v*|*-print*) exec ${real} "$@";; esac\necho $$ > ${pids}\nexec sleep 600\n`;
    await writeFile(path.join(tools, tool), `#!/bin/sh\n${script}`, { mode: 0o755 });
    await write('config.yaml', config);
    // What stands below an #if is left to the preprocessor.
    if (tool === 'c++') await write('resources/b.cpp', `${sdk}\n#if X\nstruct B : tenon::Resource {};\n#endif\n`);
    const drive = fileURLToPath(new URL('compiler/drive.mjs', import.meta.url));
    const parameters = [drive, folder, data];
    const env = { ...process.env, PATH: `${tools}:${process.env['PATH'] ?? ''}` };
    const child = spawn(process.execPath, parameters, { env, stdio: 'ignore' });
    await expect.poll(() => existsSync(pids) && readFileSync(pids, 'utf8')).toMatch(/\n$/);
    const asked = Number(readFileSync(pids, 'utf8'));
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    expect(alive(asked)).toBe(true);
    const directory = path.join(data, 'cache', 'builds', `app${count}`);
    const before = await stat(path.join(directory, 'build', 'CMakeCache.txt'));
    await write('config.yaml', 'name: App\n');
    await write('resources/a.c', plain('"two"'));
    await rm(path.join(folder, 'resources/b.cpp'), { force: true });
    expect((await build({ dataDirectory: data })).cached).toBe(false);
    await expect.poll(() => alive(asked)).toBe(false);
    expect((await stat(path.join(directory, 'build', 'CMakeCache.txt'))).ino).toBe(before.ino);
    expect(existsSync(path.join(directory, 'building'))).toBe(false);
  });

  it('leaves nothing half-written to the next one', async () => {
    const data = path.join(parent, `half${count}`);
    await write('resources/a.c', plain('"one"'));
    const { library } = await build({ dataDirectory: data });
    const cache = path.join(data, 'cache');
    const [old, fresh] = ['old', 'fresh'].map((name) => path.join(cache, `fingerprints.${name}.tmp`));
    for (const file of [`${library}.1.tmp`, old, fresh]) await writeFile(String(file), 'half');
    const yesterday = new Date(Date.now() - 86_400_000);
    await utimes(String(old), yesterday, yesterday);
    await build({ dataDirectory: data });
    expect((await readdir(path.dirname(library))).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    const settings = { applications: path.join(parent, 'none'), data, hotReload: false, registry: false };
    await (await createHost(settings)).close();
    // Another process may be writing the one of just now.
    expect((await readdir(cache)).filter((name) => name.endsWith('.tmp'))).toEqual(['fingerprints.fresh.tmp']);
  });

  it('that was aborted before it began does not begin', async () => {
    const { env, pids } = await sleeper();
    expect(await failure({ env, signal: AbortSignal.abort() })).toMatchObject({ name: 'AbortError' });
    expect(existsSync(pids)).toBe(false);
  });
});
