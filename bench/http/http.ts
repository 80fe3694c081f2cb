// What a plugin route costs beside a bare node:http server, Express and Fastify that give the same answer.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { interleave, numberFlag, report } from '../rounds.js';
import { chooseLoad } from './load.js';

const rounds = numberFlag('rounds', 10);
const seconds = numberFlag('seconds', 1);
const serverFile = path.join(path.dirname(fileURLToPath(import.meta.url)), 'server.ts');
const pinned = availableParallelism() > 1 && spawnSync('taskset', ['--version']).error === undefined;
const { name: generator, load } = chooseLoad(pinned ? ['taskset', '-c', '1'] : []);
const folder = await mkdtemp(path.join(tmpdir(), 'tenon-bench-'));

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

// Each slice has a process of its own: by chance of memory and compilation, processes of the same server differ by more
// than the servers do.
async function measure(kind: string, route: string): Promise<Record<string, number>> {
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

try {
  const bare = 'node:http';
  const rows = await interleave(
    [
      { name: bare, measure: () => measure('node', '/answer/inline') },
      { name: 'tenon, inline route', peer: bare, measure: () => measure('tenon', '/answer/inline') },
      { name: 'tenon, pool route', peer: bare, measure: () => measure('tenon', '/answer/pool') },
      { name: 'fastify', peer: bare, measure: () => measure('fastify', '/answer/inline') },
      { name: 'express', peer: bare, measure: () => measure('express', '/answer/inline') },
    ],
    rounds,
  );
  report('http', rounds, rows, [
    `${generator}, 32 connections, ${seconds} s a slice${pinned ? ', servers on one core and load on another' : ''}`,
    'a ratio above 1 is better for requests/s, below 1 for CPU',
  ]);
} finally {
  await rm(folder, { recursive: true, force: true });
}
