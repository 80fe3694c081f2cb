// Builds prebuilds/<os>-<arch>/ with the addon and the runner, stripped: for this machine, and for every other one whose
// cross compiler is installed. `node scripts/build-prebuilds.mjs [--all] [--target linux-arm64]`; with --all a cross
// compiler that is missing is an error, with --target nothing else is made. native.json says what was made and what it
// needs.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { needsOf } from './native-needs.mjs';
import { hashOfSources } from './native-sources.mjs';
import { crossPackage, hostTarget, readTarget, targetNames } from './native-target.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const parts = ['tenon.node', 'tenon-runner'];
const { values } = parseArgs({ options: { all: { type: 'boolean', default: false }, target: { type: 'string' } } });

function fail(sentence) {
  console.error(`prebuilds: ${sentence}`);
  process.exit(1);
}

function run(command, args, stdio = 'pipe') {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', stdio });
  if (error) fail(`${command} could not be started: ${error.message}`);
  if (status !== 0) fail(`${command} ${args.join(' ')} ended with ${status}\n${stderr ?? ''}`);
  return stdout;
}

function compilerOf(target) {
  return target.toolPrefix === '' ? (process.env.CXX ?? 'c++').split(' ')[0] : `${target.toolPrefix}g++`;
}

const isThere = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

function make(target) {
  run(process.execPath, [path.join(root, 'scripts', 'build-native.mjs'), '--target', target.name], 'inherit');
  const from = path.join(root, ...(target.toolPrefix ? ['build', 'cross', target.name] : []), 'build', 'Release');
  const folder = path.join(root, 'prebuilds', target.name);
  mkdirSync(folder, { recursive: true });
  for (const part of parts) {
    // a host may have the old file open, and somebody may pack the folder
    const fresh = path.join(from, `${part}.stripped`);
    copyFileSync(path.join(from, part), fresh);
    run(`${target.toolPrefix}strip`, [...(target.os === 'darwin' ? ['-x'] : []), fresh]);
    renameSync(fresh, path.join(folder, part));
  }
  const made = parts.map((part) => path.join(folder, part));
  const facts = {
    files: made.map((file) => ({
      file: path.basename(file),
      sha256: createHash('sha256').update(readFileSync(file)).digest('hex'),
      size: statSync(file).size,
    })),
    sources: hashOfSources(root),
    needs: needsOf(made),
    compiler: run(compilerOf(target), ['--version']).split('\n')[0],
  };
  writeFileSync(path.join(folder, 'native.json'), `${JSON.stringify(facts, null, 2)}\n`);
  const floors = Object.entries(facts.needs).map(([library, version]) => `${library} ${version}`);
  console.log(`prebuilds/${target.name}: addon and runner, need ${floors.join(', ') || 'nothing that is versioned'}`);
}

for (const name of values.target === undefined ? targetNames : [values.target]) {
  const target = readTarget(name, fail);
  if (name === hostTarget.name || isThere(compilerOf(target))) {
    make(target);
    continue;
  }
  const sentence = `${name} needs ${compilerOf(target)} (Debian: ${crossPackage(target)}), which is not installed`;
  if (values.all || values.target !== undefined) fail(sentence);
  console.warn(`prebuilds: ${sentence}; left out`);
}

// Everything that is there is packed, also what was made on other machines.
for (const name of values.target === undefined ? readdirSync(path.join(root, 'prebuilds')) : []) {
  const file = path.join(root, 'prebuilds', name, 'native.json');
  if (existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).sources !== hashOfSources(root))
    fail(
      `prebuilds/${name} was made of other sources; make it again, or remove its ${parts.join(', ')} and native.json`,
    );
}
