// How soon somebody is answered again when a plugin has ended the host, and what it costs to be ready for that.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FaultyHost } from '../../test/faults/faulty-host.js';
import { Load } from '../../test/faults/load.js';
import { percentile, stormSettings } from '../../test/faults/storm.js';
import { until } from '../../test/load/world.js';
import { compile } from '../call/compile.js';
import { type Case, interleave, numberFlag, report } from '../rounds.js';

const quick = process.argv.includes('--quick');
const rounds = numberFlag('rounds', quick ? 1 : 5);
const crashes = numberFlag('crashes', quick ? 1 : 10);
const callRounds = numberFlag('call-rounds', quick ? 1 : 15);
const plugins = ['first', 'second', 'third'];

interface Ends {
  readonly kind: string;
  readonly place: string;
}

/** One host that crashes again and again under 16 clients of the plugins that did not. */
async function gaps(settings: string, { kind, place }: Ends): Promise<Record<string, number>> {
  const host = await FaultyHost.start(plugins, settings);
  const load = new Load({
    url: host.url,
    count: 16,
    path: (client) => `/${client % 2 === 0 ? 'second' : 'third'}/who`,
    restMs: 5,
  });
  const times: number[] = [];
  let lost = 0;
  try {
    for (let crash = 0; crash < crashes; crash++) {
      const known = await host.reports();
      if (!settings.includes('standby: false')) await until('a second process stands by', () => host.standsBy());
      load.mark();
      await host.call('POST', `/first/${place}?kind=${kind}`);
      if ((await host.reportAfter(known)) === undefined) throw new Error(`no crash: ${host.said}`);
      await until('somebody is answered', () => load.lost > 0 && load.hasRecovered);
      const { gapMs, losses } = load.seen();
      if (losses.some((loss) => loss.kind !== 'lost')) throw new Error(`${losses[0]?.kind} ${losses[0]?.detail}`);
      times.push(gapMs ?? Number.NaN);
      lost += losses.length;
    }
  } finally {
    await load.stop();
    await host.close();
  }
  return { 'gap p50 ms': percentile(times, 50), 'gap p95 ms': percentile(times, 95), lost: lost / crashes };
}

const noStandby = stormSettings.replace('crashes:\n', 'crashes:\n  standby: false\n');
const cases: Case[] = [
  {
    name: 'a process that begins then, SIGSEGV',
    measure: () => gaps(noStandby, { kind: 'null-write', place: 'pool' }),
  },
  ...[
    ['SIGSEGV on the pool', 'null-write', 'pool'],
    ['SIGSEGV on the event loop', 'null-write', 'inline'],
    ['stack overflow', 'recursion', 'pool'],
    ['abort of glibc', 'double-free', 'own'],
    ['exit(0)', 'exit-0', 'pool'],
    ['SIGKILL', 'kill', 'pool'],
  ].map(([name = '', kind = '', place = '']) => ({
    name,
    peer: 'a process that begins then, SIGSEGV',
    measure: () => gaps(stormSettings, { kind, place }),
  })),
];
report('crash', rounds, await interleave(cases, rounds), [
  'from the first connection that ended to the first answer of a request that began afterwards; lost: requests for each crash',
]);

const folder = await mkdtemp(path.join(tmpdir(), 'tenon-bench-'));
try {
  const { plugin } = await compile(folder);
  const calls = path.join(path.dirname(fileURLToPath(import.meta.url)), 'calls.ts');
  const measure = async (box: string): Promise<Record<string, number>> => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', calls, plugin, box]);
    return JSON.parse(stdout) as Record<string, number>;
  };
  const costs: Case[] = [
    { name: 'no black box', measure: () => measure('none') },
    { name: 'black box', peer: 'no black box', measure: () => measure('box') },
  ];
  report('crash', callRounds, await interleave(costs, callRounds), ['time per call']);
} finally {
  await rm(folder, { recursive: true, force: true });
}
