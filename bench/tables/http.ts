// What a record costs over HTTP, beside an answer of a plugin that never changes and beside graphql-http on the same store.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chooseLoad } from '../http/load.js';
import { interleave, numberFlag, report } from '../rounds.js';
import { recordOf } from './peers.js';

const quick = process.argv.includes('--quick');
const rounds = numberFlag('rounds', quick ? 1 : 7);
const seconds = numberFlag('seconds', 1);
const records = 10_000;
const batch = 1000;
const serverFile = path.join(path.dirname(fileURLToPath(import.meta.url)), 'server.ts');
const pinned = availableParallelism() > 1 && spawnSync('taskset', ['--version']).error === undefined;
const { name: generator, load } = chooseLoad(pinned ? ['taskset', '-c', '1'] : []);

type Kind = 'tenon' | 'graphql-http';

async function next(server: ChildProcess, ended: AbortSignal): Promise<number> {
  const [message] = (await once(server, 'message', { signal: ended })) as [unknown];
  return Number(message);
}

/** Run `task` with a server in a process of its own: its address, and the processor time it has used, µs. */
async function withServer<T>(
  kind: Kind,
  folder: string,
  task: (origin: string, used: () => Promise<number>) => Promise<T>,
): Promise<T> {
  const own = [process.execPath, '--import', 'tsx', serverFile, kind, folder];
  const server = spawn(pinned ? 'taskset' : process.execPath, pinned ? ['-c', '0', ...own] : own.slice(1), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, NODE_ENV: 'production' },
  });
  const end = new AbortController();
  const exit = once(server, 'exit').then(() => end.abort());
  try {
    const origin = `http://127.0.0.1:${await next(server, end.signal)}`;
    return await task(origin, () => {
      server.send('time');
      return next(server, end.signal);
    });
  } finally {
    if (server.connected) server.disconnect();
    await exit;
  }
}

async function fill(origin: string): Promise<void> {
  const headers = { 'content-type': 'application/x-ndjson', prefer: 'return=minimal' };
  for (let first = 0; first < records; first += batch) {
    const body = Array.from({ length: batch }, (_, place) => recordOf(first + place).json).join('\n');
    const response = await fetch(`${origin}/records/Item?mode=upsert`, { method: 'POST', headers, body });
    if (!response.ok) throw new Error(`the records were not taken: ${response.status} ${await response.text()}`);
  }
}

const { key, json } = recordOf(42);
const query = encodeURIComponent(`{item(id:"${key}"){id title rank}}`);

/** Each case: path of the request, and what its answer has to hold. */
const paths = {
  constant: ['/records/constant', json],
  rest: [`/records/Item/${key}`, json],
  graphql: [`/records/graphql?query=${query}`, '"title":"Something that 00000042 has to do"'],
} as const;

function measure(kind: Kind, which: keyof typeof paths, folder: string): Promise<Record<string, number>> {
  const [target, expected] = paths[which];
  return withServer(kind, folder, async (origin, used) => {
    const url = kind === 'tenon' ? origin + target : origin + target.replace('/records', '');
    const text = await (await fetch(url)).text();
    if (!text.includes(expected)) throw new Error(`${url} gave ${text}`);
    await load(url, seconds); // compiled and warm
    const before = await used();
    const begin = performance.now();
    const answered = await load(url, seconds);
    const elapsed = performance.now() - begin;
    return { 'requests/s': (answered * 1000) / elapsed, 'µs CPU/request': ((await used()) - before) / answered };
  });
}

const folder = await mkdtemp(path.join(tmpdir(), 'tenon-bench-'));
try {
  await withServer('tenon', folder, fill);
  const constant = 'plugin, constant inline route';
  const peer = 'graphql-http, record by id';
  const rows = await interleave(
    [
      { name: constant, measure: () => measure('tenon', 'constant', folder) },
      { name: 'REST, record by id', peer: constant, measure: () => measure('tenon', 'rest', folder) },
      { name: peer, measure: () => measure('graphql-http', 'graphql', folder) },
      { name: 'GraphQL, record by id', peer, measure: () => measure('tenon', 'graphql', folder) },
    ],
    rounds,
  );
  report('tables over HTTP', rounds, rows, [
    `${generator}, 32 connections, ${seconds} s a slice${pinned ? ', servers on one core and load on another' : ''}`,
    'a ratio above 1 is better for requests/s, below 1 for CPU',
  ]);
} finally {
  await rm(folder, { recursive: true, force: true });
}
