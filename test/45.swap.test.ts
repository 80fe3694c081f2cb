import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readApplication } from '../src/compiler/application.js';
import { compile } from '../src/compiler/build.js';
import { type Answered, callOnce, Clients } from './load/clients.js';
import { gauge } from './load/gauge.js';
import { until, World } from './load/world.js';

const counter = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'applications', 'counter');
const clientCount = 32;
const reloadCount = 200;

/** What an answer of the counter under test says. */
interface Said {
  value: number;
  build: string;
  generation: number;
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
    expect(text).toContain(before);
    text = text.replace(before, after);
  }
  await writeFile(source, text);
  const data = path.join(world.directory, `data-${build}`);
  return (await compile(await readApplication(folder), { dataDirectory: data, env: process.env })).library;
}

describe('a plugin with state, replaced under load', () => {
  let world: World;
  const builds = ['A', 'B'];
  const libraries: string[] = [];

  beforeAll(async () => {
    world = await World.make();
    for (const build of builds) libraries.push(await buildCounter(world, build));
    await world.publish('counter', libraries[0] ?? '');
    await world.start();
  });
  afterAll(() => world.close());

  /**
   * Numbers of the generations that were live at some time from `begun` to `ended`. A generation is live from the turn of
   * the event loop in which it is told to serve until the one in which its successor is.
   */
  function liveGenerations(begun: number, ended: number): number[] {
    const serving = world.events.filter((event) => event.type === 'plugin.serving');
    return serving
      .filter((event, at) => event.at <= ended && (serving[at + 1]?.at ?? Infinity) >= begun)
      .map((event) => event.generation);
  }

  async function swap(turn: number, tags: Map<number, string>): Promise<void> {
    const at = turn % 2;
    await world.publish('counter', libraries[at] ?? '');
    const record = await world.host.reload('counter');
    expect(record).toMatchObject({ outcome: 'succeeded', unload: 'clean' });
    tags.set(record.to?.generation ?? 0, builds[at] ?? '');
  }

  test(`${clientCount} keep-alive clients and ${reloadCount} reloads: nothing fails, no count is lost, nothing leaks`, async () => {
    const tags = new Map([[1, 'A']]);
    // What grows once, such as threads of libuv, grows before the first look.
    for (let turn = 1; turn <= 10; turn++) await swap(turn, tags);
    const warmUp = new Clients({
      url: world.url,
      count: clientCount,
      next: () => ({ method: 'GET', path: '/counter/value' }),
      judge: () => undefined,
    });
    await until('every client was answered', () => warmUp.answered > clientCount * 4);
    await warmUp.stop();
    await until('connections of the first clients are closed', () => descriptorsRest());
    const before = gauge(world.data);
    const threadsBefore = before.threads - pluginThreads();

    const counts: number[] = [];
    const answers: Answered[] = [];
    const lastSeen = new Array<number>(clientCount).fill(0);
    const clients = new Clients({
      url: world.url,
      count: clientCount,
      next: (client, turn) =>
        (client + turn) % 2 === 0
          ? { method: 'POST', path: '/counter/increment' }
          : { method: 'GET', path: '/counter/value' },
      judge: (answered) => {
        if (answered.status !== 200) return `status ${answered.status}: ${answered.body}`;
        answers.push(answered);
        const { value } = JSON.parse(answered.body) as Said;
        const last = lastSeen[answered.client] ?? 0;
        lastSeen[answered.client] = value;
        if (answered.call.method === 'POST') counts.push(value);
        return value < last ? `the count went back from ${last} to ${value}` : undefined;
      },
    });
    await until('every client was answered', () => clients.answered > clientCount);
    for (let turn = 11; turn < 11 + reloadCount; turn++) await swap(turn, tags);
    const report = await clients.stop();

    expect(report.unexpected).toEqual([]);
    expect(report.connections).toBe(clientCount);
    expect(report.answered).toBeGreaterThan(reloadCount * 4);

    // Every acknowledged increment counted once: the numbers given out are 1 to n, each once.
    const sorted = counts.toSorted((left, right) => left - right);
    expect(sorted).toEqual(sorted.map((_, at) => at + 1));
    const last = JSON.parse((await callOnce(world.url, { method: 'GET', path: '/counter/value' })).body) as Said;
    expect(last.value).toBe(counts.length);

    // Every answer is of a generation that was live during its request, and of that generation's build.
    const strangers = answers.filter(({ body, begun, ended }) => {
      const { build, generation } = JSON.parse(body) as Said;
      return tags.get(generation) !== build || !liveGenerations(begun, ended).includes(generation);
    });
    expect(strangers).toEqual([]);
    const seen = new Set(answers.map(({ body }) => (JSON.parse(body) as Said).generation));
    expect(seen.size).toBeGreaterThan(reloadCount / 2);

    await until('connections are closed', () => gauge(world.data).descriptors <= before.descriptors);
    const after = gauge(world.data);
    expect(after.images).toBe(1);
    expect(after.images).toBeLessThanOrEqual(before.images);
    expect(after.threads - pluginThreads()).toBeLessThanOrEqual(threadsBefore);
    expect(after.staged).toBe(0);
  }, 180_000);

  /** Threads of the generations that are there, which come with their first calls. */
  function pluginThreads(): number {
    return world.host.plugin('counter').generations.reduce((total, { threads }) => total + threads.alive, 0);
  }

  let lastCount = Number.POSITIVE_INFINITY;
  function descriptorsRest(): boolean {
    const { descriptors } = gauge(world.data);
    const resting = descriptors === lastCount;
    lastCount = descriptors;
    return resting;
  }
});
