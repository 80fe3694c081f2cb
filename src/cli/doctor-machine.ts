/** The machine and the process, as `tenon doctor` finds them. */
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import type { Environment, Settings } from '../base/config.js';
import { isMusl } from '../base/machine-name.js';
import { type Answer, failed, type Probe, warning } from './doctor-finding.js';

const leastNode = [20, 19] as const;
const mebibyte = 1024 * 1024;
/** The host with its registry and a compiler beside it. */
const leastMemory = 768 * mebibyte;
/** Files of the host itself, beside its connections. */
const ownDescriptors = 512;

export function machineProbes(settings: Settings, env: Environment): Probe[] {
  const linux: Probe[] = [
    { what: 'C library', look: cLibrary },
    { what: 'open files', look: () => openFiles(settings) },
  ];
  return [
    { what: 'Node.js', look: node },
    ...(process.platform === 'linux' ? linux : []),
    { what: 'memory', look: memory },
    { what: 'locale', look: () => locale(env) },
  ];
}

function node(): Answer | string {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [least, further] = leastNode;
  if (major > least || (major === least && minor >= further)) return process.version;
  return failed(
    `${process.version}; ${leastNode.join('.')} or newer is needed`,
    'Tenon uses what older releases do not have',
    'install a newer one, from nodejs.org or with your version manager',
  );
}

function cLibrary(): string {
  if (isMusl) return 'musl';
  const report = process.report as (typeof process)['report'] & { excludeNetwork?: boolean };
  // Else it asks for the name of every address.
  report.excludeNetwork = true;
  const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime === undefined ? 'not known' : `glibc ${header.glibcVersionRuntime}`;
}

async function openFiles({ connectionLimit }: Settings): Promise<Answer | string> {
  const limits = await readFile('/proc/self/limits', 'utf8');
  const [, soft = '', hard = ''] = /^Max open files +(\S+) +(\S+)/m.exec(limits) ?? [];
  const most = hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
  const found = `${soft} may be open at once, ${hard} at most`;
  if (!(most < connectionLimit + ownDescriptors)) return found;
  return warning(
    found,
    `the host would refuse connections before the ${connectionLimit} that http.connections allows`,
    `raise it (\`ulimit -Hn\`, LimitNOFILE= of systemd, --ulimit nofile of a container), or lower http.connections`,
  );
}

function memory(): Answer | string {
  const inGroup = process.constrainedMemory();
  const all = os.totalmem();
  const limited = inGroup > 0 && inGroup < all;
  const size = limited ? inGroup : all;
  const found = `${Math.round(size / mebibyte)} MiB${limited ? ', the limit of its control group' : ''}, ${Math.round(os.freemem() / mebibyte)} MiB of the machine free`;
  if (size >= leastMemory) return found;
  return warning(
    found,
    'the host with an embedded registry takes some 300 MiB, a C++ compiler as much again: the system may kill either',
    `give it ${leastMemory / mebibyte} MiB, or build elsewhere and install bundles`,
  );
}

function locale(env: Environment): Answer | string {
  const name = [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find((value) => value !== undefined && value !== '');
  if (name === undefined || /utf-?8|^(?:C|POSIX)$/i.test(name)) return name ?? 'none is set';
  return warning(
    name,
    'what is not ASCII in names and messages may be shown wrong',
    'set LANG to one with UTF-8, e.g. C.UTF-8',
  );
}
