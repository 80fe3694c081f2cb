// Builds build/Release/tenon.node and build/Release/tenon-runner with node-gyp, when what they are made of has changed.
// `--target linux-arm64` (or linux-x64) builds those of another processor, in build/cross/<target>/build/Release.
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { hashOfSources } from './native-sources.mjs';
import { crossPackage, hostTarget, readTarget } from './native-target.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { values } = parseArgs({ options: { target: { type: 'string', default: hostTarget.name } } });
const target = readTarget(values.target, fail);
const isCross = target.toolPrefix !== '';
/** node-gyp makes its folder build/ where binding.gyp is. */
const workshop = isCross ? path.join(root, 'build', 'cross', target.name) : root;
const products = ['tenon.node', 'tenon-runner'].map((file) => path.join(workshop, 'build', 'Release', file));
const stampFile = path.join(workshop, 'build', 'Release', '.stamp');
const lockFile = path.join(root, 'build', '.lock');
const started = performance.now();
const seconds = () => `${((performance.now() - started) / 1000).toFixed(1)} s`;
const title = isCross ? `native parts for ${target.name}` : 'native parts';

function fail(sentence) {
  console.error(`native parts: ${sentence}`);
  process.exit(1);
}

/** Node's own part decides over a build from scratch, the content over a build at all. */
function currentStamp() {
  return { node: `${process.version} ${target.name}`, content: hashOfSources(root) };
}

function storedStamp() {
  try {
    return JSON.parse(readFileSync(stampFile, 'utf8'));
  } catch {
    return {}; // absent or cut short: build
  }
}

function onPath(command) {
  const places = path.isAbsolute(command) ? [''] : (process.env.PATH ?? '').split(path.delimiter).filter(Boolean);
  return places.some((place) => {
    try {
      accessSync(path.join(place, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function checkTools() {
  const ownCompilers = process.env.CXX ? [process.env.CXX.split(' ')[0]] : ['c++', 'g++', 'clang++'];
  const wanted = [
    isCross
      ? [`a C++ compiler for ${target.name}`, [`${target.toolPrefix}g++`], crossPackage(target)]
      : ['a C++ compiler', ownCompilers, 'g++'],
    ['make', ['make', 'gmake'], 'make'],
    ['Python 3', process.env.PYTHON ? [process.env.PYTHON] : ['python3', 'python'], 'python3'],
  ];
  const missing = wanted.filter(([, commands]) => !commands.some(onPath));
  if (missing.length === 0) return;
  const names = missing.map(([name]) => name).join(', ');
  const install =
    process.platform === 'darwin'
      ? 'xcode-select --install'
      : `apt-get install ${missing.map(([, , debian]) => debian).join(' ')} (Debian, Ubuntu), or your system's packages of these names`;
  fail(`${names} needed and not found on PATH; install with: ${install}`);
}

/** Folder whose include/node has this Node's headers; node-gyp downloads them only when there is none. */
function headersDirectory() {
  const configured = process.env.npm_config_nodedir;
  if (configured) return path.resolve(root, configured);
  const prefix = path.resolve(path.dirname(process.execPath), '..');
  return existsSync(path.join(prefix, 'include', 'node', 'node_api.h')) ? prefix : undefined;
}

function holderAlive() {
  try {
    process.kill(Number(readFileSync(lockFile, 'utf8')), 0);
    return true;
  } catch (error) {
    if (error.code === 'EPERM') return true;
    // the holder writes its pid right after it made the file
    return existsSync(lockFile) && Date.now() - statSync(lockFile).mtimeMs < 1000;
  }
}

/** One build of a clone at a time: two makes in one folder spoil each other's objects. */
function takeLock() {
  mkdirSync(path.dirname(lockFile), { recursive: true });
  for (;;) {
    try {
      writeFileSync(lockFile, String(process.pid), { flag: 'wx' });
      process.on('exit', () => rmSync(lockFile, { force: true }));
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      if (holderAlive()) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
      else rmSync(lockFile, { force: true });
    }
  }
}

function upToDate(stamp) {
  const stored = storedStamp();
  return stored.node === stamp.node && stored.content === stamp.content && products.every((file) => existsSync(file));
}

/** binding.gyp and what it names, where node-gyp does not meet this machine's own build. */
function layOut() {
  mkdirSync(workshop, { recursive: true });
  for (const entry of ['binding.gyp', 'native', 'node_modules', 'package.json'])
    if (!existsSync(path.join(workshop, entry))) symlinkSync(path.join(root, entry), path.join(workshop, entry));
}

const crossEnvironment = () => ({
  CC: `${target.toolPrefix}gcc`,
  CXX: `${target.toolPrefix}g++`,
  LINK: `${target.toolPrefix}g++`,
  AR: `${target.toolPrefix}ar`,
  // what is made here is stripped and used nowhere but in prebuilds/
  CXXFLAGS: '-g0',
});

if (upToDate(currentStamp())) {
  console.log(`${title}: up to date`);
  process.exit(0);
}
checkTools();
takeLock();
const stamp = currentStamp();
if (upToDate(stamp)) {
  console.log(`${title}: built by another process, waited ${seconds()}`);
  process.exit(0);
}
const nodeGyp = path.join(
  path.dirname(createRequire(import.meta.url).resolve('node-gyp/package.json')),
  'bin',
  'node-gyp.js',
);
const nodedir = headersDirectory();
// objects of another Node cannot be reused; node-gyp's own clean would take the lock away too
if ((storedStamp().node ?? stamp.node) !== stamp.node)
  rmSync(path.dirname(stampFile), { recursive: true, force: true });
if (isCross) layOut();
console.error(`${title}: being built, the first time for a minute or two`);
let output = '';
for (const step of ['configure', 'build']) {
  const flags = ['--release', '-j', '2', ...(nodedir ? [`--nodedir=${nodedir}`] : [])];
  if (isCross) flags.push(`--arch=${target.arch}`);
  const run = spawnSync(process.execPath, [nodeGyp, step, ...flags], {
    cwd: workshop,
    env: isCross ? { ...process.env, ...crossEnvironment() } : process.env,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  output += run.stdout + run.stderr;
  if (run.status !== 0) {
    console.error(output);
    fail(`node-gyp ${step} failed after ${seconds()}; its output is above`);
  }
}
const missing = products.filter((file) => !existsSync(file));
if (missing.length > 0) fail(`node-gyp made no ${missing.map((file) => path.relative(root, file)).join(' and no ')}`);
writeFileSync(stampFile, JSON.stringify(stamp));
console.log(`${title}: built in ${seconds()}`);
