// How soon three hosts do what somebody writes into their registry, beside a bare client that listens.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { PostgresServer } from '../../test/registry/postgres.js';
import { numberFlag, report, type Row } from '../rounds.js';
import { Fleet, told } from './fleet.js';

const hosts = 3;
const rounds = numberFlag('rounds', 50);
const listening = 'LISTEN alone';

interface Edit {
  name: string;
  sql: string;
  done: (fleet: Fleet) => Promise<void>;
}

/** Milliseconds from the beginning of the statement: until a client was notified, all hosts did it, and all had said so. */
interface Times {
  notified: number;
  done: number;
  told: number;
}

const edits = (round: number, generation: number): Edit[] => [
  {
    name: 'config',
    sql: `UPDATE plugins SET config = '{"round": ${round}}'`,
    done: (fleet) => fleet.serves((body) => body?.endsWith(`{"round":${round}}`) === true),
  },
  {
    name: 'reload_at',
    sql: 'UPDATE plugins SET reload_at = clock_timestamp()',
    done: (fleet) => fleet.shows((shown) => (shown.generation ?? 0) > generation),
  },
  {
    name: 'version, another one',
    sql: `UPDATE plugins SET version = '1.0.0', pinned = true`,
    done: (fleet) => fleet.serves((body) => body?.startsWith('1.0.0\n') === true),
  },
  {
    name: 'pinned, none any more',
    sql: 'UPDATE plugins SET pinned = false',
    done: (fleet) => fleet.serves((body) => body?.startsWith('2.0.0\n') === true),
  },
  {
    name: 'status disabled',
    sql: `UPDATE plugins SET status = 'disabled'`,
    done: (fleet) => fleet.serves((body) => body === undefined),
  },
  {
    name: 'status active',
    sql: `UPDATE plugins SET status = 'active'`,
    done: (fleet) => fleet.serves((body) => body !== undefined),
  },
  { name: 'DELETE', sql: 'DELETE FROM plugins', done: (fleet) => fleet.serves((body) => body === undefined) },
  {
    name: 'INSERT',
    sql: `INSERT INTO plugins (name, source_path) VALUES ('steered', 'steered')`,
    done: (fleet) => fleet.serves((body) => body !== undefined),
  },
];

function quantile(values: number[], share: number): number {
  return values.toSorted((one, other) => one - other)[Math.floor(share * (values.length - 1))] ?? Number.NaN;
}

function valuesOf(times: Times[]): Record<string, number> {
  const [all, said] = [times.map(({ done }) => done), times.map((each) => each.told)];
  return {
    p50: quantile(all, 0.5),
    p95: quantile(all, 0.95),
    'told p50': quantile(said, 0.5),
    'told p95': quantile(said, 0.95),
  };
}

/** Keys of all of them are alike. */
function rowOf(name: string, times: Times[]): Row {
  const bare = valuesOf(times.map(({ notified }) => ({ notified, done: notified, told: notified })));
  const values = valuesOf(times);
  const ratios = Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, value / (bare[key] ?? Number.NaN)]),
  );
  return { name, peer: listening, values, ratios };
}

const folder = await mkdtemp(path.join(tmpdir(), 'tenon-bench-'));
const server = await PostgresServer.start();
const url = await server.database();
const [writer, reader, listener] = [1, 2, 3].map(() => new Client({ connectionString: url })) as [
  Client,
  Client,
  Client,
];
let fleet: Fleet | undefined;
try {
  for (const client of [writer, reader, listener]) await client.connect();
  fleet = await Fleet.start(folder, url, hosts);
  await listener.query('LISTEN plugin_changes');
  await told(reader, hosts);

  const measure = async (edit: Edit, all: Fleet): Promise<Times> => {
    const begin = performance.now();
    const since = (): number => performance.now() - begin;
    const notified = new Promise<number>((resolve) => {
      listener.once('notification', () => resolve(since()));
    });
    await writer.query(edit.sql);
    const [done, said] = await Promise.all([edit.done(all).then(since), told(reader, hosts).then(since)]);
    return { notified: await notified, done, told: Math.max(done, said) };
  };

  const measured = new Map<string, Times[]>();
  for (let round = 0; round < rounds; round++) {
    for (const edit of edits(round, await fleet.generation())) {
      const times = measured.get(edit.name) ?? [];
      measured.set(edit.name, times);
      times.push(await measure(edit, fleet));
    }
    process.stderr.write(`round ${round + 1} of ${rounds}\n`);
  }
  const every = [...measured.values()].flat().map(({ notified }) => ({ notified, done: notified, told: notified }));
  const alone: Row = { name: listening, peer: undefined, values: valuesOf(every), ratios: {} };
  const rows = [alone, ...[...measured].map(([name, times]) => rowOf(name, times))];
  const slow = [...measured.values()].flat().filter((each) => each.told > 1000).length;
  report('registry', rounds, rows, [
    `ms, ${hosts} hosts, ${rounds} edits of each kind; told: until hosts.plugins says so`,
    `${slow} of ${every.length} edits took more than 1 s until all had said so`,
  ]);
} finally {
  await fleet?.close();
  for (const client of [writer, reader, listener]) await client.end();
  await server.dispose();
  await rm(folder, { recursive: true, force: true });
}
