/** `host.json` in a data directory: where the host that has the directory is found. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** What a running host says of itself. */
export interface HostFile {
  pid: number;
  /** Where it is reached from this machine. */
  url: string;
  /** ISO 8601. */
  startedAt: string;
  version: string;
}

const name = 'host.json';

/** Say where the host is; for its owner alone. It has locked the data directory. */
export function writeHostFile(data: string, { url, ...facts }: HostFile): void {
  const file = path.join(data, name);
  const fresh = `${file}.new`;
  // An address to listen on everywhere is none to call.
  const reached = url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
  writeFileSync(fresh, `${JSON.stringify({ ...facts, url: reached })}\n`, { mode: 0o600 });
  renameSync(fresh, file);
}

/** The host goes, or one before it was killed. */
export function removeHostFile(data: string): void {
  rmSync(path.join(data, name), { force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The host that runs with this data directory; undefined when there is none, or when what is written is of one that was killed. */
export function readHostFile(data: string): HostFile | undefined {
  try {
    const facts = JSON.parse(readFileSync(path.join(data, name), 'utf8')) as HostFile;
    const holder = Number.parseInt(readFileSync(path.join(data, 'lock'), 'utf8'), 10);
    return facts.pid === holder && isAlive(holder) ? facts : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
