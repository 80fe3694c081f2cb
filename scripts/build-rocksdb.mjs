// Builds prebuilds/<os>-<arch>/librocksdb.so, RocksDB with LZ4 behind nothing but its C functions, from the source
// packages of Debian: `node scripts/build-rocksdb.mjs [--target linux-arm64] [--jobs N] [--work FOLDER]`. Takes about a
// quarter of an hour on two cores; nobody who installs Tenon needs it. Needs apt, CMake, Ninja and a C++17 compiler, for
// another processor Debian's cross compiler. A copy of the sources in the folder of work is used as it is when its
// checksum is right.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { needsOf } from './native-needs.mjs';
import { hostTarget, readTarget } from './native-target.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

const sources = [
  {
    name: 'rocksdb-9.10.0',
    pool: 'pool/main/r/rocksdb/rocksdb_9.10.0.orig.tar.gz',
    sha256: 'fdccab16133c9d927a183c2648bcea8d956fb41eb1df2aacaa73eb0b95e43724',
    licences: { 'LICENSE.Apache': 'rocksdb-LICENSE.Apache', 'LICENSE.leveldb': 'rocksdb-LICENSE.leveldb' },
  },
  {
    name: 'lz4-1.10.0',
    pool: 'pool/main/l/lz4/lz4_1.10.0.orig.tar.gz',
    sha256: '537512904744b35e232912055ccf8ec66d768639ff3abe5788d90d792ec5f48b',
    licences: { 'lib/LICENSE': 'lz4-LICENSE' },
  },
];

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: String(os.availableParallelism()) },
    target: { type: 'string', default: hostTarget.name },
    work: { type: 'string' },
  },
});
const target = readTarget(values.target, fail);
const tool = (name) => `${target.toolPrefix}${name}`;
if (target.os !== 'linux') fail('this script knows the linker of Linux only; see prebuilds/README.md');
const work =
  values.work === undefined ? mkdtempSync(path.join(os.tmpdir(), 'tenon-rocksdb-')) : path.resolve(values.work);
mkdirSync(work, { recursive: true });

function fail(sentence) {
  console.error(`librocksdb.so: ${sentence}`);
  process.exit(1);
}

function run(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    ...options,
  });
  if (error) fail(`${command} could not be started: ${error.message}`);
  if (status !== 0)
    fail(`${command} ${args.join(' ')} ended with ${status}\n${(stdout ?? '').slice(-4000)}${stderr ?? ''}`);
  return stdout;
}

const sha256 = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');

/** From wherever apt is set up to fetch packages from; the checksum decides whether it is the right file. */
function fetchSource({ pool, sha256: wanted }) {
  const file = path.join(work, path.basename(pool));
  if (existsSync(file) && sha256(file) === wanted) return file;
  const bases = new Set(run('apt-get', ['indextargets', '--format', '$(REPO_URI)']).split('\n').filter(Boolean));
  for (const base of bases) {
    spawnSync('/usr/lib/apt/apt-helper', [
      'download-file',
      new URL(pool, base.endsWith('/') ? base : `${base}/`).href,
      file,
    ]);
    if (existsSync(file) && sha256(file) === wanted) return file;
    rmSync(file, { force: true });
  }
  return fail(`none of apt's sources has ${pool} with the checksum ${wanted}`);
}

for (const source of sources) {
  run('tar', ['xzf', fetchSource(source), '-C', work]);
  if (!existsSync(path.join(work, source.name))) fail(`${source.pool} has no folder ${source.name}`);
}
const rocksdb = path.join(work, 'rocksdb-9.10.0');
const lz4 = path.join(work, 'lz4-1.10.0', 'lib');
const build = path.join(work, 'build');
mkdirSync(build, { recursive: true });

const flags = [
  '-O2',
  '-fPIC',
  '-fvisibility=hidden',
  '-fvisibility-inlines-hidden',
  '-ffunction-sections',
  '-fdata-sections',
];
// The folder of work has another name each time; nothing of it is to be in the library.
const plain = [`-ffile-prefix-map=${work}=.`, '-g0'];

const compiler = target.toolPrefix ? tool('g++') : 'c++';
const lz4Objects = ['lz4', 'lz4hc', 'lz4frame', 'xxhash'].map((name) => {
  const object = path.join(build, `${name}.o`);
  run(target.toolPrefix ? tool('gcc') : 'cc', [
    '-c',
    ...flags.filter((flag) => !flag.includes('inlines')),
    ...plain,
    path.join(lz4, `${name}.c`),
    '-o',
    object,
  ]);
  return object;
});
run(tool('ar'), ['rcs', path.join(build, 'liblz4.a'), ...lz4Objects]);

const cxx = [...flags, ...plain, '-Wno-error'].join(' ');
const without =
  'GFLAGS LIBURING NUMA TBB JEMALLOC TESTS TOOLS CORE_TOOLS BENCHMARK_TOOLS TRACE_TOOLS SNAPPY ZLIB BZ2 ZSTD';
const choices = {
  CMAKE_BUILD_TYPE: 'Release',
  CMAKE_CXX_FLAGS_RELEASE: '-DNDEBUG',
  CMAKE_CXX_FLAGS: cxx,
  ROCKSDB_BUILD_SHARED: 'OFF',
  USE_RTTI: 'OFF',
  PORTABLE: '1',
  FAIL_ON_WARNINGS: 'OFF',
  WITH_LZ4: 'ON',
  lz4_INCLUDE_DIRS: lz4,
  lz4_LIBRARIES: path.join(build, 'liblz4.a'),
  ...Object.fromEntries(without.split(' ').map((name) => [`WITH_${name}`, 'OFF'])),
};
if (target.toolPrefix)
  Object.assign(choices, {
    CMAKE_SYSTEM_NAME: 'Linux',
    CMAKE_SYSTEM_PROCESSOR: target.arch === 'arm64' ? 'aarch64' : 'x86_64',
    CMAKE_C_COMPILER: tool('gcc'),
    CMAKE_CXX_COMPILER: tool('g++'),
    // what is installed here is for this machine
    CMAKE_FIND_ROOT_PATH_MODE_PACKAGE: 'ONLY',
  });
const defined = Object.entries(choices).map(([name, value]) => `-D${name}=${value}`);
run('cmake', ['-S', rocksdb, '-B', build, '-G', 'Ninja', ...defined]);
run('ninja', ['-C', build, '-j', values.jobs, 'rocksdb'], { stdio: ['ignore', 'inherit', 'inherit'] });

/** One of its files again, as CMake compiles it, with other flags after its own. */
function again(file, extra) {
  const commands = JSON.parse(run('ninja', ['-C', build, '-t', 'compdb']));
  const entry = commands.find(({ file: one, command }) => one.endsWith(`/${file}`) && command.includes(' -c '));
  if (entry === undefined) fail(`CMake does not compile ${file}`);
  const object = path.join(build, `${path.basename(file, '.cc')}.again.o`);
  run('sh', ['-c', `${entry.command.replace(/ -o \S+/, ` -o ${object}`)} ${extra}`], { cwd: entry.directory });
  return object;
}

// Only the C functions are seen from outside, and the checksums use the processor's own instruction.
const objects = [again('db/c.cc', '-fvisibility=default -fno-rtti')];
if (target.arch === 'x64') objects.push(again('util/crc32c.cc', '-msse4.2 -mpclmul'));
const exported = path.join(build, 'exported.map');
writeFileSync(exported, '{ global: rocksdb_*; local: *; };\n');
const library = path.join(build, 'librocksdb.so');
const whole = ['-Wl,--whole-archive', path.join(build, 'librocksdb.a'), '-Wl,--no-whole-archive'];
const linking = '--gc-sections -Bsymbolic --exclude-libs,ALL -z,relro -z,now -z,defs --allow-multiple-definition';
const named = [`--version-script=${exported}`, '-soname,librocksdb.so', '--build-id=sha1', ...linking.split(' ')];
const options = named.map((option) => `-Wl,${option}`);
const archive = path.join(build, 'liblz4.a');
run(compiler, ['-shared', '-s', '-o', library, ...objects, ...whole, archive, '-pthread', '-ldl', ...options]);

const foreign = run(tool('nm'), ['-D', '--defined-only', library])
  .split('\n')
  .map((line) => line.split(' ').at(-1))
  .filter((name) => name && !name.startsWith('rocksdb_'));
if (foreign.length > 0) fail(`it shows more than the C functions: ${foreign.slice(0, 5).join(', ')}`);

const folder = path.join(root, 'prebuilds', target.name);
mkdirSync(path.join(folder, 'licences'), { recursive: true });
copyFileSync(library, path.join(folder, 'librocksdb.so'));
for (const { name, licences } of sources) {
  for (const [from, to] of Object.entries(licences))
    copyFileSync(path.join(work, name, from), path.join(folder, 'licences', to));
}
const facts = {
  file: 'librocksdb.so',
  sha256: sha256(library),
  size: statSync(library).size,
  needs: needsOf([library]),
  compiler: run(compiler, ['--version']).split('\n')[0],
  sources: sources.map(({ pool, sha256: checksum }) => ({ file: path.basename(pool), sha256: checksum })),
};
writeFileSync(path.join(folder, 'librocksdb.json'), `${JSON.stringify(facts, null, 2)}\n`);
if (values.work === undefined) rmSync(work, { recursive: true, force: true });
console.log(`${path.relative(root, path.join(folder, 'librocksdb.so'))}: ${facts.size} bytes, sha256 ${facts.sha256}`);
