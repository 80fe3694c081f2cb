/** What kind of machine this is, in the words of bundles. */

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

/** The machine this process runs on. */
export function thisPlatform(): Platform {
  return { os: 'linux', arch: process.arch, libc: 'glibc', libcVersion: undefined };
}
