/** Fault after fault in plugins with processes of their own, under clients that call all the others. */
import type { Random } from '../tables/random.js';
import {
  type Apart,
  type IsolatedFault,
  isolatedFaults,
  type IsolatedPlace,
  isolatedPlaces,
  isPossibleApart,
  others,
  startApart,
  strikeApart,
} from './isolated.js';
import { natureOf } from './kinds.js';
import { Load, type Loss } from './load.js';
import { percentile } from './storm.js';

const clients = 8;
/** The first two ends of a generation are followed by another process at once. */
const atOnce = 2;

export interface ApartFault extends Apart {
  readonly fault: IsolatedFault;
  readonly place: IsolatedPlace;
}

export interface ApartReport {
  readonly faults: readonly ApartFault[];
  /** Requests to other plugins. */
  readonly answered: number;
  readonly losses: readonly Loss[];
  /** The process of the host, before and after. */
  readonly hosts: readonly [number, number];
}

/** Kinds that need a deadline to be over take long: each of them once is enough. */
function isQuick(fault: IsolatedFault): boolean {
  return fault.plugin === 'fault' && natureOf(fault.kind).direct === true;
}

/** Each of all once, in any order, and quick ones after them. */
function drawn(count: number, random: Random): [IsolatedFault, IsolatedPlace][] {
  const all = isolatedFaults.map((fault) => ({ fault, at: random.below(2 ** 30) }));
  const first = all.toSorted((one, other) => one.at - other.at).map(({ fault }) => fault);
  const quick = isolatedFaults.filter(isQuick);
  return Array.from({ length: count }, (_, turn) => {
    const fault = first[turn] ?? random.one(quick);
    // What does not end on a thread of its own would take a processor for the rest of the time.
    const places = isolatedPlaces.filter(
      (place) => isPossibleApart(fault, place) && (place === 'pool' || isQuick(fault)),
    );
    return [fault, random.one(places)];
  });
}

export async function stormApart(count: number, random: Random): Promise<ApartReport> {
  const host = await startApart();
  const load = new Load({
    url: host.url,
    count: clients,
    path: (client, turn) => `/${others[(client + turn) % others.length] ?? ''}/${turn % 8 === 0 ? 'slow' : 'who'}`,
    restMs: 5,
  });
  const faults: ApartFault[] = [];
  const ends = new Map<string, number>();
  try {
    const before = await host.serving();
    for (const [fault, place] of drawn(count, random)) {
      // Also after what leaves something behind in its process.
      if ((ends.get(fault.plugin) ?? 0) >= atOnce) {
        await host.renew(fault.plugin);
        ends.set(fault.plugin, 0);
      }
      const apart = await strikeApart(host, fault, place);
      faults.push({ fault, place, ...apart });
      ends.set(fault.plugin, apart.backMs === undefined ? atOnce : (ends.get(fault.plugin) ?? 0) + 1);
    }
    await load.stop();
    return { faults, answered: load.answered, losses: load.seen().losses, hosts: [before, await host.serving()] };
  } finally {
    await load.stop();
    await host.close();
  }
}

/** From the end of each process to the first good answer of the next one, ms. */
export function timesBack({ faults }: ApartReport): number[] {
  return faults.flatMap(({ backMs }) => (backMs === undefined ? [] : [backMs]));
}

/** A line for people. */
export function tellOf(report: ApartReport): string {
  const times = timesBack(report);
  const at = (percent: number): string => percentile(times, percent).toFixed(1);
  return (
    `${report.faults.length} faults, ${times.length} ends of a process; back after p50 ${at(50)} ms, p95 ${at(95)} ms, longest ${at(100)} ms; ` +
    `${report.answered} answered by others, ${report.losses.length} lost`
  );
}
