// What a call into native code costs: from C, through the core's pipeline, and through koffi alone.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import koffi from 'koffi';
import { interleave, numberFlag, report } from '../rounds.js';
import { compile } from './compile.js';
import { serve } from './core.js';

const rounds = numberFlag('rounds', 15);
const folder = await mkdtemp(path.join(tmpdir(), 'tenon-bench-'));

try {
  const { plugin, peer, direct } = await compile(folder);
  const answering = await serve(plugin);
  const library = koffi.load(peer);
  const answer = library.func('int64_t peer_answer(const char *, size_t, char *, size_t)');
  const request = Buffer.alloc(64, 'request');

  const koffiCall = (calls: number): number => {
    const response = Buffer.alloc(64);
    const begin = process.hrtime.bigint();
    for (let call = 0; call < calls; call++) answer(request, 64, response, 64);
    return Number(process.hrtime.bigint() - begin) / calls;
  };

  const koffiAsync = (calls: number, inFlight: number): Promise<number> =>
    new Promise((resolve, reject) => {
      const response = Buffer.alloc(64);
      let started = 0;
      let ended = 0;
      const start = (): void => {
        started++;
        answer.async(request, 64, response, 64, (error: Error | null) => {
          if (error) reject(error);
          else if (++ended === calls) resolve(Number(process.hrtime.bigint() - begin) / calls);
          else if (started < calls) start();
        });
      };
      const begin = process.hrtime.bigint();
      while (started < inFlight) start();
    });

  const timed = (measure: () => number | Promise<number>) => async () => ({ 'ns/call': await measure() });
  const directly = async (): Promise<number> => Number((await promisify(execFile)(direct, [peer, '20000000'])).stdout);

  const rows = await interleave(
    [
      { name: 'C, direct', measure: timed(directly) },
      { name: 'koffi', peer: 'C, direct', measure: timed(() => koffiCall(500_000)) },
      { name: 'core, inline route', peer: 'koffi', measure: timed(() => answering.inline(500_000)) },
      { name: 'koffi async, 1 in flight', measure: timed(() => koffiAsync(3000, 1)) },
      {
        name: 'core, pool route, 1 in flight',
        peer: 'koffi async, 1 in flight',
        measure: timed(() => answering.pool(3000, 1)),
      },
      { name: 'koffi async, 16 in flight', measure: timed(() => koffiAsync(20_000, 16)) },
      {
        name: 'core, pool route, 16 in flight',
        peer: 'koffi async, 16 in flight',
        measure: timed(() => answering.pool(20_000, 16)),
      },
    ],
    rounds,
  );
  report('call', rounds, rows, ['time per call; a ratio below 1 is faster than its peer']);
  await answering.close();
  library.unload();
} finally {
  await rm(folder, { recursive: true, force: true });
}
