// What a call of a plugin in a process of its own costs, beside one in the host's and other ways to another process.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { compile } from '../call/compile.js';
import { serve } from '../call/core.js';
import { pinned, slice } from '../http/slice.js';
import { interleave, numberFlag, report } from '../rounds.js';
import { overGrpc, overSocket, timed } from './peers.js';

const quick = process.argv.includes('--quick');
const rounds = numberFlag('rounds', quick ? 1 : 9);
const seconds = numberFlag('seconds', 1);
const folder = await mkdtemp(path.join(tmpdir(), 'tenon-bench-'));

/** KiB of memory that is the process's own, and its share of what it has with others; `without` the mappings of a file. */
async function memoryOf(pid: number, without: string): Promise<number> {
  let counts = true;
  let sum = 0;
  for (const line of (await readFile(`/proc/${pid}/smaps`, 'latin1')).split('\n')) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) counts = !line.includes(without);
    const share = /^Pss:\s+(\d+) kB/.exec(line)?.[1];
    if (counts && share !== undefined) sum += Number(share);
  }
  return sum;
}

try {
  const { plugin, child } = await compile(folder);
  const here = await serve(plugin);
  const apart = await serve(plugin, true);
  const socket = await overSocket(child, folder);
  const grpc = await overGrpc();
  const calls = quick ? 200 : 3000;
  const each = (measure: (calls: number, inFlight: number) => Promise<number>) => async () => ({
    'µs, one at a time': (await measure(calls, 1)) / 1000,
    'µs, 16 in flight': (await measure(calls * 4, 16)) / 1000,
  });
  // what is compiled and begun at the first calls
  for (const one of [here.pool, apart.pool]) await one(1000, 16);
  const pool = 'pool call in the process of the host';
  const rows = await interleave(
    [
      { name: pool, measure: each(here.pool) },
      { name: 'isolated call', peer: pool, measure: each(apart.pool) },
      { name: 'C child over a unix socket', peer: pool, measure: each((count, many) => timed(socket, count, many)) },
      { name: 'gRPC over loopback', peer: pool, measure: each((count, many) => timed(grpc, count, many)) },
    ],
    rounds,
  );
  const notes = ['time per call; a ratio below 1 is faster than its peer'];
  if (process.platform === 'linux') {
    const memory = await memoryOf(apart.pid(), 'answer.so');
    notes.push(`memory of the runner beside its library: ${(memory / 1024).toFixed(2)} MiB`);
  }
  report('isolation', rounds, rows, notes);
  for (const one of [here, apart, socket, grpc]) await one.close();

  const inProcess = 'in the process of the host';
  const rates = await interleave(
    [
      { name: inProcess, measure: () => slice({ kind: 'tenon', route: '/answer/pool', folder, seconds }) },
      {
        name: 'isolated',
        peer: inProcess,
        measure: () => slice({ kind: 'isolated', route: '/answer/pool', folder, seconds }),
      },
    ],
    Math.ceil(rounds / 2),
  );
  report('isolation, HTTP', Math.ceil(rounds / 2), rates, [
    `a ratio above 1 is better for requests/s${pinned ? '; servers and their processes on one core, load on another' : ''}`,
  ]);
} finally {
  await rm(folder, { recursive: true, force: true });
}
