import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

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

async function build(compiler: string, ...more: string[]): Promise<string> {
  const library = path.join(folder, `${[compiler, ...more].join('').replaceAll('+', 'x')}.so`);
  const exports =
    process.platform === 'darwin'
      ? '-Wl,-exported_symbol,_tenon_plugin_entry'
      : `-Wl,--version-script=${path.join(root, 'cmake', 'plugin.map')}`;
  const source = path.join(here, 'sdk', 'everything.cpp');
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
  const builds = ['g++', 'clang++'].filter(present).flatMap((compiler) => [
    [compiler, '-std=c++17'],
    [compiler, '-std=c++20'],
    [compiler, '-std=c++17', '-fno-exceptions', '-fno-rtti'],
  ]);
  for (const [compiler = '', ...more] of builds) {
    it(`compiles without a warning with ${compiler} ${more.join(' ')}, exports one symbol and no unique one`, async () => {
      const library = await build(compiler, ...more);
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
    library = await build('c++', '-std=c++17');
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
