/** The example `counter` under load while it is replaced again and again: what it must have counted, and who may answer. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readApplication } from '../../src/compiler/application.js';
import { compile } from '../../src/compiler/build.js';
import type { HostEvent, ReloadRecord } from '../../src/index.js';
import { type Answered, callOnce, Clients, type Report } from './clients.js';
import { type Holdings, gauge } from './gauge.js';
import { until, type World } from './world.js';

const counter = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'applications', 'counter');
const builds = ['A', 'B'] as const;

/** What an answer of the counter under test says. */
interface Said {
  value: number;
  build: string;
  generation: number;
}

/** What came of the clients. */
export interface Counted extends Report {
  /** Increments from the first one on that were acknowledged. */
  acknowledged: number;
  /** Numbers that were given out twice, and whether one between was not. */
  twice: number[];
  missing: boolean;
  /** What the counter says in the end. */
  value: number;
}

/** What the counter under test has more than the example: its answers carry the number of their generation. */
const changes: readonly (readonly [string, string])[] = [
  [
    '/* tenon.http */',
    `static unsigned long long generation; /* one image is one generation */

static tenon_status ready(tenon_plugin_t* plugin, const tenon_context_t* context) {
  (void)plugin;
  generation = context->generation;
  return TENON_OK;
}
`,
  ],
  ['.data = counter,', '.data = counter, .ready = ready,'],
  [
    String.raw`"{\"value\":%llu,\"build\":\"" BUILD "\"}", value)`,
    String.raw`"{\"value\":%llu,\"build\":\"" BUILD "\",\"generation\":%llu}", value, generation)`,
  ],
  ['char body[64]', 'char body[96]'],
];

/** The library of the example `counter` with another build tag and `changes`, made by the compiler of the host. */
async function buildCounter(world: World, build: string): Promise<string> {
  const folder = path.join(world.directory, `counter-${build}`, 'counter');
  await mkdir(path.dirname(folder), { recursive: true });
  await cp(counter, folder, { recursive: true });
  const source = path.join(folder, 'resources', 'counter.c');
  let text = await readFile(source, 'utf8');
  for (const [before, after] of [['#define BUILD "A"', `#define BUILD "${build}"`] as const, ...changes]) {
    if (!text.includes(before)) throw new Error(`the counter has no ${before}`);
    text = text.replace(before, after);
  }
  await writeFile(source, text);
  const data = path.join(world.directory, `data-${build}`);
  return (await compile(await readApplication(folder), { dataDirectory: data, env: process.env })).library;
}

/** Numbers that must come once each, from 1 on, in about this order; keeps only those that are ahead. */
class Sequence {
  readonly #ahead = new Set<number>();
  readonly twice: number[] = [];
  /** All from 1 to here have come. */
  complete = 0;

  add(value: number): void {
    if (value <= this.complete || this.#ahead.has(value)) this.twice.push(value);
    this.#ahead.add(value);
    while (this.#ahead.delete(this.complete + 1)) this.complete++;
  }

  get missing(): boolean {
    return this.#ahead.size > 0;
  }
}

/**
 * The counter of one world and its clients. What each answer must say is looked at when it comes, so that a long run
 * keeps nothing: the memory that grows is not the test's.
 */
export class Counting {
  readonly #world: World;
  readonly #clientCount: number;
  readonly #libraries: string[] = [];
  readonly #counted = new Sequence();
  /** Build of each generation that an answer may still come from, and when it was told to serve. */
  readonly #served = new Map<number, { build: string; at: number }>();
  readonly #seen = { distinct: 0, last: 0 };
  #publishing: string = builds[0];
  #turn = 0;
  #awaited: { generation: number; resolve: () => void } | undefined;
  #clients: Clients | undefined;

  constructor(world: World, clientCount: number) {
    this.#world = world;
    this.#clientCount = clientCount;
  }

  /** For the host: who serves from when on. */
  readonly onEvent = (event: HostEvent): void => {
    if (event.type !== 'plugin.serving') return;
    this.#served.set(event.generation, { build: this.#publishing, at: performance.now() });
    this.#served.delete(event.generation - 20);
  };

  /** Build both libraries; the first is published. */
  async prepare(): Promise<void> {
    for (const build of builds) this.#libraries.push(await buildCounter(this.#world, build));
    await this.#world.publish('counter', this.#libraries[0] ?? '');
  }

  /** Replace it by the other build. */
  async swap(): Promise<ReloadRecord> {
    const at = ++this.#turn % builds.length;
    this.#publishing = builds[at] ?? '';
    await this.#world.publish('counter', this.#libraries[at] ?? '');
    return this.#world.host.reload('counter');
  }

  /** What grows once, such as threads of libuv and the one that makes threads of pools, grows here; what the process holds then. */
  async warmUp(): Promise<Holdings> {
    for (let turn = 0; turn < 10; turn++) await this.swap();
    const { body } = await callOnce(this.#world.url, { method: 'POST', path: '/counter/increment' });
    this.#counted.add((JSON.parse(body) as Said).value);
    const clients = new Clients({
      url: this.#world.url,
      count: this.#clientCount,
      next: () => ({ method: 'GET', path: '/counter/value' }),
      judge: () => undefined,
    });
    await until('every client was answered', () => clients.answered > this.#clientCount * 4);
    await clients.stop();
    let last = Infinity;
    await until('the descriptors of the first clients are closed', () => {
      const { descriptors } = gauge(this.#world.data);
      const resting = descriptors === last;
      last = descriptors;
      return resting;
    });
    return this.holdings();
  }

  /** Clients that count and read without a pause. */
  async begin(): Promise<void> {
    const lastSeen = new Array<number>(this.#clientCount).fill(0);
    this.#clients = new Clients({
      url: this.#world.url,
      count: this.#clientCount,
      next: (client, turn) =>
        (client + turn) % 2 === 0
          ? { method: 'POST', path: '/counter/increment' }
          : { method: 'GET', path: '/counter/value' },
      judge: (answered) => this.#judge(answered, lastSeen),
    });
    const clients = this.#clients;
    await until('every client was answered', () => clients.answered > this.#clientCount);
  }

  /** Generations that have answered. */
  get generationsSeen(): number {
    return this.#seen.distinct;
  }

  /** Resolves when a call was answered by this generation, or by a later one. */
  answeredBy(generation: number): Promise<void> {
    if (this.#seen.last >= generation) return Promise.resolve();
    return new Promise((resolve) => {
      this.#awaited = { generation, resolve };
    });
  }

  /** Calls that were answered until now. */
  get answered(): number {
    return this.#clients?.answered ?? 0;
  }

  /** Let the clients end. */
  async end(): Promise<Counted> {
    const report = (await this.#clients?.stop()) ?? { answered: 0, unexpected: [], connections: 0 };
    const { twice, complete, missing } = this.#counted;
    const { body } = await callOnce(this.#world.url, { method: 'GET', path: '/counter/value' });
    return { ...report, acknowledged: complete, twice, missing, value: (JSON.parse(body) as Said).value };
  }

  /** What the process holds, without the threads of the plugin, which come with its calls. */
  holdings(): Holdings {
    const { generations } = this.#world.host.plugin('counter');
    const threads = generations.reduce((total, one) => total + one.threads.alive, 0);
    const held = gauge(this.#world.data);
    return { ...held, threads: held.threads - threads };
  }

  #judge(answered: Answered, lastSeen: number[]): string | undefined {
    if (answered.status !== 200) return `status ${answered.status}: ${answered.body}`;
    const { value, build, generation } = JSON.parse(answered.body) as Said;
    const last = lastSeen[answered.client] ?? 0;
    lastSeen[answered.client] = value;
    if (answered.call.method === 'POST') this.#counted.add(value);
    if (generation > this.#seen.last) {
      this.#seen.last = generation;
      this.#seen.distinct++;
      if (this.#awaited !== undefined && generation >= this.#awaited.generation) this.#awaited.resolve();
    }
    if (value < last) return `the count went back from ${last} to ${value}`;
    // A generation is live from the turn in which it is told to serve until the one in which its successor is.
    const served = this.#served.get(generation);
    if (served === undefined || served.at > answered.ended) return `generation ${generation} was not to answer`;
    if (served.build !== build) return `generation ${generation} is build ${served.build} and says ${build}`;
    const retired = this.#served.get(generation + 1)?.at ?? Infinity;
    return retired < answered.begun ? `retired generation ${generation} answered` : undefined;
  }
}
