import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ImageFacts } from '../src/binding/image.js';
import { loadCore } from '../src/binding/core.js';
import { buildPlugin } from './plugins/build.js';
import {
  crossCompiler,
  foreignArch,
  muslCompiler,
  noCrossCompiler,
  noMuslCompiler,
  pluginOfTheFuture,
} from './plugins/foreign.js';

const core = loadCore();

/** What inspecting comes to: a code, or `whole`. */
function verdict(bytes: Uint8Array): string {
  try {
    core.inspectImage(bytes);
    return 'whole';
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : `no code: ${String(error)}`;
  }
}

function sentence(bytes: Uint8Array): string {
  try {
    core.inspectImage(bytes);
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
}

function patched(bytes: Buffer, patch: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  patch(copy);
  return copy;
}

/** Libraries that this process runs on, and so are there wherever the test is. */
function systemLibraries(): string[] {
  const maps = readFileSync('/proc/self/maps', 'utf8');
  const files = [...maps.matchAll(/ (\/\S+\.so[\d.]*)$/gm)].map((match) => match[1] ?? '');
  return [...new Set(files)].filter((file) => /\/(ld-|libc\.so|libm\.so|libstdc\+\+|libpthread|libdl)/.test(file));
}

const holes = [512, 4096, 16384];
const outcomes = new Set([
  'whole',
  'ImageTruncated',
  'ImageFormat',
  'ImageArchitecture',
  'ImageNoteMissing',
  'AbiUnsupported',
  'EntrypointNotFound',
]);

let whole: Buffer;
let rich: Buffer;

beforeAll(async () => {
  whole = readFileSync(await buildPlugin('ok', { defines: { PLUGIN_ID: '"counter"', PLUGIN_VERSION: '"2.3.4"' } }));
  rich = readFileSync(await buildPlugin('findings', { flags: ['-Wl,-z,notext'] }));
});

describe('a whole library', () => {
  test('says what its note, its symbols and its headers say', () => {
    const facts = core.inspectImage(whole);
    expect(facts).toMatchObject({ format: 'elf', arch: process.arch, exports: ['tenon_plugin_entry'], findings: [] });
    expect(facts.note).toMatchObject({ abiMajor: 1, abiMinor: 0, id: 'counter', version: '2.3.4', trial: 0 });
    expect(facts.note.compiler).toMatch(/^gcc \d+\.\d+/);
    expect(facts.buildId).toMatch(/^[0-9a-f]{40}$/);
  });

  test('lists the libraries it needs', async () => {
    const library = await buildPlugin('exit_in_constructor');
    expect(core.inspectImage(readFileSync(library)).needed).toEqual([expect.stringMatching(/^libc\.so/)]);
  });

  test('is understood without section headers', () => {
    const stripped = patched(whole, (copy) => {
      copy.writeBigUInt64LE(0n, 40);
      copy.writeUInt16LE(0, 60);
    });
    expect(core.inspectImage(stripped)).toEqual(core.inspectImage(whole));
  });

  test('is understood when only a section leads to its note', () => {
    const bytes = patched(whole, (copy) => {
      const phoff = Number(copy.readBigUInt64LE(32));
      for (let i = 0; i < copy.readUInt16LE(56); i++)
        if (copy.readUInt32LE(phoff + i * 56) === 4) copy.writeUInt32LE(0, phoff + i * 56);
    });
    expect(core.inspectImage(bytes)).toEqual(core.inspectImage(whole));
  });

  test.each(['of no type', 'of number 0'])(
    'is read within its bounds when a section %s claims a note elsewhere',
    (which) => {
      const bytes = patched(whole, (copy) => {
        const phoff = Number(copy.readBigUInt64LE(32));
        for (let i = 0; i < copy.readUInt16LE(56); i++)
          if (copy.readUInt32LE(phoff + i * 56) === 4) copy.writeUInt32LE(0, phoff + i * 56);
        const sections = Number(copy.readBigUInt64LE(40));
        const elsewhere = (section: number, type: number): void => {
          copy.writeUInt32LE(type, section + 4);
          copy.writeBigUInt64LE(0x7fff_ffff_0000n, section + 24);
          copy.writeBigUInt64LE(0x1000n, section + 32);
        };
        for (let section = sections + 64; section < sections + copy.readUInt16LE(60) * 64; section += 64)
          if (copy.readUInt32LE(section + 4) === 7) elsewhere(section, which === 'of no type' ? 0 : 7);
        if (which === 'of number 0') elsewhere(sections, 7);
      });
      expect(outcomes).toContain(verdict(bytes));
      expect(verdict(bytes)).not.toBe('whole');
    },
  );

  test('of the system is found whole, and to be no plugin', () => {
    const libraries = systemLibraries();
    expect(libraries.length).toBeGreaterThan(1);
    for (const library of libraries)
      expect([library, verdict(readFileSync(library))]).toEqual([library, 'ImageNoteMissing']);
  });

  test('must be given as bytes', () => {
    for (const wrong of ['text', new Uint16Array(4), undefined])
      expect(() => core.inspectImage(wrong as unknown as Uint8Array)).toThrow(TypeError);
  });
});

describe('a damaged library', () => {
  test('is refused when it is cut anywhere', () => {
    for (const bytes of [whole, rich, ...systemLibraries().map((file) => readFileSync(file))])
      for (let size = 512; size < bytes.length; size += 512)
        expect([size, verdict(bytes.subarray(0, size))]).toEqual([size, 'ImageTruncated']);
  });

  test('is refused when it is cut within what is loaded and has no section headers', () => {
    const stripped = patched(whole, (copy) => {
      copy.writeBigUInt64LE(0n, 40);
      copy.writeUInt16LE(0, 60);
    });
    const phoff = Number(stripped.readBigUInt64LE(32));
    const ends = Array.from({ length: stripped.readUInt16LE(56) }, (_, i) => phoff + i * 56)
      .filter((at) => stripped.readUInt32LE(at) === 1)
      .map((at) => Number(stripped.readBigUInt64LE(at + 8) + stripped.readBigUInt64LE(at + 32)));
    for (let size = 64; size < Math.max(...ends); size += 64)
      expect([size, verdict(stripped.subarray(0, size))]).toEqual([size, 'ImageTruncated']);
  });

  test('with a hole is refused by a known code, or has its hole where the loader does not look', () => {
    const found = new Set<string>();
    const atTheBeginning = new Set<string>();
    for (const bytes of [whole, rich, ...systemLibraries().map((file) => readFileSync(file))])
      for (const hole of holes)
        for (let at = 0; at < bytes.length; at += hole) {
          const holed = patched(bytes, (copy) => copy.fill(0, at, Math.min(at + hole, copy.length)));
          (at === 0 ? atTheBeginning : found).add(verdict(holed));
        }
    expect([...atTheBeginning]).toEqual(['ImageFormat']);
    expect(found).toContain('ImageTruncated');
    expect([...found].filter((code) => !outcomes.has(code))).toEqual([]);
  });

  test('is read within its bounds whatever a byte says', () => {
    let seed = 20261120;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed >>> 8) % below;
    };
    const found = new Set<string>();
    for (let i = 0; i < 20_000; i++) {
      const copy = patched(i % 2 === 0 ? whole : rich, (bytes) => {
        for (let n = 0; n < 4; n++) bytes[random(n < 2 ? 1024 : bytes.length)] = random(256);
      });
      found.add(verdict(copy));
    }
    expect(found.size).toBeGreaterThan(3);
    expect([...found].filter((code) => !outcomes.has(code))).toEqual([]);
  });

  test('names the rule and the offset', () => {
    expect(sentence(whole.subarray(0, 4096))).toMatch(
      /at offset 0x[0-9a-f]+ with \d+ bytes reaches past the end of the file \(4096 bytes\)$/,
    );
  });
});

describe('a file of another kind', () => {
  test.each([
    ['empty', Buffer.alloc(0), /empty/],
    ['a script', Buffer.from('#!/bin/sh\nexit 0\n'), /script/],
    ['Mach-O', Buffer.from('cffaedfe0c000001', 'hex'), /Mach-O/],
    ['a Windows library', Buffer.from('MZ\x90\x00'), /Windows/],
    ['an archive', Buffer.from('!<arch>\n'), /archive/],
    ['text', Buffer.alloc(4096, 'x'), /magic/],
  ])('%s is ImageFormat', (_, bytes, reason) => {
    expect(verdict(bytes)).toBe('ImageFormat');
    expect(sentence(bytes)).toMatch(reason);
  });

  test('a program, an object file and a core dump are ImageFormat', () => {
    for (const type of [1, 2, 4])
      expect(verdict(patched(whole, (copy) => copy.writeUInt16LE(type, 16)))).toBe('ImageFormat');
  });

  test('for another machine is ImageArchitecture, and both are named', () => {
    const foreign = process.arch === 'arm64' ? 62 : 183;
    const bytes = patched(whole, (copy) => copy.writeUInt16LE(foreign, 18));
    expect(verdict(bytes)).toBe('ImageArchitecture');
    const names = process.arch === 'arm64' ? ['x86-64', 'aarch64'] : ['aarch64', 'x86-64'];
    expect(sentence(bytes)).toContain(`the library is for ${names[0]}, this host is ${names[1]}`);
    expect(verdict(patched(whole, (copy) => copy.writeUInt8(1, 4)))).toBe('ImageArchitecture');
    expect(verdict(patched(whole, (copy) => copy.writeUInt8(2, 5)))).toBe('ImageArchitecture');
  });
});

describe('a library that is no plugin of this host', () => {
  test('without a note is ImageNoteMissing', async () => {
    expect(verdict(readFileSync(await buildPlugin('no_note')))).toBe('ImageNoteMissing');
  });

  test('without the entry is EntrypointNotFound', async () => {
    expect(verdict(readFileSync(await buildPlugin('no_entry')))).toBe('EntrypointNotFound');
  });

  test('for another contract is AbiUnsupported, and both sides are named', async () => {
    const bytes = readFileSync(await buildPlugin('abi_major'));
    expect(verdict(bytes)).toBe('AbiUnsupported');
    expect(sentence(bytes)).toContain('plugin built for ABI 2.0, this host speaks 1.0');
  });

  test.each(['0.0', '0.9', '1.1', '1.65535', '65535.0'])('for contract %s is AbiUnsupported', (abi) => {
    const [major = 0, minor = 0] = abi.split('.').map(Number);
    const at = noteAt(whole);
    const bytes = patched(whole, (copy) => {
      copy.writeUInt16LE(major, at + 24);
      copy.writeUInt16LE(minor, at + 26);
    });
    expect(verdict(bytes)).toBe('AbiUnsupported');
    expect(sentence(bytes)).toContain(`built for ABI ${abi},`);
  });

  test.each([
    ['an id in capitals', 36, 'C'],
    ['an id that begins with a dash', 36, '-'],
    ['an id with a path in it', 38, '/'],
    ['no id', 36, '\0'],
    ['an id without an end', 36, 'c'.repeat(64)],
    ['something behind the id', 90, 'x'],
    ['no version', 100, '\0'],
    ['an unprintable version', 101, '\n'],
    ['an unknown trial', 32, '\x02'],
    ['a descriptor that is too small', 28, '\x08'],
    ['a size that its header does not have', 20, '\x10'],
  ])('with %s in its note is ImageNoteMissing', (_, offset, text) => {
    const bytes = patched(whole, (copy) => copy.write(text, noteAt(whole) + offset, 'latin1'));
    expect(verdict(bytes)).toBe('ImageNoteMissing');
    expect(sentence(bytes)).toMatch(/note at offset 0x[0-9a-f]+ is not valid/);
  });
});

/** Where the note begins, by its header: owner of 6 bytes, type 1. */
function noteAt(bytes: Buffer): number {
  return bytes.indexOf(Buffer.from('54656e6f6e000000', 'hex')) - 12;
}

describe('findings', () => {
  const rules = (facts: ImageFacts): string[] => facts.findings.map((finding) => finding.rule).toSorted();
  const built = async (name: string, flags: string[]): Promise<ImageFacts> =>
    core.inspectImage(readFileSync(await buildPlugin(name, { flags })));

  test('name the unique symbol, the destructor of a thread and static storage', () => {
    const facts = core.inspectImage(rich);
    expect(rules(facts)).toEqual(['static-tls', 'text-relocations', 'thread-local-destructor', 'unique-symbol']);
    const found = new Map(facts.findings.map((finding) => [finding.rule, finding]));
    expect(found.get('unique-symbol')?.detail).toContain('1 unique symbol, the first is only_one');
    expect(found.get('thread-local-destructor')?.detail).toContain('__cxa_thread_atexit_impl');
    const pinning = facts.findings.filter((finding) => finding.pins).map((finding) => finding.rule);
    expect(pinning.toSorted()).toEqual(['thread-local-destructor', 'unique-symbol']);
  });

  test.each([
    ['nodelete', ['-Wl,-z,nodelete'], true],
    ['executable-stack', ['-Wl,-z,execstack'], false],
    ['rpath', ['-Wl,-rpath,/somewhere/else'], false],
    ['writable-code', ['-Wl,--omagic', '-nostdlib'], false],
  ])('name %s', async (rule, flags, pins) => {
    const { findings } = await built('ok', flags);
    expect(findings.map((finding) => [finding.rule, finding.pins])).toEqual([[rule, pins]]);
  });
});

describe('a library of any machine', () => {
  const built = async (name: string, compiler?: string): Promise<Buffer> =>
    readFileSync(await buildPlugin(name, compiler === undefined ? {} : { compiler }));

  test('says what it says to this host, when it is for this one', () => {
    expect(core.inspectImage(whole, 'any')).toEqual(core.inspectImage(whole, 'own'));
    expect(core.inspectImage(rich, 'any')).toEqual(core.inspectImage(rich));
  });

  test('tells the libc it needs, and the oldest one that will do', async () => {
    const { libc, glibcFloor } = core.inspectImage(await built('exit_in_constructor'));
    expect(libc).toBe('glibc');
    expect(glibcFloor).toMatch(/^2\.\d+(?:\.\d+)?$/);
    const alone = core.inspectImage(readFileSync(await buildPlugin('ok', { flags: ['-nostdlib'] })));
    expect([alone.libc, alone.glibcFloor]).toEqual([undefined, undefined]);
    const future = core.inspectImage(readFileSync(await pluginOfTheFuture()));
    expect([future.libc, future.glibcFloor]).toEqual(['glibc', '2.99']);
  });

  test.each([
    ['GLIBC_2.9', '2.9'],
    ['GLIBC_2.100', undefined],
    ['GLIBC_3', undefined],
    ['GLIBC_2.', undefined],
    ['GLIBC_.2', undefined],
    ['GLIBC_2.x', undefined],
    ['GLIBC_2.2.1', undefined],
    ['GLIBC_ABI', undefined],
    ['OTHER_2.99', undefined],
  ])('that needs %s needs glibc %s', async (name, floor) => {
    const bytes = readFileSync(await pluginOfTheFuture());
    const [long, short] = [Buffer.from('GLIBC_2.99\0'), Buffer.from(`${name}\0`)];
    if (short.length > long.length) return;
    const copy = patched(bytes, (target) => {
      for (let at = target.indexOf(long); at >= 0; at = target.indexOf(long, at + 1)) short.copy(target, at);
    });
    expect(core.inspectImage(copy).glibcFloor).toBe(floor);
  });

  test.skipIf(noCrossCompiler !== undefined)(
    `says everything, also for ${foreignArch} (${noCrossCompiler ?? crossCompiler})`,
    async () => {
      const bytes = await built('exit_in_constructor', crossCompiler);
      expect(verdict(bytes)).toBe('ImageArchitecture');
      const facts = core.inspectImage(bytes, 'any');
      expect(facts).toMatchObject({ arch: foreignArch, libc: 'glibc', exports: ['tenon_plugin_entry'], findings: [] });
      expect(facts.note).toMatchObject({ abiMajor: 1, id: 'fault', version: '1.0.0' });
      expect(facts.glibcFloor).toMatch(/^2\.\d+/);
    },
  );

  test.skipIf(noMuslCompiler !== undefined)(`names musl (${noMuslCompiler ?? muslCompiler})`, async () => {
    const { libc, glibcFloor, needed } = core.inspectImage(await built('exit_in_constructor', muslCompiler));
    expect([libc, glibcFloor, needed]).toEqual(['musl', undefined, ['libc.so']]);
  });

  test('of another contract says of which', () => {
    const bytes = patched(whole, (copy) => {
      const note = copy.indexOf('Tenon\0\0\0');
      copy.writeUInt16LE(2, note + 12);
      copy.fill(0xff, note + 20, note + 60);
    });
    expect(verdict(bytes)).toBe('AbiUnsupported');
    expect(core.inspectImage(bytes, 'any').note).toMatchObject({ abiMajor: 2, abiMinor: 0, id: '', version: '' });
    const newer = patched(whole, (copy) => copy.writeUInt16LE(9, copy.indexOf('Tenon\0\0\0') + 14));
    expect(core.inspectImage(newer, 'any').note).toMatchObject({ abiMajor: 1, abiMinor: 9, id: 'counter' });
  });

  test('is refused as any other when it is damaged, or of a machine that is not known', () => {
    const refusal = (bytes: Uint8Array): unknown => {
      try {
        return core.inspectImage(bytes, 'any');
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(refusal(patched(whole, (copy) => copy.writeUInt16LE(22, 18)))).toContain('for s390x, only those for x86-64');
    expect(refusal(patched(whole, (copy) => copy.writeUInt8(1, 4)))).toContain('(32-bit)');
    expect(refusal(whole.subarray(0, 4096))).toContain('reaches past the end');
    expect(refusal(Buffer.from('cffaedfe0c000001', 'hex'))).toBe(
      'the file is Mach-O for arm64, which is not read: only ELF is',
    );
    expect(refusal(Buffer.from('cafebabe', 'hex'))).toContain('the file is Mach-O, which is not read');
    expect(() => core.inspectImage(whole, 'all' as 'any')).toThrow(/machines must be/);
  });

  test('is read within its bounds whatever a byte says', () => {
    const bytes = Buffer.from(rich);
    for (let at = 0; at < bytes.length; at += 7) {
      const before = bytes[at] ?? 0;
      for (const value of [0, 0xff, before ^ 1]) {
        bytes[at] = value;
        try {
          core.inspectImage(bytes, 'any');
        } catch (error) {
          expect(outcomes).toContain((error as { code?: string }).code);
        }
      }
      bytes[at] = before;
    }
  });
});
