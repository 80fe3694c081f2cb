import { describe, expect, test } from 'vitest';
import {
  cycles,
  emptyFileNames,
  type Files,
  includes,
  lengths,
  machineTraces,
  nativeIncludes,
  nativeRoomOrder,
  readModules,
  roomOrder,
  singleDoors,
} from './architecture/rules.js';
import { readTree } from './architecture/tree.js';

const project = readTree();
const { dependencies } = JSON.parse(project.get('package.json') ?? '') as { dependencies: Record<string, string> };
const runtime = Object.keys(dependencies);

function tree(files: Record<string, string>): Files {
  return new Map(Object.entries(files));
}

const good = tree({
  'src/base/config.ts': "export const level = process.env['LOG_LEVEL'];",
  'src/binding/library.ts':
    "import koffi from 'koffi';\nimport { level } from '../base/config.js';\nexport { koffi, level };",
  'src/binding/core.ts': "export const file = 'tenon.node';",
  'src/host/host.ts': "// import '../http/server.js'\nexport const text = \"import '../http/server.js'\";",
  'src/http/server.ts':
    "import express from 'express';\nimport type { text } from '../host/host.js';\nexport { express, type text };",
  'src/main.ts': "export { express } from './http/server.js';",
});

describe('the rules see', () => {
  test('nothing wrong with a sound tree', () => {
    expect([...roomOrder(good), ...cycles(good), ...singleDoors(good, runtime), ...lengths(good)]).toEqual([]);
  });

  test.each([
    ['an import', "import { x } from '../http/server.js';"],
    ['a type import', "import type { X } from '../http/server.js';"],
    ['an inline type import', "let x: import('../http/server.js').X | undefined;"],
    ['an export', "export * from '../http/server.js';"],
    ['a dynamic import', "await import('../http/server.js');"],
    ['a dynamic import of a template', 'await import(`../http/server.js`);'],
    ['a require', "require('../http/server.js');"],
    ['an import for its effects', "import '../http/server.js';"],
  ])('%s of a higher room', (_, text) => {
    const files = tree({ 'src/base/log.ts': text, 'src/http/server.ts': 'export {};' });
    expect(roomOrder(files)).toEqual(['src/base/log.ts: base may not import http (../http/server.js)']);
  });

  test('an import of a sibling room', () => {
    const files = tree({ 'src/reload/watch.ts': "import '../http/server.js';", 'src/http/server.ts': '' });
    expect(roomOrder(files)).toEqual(['src/reload/watch.ts: reload may not import http (../http/server.js)']);
  });

  test('a room that is on no list, a path that does not exist, a path that is computed', () => {
    expect(roomOrder(tree({ 'src/attic/box.ts': '' }))).toEqual(['src/attic/box.ts: there is no room attic']);
    expect(roomOrder(tree({ 'src/base/log.ts': "import './gone.js';" }))).toHaveLength(1);
    expect(roomOrder(tree({ 'src/base/log.ts': "import './log';" }))).toHaveLength(1);
    expect(roomOrder(tree({ 'src/base/log.ts': 'import(name);' }))).toEqual([
      'src/base/log.ts: import of name, which no one can check',
    ]);
  });

  test('a ring, also of type imports within one room', () => {
    const files = tree({
      'src/host/a.ts': "import type { B } from './b.js';",
      'src/host/b.ts': "export { C } from './c.js';",
      'src/host/c.ts': "import './a.js';",
    });
    expect(cycles(files)).toEqual(['ring: src/host/a.ts -> src/host/b.ts -> src/host/c.ts -> src/host/a.ts']);
  });

  test('a second door to a package, and a package nobody declared', () => {
    const files = tree({
      'src/plugin/open.ts': "import koffi from 'koffi';",
      'src/host/host.ts': "import type { Application } from 'express';",
      'src/http/events.ts': "import 'chokidar';",
      'src/base/closer.ts': "import 'left-pad/x';",
    });
    expect(singleDoors(files, [...runtime])).toEqual([
      'src/plugin/open.ts: koffi is imported by src/binding/library.ts only',
      'src/host/host.ts: express is imported by src/http/ only',
      'src/http/events.ts: chokidar is imported by src/reload/ only',
      'src/base/closer.ts: left-pad is not among the dependencies',
    ]);
  });

  test.each([
    'process.env.HOME',
    "process['env']",
    'globalThis.process.env',
    'const { env } = process',
    "import p from 'node:process'",
  ])('the environment read by %s', (text) => {
    expect(singleDoors(tree({ 'src/base/log.ts': `${text};` }), runtime)).toHaveLength(1);
  });

  test('a second door to the addon', () => {
    expect(singleDoors(tree({ 'src/host/live.ts': "open('build/Release/tenon.node');" }), runtime)).toHaveLength(1);
    expect(singleDoors(tree({ 'src/host/live.ts': 'process.dlopen(module, file);' }), runtime)).toHaveLength(1);
  });

  test('rooms of native code that see what they may not', () => {
    const files = tree({
      'native/core/call.h': '',
      'native/include/tenon/host.h': '',
      'native/isolated/session.h': '#include "call.h"\n#include "wire/lane.h"\n#include "tenon/host.h"',
      'native/isolated/frame.cc': '#include "../runner/host.h"\n#include "session.h"',
      'native/node/object.cc': '#include "isolated/session.h"',
      'native/runner/host.h': '#include "call.h"\n#include "wire/lane.h"\n#include "isolated/session.h"',
      'native/wire/lane.h': '#include "ring.h"\n#include "call.h"',
      'native/wire/ring.h': '#include <atomic>',
    });
    expect(nativeRoomOrder(files)).toEqual([
      'native/isolated/frame.cc: includes ../runner/host.h; native/isolated may not see native/runner',
      'native/runner/host.h: includes isolated/session.h; native/runner may not see native/isolated',
      'native/wire/lane.h: includes call.h; native/wire may not see native/core',
    ]);
  });

  test('names that could hold anything', () => {
    const names = [
      'src/base/utils.ts',
      'src/helpers/x.ts',
      'native/core/common.h',
      'src/host/misc.ts',
      'src/data/a.ts',
    ];
    expect(emptyFileNames(tree(Object.fromEntries(names.map((name) => [name, '']))))).toHaveLength(names.length);
    expect(emptyFileNames(tree({ 'applications/todo/data/todo.json': '', 'src/base/closer.ts': '' }))).toEqual([]);
  });

  test('Node in the core, and the core in a plugin', () => {
    const files = tree({
      'native/core/a.cc': '#include <napi.h>\n// #include <uv.h>\n#include "lease.h"',
      'native/core/b.cc': '#include "../node/addon.h"',
      'native/node/c.cc': '#include <napi.h>\n#include "../core/lease.h"',
      'applications/hello/resources/d.cpp':
        '#include "../../../native/core/lease.h"\n#include <tenon/tenon.hpp>\n#include <string>',
      'test/plugins/e.c': '#include <tenon/entry.h>\n#include "own.h"\n#include "other.h"\n#  include <uv.h>',
      'test/plugins/own.h': '',
    });
    expect(nativeIncludes(files)).toEqual([
      "native/core/a.cc: includes napi.h, which is Node's",
      'native/core/b.cc: includes ../node/addon.h; only native/node sees Node',
      'applications/hello/resources/d.cpp: includes ../../../native/core/lease.h; a plugin sees tenon/ and system headers only',
      'test/plugins/e.c: includes other.h, which is neither its own nor of tenon/',
      "test/plugins/e.c: includes uv.h, which is Node's",
    ]);
    expect(includes('/*\n#include <a.h>\n*/\n#include <b.h> // "c.h"\nconst char *s = "/*";\n#include "d.h"')).toEqual([
      '<b.h',
      '"d.h',
    ]);
  });

  test('a file without an end', () => {
    expect(lengths(tree({ 'src/host/host.ts': '\n'.repeat(450), 'ARCHITECTURE.md': '\n'.repeat(150) }))).toEqual([]);
    expect(lengths(tree({ 'src/host/host.ts': '\n'.repeat(451), 'ARCHITECTURE.md': '\n'.repeat(151) }))).toHaveLength(
      2,
    );
  });

  test('traces of a machine', () => {
    const slash = '/';
    const texts = [
      `cd ${slash}work/main`,
      `"${slash}tmp/x"`,
      `${slash}home/me/x`,
      ['https:', '', 'registry', 'npmjs'].join(slash).replace('y/', 'y.'),
    ];
    for (const text of texts) expect(machineTraces(tree({ 'README.md': `\n${text}` }))).toHaveLength(1);
    expect(machineTraces(tree({ 'README.md': 'src/home/x, ./tmp/x and /usr/include, ${dir}/work/x' }))).toEqual([]);
  });
});

describe('the project', () => {
  test('is really looked at', () => {
    expect(readModules(project).get('src/binding/core.ts')?.imports).toContain('../base/errors.js');
    expect([...project.keys()].filter((file) => file.startsWith('native/include/tenon/'))).not.toEqual([]);
  });

  test('imports downwards only', () => expect(roomOrder(project)).toEqual([]));
  test('has no rings', () => expect(cycles(project)).toEqual([]));
  test('has one door to each thing that has one', () => expect(singleDoors(project, runtime)).toEqual([]));
  test('has no names that could hold anything', () => expect(emptyFileNames(project)).toEqual([]));
  test('keeps Node out of the core and the core out of plugins', () => expect(nativeIncludes(project)).toEqual([]));
  test('keeps the host, a runner and what they share apart', () => expect(nativeRoomOrder(project)).toEqual([]));
  test('keeps files short', () => expect(lengths(project)).toEqual([]));
  test('names no machine', () => expect(machineTraces(project)).toEqual([]));
});
