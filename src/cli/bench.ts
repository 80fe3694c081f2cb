/** `tenon bench reload`: what the reloads of an application cost on this machine, measured on a host and a copy of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { resolveSettings, type Settings } from '../base/config.js';
import { machineName } from '../base/machine-name.js';
import type { CreateHostOptions, PluginView, ReloadRecord } from '../index.js';
import { BenchClients, type Span, thinkMs } from './bench-clients.js';
import { type BenchAnswer, BenchProcess } from './bench-process.js';
import { type BenchReport, phaseRows, phaseSpreads, spreadOf, verdictOf } from './bench-report.js';
import { type BenchSubject, copySubject } from './bench-subject.js';
import { exitStatus } from './failure.js';
import { unlessInterrupted } from './interrupt.js';
import { readableMs } from './phases.js';
import { printTable } from './table.js';

export interface BenchFlags {
  rounds: string;
  clients: string;
  applications?: string;
  data?: string;
  json?: true;
}

const warmUps = 3;
const settleMs = 300;
const quietSpans = 20;
const quietLimitMs = 5000;
const mostRounds = 10_000;
const mostClients = 256;

function count(name: string, text: string, most: number): number {
  const number = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= most) return number;
  throw new TypeError(`option ${name}: ${JSON.stringify(text)} is not a whole number from 1 to ${most}`);
}

/** The exit status: 0 when nothing was lost and nothing stays behind. Rejects when there is nothing to measure. */
export async function benchReload(wanted: string | undefined, flags: BenchFlags): Promise<number> {
  const rounds = count('rounds', flags.rounds, mostRounds);
  const clients = count('clients', flags.clients, mostClients);
  const { settings } = resolveSettings({ flags: { applications: flags.applications, data: flags.data } });
  const [load = 0] = os.loadavg();
  return unlessInterrupted(async (signal) => {
    const place = await mkdtemp(path.join(os.tmpdir(), 'tenon-bench-'));
    try {
      const applications = path.join(place, 'applications');
      const subject = await copySubject(wanted, settings.applications, applications);
      process.stderr.write(`${subject.id}: ${rounds} rounds on a host of its own, with a copy in ${place}\n`);
      const options = optionsOf(settings, { applications, data: path.join(place, 'data') });
      const host = await BenchProcess.start({ plugin: subject.id, options }, signal);
      try {
        const report = await measure(subject, host, { rounds, clients, load, signal });
        if (flags.json === true) process.stdout.write(`${JSON.stringify(report)}\n`);
        else print(report);
        return report.verdict.ok ? 0 : exitStatus.refused;
      } finally {
        await host.close();
      }
    } finally {
      await rm(place, { recursive: true, force: true });
    }
  });
}

/** As the user's host is set, but for what it would share with others. */
function optionsOf(settings: Settings, places: { applications: string; data: string }): CreateHostOptions {
  const own: CreateHostOptions = {
    ...places,
    host: '127.0.0.1',
    port: 0,
    adminPort: '',
    adminSocket: '',
    tlsCertificate: '',
    tlsKey: '',
    registry: false,
    hotReload: false,
    localSignatures: 'off',
    keepStaged: false,
    shutdownDelayMs: 0,
    secrets: path.resolve(settings.secrets || path.join(settings.data, 'secrets')),
  };
  // A setting that is an empty text was not given.
  return Object.fromEntries(Object.entries({ ...settings, ...own }).filter(([, value]) => value !== ''));
}

/** A route that clients can ask for as it is; else one with something in the place of its parameters. */
function routeOf({ routes }: PluginView): string {
  const paths = routes
    .filter(({ method, execution }) => method === 'GET' && execution !== 'table' && execution !== 'file')
    .map((route) => route.path);
  const [first] = paths;
  return paths.find((each) => !/[:*]/.test(each)) ?? first?.replaceAll(/[:*]\w*/g, '1') ?? '/livez';
}

interface Wanted {
  rounds: number;
  clients: number;
  /** Of the machine, before anything was begun. */
  load: number;
  signal: AbortSignal;
}

interface Round extends Span {
  answer: BenchAnswer;
}

async function measure(
  subject: BenchSubject,
  host: BenchProcess,
  { rounds, clients: number, load, signal }: Wanted,
): Promise<BenchReport> {
  const processors = os.availableParallelism();
  const route = routeOf(host.view);
  const clients = new BenchClients(new URL(route, host.url).href, number);
  const changed: Round[] = [];
  const unchanged: Round[] = [];
  const reload = async (): Promise<Round> => {
    const from = performance.now();
    const answer = await host.reload(signal);
    return { answer, from, to: performance.now() };
  };
  try {
    const status = await clients.begin(number);
    const warm: number[] = [];
    for (let round = 0; round < warmUps; round++) {
      await subject.touch(-1 - round);
      const { from, to } = await reload();
      warm.push(to - from);
    }
    await wait(settleMs, undefined, { signal });
    clients.forget();
    const quiet = await quietly(clients, spreadOf(warm).p50, signal);
    const before = await host.facts(signal);
    for (let round = 0; round < rounds; round++) {
      if (process.stderr.isTTY) process.stderr.write(`\rround ${round + 1} of ${rounds} `);
      unchanged.push(await reload());
      await subject.touch(round);
      changed.push(await reload());
    }
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    await wait(settleMs, undefined, { signal });
    await clients.stop();
    const after = await host.facts(signal);
    const all = [...unchanged, ...changed];
    const failed = all.filter(({ answer }) => answer.record === undefined || answer.record.outcome !== 'succeeded');
    const facts = {
      plugin: subject.id,
      measured: {
        kind: subject.kind,
        change: subject.change,
        rounds,
        clients: number,
        thinkMs,
        route: `GET ${route}`,
        status,
      },
      machine: {
        name: machineName,
        node: process.version,
        processors,
        load: Math.round(load * 100) / 100,
        busy: load > processors / 2,
      },
      changed: phaseSpreads(recordsOf(changed)),
      unchanged: phaseSpreads(recordsOf(unchanged)),
      reloads: { asked: all.length, failed: failed.length, failures: whyFailed(failed) },
      clients: {
        requests: clients.requests,
        failed: clients.failed,
        failures: clients.failures,
        answer: spreadOf(clients.times),
        pause: spreadOf(changed.map((span) => clients.longestIn(span))),
        quiet,
      },
      memory: { beforeBytes: before.residentBytes, afterBytes: after.residentBytes, pinned: after.pinned },
    };
    return { ...facts, verdict: verdictOf(facts) };
  } finally {
    await clients.stop();
  }
}

/** Spans without a reload, as long as a reload. */
async function quietly(
  clients: BenchClients,
  spanMs: number,
  signal: AbortSignal,
): Promise<ReturnType<typeof spreadOf>> {
  const many = Math.max(3, Math.min(quietSpans, Math.floor(quietLimitMs / spanMs)));
  const longest: number[] = [];
  for (let each = 0; each < many; each++) {
    const from = performance.now();
    await wait(spanMs, undefined, { signal });
    longest.push(clients.longestIn({ from, to: performance.now() }));
  }
  return spreadOf(longest);
}

function recordsOf(rounds: readonly Round[]): ReloadRecord[] {
  return rounds.flatMap(({ answer: { record } }) => (record?.outcome === 'succeeded' ? [record] : []));
}

function whyFailed(rounds: readonly Round[]): string[] {
  const sentences = rounds.map(({ answer }) => answer.failed ?? answer.record?.error?.message ?? 'it was rolled back');
  return [...new Set(sentences)].slice(0, 3);
}

function print(report: BenchReport): void {
  const { plugin, measured, machine, clients, verdict } = report;
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  say(`${plugin}: ${measured.rounds} reloads of a changed build (${measured.change}), and as many of an unchanged one`);
  say(
    `${measured.clients} clients, GET ${measured.route.slice(4)} (${measured.status}) every ${measured.thinkMs} ms; ${machine.name}, Node.js ${machine.node}, ${machine.processors} processors, load ${machine.load}`,
  );
  say('');
  printTable(phaseRows(report));
  say('');
  const spread = ({ p50, p95, p99, max }: BenchReport['clients']['answer']): string =>
    `p50 ${readableMs(p50)}, p95 ${readableMs(p95)}, p99 ${readableMs(p99)}, max ${readableMs(max)}`;
  printTable([
    ['answers', spread(clients.answer)],
    ['longest in a reload', spread(clients.pause)],
    ['longest without one', spread(clients.quiet)],
  ]);
  say('');
  say(verdict.ok ? 'Good.' : 'Not good.');
  for (const sentence of verdict.sentences) say(`  ${sentence}`);
}
