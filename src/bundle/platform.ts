/** What kind of machine this is, in the words of bundles. */
import { readFileSync } from 'node:fs';

export interface Platform {
  readonly os: 'linux' | 'darwin';
  /** Node's name. */
  readonly arch: string;
  /** Undefined on macOS. */
  readonly libc: 'glibc' | 'musl' | undefined;
  /** Version of the libc, as `2.36`; undefined where it is not known. */
  readonly libcVersion: string | undefined;
}

/** `linux-x64`, `linux-x64-musl`, `darwin-arm64`. */
export function platformName({ os, arch, libc }: Pick<Platform, 'os' | 'arch' | 'libc'>): string {
  return libc === 'musl' ? `${os}-${arch}-musl` : `${os}-${arch}`;
}

/** What a process says of the machine it runs on. */
export interface Readings {
  readonly platform: string;
  readonly arch: string;
  /** Version of the glibc that it runs with; undefined without one. */
  readonly glibcVersion: string | undefined;
  /** Paths of the libraries that are open in it. */
  readonly openLibraries: readonly string[];
}

/** The machine that `readings` are of. */
export function platformOf({ platform, arch, glibcVersion, openLibraries }: Readings): Platform {
  if (platform === 'darwin') return { os: 'darwin', arch, libc: undefined, libcVersion: undefined };
  if (glibcVersion !== undefined) return { os: 'linux', arch, libc: 'glibc', libcVersion: glibcVersion };
  const musl = openLibraries.some((file) => /\/(?:ld-musl-[^/]*|libc\.musl-[^/]*)$/.test(file));
  return { os: 'linux', arch, libc: musl ? 'musl' : undefined, libcVersion: undefined };
}

let own: Platform | undefined;

/** The machine this process runs on. */
export function thisPlatform(): Platform {
  own ??= platformOf(ownReadings());
  return own;
}

/** The C library of this process; cheaper than all of {@link thisPlatform}. Undefined on macOS, and where it is not known. */
export function thisLibc(): Platform['libc'] {
  libc ??= process.platform === 'linux' ? mappedLibc() : undefined;
  return libc ?? thisPlatform().libc;
}

let libc: Platform['libc'];

function mappedLibc(): Platform['libc'] {
  let maps: string;
  try {
    maps = readFileSync('/proc/self/maps', 'latin1');
  } catch {
    return undefined; // without /proc
  }
  if (/\/libc(?:\.so\.6|-2\.\d+\.so)$/m.test(maps)) return 'glibc';
  return /\/ld-musl-[^/]*$/m.test(maps) ? 'musl' : undefined;
}

function ownReadings(): Readings {
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  const { excludeNetwork } = report;
  // It looks up the names of all addresses else, which can take seconds.
  report.excludeNetwork = true;
  try {
    const { header, sharedObjects } = report.getReport() as {
      header: { glibcVersionRuntime?: string };
      sharedObjects: string[];
    };
    const { platform, arch } = process;
    return { platform, arch, glibcVersion: header.glibcVersionRuntime, openLibraries: sharedObjects };
  } finally {
    if (excludeNetwork !== undefined) report.excludeNetwork = excludeNetwork;
  }
}
