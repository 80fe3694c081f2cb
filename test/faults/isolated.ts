/** Brings faults about in plugins that run in processes of their own, and says what came of each. */
import { setTimeout as pause } from 'node:timers/promises';
import { until, type World } from '../load/world.js';
import { FaultyHost, type Reply } from './faulty-host.js';
import { type HostileKind, hostileKinds, hostileNames, isOfThread } from './hostile-kinds.js';
import { type Kind, kindNames, kinds, natureOf } from './kinds.js';
import { isAlive, runnersOf } from '../load/runners.js';

/** Where it goes wrong: under a request, or on a thread of the plugin's own when the request is over. */
export const isolatedPlaces = ['pool', 'own'] as const;
export type IsolatedPlace = (typeof isolatedPlaces)[number];

/** One way to go wrong: in the library `fault`, which other plugins in the host may have too, or in `hostile`. */
export type IsolatedFault =
  | { readonly plugin: 'fault'; readonly kind: Kind }
  | { readonly plugin: 'hostile'; readonly kind: HostileKind };

/** One needs two generations in one process; how long the other takes depends on the machine. */
const impossibleApart: readonly Kind[] = ['unloaded', 'allocate-2-gb'];

export const isolatedFaults: readonly IsolatedFault[] = [
  ...kindNames.filter((kind) => !impossibleApart.includes(kind)).map((kind) => ({ plugin: 'fault' as const, kind })),
  ...hostileNames.map((kind) => ({ plugin: 'hostile' as const, kind })),
];

export function titleOf(fault: IsolatedFault): string {
  return fault.plugin === 'fault' ? kinds[fault.kind].title : hostileKinds[fault.kind];
}

export function isPossibleApart(fault: IsolatedFault, place: IsolatedPlace): boolean {
  if (place === 'pool') return true;
  return fault.plugin === 'fault' ? natureOf(fault.kind).answers === undefined : isOfThread(fault.kind);
}

export const isolatedOutcomes: Readonly<Record<string, string>> = {
  'another process': 'its process ends, a request in it is answered with 502, and another process takes its place',
  killed:
    'the request is answered with 504 at its deadline; the process is killed after the grace, and another takes its place',
  denied: 'the system does not let it',
  unseen: 'the process goes on, and there is nothing to see of it',
};

/** What came of a fault. */
export interface Apart {
  /** A word of `isolatedOutcomes`, or the status that the request was answered with while the process went on. */
  readonly outcome: string;
  /** From the end of the process to the first good answer, ms; absent where none ended. */
  readonly backMs?: number;
  readonly detail: string;
}

/** Settings under which nothing is quarantined, however many processes end, and hangs are soon over. */
export const isolatedSettings = `registry:
  enabled: false
hotReload:
  enabled: false
probation:
  ms: 0
log:
  level: warn
crashes:
  standby: false
  limit: 100
  windowMs: 1000
limits:
  lifecycleMs: 5000
  drainMs: 500
`;

/** Plugins that do no wrong: one in the host, one in a process of its own. */
export const others = ['other', 'apart'] as const;

/** After the deadline of a call, ms. */
const graceMs = 500;

/** Has the plugins of a host run in processes of their own, with little memory. */
export async function keptApart(world: World): Promise<void> {
  for (const id of ['fault', 'hostile', 'apart'])
    await world.write(
      id,
      'config.yaml',
      `app_id: ${id}\nisolation: { mode: process, memory: 268435456, graceMs: ${graceMs} }\n`,
    );
}

export function startApart(): Promise<FaultyHost> {
  return FaultyHost.start(['fault', 'hostile', ...others], isolatedSettings, keptApart);
}

/** The one process that has the plugin `id`. */
export async function processOf(host: FaultyHost, id: string): Promise<number> {
  let found: number[] = [];
  const serving = await host.serving();
  await until(`${id} has its process`, () => {
    found = runnersOf(serving, id);
    return found.length === 1;
  });
  return found[0] ?? 0;
}

/** How long nothing must come, before it is believed that nothing will, ms. */
const settleMs = 400;
/** How long is waited for what must come, ms. */
const lateMs = 20_000;
const lookMs = 1;

/** When process `pid` was seen to be gone, as `performance.now()`; undefined when `isOver` came first. */
async function endOf(pid: number, isOver: () => boolean): Promise<number | undefined> {
  for (;;) {
    if (!isAlive(pid)) return performance.now();
    if (isOver()) return undefined;
    await pause(lookMs);
  }
}

/** Bring it about in a plugin that is well, and wait until that is well again. */
export async function strikeApart(host: FaultyHost, fault: IsolatedFault, place: IsolatedPlace): Promise<Apart> {
  const { plugin, kind } = fault;
  const pid = await processOf(host, plugin);
  let limit = Number.POSITIVE_INFINITY;
  const ended = endOf(pid, () => performance.now() > limit);
  const reply = await host.call('POST', `/${plugin}/${place}?kind=${kind}`, 'a body');
  const answered = performance.now();
  limit = answered + (isOfItsEnd(reply) ? lateMs : waitMs(reply));
  let gone = await ended;
  const detail = `${reply.status} ${reply.body.slice(0, 200)}`;
  // What was broken before may be found when it is used next only, also by a request that the next process answers.
  limit = Number.POSITIVE_INFINITY;
  const later = gone === undefined ? endOf(pid, () => performance.now() > limit) : undefined;
  const isWell = (await host.who(plugin)) !== undefined;
  let back = performance.now();
  limit = back;
  gone ??= await later;
  if (!isWell) {
    limit = back + lateMs;
    gone ??= await endOf(pid, () => performance.now() > limit);
    await isBack(host, plugin, `${plugin} is well after ${kind} at ${place}`);
    back = performance.now();
  }
  if (gone === undefined) return { outcome: withoutEnd(reply), detail };
  return { outcome: reply.status === 504 ? 'killed' : 'another process', backMs: back - gone, detail };
}

async function isBack(host: FaultyHost, plugin: string, what: string): Promise<void> {
  await until(what, async () => (await host.who(plugin)) !== undefined, lateMs).catch(async (cause: unknown) => {
    const { status, body } = await host.call('GET', `/${plugin}/who`);
    throw new Error(`${what}: ${status} ${body}; ${host.said.slice(-4000)}`, { cause });
  });
}

/** Whether the answer tells of an end of the process, which then is there or comes. */
function isOfItsEnd({ status, body }: Reply): boolean {
  return status === 502 && body.includes('its process ended');
}

/** A deadline that has passed is followed by the end of the grace. */
function waitMs({ status }: Reply): number {
  return status === 504 ? graceMs + settleMs : settleMs;
}

function withoutEnd({ status }: Reply): string {
  if (status === 403) return 'denied';
  return status === 200 || status === 202 ? 'unseen' : String(status);
}
