import { execFileSync } from 'node:child_process';
import {
  chmod,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { root } from './architecture/tree.js';
import { Running } from './distribution/project.js';
import { leftOut, npmPackage, plainEnvironment, run } from './distribution/scratch.js';

// everything under the emulator takes many times as long
vi.setConfig({ testTimeout: 240_000 });

const machine = 'linux-arm64';
const emulator = 'qemu-aarch64-static';
/** Where the cross compiler has its C library, which is the one of the emulated machine. */
const system = '/usr/aarch64-linux-gnu';

function isThere(command: string): boolean {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Why these tests cannot be; a machine with such a processor needs none of them. */
function whyNot(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return `${machine} is emulated on linux-x64 only`;
  if (!isThere('aarch64-linux-gnu-g++'))
    return leftOut('no cross compiler is installed (Debian: g++-aarch64-linux-gnu)');
  if (!isThere(emulator)) return leftOut('no emulator is installed (Debian: qemu-user-static)');
  return undefined;
}

const reason = whyNot();

/** Applications, and the sources of their libraries. */
const plugins = {
  counter: 'applications/counter/resources/counter.c',
  wicked: 'test/plugins/crash_in_constructor.c',
};

const storeProgram = `const [, , dist, directory] = process.argv;
const { loadCore } = await import(dist + '/binding/core.js');
const { openTableStore } = await import(dist + '/tables/open.js');
const limits = { rocksdb: '', tablesSync: false, tablesCache: 8388608, tablesLog: 8388608 };
const store = await openTableStore(loadCore(), { ...limits, directory });
console.log(JSON.stringify(store.engine));
await store.close();
`;

const program = `import { createHost } from 'tenon';
const host = await createHost({
  ...JSON.parse(process.argv[2]),
  onEvent: (event) => console.log(JSON.stringify(event)),
});
process.once('SIGTERM', () => host.close());
console.log(process.arch + ' listens on ' + (await host.listen()));
`;

describe.skipIf(reason !== undefined)(
  `${machine} under an emulator${reason === undefined ? '' : `: ${reason}`}`,
  () => {
    let scratch = '';
    let without = '';
    let host: Running | undefined;

    const file = (...parts: string[]): string => path.join(scratch, ...parts);

    /** An executable in place of one that the kernel of this machine cannot start. */
    async function emulate(place: string, words: string): Promise<void> {
      await writeFile(place, `#!/bin/sh\nexec ${emulator} -L ${system} ${words} "$@"\n`);
      await chmod(place, 0o755);
    }

    /** What an installation has there: this package, what it needs, and koffi for that machine. */
    async function install(koffi: string): Promise<void> {
      const modules = file('node_modules');
      const tenon = path.join(modules, 'tenon');
      await mkdir(path.join(modules, '@koromix'), { recursive: true });
      for (const name of await readdir(path.join(root, 'node_modules')))
        if (!['koffi', '@koromix', 'tenon'].includes(name))
          await symlink(path.join(root, 'node_modules', name), path.join(modules, name));
      await cp(path.join(root, 'node_modules', 'koffi'), path.join(modules, 'koffi'), { recursive: true });
      await cp(koffi, path.join(modules, '@koromix', 'koffi-linux-arm64'), { recursive: true });
      for (const part of ['package.json', 'dist', path.join('prebuilds', machine)])
        await cp(path.join(root, part), path.join(tenon, part), { recursive: true });
      const runner = path.join(tenon, 'prebuilds', machine, 'tenon-runner');
      await rename(runner, `${runner}.arm64`);
      await emulate(runner, '"$0.arm64"');
    }

    /** Libraries as somebody makes them on another machine: with CMake, a cross compiler and what the package brings along. */
    async function compile(): Promise<void> {
      const targets = Object.entries(plugins).map(
        ([id, source]) => `tenon_add_plugin(${id} SOURCES "${path.join(root, source)}")`,
      );
      const lines = ['cmake_minimum_required(VERSION 3.18)', 'project(plugins C)'];
      const include = `include("${path.join(root, 'cmake', 'tenon.cmake')}")`;
      targets.push('target_compile_definitions(wicked PRIVATE "PLUGIN_ID=\\"wicked\\"")');
      await mkdir(file('plugins'));
      await writeFile(file('plugins', 'CMakeLists.txt'), [...lines, include, ...targets, ''].join('\n'));
      const cross = { SYSTEM_NAME: 'Linux', SYSTEM_PROCESSOR: 'aarch64', C_COMPILER: 'aarch64-linux-gnu-gcc' };
      const defined = Object.entries(cross).map(([name, value]) => `-DCMAKE_${name}=${value}`);
      await run('cmake', ['-S', 'plugins', '-B', 'built', '-G', 'Ninja', ...defined], scratch);
      await run('cmake', ['--build', 'built'], scratch);
    }

    beforeAll(async () => {
      scratch = await mkdtemp(path.join(os.tmpdir(), 'tenon-arm64-'));
      const { version } = JSON.parse(
        await readFile(path.join(root, 'node_modules', 'koffi', 'package.json'), 'utf8'),
      ) as { version: string };
      let packages: string[];
      try {
        packages = await Promise.all([
          npmPackage(`node-${machine}@22`),
          npmPackage(`@koromix/koffi-linux-arm64@${version}`),
        ]);
      } catch (error) {
        without = leftOut(`Node and koffi for ${machine} cannot be fetched: ${String(error)}`);
        return;
      }
      const [node = '', koffi = ''] = packages;
      await run(process.execPath, [path.join(root, 'scripts', 'build-prebuilds.mjs'), '--target', machine], root);
      await Promise.all([install(koffi), compile()]);
      await emulate(file('node'), path.join(node, 'bin', 'node'));
      await writeFile(file('host.mjs'), program);
      await mkdir(file('applications', 'counter'), { recursive: true });
      await writeFile(file('applications', 'counter', 'config.yaml'), 'name: Counter\n');
      await copyFile(file('built', 'counter.so'), file('applications', 'counter', 'counter.so'));
      const settings = { applications: file('applications'), data: file('data'), port: 0, registry: false };
      host = new Running(file('node'), [file('host.mjs'), JSON.stringify(settings)], scratch, plainEnvironment());
      await host.url();
    }, 600_000);
    beforeEach((context) => {
      if (without !== '') context.skip(without);
    });
    afterAll(async () => {
      host?.kill();
      await rm(scratch, { recursive: true, force: true });
    });

    function running(): Running {
      return host ?? expect.fail('no host');
    }

    test('the addon loads, and a plugin that was compiled elsewhere serves from both kinds of thread', async () => {
      await running().answers('/counter/value', '{"value":0,"build":"A"}');
      expect(running().text).toContain('arm64 listens on');
      await running().answers('/counter/increment', '{"value":1,"build":"A"}', 'POST');
      await running().answers('/counter/value', '{"value":1,"build":"A"}');
    });

    test('another build takes its place, and its state over', async () => {
      const source = await readFile(path.join(root, plugins.counter), 'utf8');
      await writeFile(file('counter-b.c'), source.replace('#define BUILD "A"', '#define BUILD "B"'));
      const cmake = await readFile(file('plugins', 'CMakeLists.txt'), 'utf8');
      await writeFile(
        file('plugins', 'CMakeLists.txt'),
        cmake.replace(path.join(root, plugins.counter), file('counter-b.c')),
      );
      await run('cmake', ['--build', 'built'], scratch);
      await copyFile(file('built', 'counter.so'), file('applications', '.counter.so'));
      await rename(file('applications', '.counter.so'), file('applications', 'counter', 'counter.so'));
      const record = await running().says((line) => line.includes('"reload.succeeded"') && line.includes('"watch"'));
      expect(record).toMatch(/"phases":.*"migrate":.*"swap":/);
      await running().answers('/counter/value', '{"value":1,"build":"B"}');
    });

    test('`tenon doctor` knows the machine, and its host', async () => {
      const words = [file('node_modules', 'tenon', 'dist', 'cli', 'tenon.js'), 'doctor', '--json', '--data', 'none'];
      const { stdout } = await run(file('node'), words, scratch).catch((error: { stdout: string }) => error);
      const { findings } = JSON.parse(stdout) as { findings: { what: string; ok: boolean; found: string }[] };
      // What it tries in processes of their own is no program of this machine: the emulator runs none of those.
      expect(Object.fromEntries(findings.map(({ what, ...finding }) => [what, finding]))).toMatchObject({
        Tenon: { found: expect.stringContaining(machine) as string },
        applications: { ok: true },
        host: { ok: true },
      });
    });

    test('the RocksDB of the package opens a store', async (context) => {
      const prebuilt = file('node_modules', 'tenon', 'prebuilds', machine);
      context.skip(!(await readdir(prebuilt)).includes('librocksdb.so'), `no RocksDB was built for ${machine}`);
      await writeFile(file('store.mjs'), storeProgram);
      const words = [file('store.mjs'), file('node_modules', 'tenon', 'dist'), file('store')];
      const { stdout } = await run(file('node'), words, scratch);
      expect(JSON.parse(stdout)).toMatchObject({ library: path.join(prebuilt, 'librocksdb.so') });
    });

    test('a bundle that was packed on another machine is installed, and serves', async () => {
      const tenon = path.join(root, 'dist', 'cli', 'tenon.js');
      await mkdir(file('sources'));
      await run(process.execPath, [tenon, 'new', 'shop', '--template', 'c'], file('sources'));
      const words = ['pack', file('sources', 'shop'), '--target', 'linux-arm64', '--out', file('shop.tgz')];
      await run(process.execPath, [tenon, ...words, '--data', file('packing')], scratch);
      await copyFile(file('shop.tgz'), file('applications', 'shop-0.1.0.tgz'));
      await running().says((line) => line.includes('"reload.succeeded"') && line.includes('"plugin":"shop"'));
      await running().answers('/shop/greeting', 'Hello, world\n');
      expect(await readdir(file('applications', 'shop', 'prebuilds'))).toEqual([machine]);
    });

    async function offered(id: string, library: string): Promise<string> {
      await mkdir(file('applications', `.${id}`));
      await writeFile(file('applications', `.${id}`, 'config.yaml'), 'version: 1.0.0\n');
      await copyFile(library, file('applications', `.${id}`, `${id}.so`));
      await rename(file('applications', `.${id}`), file('applications', id));
      return running().says((line) => line.includes('"reload.failed"') && line.includes(`"plugin":"${id}"`));
    }

    test('the runner tries a library, and what crashes there does not reach the host', async () => {
      expect(await offered('wicked', file('built', 'wicked.so'))).toMatch(/"TrialCrashed".*constructor/);
      await running().answers('/counter/value', '{"value":1,"build":"B"}');
    });

    test('a library for this machine is refused by name', async () => {
      await run('cc', ['-shared', '-fPIC', '-x', 'c', '-o', 'native.so', '/dev/null'], scratch);
      expect(await offered('foreign', file('native.so'))).toMatch(/"ImageArchitecture".*x86-64.*aarch64/);
    });

    test('the host ends', async () => {
      expect(await running().end()).toBe(0);
    });
  },
);
