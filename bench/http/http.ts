// What a plugin route costs beside a bare node:http server, Express and Fastify that give the same answer.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { interleave, numberFlag, report } from '../rounds.js';
import { generator, pinned, slice } from './slice.js';

const rounds = numberFlag('rounds', 10);
const seconds = numberFlag('seconds', 1);
const folder = await mkdtemp(path.join(tmpdir(), 'tenon-bench-'));

try {
  const bare = 'node:http';
  const measure = (kind: string, route: string): Promise<Record<string, number>> =>
    slice({ kind, route, folder, seconds });
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
