import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TenonError } from '../src/base/errors.js';
import { readApplication } from '../src/compiler/application.js';
import { type Built, type CompileOptions, compile } from '../src/compiler/build.js';

let parent: string;
let dataDirectory: string;
/** An application that is all right, beside the broken ones. */
let sound: { folder: string; library: string; bytes: Buffer };

async function lay(folder: string, files: Record<string, string>): Promise<void> {
  for (const [file, text] of Object.entries({ 'config.yaml': 'name: App\n', ...files })) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), text);
  }
}

async function build(folder: string, options: Partial<CompileOptions> = {}): Promise<Built> {
  return compile(await readApplication(folder), { dataDirectory, env: process.env, ...options });
}

const sdk = '#include <tenon/tenon.hpp>\n';
const resource = (name: string, body = 'return tenon::text("x");'): string =>
  `struct ${name} : tenon::Resource {\n  tenon::Response get(const tenon::Request&) override { ${body} }\n};\n`;
const create =
  'static tenon_status create(const tenon_host_t *h, tenon_plugin_t **o) { (void)h; (void)o; return TENON_ERROR; }\n';
const plain = `#include <tenon/entry.h>\n${create}TENON_PLUGIN("app", "App", "1.0.0", "sound", NULL, TENON_TRIAL_OPEN, create)\n`;

beforeAll(async () => {
  parent = await mkdtemp(path.join(os.tmpdir(), 'tenon-broken-'));
  dataDirectory = path.join(parent, 'data');
  const folder = path.join(parent, 'sound');
  await lay(folder, { 'resources/a.c': plain });
  const { library } = await build(folder);
  sound = { folder, library, bytes: await readFile(library) };
});
afterAll(() => rm(parent, { recursive: true, force: true }));

interface Broken {
  name: string;
  /** Code, then what the message begins with or has. */
  code: string;
  message: RegExp;
  files: Record<string, string>;
  options?: Partial<CompileOptions>;
  prepare?: (folder: string) => Promise<unknown>;
}

const broken: Broken[] = [
  {
    name: 'a syntax error',
    code: 'BuildFailed',
    message: /^resources\/a\.c:3:\d+: (?:expected|two or more|cannot combine)/,
    files: { 'resources/a.c': 'int one;\n\nint int two;\n' + plain },
  },
  {
    name: 'a missing semicolon',
    code: 'BuildFailed',
    message: /^resources\/a\.cpp:4:2: expected ['‘]?;/,
    files: { 'resources/a.cpp': sdk + resource('A').trimEnd().slice(0, -1) },
  },
  {
    name: 'a brace that is not closed',
    code: 'BuildFailed',
    message: /^resources\/a\.cpp:3:\d+: expected '\}'/,
    files: { 'resources/a.cpp': sdk + resource('A').split('\n').slice(0, 2).join('\n') + '\n' },
  },
  {
    name: 'a namespace that is not closed',
    code: 'BuildFailed',
    message: /^resources\/a\.cpp:5:\d+: expected '\}'/,
    files: { 'resources/a.cpp': `${sdk}namespace n {\n${resource('A')}` },
  },
  {
    name: 'a source that ends in the middle of a declaration',
    code: 'BuildFailed',
    message: /^resources\/a\.cpp:5:7: expected/,
    files: { 'resources/a.cpp': `${sdk}${resource('A')}struct` },
  },
  {
    name: 'a C source that ends in the middle of a function',
    code: 'BuildFailed',
    message: /^resources\/b\.c:2:\d+: expected/,
    files: { 'resources/a.c': plain, 'resources/b.c': 'int two(void);\nint two(void) { return 2;\n' },
  },
  {
    name: 'a string that is not terminated',
    code: 'BuildFailed',
    message: /^resources\/a\.cpp:3:\d+: .*missing terminating/,
    files: { 'resources/a.cpp': sdk + resource('A', 'return tenon::text("x);') },
  },
  {
    name: 'a comment that is not terminated',
    code: 'BuildFailed',
    message: /^resources\/a\.c:\d+:\d+: .*unterminated/,
    files: { 'resources/a.c': `${plain}/* and so on\n` },
  },
  {
    name: 'a handler without a return',
    code: 'BuildFailed',
    message: /^resources\/a\.cpp:3:\d+: (?:no return statement|non-void function)/,
    files: { 'resources/a.cpp': sdk + resource('A', 'tenon::text("x");') },
  },
  {
    name: 'a C function that returns on one way only',
    code: 'BuildFailed',
    message: /^resources\/b\.c:2:\d+: (?:control reaches end|non-void function)/,
    files: { 'resources/a.c': plain, 'resources/b.c': 'int two(int);\nint two(int a) { if (a) return 2; }\n' },
  },
  {
    name: 'a header that is missing',
    code: 'BuildFailed',
    message: /^resources\/a\.c:1:\d+: nowhere\/to\/be\/found\.h/,
    files: { 'resources/a.c': `#include "nowhere/to/be/found.h"\n${plain}` },
  },
  {
    name: 'a header that includes itself',
    code: 'BuildFailed',
    message: /^resources\/a\.h:1:\d+: .*include.* nested (?:depth|too)/,
    files: { 'resources/a.c': `#include "a.h"\n${plain}`, 'resources/a.h': '#include "a.h"\n' },
  },
  {
    name: 'a dependency that is missing',
    code: 'DependencyMissing',
    message: /needs (?:no-such-module \(pkg-config\)|pkg-config \(tool\))/,
    files: { 'config.yaml': 'dependencies: {pkg-config: no-such-module}\n', 'resources/a.c': plain },
  },
  {
    name: 'a vendored folder that is missing',
    code: 'DependencyMissing',
    message: /the vendored folder third_party/,
    files: { 'config.yaml': 'dependencies: {vendored: third_party}\n', 'resources/a.c': plain },
  },
  {
    name: 'two resources of one name',
    code: 'BuildFailed',
    message: /^resources\/b\.cpp:2:8: a second type named Same: Same \(resources\/a\.cpp:2\)/,
    files: { 'resources/a.cpp': sdk + resource('Same'), 'resources/b.cpp': sdk + resource('Same') },
  },
  {
    name: 'one name defined in two sources',
    code: 'BuildFailed',
    message: /^resources\/[ab]\.c: (?:multiple definition|duplicate symbol).*twice/,
    files: { 'resources/a.c': `int twice = 1;\n${plain}`, 'resources/b.c': 'int twice = 2;\n' },
  },
  {
    name: 'a function that is nowhere',
    code: 'BuildFailed',
    message: /^resources\/a\.c: undefined .*nowhere/,
    files: { 'resources/a.c': `int nowhere(void);\nint use(void);\nint use(void) { return nowhere(); }\n${plain}` },
  },
  {
    name: 'only what looks like a resource, in comments, strings and macros',
    code: 'SourcesMissing',
    message: /declare no tenon::Resource/,
    files: {
      'resources/a.cpp': `${sdk}// struct A : tenon::Resource {};\n/* struct B : tenon::Resource {}; */\nconst char* text = R"(struct C : tenon::Resource {};)";\n#define D struct D : tenon::Resource {}\n`,
    },
  },
  {
    name: 'a resource of another base',
    code: 'BuildFailed',
    message: /^resources\/a\.cpp:2:\d+: .*(?:Resourse|class.name)/,
    files: { 'resources/a.cpp': `${sdk}struct A : tenon::Resourse {};\n` },
  },
  {
    name: 'a handler of another type',
    code: 'BuildFailed',
    message: /^resources\/a\.cpp:2:.*a handler is: tenon::Response get/,
    files: { 'resources/a.cpp': `${sdk}struct A : tenon::Resource { int get(int); };\n` },
  },
  {
    name: 'C++ in a C file',
    code: 'BuildFailed',
    message: /^resources\/a\.c:1:\d+: (?:unknown type name 'class'|expected)/,
    files: { 'resources/a.c': `class A {};\n${plain}` },
  },
  {
    name: 'a template without an end',
    code: 'BuildFailed',
    message: /^resources\/a\.cpp:2:\d+: .*(?:template instantiation depth|recursive template)/,
    files: {
      'resources/a.cpp': `${sdk}template <int N> struct Deep { static constexpr int value = Deep<N + 1>::value; };\nint deep = Deep<0>::value;\n${resource('A')}`,
    },
  },
  {
    name: 'a compiler that runs out of memory',
    code: 'BuildFailed',
    message: /^resources\/a\.cpp: .*(?:memory|Killed|signal)/,
    files: {
      'resources/a.cpp': `#include <array>\n#include <cstddef>\nconstexpr auto make() { std::array<char, (std::size_t{1} << 22)> all{}; for (auto& each : all) each = 1; return all; }\nconstexpr auto all = make();\n`,
    },
    options: { memoryLimit: 160 * 1024 ** 2 },
  },
  {
    name: 'a source of 100 MB',
    code: 'BuildFailed',
    message: /^resources\/huge\.c: the source has 100 MiB, and at most 16 MiB/,
    files: { 'resources/huge.c': '' },
    prepare: (folder) => truncate(path.join(folder, 'resources/huge.c'), 100 * 1024 ** 2),
  },
  {
    name: 'a library that is larger than a host takes',
    code: 'ImageTooLarge',
    message: /the library has \d+ bytes, more than 67108864/,
    files: { 'resources/a.c': `char table[70 << 20] = {1};\n${plain}` },
  },
  {
    name: 'resources outside the folder, by a glob',
    code: 'ConfigInvalid',
    message: /^config\.yaml:1:12: resources must hold nothing but patterns of paths inside the application/,
    files: { 'config.yaml': 'resources: ["../sound/resources/*.c"]\n' },
  },
  {
    name: 'resources outside the folder, by a link',
    code: 'SourceOutside',
    message: /^resources\/link\.c: a symbolic link \(to outside the application\)/,
    files: { 'resources/a.c': plain },
    prepare: (folder) => symlink(path.join(sound.folder, 'resources/a.c'), path.join(folder, 'resources/link.c')),
  },
  {
    name: 'resources outside the folder, by a link to a folder',
    code: 'SourceOutside',
    message: /^resources: a symbolic link \(to outside the application\)/,
    files: {},
    prepare: (folder) => symlink(path.join(sound.folder, 'resources'), path.join(folder, 'resources')),
  },
  {
    name: 'a vendored folder outside, by a link',
    code: 'SourceOutside',
    message: /^lib: a symbolic link \(to outside the application\)/,
    files: { 'config.yaml': 'dependencies: {vendored: lib}\n', 'resources/a.c': plain },
    prepare: (folder) => symlink(sound.folder, path.join(folder, 'lib')),
  },
  {
    name: 'an error below a path with spaces and other letters',
    code: 'BuildFailed',
    message: /^resources\/ä ö\/große Datei\.c:2:\d+: (?:two or more|cannot combine)/,
    files: { 'resources/ä ö/große Datei.c': `${plain.split('\n')[0] ?? ''}\nint int x;\n` },
  },
  {
    name: 'a file name that cannot be included',
    code: 'BuildFailed',
    message: /^resources\/a"b\.c: a source may not have quotes/,
    files: { 'resources/a"b.c': plain },
  },
  {
    name: 'no resources at all',
    code: 'SourcesMissing',
    message: /has nothing to serve: no schema \(schema\.graphql\), no sources \(resources\//,
    files: {},
  },
  {
    name: 'a config that is not YAML',
    code: 'ConfigInvalid',
    message: /^config\.yaml:2:1: /,
    files: { 'config.yaml': 'name: "open\n' },
  },
  {
    name: 'a config with a key that is not known',
    code: 'ConfigInvalid',
    message: /^config\.yaml:1:1: unknown key "dependancies"; did you mean "dependencies"\?/,
    files: { 'config.yaml': 'dependancies: {}\n' },
  },
  {
    name: 'two plugins written by hand',
    code: 'BuildFailed',
    message: /^resources\/b\.c:3:1: a second TENON_PLUGIN/,
    files: { 'resources/a.c': plain, 'resources/b.c': plain },
  },
];

describe('an application that is broken by', () => {
  it.each(broken.map((each, index) => [each.name, each, index] as const))('%s', async (_, each, index) => {
    const folder = path.join(parent, `broken${index}`);
    await lay(folder, each.files);
    await each.prepare?.(folder);
    const error = await build(folder, each.options).then(
      () => expect.unreachable('it was built'),
      (caught: TenonError) => caught,
    );
    expect({ code: error.code, message: error.message }).toEqual({
      code: each.code,
      message: expect.stringMatching(each.message),
    });
    expect(error.next).toMatch(/\w/);
    expect(error.message).not.toMatch(/glue|static_assert\b|tenon_glue/);
  });

  it('a quote in the path to its folder', async () => {
    const folder = path.join(parent, 'a "quoted" place', 'quoted');
    await lay(folder, { 'resources/a.c': plain });
    await expect(build(folder)).rejects.toMatchObject({
      code: 'BuildFailed',
      message: `quoted lies in a folder with a quote, a backslash or a line break: ${folder}`,
      next: expect.stringMatching(/^rename the folder/) as string,
    });
  });

  it.each([';', '"', '\\'])('%s in the path of the data directory', async (character) => {
    const odd = path.join(parent, `data ${character} odd`);
    await expect(build(sound.folder, { dataDirectory: odd })).rejects.toMatchObject({
      code: 'BuildFailed',
      message: `CMake cannot build below a path with one of ; " \\: ${odd}`,
    });
  });

  it('an npm package that has no headers', async () => {
    const folder = path.join(parent, 'headless');
    await lay(folder, {
      'config.yaml': 'name: Headless\ndependencies: {npm: headless}\n',
      'resources/a.c': plain,
      'node_modules/headless/package.json': '{}',
    });
    await expect(build(folder)).rejects.toMatchObject({
      code: 'DependencyMissing',
      message: expect.stringMatching(/headless \(npm\), which is installed \(.*\) but carries no headers$/) as string,
      next: 'name a package that has some, or take it out of `dependencies` in config.yaml',
    });
  });

  it('one thing leaves all others as they are', async () => {
    const again = await build(sound.folder);
    expect(again).toMatchObject({ changed: false, cached: true });
    expect((await readFile(sound.library)).equals(sound.bytes)).toBe(true);
    await writeFile(path.join(sound.folder, 'resources/a.c'), plain.replace('sound', 'still'));
    expect(await build(sound.folder)).toMatchObject({ changed: true, cached: false });
    const left = await promisify(execFile)('ps', ['-eo', 'args']);
    expect(left.stdout.split('\n').filter((line) => line.includes(parent))).toEqual([]);
  });

  it('an endless compilation is ended by its time limit', async () => {
    const folder = path.join(parent, 'endless');
    const source =
      'constexpr long spin() { long sum = 0; for (long at = 0; at < 1L << 60; ++at) sum += at; return sum; }\nconstexpr long sum = spin();\n';
    await lay(folder, { 'resources/a.cpp': source });
    const env = { ...process.env, CXX: 'c++ -fconstexpr-ops-limit=999999999999 -fconstexpr-loop-limit=2147483647' };
    const error = await build(folder, { env, timeoutMs: 3000 }).catch((caught: TenonError) => caught);
    expect(error).toMatchObject({ code: 'BuildTimeout' });
  });
});
