// The machines that native parts are made for, by the names of their folders in prebuilds/.
import { closeSync, openSync, readSync } from 'node:fs';

/** Debian's names of the cross tools begin so. */
const crossPrefixes = { 'linux-arm64': 'aarch64-linux-gnu-', 'linux-x64': 'x86_64-linux-gnu-' };

/** The loader that a program asks for is in its first page. */
function usesMusl() {
  if (process.platform !== 'linux') return false;
  const head = Buffer.alloc(4096);
  const file = openSync(process.execPath, 'r');
  readSync(file, head, 0, head.length, 0);
  closeSync(file);
  return head.includes('/ld-musl-');
}

const hostName = `${process.platform}-${process.arch}${usesMusl() ? '-musl' : ''}`;

function describe(name) {
  const [os, arch] = name.split('-');
  return { name, os, arch, toolPrefix: name === hostName ? '' : crossPrefixes[name] };
}

/** This machine. `toolPrefix` is what the names of a cross compiler's tools begin with; empty: this machine's own. */
export const hostTarget = describe(hostName);

/** Names of what can be made here, this machine first; a cross compiler may be missing. */
export const targetNames = [
  hostName,
  ...Object.keys(crossPrefixes).filter((name) => hostName in crossPrefixes && name !== hostName),
];

/** Debian's package with the cross compiler. */
export function crossPackage({ toolPrefix }) {
  return `g++-${toolPrefix.replace('_', '-').slice(0, -1)}`;
}

/** Calls `fail` with a sentence for one that cannot be made here. */
export function readTarget(name, fail) {
  if (targetNames.includes(name)) return describe(name);
  return fail(
    `${name} cannot be made on ${hostName}, from where one reaches ${targetNames.join(' and ')}; ` +
      'anything else is made on a machine of its kind, see prebuilds/README.md',
  );
}
