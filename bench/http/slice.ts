import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chooseLoad } from './load.js';

const serverFile = path.join(path.dirname(fileURLToPath(import.meta.url)), 'server.ts');
/** Whether server and load have a core each. */
export const pinned = availableParallelism() > 1 && spawnSync('taskset', ['--version']).error === undefined;
const { name, load } = chooseLoad(pinned ? ['taskset', '-c', '1'] : []);
/** What makes the requests. */
export const generator = name;

export interface Slice {
  /** Of server.ts. */
  kind: string;
  route: string;
  /** The server's to write into. */
  folder: string;
  seconds: number;
}

async function next(server: ChildProcess, ended: AbortSignal): Promise<number> {
  const [message] = (await once(server, 'message', { signal: ended })) as [unknown];
  return Number(message);
}

async function checkAnswer(url: string): Promise<void> {
  const response = await fetch(url);
  const text = await response.text();
  const type = response.headers.get('content-type');
  if (response.status !== 200 || text !== 'Hello, World!' || type !== 'text/plain; charset=utf-8')
    throw new Error(`${url} gave ${response.status} ${String(type)}: ${text}`);
}

/**
 * One slice of load. Each has a process of its own: by chance of memory and compilation, processes of the same server
 * differ by more than the servers do.
 */
export async function slice({ kind, route, folder, seconds }: Slice): Promise<Record<string, number>> {
  const own = [process.execPath, '--import', 'tsx', serverFile, kind, folder];
  const server = spawn(pinned ? 'taskset' : process.execPath, pinned ? ['-c', '0', ...own] : own.slice(1), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, NODE_ENV: 'production' },
  });
  const end = new AbortController();
  const exit = once(server, 'exit').then(() => end.abort());
  try {
    const url = `http://127.0.0.1:${await next(server, end.signal)}${route}`;
    await checkAnswer(url);
    await load(url, 1); // compiled and warm
    server.send('time');
    const before = await next(server, end.signal);
    const begin = performance.now();
    const answered = await load(url, seconds);
    const elapsed = performance.now() - begin;
    server.send('time');
    const used = (await next(server, end.signal)) - before;
    return { 'requests/s': (answered * 1000) / elapsed, 'µs CPU/request': used / answered };
  } finally {
    if (server.connected) server.disconnect();
    await exit;
  }
}
