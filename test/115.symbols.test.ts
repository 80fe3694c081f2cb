import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CrashReport, Frame } from '../src/base/crash-report.js';
import { ElfSymbols } from '../src/compiler/elf-symbols.js';
import { type SymbolSources, symbolised } from '../src/host/crash-symbols.js';

const run = promisify(execFile);

/** The body of `read` begins in line 2, the call of `find` is in line 5. */
const source = `#include <string>
namespace todo { inline int read(const int *at) {
  return *at; }
__attribute__((noinline)) int find(const std::string &name, const int *at) { return read(at) + int(name.size()); }
__attribute__((noinline, visibility("default"))) int ask(const int *at) { return find("a", at) + 1; } }
`;
const ask = '_ZN4todo3askEPKi';

let directory: string;
let folder: string;
let sources: SymbolSources;

beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'tenon-symbols-'));
  folder = path.join(directory, 'applications');
  sources = { data: path.join(directory, 'data'), applications: [folder] };
  await mkdir(path.join(sources.data, 'versions', 'todo'), { recursive: true });
  await mkdir(path.join(folder, 'todo'), { recursive: true });
  await writeFile(path.join(directory, 'todo.cpp'), source);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A library of the source, and where its functions are. */
interface Library {
  file: string;
  sha256: string;
  /** Address of the function of which `name` is part. */
  at: (name: string) => number;
}

async function library(name: string, ...flags: string[]): Promise<Library> {
  const file = path.join(directory, name);
  const usual = ['-O1', '-shared', '-fPIC', '-fvisibility=hidden', '-Wl,--build-id=sha1'];
  await run('c++', [...usual, ...flags, '-o', file, 'todo.cpp'], { cwd: directory });
  const { stdout } = await run('nm', [file]);
  return {
    file,
    sha256: await hashOf(file),
    at: (part) => {
      const [, address = ''] = new RegExp(`^([0-9a-f]+) . \\S*${part}\\S*$`, 'm').exec(stdout) ?? [];
      return Number.parseInt(address, 16);
    },
  };
}

async function hashOf(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}

async function keep(file: string): Promise<string> {
  const sha256 = await hashOf(file);
  await copyFile(file, path.join(sources.data, 'versions', 'todo', `${sha256}.library`));
  return sha256;
}

function frame(offset: number, more: Partial<Frame> = {}): Frame {
  return {
    address: '0x7f0000001000',
    found: 'pc',
    plugin: 'todo',
    generation: 7,
    offset: `0x${offset.toString(16)}`,
    ...more,
  };
}

function reportOf(sha256: string, ...frames: Frame[]): CrashReport {
  const party = { plugin: 'todo', generation: 7, sha256, unloaded: false };
  return {
    id: '20261121-085416-123-4711',
    at: new Date().toISOString(),
    kind: 'signal',
    verdict: { culprit: party, suspects: [], because: [], sentence: 'todo' },
    action: 'restarted',
    host: { pid: 4711, version: '0.1.0', node: '24.0.0', uptimeMs: 1 },
    registers: {},
    frames,
    threads: [],
    output: [],
    gaps: [],
  };
}

async function named(
  sha256: string,
  frames: Frame[],
  more: Partial<SymbolSources> = {},
): Promise<(string | undefined)[][]> {
  const report = await symbolised(reportOf(sha256, ...frames), { ...sources, ...more });
  return report.frames.map(({ symbol, source: place }) => [symbol, place]);
}

describe('frames of a crash', () => {
  test('get function and offset from the kept build, as compilers leave it by default', async () => {
    const { file, at } = await library('plain.so');
    const found = await named(await keep(file), [
      frame(at('find')),
      frame(at('ask') + 1, { found: 'unwound' }),
      frame(16),
    ]);
    expect(found.slice(0, 2)).toEqual([
      ['todo::find(std::string const&, int const*)+0x0', undefined],
      ['todo::ask(int const*)+0x1', undefined],
    ]);
    expect(found[2]?.[1]).toBeUndefined();
  });

  test('get the line, and what is inlined there, from debug information', async () => {
    const { file, at } = await library('debug.so', '-g');
    const [first] = await named(await keep(file), [frame(at('find'))]);
    expect(first?.[0]).toMatch(
      /^(?:todo::read\(int const\*\) in )?todo::find\(std::string const&, int const\*\)\+0x0$/,
    );
    expect(first?.[1]).toMatch(/todo\.cpp:[34]$/);
  });

  test('of a stripped build get it from the debug file that is given, and no other', async () => {
    const whole = await library('whole.so', '-g');
    const debugFile = path.join(directory, 'whole.debug');
    await run('objcopy', ['--only-keep-debug', whole.file, debugFile]);
    const stripped = path.join(directory, 'stripped.so');
    await run('strip', ['-o', stripped, whole.file]);
    const sha256 = await keep(stripped);
    const frames = [frame(whole.at('find'))];
    expect(await named(sha256, frames)).toEqual([[undefined, undefined]]);
    const [first] = await named(sha256, frames, { debugFile });
    expect(first).toEqual([expect.stringContaining('todo::find('), expect.stringMatching(/todo\.cpp:\d+$/)]);
    const other = await library('other.so', '-DOTHER', '-O0');
    await expect(named(sha256, frames, { debugFile: other.file })).rejects.toThrow(
      /debug-file: .* has the build id [0-9a-f]{40}, and/,
    );
    await expect(named(sha256, frames, { debugFile: path.join(directory, 'todo.cpp') })).rejects.toThrow(
      /is no ELF file/,
    );
    await copyFile(debugFile, path.join(folder, 'todo', 'todo.debug'));
    expect((await named(sha256, frames))[0]?.[1]).toMatch(/todo\.cpp:\d+$/);
  });

  test('that have no name for the library is stripped are told of, and how to get the names', async () => {
    const whole = await library('told.so', '-g', '-DTOLD');
    const debugFile = path.join(directory, 'told.debug');
    await run('objcopy', ['--only-keep-debug', whole.file, debugFile]);
    const stripped = path.join(directory, 'told-stripped.so');
    await run('strip', ['-o', stripped, whole.file]);
    const sha256 = await keep(stripped);
    const applications = path.join(directory, 'elsewhere');
    const place = path.join(applications, 'todo', 'todo.debug');
    const gaps = async (frames: Frame[], more: Partial<SymbolSources> = {}): Promise<readonly string[]> => {
      const report = { ...reportOf(sha256, ...frames), gaps: ['another one'] };
      return (await symbolised(report, { ...sources, applications: [applications], ...more })).gaps;
    };
    const inside = [frame(whole.at('find')), frame(whole.at('find') + 1, { found: 'unwound' })];
    const how = `give its debug information with \`tenon crashes --debug-file\`, or put it at ${place}`;
    expect(await gaps(inside)).toEqual(['another one', `names of functions of todo: its library is stripped; ${how}`]);
    expect(await gaps([frame(whole.at(ask))])).toEqual(['another one']); // it is exported
    expect(await gaps(inside, { debugFile })).toEqual(['another one']);
    await mkdir(path.dirname(place), { recursive: true });
    await copyFile((await library('later.so', '-g', '-O0')).file, place);
    expect((await gaps(inside))[1]).toBe(
      `names of functions of todo: its library is stripped, and ${place} is of another build; ${how}`,
    );
    await copyFile(debugFile, place);
    expect(await gaps(inside)).toEqual(['another one']);
    const nameless = await library('nameless.so', '-s', '-Wl,--build-id=none');
    const { gaps: told } = await symbolised(reportOf(await keep(nameless.file), ...inside), sources);
    expect(told).toEqual([
      'names of functions of todo: its library is stripped, and has no build id to know its debug information by',
    ]);
  });

  test('have no name where the library is not kept, or is another one by now', async () => {
    const { file, at } = await library('gone.so', '-DGONE', '-O2');
    const sha256 = await keep(file);
    await writeFile(path.join(sources.data, 'versions', 'todo', `${sha256}.library`), 'something else');
    const stranger = frame(at('find'), { plugin: '../todo' });
    expect(await named(sha256, [frame(at('find')), stranger])).toEqual([
      [undefined, undefined],
      [undefined, undefined],
    ]);
  });

  test('of a library that is no plugin have names as long as it is what it was at the crash', async () => {
    const { file, at } = await library('system.so', '-DSYSTEM');
    const one: Frame = { address: '0x1', found: 'pc', file, offset: `0x${at(ask).toString(16)}` };
    const report = reportOf('', one);
    const before = new Date(Date.parse(report.at) - 60_000);
    await utimes(file, before, before);
    expect((await symbolised(report, sources)).frames[0]?.symbol).toBe('todo::ask(int const*)+0x0');
    const after = new Date(Date.parse(report.at) + 60_000);
    await utimes(file, after, after);
    expect((await symbolised(report, sources)).frames[0]?.symbol).toBeUndefined();
  });

  test('without any tool have the names that the linker knows', async () => {
    const { file, at } = await library('alone.so', '-DALONE');
    const sha256 = await keep(file);
    const { PATH } = process.env;
    process.env['PATH'] = directory;
    try {
      expect(await named(sha256, [frame(at('ask'))])).toEqual([[`${ask}+0x0`, undefined]]);
    } finally {
      process.env['PATH'] = PATH;
    }
  });
});

test('a damaged library costs names, and nothing else', async () => {
  const bytes = await readFile((await library('damaged.so')).file);
  const flip = fc.record({ at: fc.nat(bytes.length - 1), to: fc.nat(255) });
  fc.assert(
    fc.property(
      fc.array(flip, { minLength: 1, maxLength: 40 }),
      fc.nat(bytes.length),
      fc.nat(),
      (flips, end, address) => {
        const copy = Buffer.from(bytes.subarray(0, end));
        // Most of what counts is at its beginning and its end.
        for (const { at, to } of flips) copy[at % 3 === 0 ? at % 0x400 : at] = to;
        const elf = ElfSymbols.read(copy);
        const found = elf?.at(address % 0x10_000);
        expect(found === undefined || (found.name.length > 0 && found.name.length <= 16_384)).toBe(true);
      },
    ),
    { numRuns: 2000 },
  );
  expect(ElfSymbols.read(bytes)?.buildId).toMatch(/^[0-9a-f]{40}$/);
});
