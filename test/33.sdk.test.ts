import { execFile, execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readApplication } from '../src/compiler/application.js';
import { type Built, type CompileOptions, compile } from '../src/compiler/build.js';

const run = promisify(execFile);
const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '..');
const strict = ['-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wconversion', '-Werror'];
const flags = ['-O2', '-fPIC', '-shared', '-fvisibility=hidden', '-fvisibility-inlines-hidden'];

let folder: string;
let host: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-sdk-'));
  host = path.join(folder, 'host');
  const include = ['-I', path.join(root, 'native', 'include')];
  await run('c++', ['-std=c++17', ...strict, ...include, path.join(here, 'sdk', 'host.cpp'), '-o', host, '-ldl']);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const builds = ['g++', 'clang++'].filter(present).flatMap((compiler) => [
  [compiler, '-std=c++17'],
  [compiler, '-std=c++20'],
  [compiler, '-std=c++17', '-fno-exceptions', '-fno-rtti'],
]);

const everything = path.join(here, 'sdk', 'everything.cpp');

async function build(source: string, compiler: string, ...more: string[]): Promise<string> {
  const name = [path.basename(source, '.cpp'), compiler, ...more].join('').replaceAll('+', 'x');
  const library = path.join(folder, `${name}.so`);
  const exports =
    process.platform === 'darwin'
      ? '-Wl,-exported_symbol,_tenon_plugin_entry'
      : `-Wl,--version-script=${path.join(root, 'cmake', 'plugin.map')}`;
  const gnu = compiler === 'g++' && process.platform !== 'darwin' ? ['-fno-gnu-unique'] : [];
  const include = ['-I', path.join(root, 'native', 'include')];
  await run(compiler, [...more, ...strict, ...flags, ...gnu, ...include, source, exports, '-o', library]);
  return library;
}

/** What the host printed for each of `steps`. */
async function ask(library: string, ...steps: string[]): Promise<string[]> {
  const { stdout } = await run(host, [library, ...steps]);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.at(-1)).toBe('end');
  return lines.slice(lines.indexOf('ready 0') + 1, -2);
}

function present(compiler: string): boolean {
  try {
    execFileSync(compiler, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('a plugin that uses everything of tenon.hpp', () => {
  for (const [compiler = '', ...more] of builds) {
    it(`compiles without a warning with ${compiler} ${more.join(' ')}, exports one symbol and no unique one`, async () => {
      const library = await build(everything, compiler, ...more);
      const { stdout } = await run(
        'nm',
        process.platform === 'darwin' ? ['-gU', library] : ['-D', '--defined-only', library],
      );
      const symbols = stdout.trim().split('\n');
      expect(symbols).toEqual([expect.stringMatching(/ T _?tenon_plugin_entry$/)]);
      if (process.platform !== 'darwin') {
        const table = await run('readelf', ['--wide', '--symbols', library], { maxBuffer: 8 * 1024 * 1024 });
        expect(table.stdout).not.toMatch(/__cxa_thread_atexit/);
        const dynamic = await run('readelf', ['--wide', '--dyn-syms', library]);
        expect(dynamic.stdout).not.toMatch(/UNIQUE|TLS/);
      }
      expect(await ask(library, 'GET /derived /d')).toEqual([
        '200 content-type=text/plain; charset=utf-8 [copied] derived',
      ]);
    });
  }
});

describe('through the C contract', () => {
  let library: string;
  beforeAll(async () => {
    library = await build(everything, 'c++', '-std=c++17');
  });

  it('create, initialize and ready reach the extension, the log and the key-value state', async () => {
    const { stdout } = await run(host, [library]);
    expect(stdout.split('\n')).toEqual([
      'create everything 1.2.3 0',
      'log 40 initialize text=t number=-12 view=v',
      'log 20 kept put=1',
      'initialize 0',
      'log 30 app root=/root generation=5',
      'log 50 value',
      'ready 0',
      'log 30 shutdown',
      'end',
      '',
    ]);
  });

  it('only what a resource overrides is a route, with its options', async () => {
    expect(await ask(library, 'routes')).toEqual([
      'route GET /task-summary 0 0 0',
      'route PUT /items/:id 1 1500 10',
      'route PATCH /items/:id 1 1500 10',
      'route DELETE /items/:id 1 1500 10',
      'route GET /literals 0 0 0',
      'route POST /literals 0 0 0',
      'route PUT /literals 0 0 0',
      'route GET /numbers 0 0 0',
      'route POST /numbers 0 0 0',
      'route GET /streaming 0 0 0',
      'route POST /streaming 0 0 0',
      'route GET /failing 0 0 0',
      'route POST /failing 0 0 0',
      'route PUT /failing 0 0 0',
      'route PATCH /failing 0 0 0',
      'route GET /derived 0 0 0',
      'route GET /http-audit-log2 0 0 0',
      'route DELETE /http-audit-log2 0 0 0',
    ]);
  });

  it('a request is read', async () => {
    const [line = ''] = await ask(library, 'GET /task-summary /app/task-summary?tag=b');
    expect(JSON.parse(line.slice(line.indexOf('{')))).toEqual({
      method: 1,
      path: '/app/task-summary',
      query: 'tag=b',
      tag: 'b',
      host: 'localhost',
      id: 'request-1',
      left: 250,
      cancelled: false,
      headers: ['host', 'localhost'],
    });
  });

  it('a response goes out with status, headers and body, and no needless copy', async () => {
    const lines = await ask(
      library,
      'PUT /items/:id /app/items/42 body',
      'PATCH /items/:id /x',
      'DELETE /items/:id /x',
      'GET /literals /x',
      'POST /literals /x',
      'PUT /literals /x',
    );
    expect(lines).toEqual([
      '201 content-type=text/plain; charset=utf-8 [copied] 42=body',
      '200 content-type=text/html; charset=utf-8 x-one=1 x-two+2 x-two+3 content-type=text/x [copied] <p>',
      '204 [] ',
      '200 content-type=text/plain; charset=utf-8 [constant] literal',
      '200 content-type=text/plain; charset=utf-8 [copied] a local array, which is gone when the handler has returned',
      `200 content-type=text/plain; charset=utf-8 [owned] ${'x'.repeat(4096)}`,
    ]);
  });

  it('JSON is JSON', async () => {
    const hostile = 'a"\\\n\t\u0001é😀\u2028';
    const [numbers = '', text = ''] = await ask(library, 'GET /numbers /x', `POST /numbers /x ${hostile}`);
    expect(numbers).toMatch(
      /\[0\.1,1e\+300,-2\.5,null,null,-9223372036854775808,18446744073709551615,7,true,null,"c",\{\},"é\ufffd-\ufffd{5}-\ufffd{6}"\]$/,
    );
    expect(JSON.parse(text.slice(text.indexOf('{')))).toEqual({ [hostile]: hostile });
  });

  it('a stream is written in order, and ends when nobody listens', async () => {
    const type = 'content-type=text/plain; charset=utf-8';
    expect(await ask(library, 'GET /streaming /s', 'GET /streaming /s?gone', 'POST /streaming /s')).toEqual([
      `200 ${type} content-type=text/event-stream [streamed] one two /s`,
      `200 ${type} content-type=text/event-stream [] `,
      'log 30 stopped',
      `200 ${type} [] `,
    ]);
  });

  it('what a handler throws or does wrong is a failure with a message', async () => {
    const steps = ['GET', 'POST', 'PUT', 'PATCH'].map((method) => `${method} /failing /f`);
    expect(await ask(library, ...steps)).toEqual([
      'failed 1 no such thing',
      'failed 1 an exception that is not a std::exception',
      'failed 1 the status of the response is not within 200 to 599',
      'failed 1 a header of the response is not allowed, or there are too many',
    ]);
  });

  it('state is handed over by version, and a dry run changes nothing', async () => {
    const now = 'GET /http-audit-log2 /a';
    const type = 'content-type=text/plain; charset=utf-8';
    expect(
      await ask(library, 'save', 'load 3 dry bytes', 'load 3 dry ', 'load 4 dry x', now, 'load 2 real x', now),
    ).toEqual([
      'save 0 3 fresh',
      'load 0',
      'fail an empty state',
      'load 1',
      'fail the state was saved by a newer build',
      'load 10',
      `200 ${type} [copied] fresh`,
      'load 0',
      `200 ${type} [copied] x@2`,
    ]);
  });

  it('health is what the extension says', async () => {
    expect(await ask(library, 'health', 'DELETE /http-audit-log2 /a', 'health')).toEqual([
      'health 0',
      '204 [] ',
      'log 50 not healthy',
      'health 1',
    ]);
  });
});

describe('an extension', () => {
  const glue = (file: string, type: string, resources: string[]): string => `#include "${file}"
#include <tenon/application.hpp>
static constexpr tenon::ResourceEntry resources[] = {${resources.map((name) => `tenon::resource<${name}>("${name}")`).join(', ')}};
static constexpr tenon::ExtensionEntry extension = tenon::extension_entry<${type}>();
static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  const tenon::ResourceTable tables[] = {{resources, sizeof resources / sizeof resources[0]}};
  return tenon::Application::create(host, out, tables, 1, &extension);
}
TENON_PLUGIN("extension", "Extension", "1.0.0", nullptr, nullptr, TENON_TRIAL_FULL, create)
`;
  const program = async (name: string, source: string): Promise<string> => {
    const file = path.join(folder, `${name}.cpp`);
    const out = path.join(folder, name);
    await writeFile(
      file,
      `${source}\nint main(int count, char** words) { return tenon::testing::run(count, words); }\n`,
    );
    const include = ['-I', path.join(root, 'native', 'include')];
    await run('c++', ['-std=c++17', ...strict, ...include, file, '-o', out, '-ldl', '-pthread']);
    return out;
  };
  /** The names of the tests, those that failed with their complaints. */
  const outcome = async (tests: string, library: string): Promise<{ passed: number; failed: string[] }> => {
    const { stdout } = await run(tests, [library]).catch((error: unknown) => error as { stdout: string });
    const lines = stdout.split('\n').filter((line) => !line.startsWith('# running'));
    return {
      passed: lines.filter((line) => line.startsWith('ok ')).length,
      failed: lines.filter((line) => line.startsWith('not ok ')).map((line) => line.replace(/^not ok \d+ - /, '')),
    };
  };
  const sdk = path.join(here, 'sdk', 'extension');
  let tests: string;
  let source: string;
  beforeAll(async () => {
    source = path.join(folder, 'extension.cpp');
    const file = path.join(sdk, 'resources', 'extension.cpp');
    await writeFile(source, glue(file, 'EverythingExtension', ['Who', 'Editors', 'Uses']));
    tests = await program('tests', `#include "${path.join(sdk, 'test', 'extension.cpp')}"`);
  });

  for (const [compiler = '', ...more] of builds) {
    it(`that overrides and uses everything compiles with ${compiler} ${more.join(' ')}, and does what its tests say`, async () => {
      const library = await build(source, compiler, ...more);
      const table = await run('readelf', ['--wide', '--dyn-syms', library]).catch(() => ({ stdout: '' }));
      expect(table.stdout).not.toMatch(/UNIQUE|TLS/);
      const failed = more.includes('-fno-exceptions') ? ['what is thrown goes no further'] : [];
      expect(await outcome(tests, library)).toEqual({ passed: 16 - failed.length, failed });
    });
  }

  it('offers no more of a capability than it overrides', async () => {
    const half = path.join(folder, 'half.inc');
    await writeFile(
      half,
      `#include <tenon/tenon.hpp>
struct Resolver : tenon::AuthHook {
  tenon::Result resolve_roles(const tenon::Request&, const tenon::Identity&, tenon::Roles&) override { return tenon::ok(); }
};
struct After : tenon::Middleware {
  void after(const tenon::Request&, tenon::Exchange&) override {}
};
struct Empty : tenon::Resource {
  tenon::Response get(const tenon::Request&) override { return {}; }
};
struct HalfExtension : tenon::Extension {
  tenon::AuthProviders auth_providers() override { return {}; }
  tenon::AuthHooks auth_hooks() override {
    tenon::AuthHooks list;
    list.push_back(tenon::own<Resolver>());
    return list;
  }
  tenon::Owned<tenon::Middleware> middleware() override { return tenon::own<After>(); }
  tenon::Hooks hooks() override { return {}; }
};
`,
    );
    const file = path.join(folder, 'half.cpp');
    await writeFile(file, glue(half, 'HalfExtension', ['Empty']));
    const asks = await program(
      'asks',
      `#include <tenon/testing.hpp>
TENON_TEST("half") {
  tenon::testing::detail::World world;
  const tenon::testing::detail::Generation half(tenon::testing::detail::library_under_test(), world, 1);
  const auto* const auth = half.offered<tenon_plugin_auth_t>(TENON_AUTH_ID);
  const auto* const middleware = half.offered<tenon_plugin_middleware_t>(TENON_MIDDLEWARE_ID);
  TENON_CHECK(auth != nullptr && auth->resolve_roles != nullptr);
  TENON_CHECK(auth != nullptr && auth->authorize == nullptr && auth->authenticate == nullptr);
  TENON_CHECK(middleware != nullptr && middleware->after != nullptr && middleware->before == nullptr);
  for (const char* id : {TENON_HOOKS_ID, TENON_EVENTS_ID, TENON_CONFIG_ID, TENON_STATE_ID})
    TENON_CHECK(half.plugin->get_extension(half.plugin, id) == nullptr);
}`,
    );
    expect(await outcome(asks, await build(file, 'c++', '-std=c++17'))).toEqual({ passed: 1, failed: [] });
  });

  it('that slips in what it overrides is a compile error', async () => {
    const slips = {
      'tenon::Response before(const tenon::Request&, tenon::Response&) override;': 'Middleware',
      'bool authorize(const tenon::Request&, const tenon::Identity*) override;': 'AuthHook',
      'void on_event(const tenon::Event&) override;': 'Extension',
    };
    for (const [member, base] of Object.entries(slips)) {
      const file = path.join(folder, 'slip.cpp');
      await writeFile(file, `#include <tenon/tenon.hpp>\nstruct Slip : tenon::${base} { ${member} };\n`);
      const include = ['-I', path.join(root, 'native', 'include')];
      await expect(run('c++', ['-std=c++17', '-fsyntax-only', ...include, file])).rejects.toThrow(/override/);
    }
  });
});

describe('an application serves exactly what is compiled', () => {
  const handler = '{ tenon::Response get(const tenon::Request&) override { return tenon::text("x"); } };\n';
  const resource = (name: string): string => `struct ${name} : tenon::Resource ${handler}`;
  const sdk = '#include <tenon/tenon.hpp>\n';
  const create =
    'static tenon_status create(const tenon_host_t *h, tenon_plugin_t **o) { (void)h; (void)o; return TENON_ERROR; }\n';
  const plugin = 'TENON_PLUGIN("plain", "Plain", "1.0.0", "x", NULL, TENON_TRIAL_OPEN, create)\n';

  async function make(
    id: string,
    files: Record<string, string>,
    options: Partial<CompileOptions> = {},
  ): Promise<Built> {
    const application = path.join(folder, 'applications', id);
    for (const [file, text] of Object.entries({ 'config.yaml': 'name: App\n', ...files })) {
      await mkdir(path.dirname(path.join(application, file)), { recursive: true });
      await writeFile(path.join(application, file), text);
    }
    const dataDirectory = path.join(folder, 'data');
    return compile(await readApplication(application), { dataDirectory, env: process.env, ...options });
  }
  const routes = async (library: string): Promise<string[]> =>
    (await run(host, [library, 'routes'])).stdout
      .split('\n')
      .flatMap((line) => /^route GET (\S+)/.exec(line)?.[1] ?? []);

  it('of the branches of an #if, by the flags it is compiled with; of macros; of headers, once', async () => {
    const flags =
      'defined(NDEBUG) && defined(__OPTIMIZE__) && defined(__PIC__) && defined(plugin_EXPORTS) && __cplusplus == 201703L';
    const { library, warnings } = await make('exact', {
      'resources/shared.hpp': `#pragma once\n${sdk}${resource('Shared')}#define SERVE(Name) struct Name : tenon::Resource ${handler}`,
      'resources/a.cpp': `#include "shared.hpp"\n#ifdef NOT_THERE\n${resource('Never')}#elif ${flags}\n${resource('Chosen')}#else\n${resource('Other')}#endif\n`,
      'resources/b.cpp': '#include "shared.hpp"\nnamespace inner {\nSERVE(Made)\n}\n',
    });
    expect(warnings).toEqual([]);
    expect(await routes(library)).toEqual(['/shared', '/chosen', '/made']);
  });

  it('of names that are not ASCII, and of types that are made from a template of a resource', async () => {
    const { library } = await make('named', {
      'resources/a.cpp': `${sdk}#ifdef NOT_THERE\nint other;\n#endif\nstruct Größe : tenon::Resource {
  static constexpr std::string_view path = "/size";
${handler.slice(1)}`,
      'resources/b.cpp': `${sdk}template <class T> struct Crud : tenon::Resource ${handler}struct Cats : Crud<Cats> {};\n`,
    });
    expect(await routes(library)).toEqual(['/size', '/cats']);
  });

  it('follows a header that is changed', async () => {
    const files = { 'resources/a.cpp': `${sdk}#include "a.inc"\n`, 'resources/a.inc': resource('First') };
    expect(await routes((await make('header', files)).library)).toEqual(['/first']);
    const changed = { 'resources/a.inc': resource('Second') };
    expect(await routes((await make('header', changed)).library)).toEqual(['/second']);
  });

  it('takes a TENON_PLUGIN in an #else, and one behind a macro', async () => {
    const begin = `#include <tenon/entry.h>\n${create}`;
    const other = begin + `#ifdef NOT_THERE\nint other;\n#else\n${plugin}#endif\n`;
    expect((await make('plain', { 'resources/a.c': other })).warnings).toEqual([]);
    const behind = `${begin}#define ENTRY ${plugin}ENTRY\n`;
    expect((await make('plain', { 'resources/a.c': behind })).warnings).toEqual([]);
  });

  it('names two types of one name where they stand', async () => {
    const files = {
      'resources/a.hpp': `${sdk}\n${resource('Same')}`,
      'resources/a.cpp': '#include "a.hpp"\n',
      'resources/b.cpp': sdk + resource('Same'),
    };
    await expect(make('same', files)).rejects.toMatchObject({
      code: 'BuildFailed',
      message: 'resources/b.cpp:2:8: a second type named Same: Same (resources/a.hpp:3)',
    });
  });

  it('leaves it to the compiler to say why it cannot be preprocessed', async () => {
    const source = `#include "not/there.h"\n${sdk}#ifdef X\n${resource('A')}#endif\n`;
    await expect(make('gone', { 'resources/a.cpp': source })).rejects.toMatchObject({
      code: 'BuildFailed',
      message: expect.stringMatching(/^resources\/a\.cpp:1:\d+: .*not\/there\.h/) as string,
    });
  });

  it.skipIf(process.platform === 'darwin')(
    'with the standard library that its macros choose, the same for all',
    async () => {
      const old = '#define _GLIBCXX_USE_CXX11_ABI 0\n';
      const text = (name: string): string => `#include <string>\n${sdk}${resource(name)}`;
      const files = { 'resources/a.cpp': old + text('First'), 'resources/b.cpp': old + text('Second') };
      const { library, warnings } = await make('old', files);
      expect(warnings).toEqual([]);
      expect(await routes(library)).toEqual(['/first', '/second']);
      expect((await run('nm', [library])).stdout).not.toContain('__cxx11');
      await expect(make('old', { 'resources/b.cpp': text('Second') })).rejects.toMatchObject({
        code: 'BuildFailed',
        message: expect.stringContaining('agrees_on_std_string') as string,
      });
    },
  );

  it('asks the preprocessor only where the text does not tell', async () => {
    const asked = path.join(folder, 'asked');
    const compiler = path.join(folder, 'compiler');
    await writeFile(compiler, `#!/bin/sh\necho "$*" >> '${asked}'\nexec c++ "$@"\n`, { mode: 0o755 });
    const asks = async (files: Record<string, string>): Promise<number> => {
      await writeFile(asked, '');
      await make('asks', files, { env: { ...process.env, CXX: compiler } });
      return (await readFile(asked, 'utf8')).split('\n').filter((line) => line.startsWith('-E -w ')).length;
    };
    const ordinary = {
      'resources/a.h': `#pragma once\n#define LIMIT 10\n${sdk}inline tenon::Response answer() { return tenon::text("x"); }\n`,
      'resources/a.cpp': `#include "a.h"\n#ifdef NOT_THERE\n#include <none.h>\n#endif\n${resource('A')}`,
    };
    expect(await asks(ordinary)).toBe(0);
    expect(
      await asks({ ...ordinary, 'resources/a.cpp': `#include "a.h"\n#ifndef NOT_THERE\n${resource('A')}#endif\n` }),
    ).toBe(1);
  });
});
