// What a native file asks of the machine that opens it.
import { spawnSync } from 'node:child_process';

function text(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (error) throw new Error(`${command} could not be started: ${error.message}`);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stderr}`);
  return stdout;
}

function newest(versions) {
  const numbers = (version) => version.split('.').map(Number);
  const later = (one, other) => {
    const [a, b] = [numbers(one), numbers(other)];
    const at = a.findIndex((number, index) => number !== (b[index] ?? 0));
    return at === -1 ? a.length - b.length : a[at] - (b[at] ?? 0);
  };
  return versions.sort(later).at(-1);
}

/** Oldest versions that will do: of glibc and of the symbols of libstdc++ (Linux), or of macOS. Needs readelf, or otool. */
export function needsOf(files) {
  if (process.platform === 'darwin') {
    const found = files.flatMap((file) => [...text('otool', ['-l', file]).matchAll(/\b(?:minos|version) ([\d.]+)/g)]);
    return { macos: newest(found.map(([, version]) => version)) };
  }
  const asked = files.map((file) => text('readelf', ['--wide', '--version-info', file])).join('\n');
  const of = (name) => newest([...asked.matchAll(new RegExp(`Name: ${name}_([\\d.]+)`, 'g'))].map(([, one]) => one));
  const needs = { glibc: of('GLIBC'), libstdcxx: of('GLIBCXX') };
  return Object.fromEntries(Object.entries(needs).filter(([, version]) => version !== undefined));
}
