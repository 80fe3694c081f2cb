/** Machines that libraries are built for, other than the one that builds. */
import { TenonError } from '../base/errors.js';

/** A machine with a cross compiler of Debian's. */
export interface Target {
  /** As bundles name it: `linux-arm64`. */
  readonly name: string;
  /** What the names of its tools begin with, and of its folders of libraries. */
  readonly triple: string;
  /** As `uname -m` says there. */
  readonly processor: string;
  /** Debian's name of the architecture. */
  readonly debian: string;
}

const targets: readonly Target[] = [
  { name: 'linux-x64', triple: 'x86_64-linux-gnu', processor: 'x86_64', debian: 'amd64' },
  { name: 'linux-arm64', triple: 'aarch64-linux-gnu', processor: 'aarch64', debian: 'arm64' },
];

/** Throws `TypeError` for one that cannot be built for here. */
export function targetNamed(name: string): Target {
  const found = targets.find((target) => target.name === name);
  if (found !== undefined) return found;
  const names = targets.map((target) => target.name).join(' and ');
  throw new TypeError(`the target ${name} cannot be built for here; there are ${names}, and this machine`);
}

/** The error for a cross compiler that is not installed. */
export function crossCompilerMissing({ name, triple }: Target, missing: readonly string[], search: string): TenonError {
  return new TenonError('ToolchainMissing', `nothing can be built for ${name} here: missing ${missing.join(', ')}`, {
    next: `run \`apt install g++-${triple.replaceAll('_', '-')}\`, and see that PATH leads to it`,
    details: { missing, target: name, path: search },
  });
}

/** What an application's build for `target` asks pkg-config: modules of that machine, and of none. */
export function modulesOf({ triple }: Target): Record<string, string> {
  return { PKG_CONFIG_LIBDIR: `/usr/lib/${triple}/pkgconfig:/usr/share/pkgconfig` };
}
