import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { mayComeFirst, SystemHeaders } from '../src/compiler/preamble.js';
import { isDoubtful, scanSource } from '../src/compiler/scan.js';
import { scanText } from '../src/compiler/scanner.js';

const resources = (source: string): string[] => scanSource(source).resources.map((each) => each.qualified);
const extensions = (source: string): string[] => scanSource(source).extensions.map((each) => each.qualified);

describe('scanning finds', () => {
  const found: [string, string, string[]][] = [
    ['a struct', 'struct A : tenon::Resource {};', ['::A']],
    ['a class with access', 'class A : public tenon::Resource {};', ['::A']],
    ['the global name', 'struct A : ::tenon::Resource {};', ['::A']],
    ['final', 'struct A final : tenon::Resource {};', ['::A']],
    ['attributes', 'struct [[nodiscard]] alignas(64) __attribute__((x("a{"))) A : tenon::Resource {};', ['::A']],
    ['several bases', 'struct A : B<int, (2 > 1)>, virtual public tenon::Resource, C {};', ['::A']],
    ['one across lines', 'struct\n  A\n  :\n  public tenon :: Resource\n{\n};', ['::A']],
    ['one after a line that goes on', 'struct A \\\n : tenon::Resource {};', ['::A']],
    ['comments in between', 'struct /* x */ A // y\n : tenon::/* z */Resource {};', ['::A']],
    ['namespaces', 'namespace a::b { inline namespace c { struct A : tenon::Resource {}; } }', ['::a::b::c::A']],
    ['a namespace without a name', 'namespace { struct A : tenon::Resource {}; }', ['::A']],
    ['a namespace that was closed', 'namespace a { void f() {} } struct A : tenon::Resource {};', ['::A']],
    ['extern "C++"', 'extern "C++" { struct A : tenon::Resource {}; }', ['::A']],
    ['a name defined from outside', 'namespace a { struct A; } struct a::A : tenon::Resource {};', ['::a::A']],
    ['using namespace', 'using namespace tenon; struct A : Resource {};', ['::A']],
    ['a using declaration', 'using tenon::Resource; struct A : Resource {};', ['::A']],
    ['an alias', 'using Base = tenon::Resource; struct A : Base {};', ['::A']],
    ['a base of the same file', 'struct A : tenon::Resource {}; struct B : A {};', ['::A', '::B']],
    [
      'a base of the same namespace',
      'namespace n { struct A : tenon::Resource {}; struct B : A {}; }',
      ['::n::A', '::n::B'],
    ],
    ['what follows a raw string', 'auto s = R"x(}" { struct)x"; struct A : tenon::Resource {};', ['::A']],
    ['what follows a string of braces', 'auto s = "{{\\"{"; char c = \'{\'; struct A : tenon::Resource {};', ['::A']],
    ['what follows a separated number', "int i = 1'000'000; struct A : tenon::Resource {};", ['::A']],
    [
      'what follows a function',
      'int f() { struct L {}; if (1) { } return 0; } struct A : tenon::Resource {};',
      ['::A'],
    ],
    ['what follows a lambda', 'auto f = [] { return 1; }; struct A : tenon::Resource {};', ['::A']],
    ['one branch of #if', '#if X\nstruct A : tenon::Resource {\n#else\nstruct A : Other {\n#endif\n};', ['::A']],
    ['#else of #if 0', '#if 0\nstruct A : tenon::Resource {};\n#else\nstruct B : tenon::Resource {};\n#endif', ['::B']],
    ['one of three branches', '#if X\nstruct A : tenon::Resource {\n#elif Y\n{{{\n#else\n{{\n#endif\n};', ['::A']],
  ];
  for (const [what, source, names] of found) {
    it(what, () => expect(resources(source)).toEqual(names));
  }

  it('where the name stands', () => {
    expect(scanSource('\n  struct\n   A : tenon::Resource {};').resources[0]).toMatchObject({ line: 3, column: 4 });
    expect(scanSource('/* a\nb */ auto s = R"(\n\n)"; struct A : tenon::Resource {};').resources[0]).toMatchObject({
      line: 4,
      column: 12,
    });
  });

  it('extensions', () => {
    expect(extensions('namespace a { struct AuditExtension final : tenon::Extension {}; }')).toEqual([
      '::a::AuditExtension',
    ]);
    expect(extensions('struct AuditExtension : Base {};')).toEqual(['::AuditExtension']);
    expect(extensions('struct Audit : tenon::Extension {};')).toEqual(['::Audit']);
    expect(extensions('struct FileExtension { int a; };')).toEqual([]);
  });

  it('TENON_PLUGIN and its place', () => {
    expect(scanSource('int a;\n  TENON_PLUGIN("a", "{", x)').plugin).toEqual({ line: 2, column: 3 });
    expect(scanSource('#define X TENON_PLUGIN(1)\n// TENON_PLUGIN(\n"TENON_PLUGIN("').plugin).toBeUndefined();
  });

  it('what is below an #if, but not below an include guard', () => {
    const one = 'struct A : tenon::Resource {};\n';
    expect(scanSource(`#ifdef X\nint a;\n${one}#endif`).resources[0]?.conditional).toBe(true);
    expect(scanSource(`int a;\n#ifdef X\n${one}#endif`).resources[0]?.conditional).toBe(true);
    expect(scanSource(`#ifndef GUARD\n#define GUARD\n${one}#endif`).resources[0]?.conditional).toBe(false);
    expect(scanSource(`#ifdef X\n#endif\n${one}`).resources[0]?.conditional).toBe(false);
  });

  it('quoted includes', () => {
    const source =
      '#include "a.h"\n #  include "b/c.h" // x\n#include <d.h>\n// #include "e.h"\n#if 0\n#include "f.h"\n#endif';
    expect(scanSource(source).includes).toEqual(['a.h', 'b/c.h']);
  });
});

describe('scanning leaves alone', () => {
  const other: [string, string][] = [
    ['comments', '// struct A : tenon::Resource {};\n/* struct B : tenon::Resource {}; */'],
    ['a comment that goes on', '// a \\\nstruct A : tenon::Resource {};'],
    ['strings', 'auto a = "struct A : tenon::Resource {};"; auto b = R"(struct B : tenon::Resource {};)";'],
    ['macros', '#define X struct A : tenon::Resource {}; \\\n struct B : tenon::Resource {};'],
    ['#if 0', '#if 0\nstruct A : tenon::Resource {};\n#endif'],
    ['types inside a function', 'void f() { struct A : tenon::Resource {}; }'],
    ['types inside a type', 'struct Out { struct A : tenon::Resource {}; };'],
    ['templates', 'template <typename T, int = (1 > 0)> struct A : tenon::Resource {};'],
    ['declarations', 'struct A; class B; tenon::Resource* make();'],
    ['other bases', 'struct A : other::Resource {}; struct B : Resource {}; struct C : tenon::Extras {};'],
    ['enums', 'enum class A : int { tenon };'],
    ['a resource as an argument', 'struct A : Holder<tenon::Resource> {};'],
    ['a variable of a struct', 'struct A a{}; struct B b = {1};'],
  ];
  for (const [what, source] of other) {
    it(what, () => expect(resources(source)).toEqual([]));
  }
});

describe('only the preprocessor can tell', () => {
  const resource = 'struct A : tenon::Resource {};\n';
  const doubtful = (source: string, ...headers: string[]): boolean =>
    isDoubtful(
      scanSource(source),
      headers.map((each) => scanSource(each)),
    );
  const unclear: [string, string, ...string[]][] = [
    ['below an #if', `#ifdef X\n${resource}#endif`],
    ['in an #else', `#ifdef X\n#else\n${resource}#endif`],
    ['in an #elif', `#if X\n#elif Y\n${resource}#endif`],
    ['in a source whose whole text is conditional', `#ifndef X\n${resource}#endif`],
    ['in the #else of what looks like a guard', `#ifndef X\n#define X\n#else\n${resource}#endif`],
    ['of a base that is conditional', `${resource}#ifdef X\nstruct B : A {};\n#endif`],
    ['of a name that is conditional', `struct\n#ifdef X\nA\n#else\nB\n#endif\n: tenon::Resource {};`],
    ['of a namespace that is conditional', `#ifdef X\nnamespace n {\n#else\nnamespace m {\n#endif\n${resource}}`],
    ['of an alias that is conditional', '#ifdef X\nusing B = tenon::Resource;\n#endif\nstruct A : B {};'],
    ['behind a macro', `#define SERVE(N) struct N : tenon::Resource {}\nSERVE(A);`],
    ['behind a macro that a macro calls', `#define ONE struct\n#define TWO ONE\n${resource}TWO B : A {};`],
    ['in what a macro is given', `#define SAME(x) x\nSAME(struct B : tenon::Resource {};)`],
    ['of a name that is a macro', `#define NAME A\nstruct NAME : tenon::Resource {};`],
    ['of a base that is a macro', `#define BASE tenon::Resource\nstruct A : BASE {};`],
    ['of a word that is pasted', '#define SERVE(N) struct N : tenon::Res##ource {}\nSERVE(A);'],
    ['of a word that goes on in the next line', 'struct A : tenon::Reso\\\nurce {};'],
    ['behind a macro of a header', 'HANDLER(A, tenon::Resource) {};', '#define HANDLER(N, B) struct N : B'],
    ['in a header', 'int i;', resource],
    ['of a base in a header', 'struct B : A {};', resource],
    ['after a header that opens the namespace', 'struct A : Resource {};', 'using namespace tenon;'],
    ['behind an include that a macro names', `#define FILE "a.h"\n#include FILE\n${resource}`],
    ['behind a word that no text defines', 'class UNSEEN_API A : public tenon::Resource {};'],
    ['behind words and calls that no text defines', 'struct __unseen__ UNSEEN(1) n::A final : tenon::Resource {};'],
    ['of a base behind a word that no text defines', 'struct A : UNSEEN tenon::Resource {};'],
    ['of a base behind a call that no text defines', 'struct A : UNSEEN(public) tenon::Resource {};'],
    ['below an #if, as a plugin', '#ifdef X\nTENON_PLUGIN("a", x)\n#endif'],
  ];
  for (const [what, source, ...headers] of unclear) it(what, () => expect(doubtful(source, ...headers)).toBe(true));

  const clear: [string, string, ...string[]][] = [
    ['a resource alone', resource],
    ['an include guard', `#ifndef X\n#define X\n${resource}#endif`],
    ['#if 0 and its #else', `#if 0\nstruct B : A {};\n#else\n${resource}#endif`],
    [
      'extern "C" for C++',
      `#ifdef __cplusplus\nextern "C" {\n#endif\nint f();\n#ifdef __cplusplus\n}\n#endif\n${resource}`,
    ],
    [
      'conditional code of other things',
      `#ifdef X\nstatic int f() { return 1; }\n#else\n#include <x.h>\n#endif\n${resource}`,
    ],
    ['macros for values', `#define LIMIT 10\nstatic int table[LIMIT];\n${resource}`],
    [
      'macros that functions use',
      `#define CHECK(x) do { if (!(x)) abort(); } while (0)\nvoid f() { CHECK(1); }\n${resource}`,
    ],
    ['attributes by macro', `#define UNUSED [[maybe_unused]]\nUNUSED static int i;\n${resource}`],
    ['functions and variables of a struct', `struct B f(int) { return {}; }\nstruct B b{}, c;\n${resource}`],
    ['a base that is asked for', `${resource}struct B : decltype(c) {};`],
    ['headers of other things', resource, '#pragma once\n#include <tenon/tenon.hpp>\ninline tenon::Response f();'],
    ['a source without a word of it', '#if X\nnamespace a {\n#else\nnamespace b {\n#endif\nint i; }'],
  ];
  for (const [what, source, ...headers] of clear)
    it(`but not with ${what}`, () => expect(doubtful(source, ...headers)).toBe(false));
});

describe('tenon.hpp may be read before the first line', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'tenon-scan-'));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  for (const file of ['system/string', 'system/lib.h', 'lib/lib.h']) {
    mkdirSync(path.join(folder, path.dirname(file)), { recursive: true });
    writeFileSync(path.join(folder, file), '');
  }
  const system = new SystemHeaders([path.join(folder, 'system')], [path.join(folder, 'lib')]);
  const sdk = '#include <tenon/tenon.hpp>\n';
  const may = (source: string, header = ''): boolean => {
    const [first, second] = [source, header].map((text) => scanSource(text));
    if (first === undefined || second === undefined) throw new Error('two texts');
    const headers = new Map([['resources/a.h', { file: 'resources/a.h', scan: second }]]);
    return mayComeFirst({ file: 'resources/a.cpp', scan: first }, headers, system);
  };
  const kept: [string, string, string?][] = [
    [
      'of comments and headers of the system',
      `/* a */\n#include <string>\n#include <tenon/entry.h>\n${sdk}#define a\n`,
    ],
    ['of macros in capitals', `#define LIMIT 10\n#undef MORE\n#ifndef OWN\n#define OWN\n#endif\n${sdk}`],
    ['of what only warnings depend on', `#pragma GCC diagnostic ignored "-Wall"\n${sdk}`],
    ['of a macro that is not compiled', `#if 0\n#define a\n#endif\n${sdk}`],
    ['of an own header without macros', `#include "a.h"\n${sdk}`, '#pragma once\nstruct B { int i; };\n'],
    ['of an own header with a guard', `#include "a.h"\n${sdk}`, '#ifndef _A_H\n#define _A_H\nint i;\n#endif\n'],
    ['of an own header that includes it first', '#include "a.h"\n#define a\n', `${sdk}#define b\n`],
    ['that does not include it', '#define a\n#include <string>\n'],
  ];
  for (const [what, source, header] of kept) it(`of a source ${what}`, () => expect(may(source, header)).toBe(true));

  const refused: [string, string, string?][] = [
    ['a macro', `#define _GLIBCXX_DEBUG 1\n${sdk}`],
    ['NDEBUG', `#ifndef NDEBUG\n#define NDEBUG\n#endif\n${sdk}`],
    ['a macro that looks like a guard', `#ifndef _GLIBCXX_DEBUG\n#define _GLIBCXX_DEBUG\n#endif\n${sdk}`],
    ['a macro that goes', `#undef __OPTIMIZE__\n${sdk}`],
    ['a #pragma', `#pragma pack(1)\n${sdk}`],
    ['a _Pragma', `_Pragma("pack(1)")\n${sdk}`],
    ['a macro of an own header', `#include "a.h"\n${sdk}`, '#pragma once\n#define private public\n'],
    ['a macro of an own header that includes it', '#include "a.h"\n', `#define a\n${sdk}`],
    ['a header that cannot be found', `#include "../../b.h"\n${sdk}`],
    ['a header of a dependency', `#include <lib.h>\n${sdk}`],
    ['a header that a macro names', `#include FILE\n${sdk}`],
  ];
  for (const [what, source, header] of refused)
    it(`but not behind ${what}`, () => expect(may(source, header)).toBe(false));
});

describe('a source of 16 MB of short tokens', { timeout: 120_000 }, () => {
  const dense = `${'namespace a{namespace b{int i;}}'.repeat(512 * 1024)}\nstruct A : tenon::Resource {};`;

  it('is scanned while the event loop turns', async () => {
    let turns = 0;
    let done = false;
    const turn = (): void => {
      turns += 1;
      if (!done) setImmediate(turn);
    };
    setImmediate(turn);
    const scan = await scanText(dense, 'dense', 'c++');
    done = true;
    expect(scan.resources).toMatchObject([{ qualified: '::A', line: 2, column: 8 }]);
    expect(turns).toBeGreaterThan(1000);
  });

  it('is left when nobody waits any more', async () => {
    const controller = new AbortController();
    const scanning = scanText(dense, 'left', 'c++', controller.signal);
    setImmediate(() => controller.abort(new Error('left')));
    await expect(scanning).rejects.toThrow('left');
  });
});

describe('any text', () => {
  it('is scanned to its end', () => {
    const words = [
      'struct A ',
      'class ',
      ': tenon::Resource ',
      '{',
      '}',
      '(',
      ')',
      '<',
      '[[',
      ']]',
      'namespace ',
      '"',
      "'",
    ];
    const pieces = fc.constantFrom(
      ...words,
      'R"(',
      ')"',
      '/*',
      '*/',
      '//',
      '\\\n',
      '\n',
      '#if 0',
      '#endif',
      'template<',
      ';',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string()), { maxLength: 60 }), (parts) => {
        scanSource(parts.join(''));
      }),
      { numRuns: 2000 },
    );
  });

  it('before a resource that begins on a fresh line at namespace scope does not hide it', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[ a-z"\\#*]*$/), (noise) => {
        expect(resources(`/*${noise.replaceAll('*/', '')} */\nstruct A : tenon::Resource {};`)).toEqual(['::A']);
      }),
    );
  });
});
