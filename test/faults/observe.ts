/** Brings one fault about in one place, and says what came of it. */
import { setTimeout as pause } from 'node:timers/promises';
import type { CrashReport, Party } from '../../src/base/crash-report.js';
import { until } from '../load/world.js';
import type { FaultyHost, Published, Reply, Shown } from './faulty-host.js';
import { isRequested, type Kind, natureOf, orderOf, type Place } from './kinds.js';

/** Whether the right plugin and generation were named, were the first of several, or nobody or somebody else was. */
export type Attribution = 'named' | 'suspected' | 'unknown' | 'wrong';

export interface Observed {
  /** A word of `outcomes`, or the status that the request was answered with. */
  readonly outcome: string;
  /** Absent where the host did not end. */
  readonly attribution?: Attribution;
  /** What more there is to know, for whoever looks into it. */
  readonly detail: string;
}

export const outcomes: Readonly<Record<string, string>> = {
  refused: 'the trial refuses the build, none of its code runs in the host, and the build before goes on',
  fails: 'the host gives the build up while it comes up, and the build before goes on',
  'went back': 'the host ends and is there again with a build before; this one is not loaded again',
  restarted: 'the host ends and is there again, with the plugin',
  'crashes again': 'the next host ends by it, too, until there were too many crashes within the window',
  cut: 'the host goes on; the connection of that request ends without an answer',
  'put right': 'the host goes on; it was seen, told and put right',
  told: 'the host goes on; it was seen and told',
  counted: "the host goes on; the plugin's gauges show it",
  unseen: 'the host goes on, and there is nothing to see of it',
};

const plugin = 'fault';

/** Who it must be put down to. */
interface Guilty {
  readonly plugin: string;
  readonly generation: number | undefined;
  readonly sha256: string;
}

function isGuilty(party: Party | undefined, { plugin: guilty, generation, sha256 }: Guilty): boolean {
  if (party === undefined || party.plugin !== guilty || party.sha256 !== sha256) return false;
  return generation === undefined || party.generation === generation;
}

export function attributionOf({ verdict }: CrashReport, guilty: Guilty): Attribution {
  if (isGuilty(verdict.culprit, guilty)) return 'named';
  if (verdict.culprit !== undefined) return 'wrong';
  if (isGuilty(verdict.suspects[0], guilty)) return 'suspected';
  return verdict.suspects.some((party) => isGuilty(party, guilty)) || verdict.suspects.length === 0
    ? 'unknown'
    : 'wrong';
}

/** The build that answers in the end; undefined when hosts end again and again instead. */
async function serving(host: FaultyHost, known: readonly string[]): Promise<string | undefined> {
  let serial: string | undefined;
  await until('the plugin answers, or crashes again', async () => {
    serial = (await host.who(plugin))?.serial;
    return serial !== undefined || (await host.reports()).length > known.length + mostCrashes;
  });
  return serial;
}

interface Committed {
  readonly reply: Reply;
  readonly guilty: Guilty;
  /** The build that must not come up again; empty where it may. */
  readonly faulty: string;
  /** The one after it, which serves already when it goes wrong. */
  readonly next?: string;
}

async function generationOf(host: FaultyHost): Promise<number> {
  return (await host.who(plugin))?.generation ?? 0;
}

async function commit(host: FaultyHost, kind: Kind, place: Place): Promise<Committed> {
  const old = await host.renew(plugin);
  if (isRequested(place)) return request(host, kind, place, old);
  const faulty = await host.publish(plugin, (serial) => orderOf(kind, place, serial));
  const reply = await host.reload(plugin);
  if (place !== 'shutdown')
    return { reply, guilty: { plugin, generation: undefined, sha256: faulty.sha256 }, faulty: faulty.serial };
  if (reply.status !== 200) throw new Error(`the build was refused: ${reply.body}`);
  const generation = await generationOf(host);
  const { serial: next } = await host.publish(plugin);
  return { reply: await host.reload(plugin), guilty: { plugin, generation, sha256: faulty.sha256 }, faulty: '', next };
}

async function request(host: FaultyHost, kind: Kind, place: Place, { sha256 }: Published): Promise<Committed> {
  const guilty = { plugin, generation: await generationOf(host), sha256 };
  let target = `/${plugin}/${place}?kind=${kind}`;
  if (kind === 'unloaded') {
    target += `&at=${(await host.call('GET', `/${plugin}/address`)).body}`;
    await host.renew(plugin);
  }
  return { reply: await host.call('POST', target, 'a body'), guilty, faulty: '' };
}

/** What the host has to say of the plugin without having ended. */
function seenOf(shown: Shown | undefined): string {
  const caught = (shown?.warnings ?? []).filter((warning) => /\([a-z]+(?:, put right)?\)$/.test(warning));
  if (caught.length > 0) return caught.every((warning) => warning.endsWith(', put right)')) ? 'put right' : 'told';
  const { threads = 0, descriptors = 0, memory = 0 } = shown?.generations.at(-1)?.gauges ?? {};
  return threads >= 8 || descriptors >= 32 || memory >= 8 * 1024 * 1024 ? 'counted' : 'unseen';
}

/** Looks until there is something to see, also after another step in the life of a plugin: then it is looked whether all is as it was. */
async function lookAt(host: FaultyHost): Promise<Observed> {
  let detail = '';
  for (const look of ['now', 'after a step'] as const) {
    if (look === 'after a step') await host.renew(plugin);
    await pause(lookMs);
    const shown = await host.show(plugin);
    detail = JSON.stringify([shown?.warnings, shown?.generations.at(-1)?.gauges]);
    const outcome = seenOf(shown);
    if (outcome !== 'unseen') return { outcome, detail };
  }
  return { outcome: 'unseen', detail };
}

/** How long nothing must come, before it is believed that nothing will, ms. */
const settleMs = 500;
/** The same where the connection has ended: a host that stops is found by its heartbeat only. */
const lostMs = 8_000;
/** More than these are no chance. */
const mostCrashes = 3;
/** Notes and gauges are looked at once a second. */
const lookMs = 1_200;

/** What was answered with an error is over. */
function waitMs(place: Place, { status }: Reply): number {
  if (status === 'lost') return lostMs;
  return typeof status === 'number' && status >= 400 && place !== 'shutdown' ? 0 : settleMs;
}

export async function observe(host: FaultyHost, kind: Kind, place: Place): Promise<Observed> {
  const known = await host.reports();
  const { reply, guilty, faulty, next } = await commit(host, kind, place);
  let report = await host.reportAfter(known, waitMs(place, reply));
  if (report === undefined && (await host.call('GET', `/${plugin}/who`)).status === 'lost')
    report = await host.reportAfter(known);
  if (report !== undefined) {
    const serial = await serving(host, known);
    if (next !== undefined && serial !== next) throw new Error(`${serial} serves, and ${next} did`);
    const { verdict, kind: how, signal, action } = report;
    const comesBack = faulty === '' || serial === faulty ? 'restarted' : 'went back';
    return {
      outcome: serial === undefined ? 'crashes again' : comesBack,
      attribution: attributionOf(report, guilty),
      detail: `${how} ${signal ?? ''} ${action}: ${verdict.sentence} [${verdict.because.join('; ')}]`,
    };
  }
  const detail = `${reply.status} ${reply.body.slice(0, 200)}`;
  if (reply.status === 'lost') return { outcome: 'cut', detail };
  if (!isRequested(place) && reply.status !== 200)
    return { outcome: /"error":"Trial/.test(reply.body) ? 'refused' : 'fails', detail };
  if (Number(reply.status) >= 400) return { outcome: String(reply.status), detail };
  return lookAt(host);
}

/** Whether what comes next should have a process of its own. */
export function spoils(kind: Kind, { outcome, attribution }: Observed): boolean {
  if (outcome === 'crashes again') return true;
  return attribution === undefined && outcome !== 'refused' && natureOf(kind).spoils === true;
}
