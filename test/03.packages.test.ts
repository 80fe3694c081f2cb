import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { root } from './architecture/tree.js';

const { satisfies, valid } = createRequire(import.meta.url)('semver') as {
  satisfies: (version: string, range: string) => boolean;
  valid: (version: string) => string | null;
};

interface Manifest {
  name?: string;
  version?: string;
  engines?: { node?: string };
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  overrides?: Record<string, string | Record<string, string>>;
  scripts?: Record<string, string>;
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** Folders of every installed package below `modules`, nested ones too. */
function installed(modules: string): string[] {
  if (!existsSync(modules)) return [];
  const names = readdirSync(modules).filter((name) => !name.startsWith('.'));
  const folders = names.flatMap((name) =>
    name.startsWith('@') ? readdirSync(path.join(modules, name)).map((inner) => path.join(name, inner)) : [name],
  );
  return folders
    .map((name) => path.join(modules, name))
    .filter((folder) => existsSync(path.join(folder, 'package.json')))
    .flatMap((folder) => [folder, ...installed(path.join(folder, 'node_modules'))]);
}

function refusing(manifests: Manifest[], node: string): string[] {
  return manifests
    .filter(({ engines }) => typeof engines?.node === 'string' && !satisfies(node, engines.node))
    .map(({ name, version, engines }) => `${name}@${version} wants Node ${engines?.node}`);
}

function loose(versions: Record<string, string>): string[] {
  return Object.entries(versions)
    .filter(([, version]) => valid(version) !== version)
    .map(([name, version]) => `${name}: ${version}`);
}

const manifest = readManifest(root);
const packages = installed(path.join(root, 'node_modules')).map(readManifest);

describe('installed packages', () => {
  test('are all found', () => {
    const names = new Set(packages.map(({ name }) => name));
    expect(
      Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).filter((name) => !names.has(name)),
    ).toEqual([]);
  });

  test('run on this Node', () => {
    expect(
      refusing([{ name: 'late', version: '1.0.0', engines: { node: '>=99' } }], process.versions.node),
    ).toHaveLength(1);
    expect(refusing(packages, process.versions.node)).toEqual([]);
  });

  test('run on the oldest Node that is promised', () => {
    const oldest = /^>=(\d+)\.(\d+)$/.exec(manifest.engines?.node ?? '');
    expect(oldest).not.toBeNull();
    const node = `${oldest?.[1]}.${oldest?.[2]}.0`;
    expect(refusing(packages, node)).toEqual([]);
  });
});

describe('package.json', () => {
  test('pins exact versions', () => {
    expect(loose({ a: '^1.0.0', b: '1.x', c: 'latest', d: '1.2.3' })).toHaveLength(3);
    const replaced = Object.values(manifest.overrides ?? {}).map((each) =>
      Object.entries(typeof each === 'string' ? { override: each } : each).map(
        ([name, version]): [string, string] => [name, version.replace(/^npm:.+@/, '')], // another package in its place
      ),
    );
    const all = { ...manifest.dependencies, ...manifest.devDependencies, ...Object.fromEntries(replaced.flat()) };
    expect(loose(all)).toEqual([]);
  });

  test('has no script that runs at install', () => {
    const atInstall = ['preinstall', 'install', 'postinstall', 'prepare'];
    expect(atInstall.filter((name) => name in (manifest.scripts ?? {}))).toEqual([]);
  });
});

describe('package-lock.json', () => {
  interface Locked {
    resolved?: string;
    optionalDependencies?: Record<string, string>;
  }

  /** Optional packages that the lock names and does not have: `npm ci` of npm 11 refuses it then. */
  function missing(packages: Record<string, Locked>): string[] {
    return Object.entries(packages).flatMap(([place, { optionalDependencies }]) =>
      place === ''
        ? []
        : Object.keys(optionalDependencies ?? {})
            .filter((name) => !(`node_modules/${name}` in packages) && !(`${place}/node_modules/${name}` in packages))
            .map((name) => `${place}: ${name}; run node scripts/complete-lock.mjs`),
    );
  }

  const locked = (
    JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as { packages: Record<string, Locked> }
  ).packages;

  test('has the packages of every platform', () => {
    expect(missing({ 'node_modules/a': { optionalDependencies: { b: '1.0.0' } } })).toHaveLength(1);
    expect(missing(locked)).toEqual([]);
  });

  test('names no registry', () => {
    expect(Object.entries(locked).filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
  });
});

const machines = readdirSync(path.join(root, 'prebuilds'));
const withRocksdb = machines.filter((name) => existsSync(path.join(root, 'prebuilds', name, 'librocksdb.json')));

test('prebuilds/ has a RocksDB for Linux on x64', () => {
  expect(withRocksdb).toContain('linux-x64');
});

describe.each(withRocksdb)('prebuilds/%s', (name) => {
  const folder = path.join(root, 'prebuilds', name);
  const facts = JSON.parse(readFileSync(path.join(folder, 'librocksdb.json'), 'utf8')) as {
    file: string;
    sha256: string;
    sources: { file: string; sha256: string }[];
  };

  test('has the RocksDB that its facts tell of, and the licences of what is in it', () => {
    const hash = createHash('sha256').update(readFileSync(path.join(folder, facts.file)));
    expect(hash.digest('hex')).toBe(facts.sha256);
    expect(readdirSync(path.join(folder, 'licences'))).toEqual([
      'lz4-LICENSE',
      'rocksdb-LICENSE.Apache',
      'rocksdb-LICENSE.leveldb',
    ]);
  });

  test('was made of the sources that the script pins', () => {
    const script = readFileSync(path.join(root, 'scripts', 'build-rocksdb.mjs'), 'utf8');
    for (const { file, sha256 } of facts.sources) {
      expect(script).toContain(file);
      expect(script).toContain(sha256);
    }
  });
});
