/** Fault after fault, in plugins of three that are loaded again in between, under clients that call all the others. */
import { until } from '../load/world.js';
import { FaultyHost, type Who } from './faulty-host.js';
import { type Kind, kindNames, natureOf } from './kinds.js';
import { Load, type Loss } from './load.js';
import { type Attribution, attributionOf } from './observe.js';
import type { Random } from '../tables/random.js';

const plugins = ['first', 'second', 'third'] as const;
const requestPlaces = ['inline', 'pool', 'own'] as const;
const clients = 16;

export interface StormFault {
  readonly plugin: string;
  readonly kind: Kind;
  readonly place: string;
  readonly attribution: Attribution;
  readonly gapMs: number;
  readonly losses: readonly Loss[];
  /** Of one that was not named rightly: what was said. */
  readonly said: string;
}

export interface StormReport {
  readonly faults: readonly StormFault[];
  readonly answered: number;
}

/** Settings under which nothing is quarantined, however many crash. */
export const stormSettings = `registry:
  enabled: false
hotReload:
  enabled: false
probation:
  ms: 0
log:
  level: warn
crashes:
  limit: 100
  windowMs: 1000
  hangMs: 2000
  reports: 2000
limits:
  drainMs: 1000
`;

/** Kinds that end the process at once. */
export const directKinds = kindNames.filter((kind) => natureOf(kind).direct === true);

/** @param count faults, one after the other, each when a second process stands by again */
export async function storm(count: number, random: Random): Promise<StormReport> {
  const host = await FaultyHost.start(plugins, stormSettings);
  const load = new Load({
    url: host.url,
    count: clients,
    path: (client, turn) => `/${plugins[(client + turn) % plugins.length] ?? ''}/${turn % 8 === 0 ? 'slow' : 'who'}`,
    restMs: 5,
  });
  const builds = new Map<string, string>();
  const faults: StormFault[] = [];
  try {
    for (let turn = 0; turn < count; turn++) {
      const plugin = random.one(plugins);
      if (random.below(3) === 0 || !builds.has(plugin)) {
        const { sha256 } = await host.renew(plugin);
        builds.set(plugin, sha256);
      }
      await until('a second process stands by', () => host.standsBy());
      faults.push(await strike(host, load, plugin, builds.get(plugin) ?? '', random));
    }
    await load.stop();
    return { faults, answered: load.answered };
  } finally {
    await load.stop();
    await host.close();
  }
}

async function strike(
  host: FaultyHost,
  load: Load,
  plugin: string,
  sha256: string,
  random: Random,
): Promise<StormFault> {
  const kind = random.one(directKinds);
  const place = random.one(requestPlaces);
  const known = await host.reports();
  const who: Who | undefined = await host.who(plugin);
  load.mark();
  const { status, body } = await host.call('POST', `/${plugin}/${place}?kind=${kind}`);
  if (status !== 'lost' && status !== 202) throw new Error(`${kind} at ${place}: answered ${status} ${body}`);
  const report = await host.reportAfter(known);
  if (report === undefined) throw new Error(`${kind} at ${place}: nothing was reported; it said ${host.said}`);
  await until('clients are answered again', () => load.hasRecovered && load.lost > 0);
  const { losses, gapMs = Number.NaN } = load.seen();
  const attribution = attributionOf(report, { plugin, generation: who?.generation, sha256 });
  const party = report.verdict.culprit ?? report.verdict.suspects[0];
  const said = `${plugin} ${who?.generation}: ${report.kind} ${report.signal ?? ''}, ${report.verdict.sentence} (${party?.plugin} ${party?.generation}) [${report.verdict.because.join('; ')}] ${report.gaps.join('; ')}`;
  return { plugin, kind, place, attribution, gapMs, losses, said };
}

/** By the nearest rank. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN;
}
