/** Counts what a process holds, to be compared before and after. Linux. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { isIsolated } from './isolation.js';
import { runnersOf } from './runners.js';

export interface Holdings {
  /** Mapped images of staged libraries; processes that serve one, where plugins have processes of their own. */
  images: number;
  /** Open file descriptors. */
  descriptors: number;
  threads: number;
  /** Files in the staging directories of the process. */
  staged: number;
}

/** Staging directories of process `pid`, in memory and below `dataDirectory`. */
export function stagingDirectories(pid: number, dataDirectory: string): string[] {
  return ['/dev/shm', path.join(dataDirectory, 'staging')]
    .filter((place) => existsSync(place))
    .flatMap((place) =>
      readdirSync(place)
        .filter((name) => name.startsWith('tenon-') && name.includes(`-${pid}-`))
        .map((name) => path.join(place, name)),
    );
}

/** What process `pid` holds now. */
export function gauge(dataDirectory: string, pid: number = process.pid): Holdings {
  const maps = isIsolated ? [] : readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n');
  // Address, access, offset, device, inode, path; one image has several lines.
  const mapped = maps
    .map((line) => line.split(/\s+/).slice(5).join(' '))
    .filter((file) => /\/tenon-[^/]*\/[^/]*\.so/.test(file));
  return {
    images: isIsolated ? runnersOf(pid).length : new Set(mapped).size,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: readdirSync(`/proc/${pid}/task`).length,
    staged: stagingDirectories(pid, dataDirectory).flatMap((directory) => readdirSync(directory)).length,
  };
}
