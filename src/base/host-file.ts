/**
 * `host.json` in a data directory: where the host that has the directory is found. `next-host.json` beside it: where the
 * next one will be, while a host ends to begin anew.
 */
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { replaceFileSync } from './replace-file.js';

/** What a running host says of itself. */
export interface HostFile {
  pid: number;
  /** Where it is reached from this machine. */
  url: string;
  /** The certificate it shows there, PEM; of HTTPS. */
  certificate?: string;
  /** Where its admin API is, when that has a listener of its own: a URL, or `unix:/path`. */
  api?: string;
  /** ISO 8601. */
  startedAt: string;
  version: string;
}

/** Where the next host will listen, and who holds its port until then. */
interface NextHost {
  url: string;
  api?: string;
  certificate?: string;
  parent: number;
}

const name = 'host.json';
const nextName = 'next-host.json';

/** Say where the host is; for its owner alone. It has locked the data directory. */
export function writeHostFile(data: string, { url, api, ...facts }: HostFile): void {
  replace(path.join(data, name), { ...facts, url: reached(url), ...(api === undefined ? {} : { api: reached(api) }) });
}

/** An address to listen on everywhere is none to call. */
function reached(url: string): string {
  return url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
}

/** The host ends so that another one takes its place, where it is: `parent`, its process, holds the port. */
export function announceNextHost(data: string, parent: number): void {
  const { url, api, certificate } = JSON.parse(readFileSync(path.join(data, name), 'utf8')) as HostFile;
  replace(path.join(data, nextName), { url, api, certificate, parent });
}

/** The next host is there, or none will be. */
export function forgetNextHost(data: string): void {
  rmSync(path.join(data, nextName), { force: true });
}

function replace(file: string, facts: object): void {
  replaceFileSync(file, `${JSON.stringify(facts)}\n`);
}

/** What the file says; undefined when there is none, or none that can be understood. */
function read<Facts>(file: string): Partial<Facts> | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Partial<Facts>;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
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

/** Where the admin API of a host is. */
export interface ApiPlace {
  /** Or `unix:/path`. */
  readonly url: string;
  /** The certificate that it shows, PEM; of HTTPS. */
  readonly certificate: string | undefined;
}

/**
 * URL of the host that runs with this data directory, or of the one that will in a moment: whoever connects there waits
 * for it. Undefined when there is none, or when what is written is of one that was killed.
 */
export function findHost(data: string): string | undefined {
  return look(data)?.url;
}

/** The same of its admin API. */
export function findApi(data: string): ApiPlace | undefined {
  const { url, api = url, certificate } = look(data) ?? {};
  return api === undefined ? undefined : { url: api, certificate };
}

function look(data: string): Partial<HostFile> | Partial<NextHost> | undefined {
  const here = read<HostFile>(path.join(data, name));
  const holder = read<number>(path.join(data, 'lock'));
  if (here?.pid !== undefined && here.pid === holder && isAlive(here.pid)) return here;
  const next = read<NextHost>(path.join(data, nextName));
  return next?.parent !== undefined && isAlive(next.parent) ? next : undefined;
}
