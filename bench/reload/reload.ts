// What a reload costs, and what clients see of it, beside a loop in C that only opens and closes, the same loop through
// koffi, and a server that is started anew. Every reload and every turn of a loop comes after a rest, as in life: without
// one the loop in C takes a third of the time, because it finds its caches as it left them.
//
// Tenon: the built host in a process of its own (host.ts), reloads asked of it through `createHost`, prebuilt libraries
// published by rename, two builds in turn. Times of the phases are those of the reload record; `until it serves` and
// `total` are of the clock. Under load a third process (clients.ts) keeps connections busy, half of them on an inline
// route and half on a pool route of the same plugin.
//
// A pause is, for one reload, the latency of the longest request that overlaps it (from its beginning to the end of the
// old build), less the median latency of the requests of the same route that overlap no reload. The control is the same of
// a window as long as the reload, in which there was none: what the machine does by itself.
import { cpus, tmpdir } from 'node:os';
import { copyFile, link, mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Phase } from '../../src/index.js';
import { Edited } from '../build/edited.js';
import { type Case, interleave, numberFlag, type Row } from '../rounds.js';
import { now } from './clock.js';
import { type Built, makeLibraries, makeLoop, markOf } from './libraries.js';
import { Load, type Seen } from './load.js';
import { koffiLoop, loop, Restarted, stagingPlace } from './peers.js';
import { draw } from './plot.js';
import { Published } from './publish.js';
import { aimsOf, phases, type Result, rounded, type Span, spread } from './result.js';
import { type Reload, Served } from './served.js';
import { describe } from './table.js';

const quick = process.argv.includes('--quick');
const rounds = numberFlag('rounds', quick ? 1 : 9);
const reloads = numberFlag('reloads', quick ? 1 : 20);
const connections = 16;
/** Before each reload and each turn of a loop; under load also before and after the control. */
const restMs = 10;
/** The watch forgets what it saw before it is disturbed again. */
const watchRestMs = 300;
const burstWrites = 3;
const burstGapMs = 20;

/** Path after `--name`; undefined without it. */
function fileFlag(name: string): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  if (at < 0) return undefined;
  const file = process.argv[at + 1];
  if (file === undefined || file.startsWith('--')) throw new TypeError(`--${name} wants a file`);
  return path.resolve(file);
}

const json = fileFlag('json');
const svg = fileFlag('svg');
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const scratch = await mkdtemp(path.join(tmpdir(), 'tenon-bench-'));

/** Name of a case → name of what was measured → ms of each time. */
const samples = new Map<string, Map<string, number[]>>();

function note(name: string, quantity: string, ms: readonly number[]): void {
  const own = samples.get(name) ?? new Map<string, number[]>();
  samples.set(name, own.set(quantity, [...(own.get(quantity) ?? []), ...ms]));
}

function noted(name: string, quantity: string): number[] {
  return samples.get(name)?.get(quantity) ?? [];
}

const middle = (values: readonly number[]): number => spread(values).p50;

function spansOf({ record, started, serving, ended }: Reload): Record<Span, number> {
  const sum = (from: Phase, to: Phase): number =>
    phases
      .slice(phases.indexOf(from), phases.indexOf(to) + 1)
      .reduce((total, phase) => total + (record.phases[phase] ?? 0), 0);
  return {
    'stage to swap': sum('stage', 'swap'),
    'admit to swap': sum('admit', 'swap'),
    'until it serves': serving - started,
    total: ended - started,
  };
}

function noteReload(name: string, reload: Reload): void {
  for (const phase of phases) {
    const ms = reload.record.phases[phase];
    if (ms !== undefined) note(name, phase, [ms]);
  }
  for (const [span, ms] of Object.entries(spansOf(reload))) note(name, span, [ms]);
}

/** Medians that are compared with those of the peers. */
function compared(slice: readonly Reload[]): Record<string, number> {
  return {
    ms: middle(slice.map((reload) => spansOf(reload)['stage to swap'])),
    serves: middle(slice.map((reload) => spansOf(reload)['until it serves'])),
  };
}

async function idleSlice(name: string, served: Served, published: Published): Promise<Record<string, number>> {
  const slice: Reload[] = [];
  const { id } = published.plugin;
  for (let turn = 0; turn < reloads; turn++) {
    const mark = await published.next();
    await sleep(restMs);
    const reload = await served.reload(id);
    noteReload(name, reload);
    slice.push(reload);
    const said = await (await fetch(`${served.url}/${id}/pool`)).text();
    if (said !== mark) throw new Error(`${id} said ${said} after a reload to ${mark}`);
  }
  return compared(slice);
}

const seen = new Map<string, Seen[]>();

async function loadSlice(
  name: string,
  served: Served,
  published: Published,
  load: Load,
): Promise<Record<string, number>> {
  const slice: Reload[] = [];
  const quiet: [number, number][] = [];
  const { id } = published.plugin;
  const targets = [`/${id}/inline`, `/${id}/pool`];
  await load.start({ url: served.url, connections, targets, answers: [markOf(id, 1), markOf(id, 2)] });
  for (let turn = 0; turn < reloads; turn++) {
    await published.next();
    await sleep(restMs);
    const reload = await served.reload(id);
    noteReload(name, reload);
    slice.push(reload);
    const { started, ended } = reload;
    quiet.push([ended + restMs, ended + restMs + (ended - started)]);
    await sleep(2 * restMs + (ended - started));
  }
  const windows = slice.map(({ started, ended }): [number, number] => [started, ended]);
  seen.set(name, [...(seen.get(name) ?? []), await load.stop({ reloads: windows, quiet })]);
  return compared(slice);
}

/** From the end of the last write of a burst to the beginning of the reload; the last one must be what answers then. */
async function detection(
  name: string,
  served: Served,
  target: string,
  write: () => Promise<string>,
): Promise<Record<string, number>> {
  const times: number[] = [];
  for (let turn = 0; turn < Math.ceil(reloads / 5); turn++) {
    await sleep(watchRestMs);
    const next = served.next();
    let mark = '';
    for (let count = 0; count < burstWrites; count++) {
      if (count > 0) await sleep(burstGapMs);
      mark = await write();
    }
    const last = now();
    const { started } = await next;
    times.push(started - last);
    const said = await (await fetch(served.url + target)).text();
    if (!said.includes(mark)) throw new Error(`${target} said ${said}, the last write was ${mark}`);
  }
  note(name, 'detection', times);
  return { ms: middle(times) };
}

function pooled(name: string, measure: () => Promise<number[]>): Case['measure'] {
  return async () => {
    const times = await measure();
    note(name, 'time', times);
    return { ms: middle(times), serves: middle(times) };
  };
}

interface Peers {
  loopInC: string;
  place: string;
  restarted: Restarted;
}

const loopInC = (name: string): string => `loop in C: ${name}`;
const loopInKoffi = (name: string): string => `loop in koffi: ${name}`;
const restartCase = 'restart of Node and Express';

/** The plugin whose loop stands beside `plugin`: one with state is opened like the same without. */
function loopOf(plugin: Built, plugins: readonly Built[]): string {
  return plugin.state ? (plugins.find(({ size, state }) => size === plugin.size && !state)?.name ?? '') : plugin.name;
}

function peerCases(plugins: readonly Built[], { loopInC: program, place, restarted }: Peers): Case[] {
  const own = plugins.filter(({ state }) => !state);
  return [
    ...own.map((plugin): Case => {
      const name = loopInC(plugin.name);
      return { name, measure: pooled(name, () => loop(program, [], plugin, place, reloads, restMs)) };
    }),
    ...own.map((plugin): Case => {
      const name = `loop in C, no rest: ${plugin.name}`;
      const measure = pooled(name, () => loop(program, [], plugin, place, reloads, 0));
      return { name, peer: loopInC(plugin.name), measure };
    }),
    ...own.map((plugin): Case => {
      const name = loopInKoffi(plugin.name);
      const measure = pooled(name, () => loop(process.execPath, koffiLoop, plugin, place, reloads, restMs));
      return { name, peer: loopInC(plugin.name), measure };
    }),
    {
      name: restartCase,
      peer: `${plugins[0]?.name ?? ''}, idle`,
      measure: pooled(restartCase, async () => {
        const times: number[] = [];
        for (let turn = 0; turn < Math.ceil(reloads / 5); turn++) times.push(await restarted.restart());
        return times;
      }),
    },
  ];
}

function resultOf(plugins: readonly Built[], rows: readonly Row[], staging: string): Result {
  const ratio = (name: string, key: string): number =>
    rounded(rows.find((row) => row.name === name)?.ratios[key] ?? Number.NaN);
  const tenon = plugins.flatMap(({ name, bytes }) =>
    (['idle', 'load'] as const).map((condition) => {
      const own = samples.get(`${name}, ${condition}`) ?? new Map<string, number[]>();
      const times = Object.fromEntries([...own].map(([quantity, values]) => [quantity, spread(values)]));
      return { name, condition, bytes, times, toLoop: ratio(`${name}, ${condition}`, 'ms') };
    }),
  );
  const pauses = plugins.map(({ name, state }) => {
    const slices = seen.get(`${name}, load`) ?? [];
    const each = {
      pauses: slices.flatMap((slice) => slice.pauses.map(rounded)),
      controls: slices.flatMap((slice) => slice.controls.map(rounded)),
    };
    return {
      name,
      state,
      answered: slices.reduce((sum, { answered }) => sum + answered, 0),
      failed: slices.reduce((sum, { faults }) => sum + faults.length, 0),
      usualMs: rounded(middle(slices.map(({ medianMs }) => medianMs))),
      pause: spread(each.pauses),
      control: spread(each.controls),
      each,
    };
  });
  const watched = ['library', 'source'].map((name) => ({ name, time: spread(noted(name, 'detection')) }));
  const peers = rows
    .filter(({ name }) => samples.get(name)?.has('time'))
    .map(({ name, peer }) => ({
      name,
      time: spread(noted(name, 'time')),
      to: name === restartCase ? `${peer}: until it serves` : peer,
      ratio: peer === undefined ? undefined : ratio(name, 'serves'),
    }));
  return {
    bench: 'reload',
    rounds,
    reloads,
    connections,
    node: process.version,
    processors: cpus().length,
    model: cpus()[0]?.model ?? '',
    staging,
    tenon,
    pauses,
    detection: watched,
    peers,
    aims: aimsOf({ tenon, pauses, detection: watched }),
  };
}

const closing: (() => Promise<unknown>)[] = [() => rm(scratch, { recursive: true, force: true })];
try {
  const [plugins, program] = await Promise.all([makeLibraries(scratch, quick), makeLoop(scratch)]);
  const still = path.join(scratch, 'still');
  const watched = path.join(scratch, 'watched');
  const published: Published[] = [];
  for (const plugin of plugins) published.push(await Published.first(plugin, still, link));
  const [first] = plugins;
  if (first === undefined) throw new Error('there is no plugin');
  const library = await Published.first(first, watched, copyFile);
  const counter = path.join(root, 'applications', 'counter');
  const source = await Edited.copy(counter, path.join(watched, 'counter'), 'counter.c', '"A');

  const data = path.join(scratch, 'data');
  const served = await Served.start(still, data, false);
  closing.unshift(() => served.close());
  const watching = await Served.start(watched, path.join(scratch, 'data-watched'), true);
  closing.unshift(() => watching.close());
  const load = new Load();
  closing.unshift(() => load.close());
  const restarted = await Restarted.start(first);
  closing.unshift(() => restarted.close());
  const place = stagingPlace(served.pid, data);

  const cases: Case[] = published.flatMap((one): Case[] => {
    const peer = loopInC(loopOf(one.plugin, plugins));
    const [idle, loaded] = [`${one.plugin.name}, idle`, `${one.plugin.name}, load`];
    return [
      { name: idle, peer, measure: () => idleSlice(idle, served, one) },
      { name: loaded, peer, measure: () => loadSlice(loaded, served, one, load) },
    ];
  });
  cases.push(
    ...peerCases(plugins, { loopInC: program, place, restarted }),
    { name: 'library', measure: () => detection('library', watching, `/${first.id}/pool`, () => library.next()) },
    { name: 'source', measure: () => detection('source', watching, '/counter/value', () => source.edit()) },
  );
  // What is slow once, such as code that is compiled for the first time, is not what is asked.
  if (!quick) await interleave(cases, 1);
  samples.clear();
  seen.clear();
  const result = resultOf(plugins, await interleave(cases, rounds), place);
  if (json !== undefined) await writeFile(json, `${JSON.stringify(result, undefined, 2)}\n`);
  if (svg !== undefined) await writeFile(svg, draw(result));
  process.stdout.write(describe(result));
} finally {
  for (const close of closing) await close();
}
