import { afterEach, describe, expect, test } from 'vitest';
import {
  type ChainEntry,
  type Front,
  type FrontOptions,
  type GenerationHandle,
  loadCore,
  Outcome,
  type PluginPointer,
  Word,
} from '../src/binding/core.js';
import { Refusal } from '../src/binding/refusal.js';
import { type BenchLibrary, openBenchLibrary } from './load/bench-library.js';
import { until } from './load/world.js';
import { buildPlugin, type PluginBuild } from './plugins/build.js';

const core = loadCore();
const ms = 5000;

interface Life {
  generation: GenerationHandle;
  library: BenchLibrary;
}

interface Answer {
  outcome: number;
  status: number;
  refusal: number;
  body: string;
  headers: string;
}

/** A front with plugins of `test/plugins`; everything is taken down at the end of the test. */
class World {
  readonly front: Front;
  readonly #lives = new Map<PluginPointer, Life>();

  constructor(options: Partial<FrontOptions> = {}) {
    this.front = new core.Front({ onReady: () => {}, onLog: () => {}, ...options });
  }

  /** A plugin that serves; its next generation when it is there already. */
  async plugin(name: string, build: PluginBuild = {}, pointer?: PluginPointer): Promise<PluginPointer> {
    const plugin = pointer ?? new core.PluginPointer(this.front, { id: name, queueLimit: 10 });
    const before = this.#lives.get(plugin);
    const life = await this.#bringUp(name, build, plugin);
    plugin.swap(life.generation);
    this.#lives.set(plugin, life);
    if (before !== undefined) await takeDown(before);
    return plugin;
  }

  async #bringUp(name: string, build: PluginBuild, plugin: PluginPointer): Promise<Life> {
    const library = await open(name, name, build);
    const generation = new core.GenerationHandle(plugin, {
      number: 1,
      ...library.source,
      root: '',
      prefix: `/${name}`,
      deadlineMs: 1000,
      bodyLimit: 1000,
      concurrency: 2,
    });
    await generation.create(ms);
    await generation.initialize(ms);
    for (const { method, pattern, index } of await generation.routes(ms))
      generation.bind(plugin.slot(method, `/${name}${pattern}`), index);
    await generation.ready(ms);
    return { generation, library };
  }

  generation(plugin: PluginPointer): GenerationHandle {
    const life = this.#lives.get(plugin);
    if (life === undefined) throw new Error('it is not there');
    return life.generation;
  }

  library(plugin: PluginPointer): string {
    return this.#lives.get(plugin)?.library.path ?? '';
  }

  async stop(plugin: PluginPointer): Promise<void> {
    const life = this.#lives.get(plugin);
    plugin.swap(null);
    this.#lives.delete(plugin);
    if (life !== undefined) await takeDown(life);
  }

  async ask(slot: number, url: string, headers = ''): Promise<Answer> {
    const { front } = this;
    let body = front.call(slot, url, headers);
    if (front.result[Word.Outcome] === Outcome.Pending)
      await until('it is answered', () => {
        body = front.next();
        return front.result[Word.Outcome] !== Outcome.None;
      });
    const [outcome = 0, status = 0] = front.result;
    const refusal = outcome === Outcome.Refused ? (front.result[Word.Refusal] ?? 0) : 0;
    return { outcome, status, refusal, body: String(body), headers: front.headers() };
  }

  async close(): Promise<void> {
    for (const plugin of [...this.#lives.keys()].toReversed()) {
      await this.stop(plugin);
      plugin.close();
    }
    this.front.close();
  }
}

async function open(id: string, file: string, build: PluginBuild): Promise<BenchLibrary> {
  return openBenchLibrary(await buildPlugin(file, build), { id, generation: 1, lifecycleMs: ms });
}

async function takeDown({ generation, library }: Life): Promise<void> {
  expect(await generation.drain(ms)).toBe(true);
  await generation.shutdown(ms);
  await generation.destroy(ms);
  expect(await generation.stop(ms)).toBe(0);
  generation.close();
  library.close();
  expect(core.imageMapped(library.path)).toBe(false);
}

function name(subject: string): string {
  return `authorization\nName ${subject}`;
}

let world: World;
afterEach(() => world.close());

async function guarded(
  auth: 'open' | 'identity' = 'open',
  build: PluginBuild = {},
): Promise<{ guard: PluginPointer; service: PluginPointer; slot: number }> {
  world = new World();
  const service = await world.plugin('service');
  const guard = await world.plugin('guard', build);
  service.setChain([{ plugin: guard, required: true }], { auth });
  return { guard, service, slot: service.slot('GET', '/service/build') };
}

describe('a request of an application with an extension', () => {
  test('meets its providers and its middleware, and is refused with their challenge', async () => {
    const { slot } = await guarded('identity');
    const nobody = await world.ask(slot, '/service/build');
    expect(nobody).toEqual({
      outcome: Outcome.Refused,
      status: 401,
      refusal: Refusal.Unauthenticated,
      body: 'GET /service/build needs somebody who is known',
      headers: 'www-authenticate\nName realm="test"\n',
    });
    const known = await world.ask(slot, '/service/build', name('ann'));
    expect([known.status, known.headers.includes('x-guard\none\n')]).toEqual([200, true]);
    const often = await world.ask(slot, '/service/build', name('often'));
    expect([often.status, often.refusal, often.headers]).toEqual([429, Refusal.TooManyAttempts, 'retry-after\n17\n']);
  });

  test('goes on with the next generation of it, and without it when it is not required', async () => {
    const { slot, guard, service } = await guarded();
    await world.plugin('guard', { defines: { BUILD: '"two"' } }, guard);
    expect((await world.ask(slot, '/service/build')).headers).toContain('x-guard\ntwo\n');
    await world.stop(guard);
    const shut = await world.ask(slot, '/service/build');
    expect([shut.status, shut.refusal, shut.body]).toEqual([
      503,
      Refusal.ExtensionUnavailable,
      'extension guard: it is not running',
    ]);
    service.setChain([{ plugin: guard, required: false }], { auth: 'open' });
    const open = await world.ask(slot, '/service/build');
    expect([open.status, open.headers.includes('x-guard')]).toEqual([200, false]);
    expect(world.generation(service).counters.faults).toBe(0);
  });

  test('leaves nothing of the extension in the threads of the application', async () => {
    const { guard, service } = await guarded('open', { defines: { LEAVE_THREAD_KEY: '1' } });
    const gate = service.gate('GET', '/service/notes');
    expect((await world.ask(gate, '/service/notes', name('ann'))).status).toBe(100);
    expect(world.generation(service).threads.alive).toBe(2);
    // Takes it down, and sees that its image is gone.
    await world.stop(guard);
    expect(world.generation(service).threads.alive).toBe(1);
  });

  test('that hangs in the extension is answered in its name', async () => {
    const { guard, service } = await guarded('open', { defines: { HANG_AUTHORIZE: '1' } });
    const gate = service.gate('GET', '/service/notes', 500);
    const late = await world.ask(gate, '/service/notes', name('slow'));
    expect([late.status, late.body]).toEqual([
      504,
      'service did not answer GET /service/notes within 500 ms: it is in the extension guard',
    ]);
    await until('its thread has come back', () => {
      world.front.next();
      return world.generation(guard).leases === 0;
    });
    expect(world.generation(service).counters.faults).toBe(0);
  });
});

describe('a request of a table', () => {
  test('passes the chain, and is given back with who asks', async () => {
    const { service } = await guarded();
    const gate = service.gate('GET', '/service/notes/:id');
    expect(service.gate('GET', '/service/notes/:id')).toBe(gate);
    const known = await world.ask(gate, '/service/notes/7', name('root'));
    expect([known.outcome, known.status, known.headers]).toEqual([Outcome.Response, 100, 'x-guard\none\n']);
    expect(JSON.parse(known.body)).toEqual({
      subject: 'root',
      name: '',
      scheme: 'Name',
      extension: 'guard',
      roles: ['admin'],
      claims: { build: 'one' },
    });
    const nobody = await world.ask(gate, '/service/notes/7');
    expect([nobody.status, nobody.body]).toEqual([100, '']);
    expect((await world.ask(gate, '/service/notes/7', name('nobody'))).refusal).toBe(Refusal.Unauthenticated);
    service.setChain([], { auth: 'open' });
    const open = world.front.call(gate, '/service/notes/7', '');
    expect([open, world.front.result[Word.Outcome], world.front.result[Word.Status]]).toEqual([
      '',
      Outcome.Response,
      100,
    ]);
  });
});

describe('what a generation offers', () => {
  test('is told, and is nothing for a plugin that offers nothing', async () => {
    const { guard, service } = await guarded();
    expect(world.generation(guard).offers).toEqual({
      events: false,
      config: false,
      auth: {
        providers: [{ scheme: 'Name', header: 'authorization', challenge: 'Name realm="test"' }],
        authorizes: false,
        resolvesRoles: true,
      },
      middleware: { order: 3 },
      hooks: [{ name: 'guard.sign', version: 1, order: 0 }],
    });
    expect(world.generation(service).offers).toEqual({ events: false, config: false, hooks: [] });
  });

  test('is refused when it breaks the contract', async () => {
    await guarded();
    await expect(world.plugin('guard', { defines: { BAD_CHALLENGE: '1', PLUGIN_ID: '"other"' } })).rejects.toThrow(
      /guard has a pointer already/,
    );
    const library = await open('other', 'guard', { defines: { BAD_CHALLENGE: '1', PLUGIN_ID: '"other"' } });
    const other = new core.PluginPointer(world.front, { id: 'other', queueLimit: 1 });
    const generation = new core.GenerationHandle(other, {
      number: 1,
      ...library.source,
      root: '',
      prefix: '',
      deadlineMs: 1000,
      bodyLimit: 1000,
      concurrency: 1,
    });
    await generation.create(ms);
    await generation.initialize(ms);
    await expect(generation.routes(ms)).rejects.toMatchObject({
      code: 'RouteInvalid',
      message: 'routes of other failed: provider 0 has a challenge over 1,024 bytes or with a control byte',
    });
    await takeDown({ generation, library });
    other.close();
  });
});

describe('a chain', () => {
  test('takes live pointers of its front, each once', async () => {
    const { guard, service } = await guarded();
    const entry = { plugin: guard, required: true };
    const wrong: [unknown, unknown, RegExp][] = [
      [entry, { auth: 'open' }, /list/],
      [[entry, entry], { auth: 'open' }, /twice/],
      [[{ plugin: {}, required: true }], { auth: 'open' }, /plugin/],
      [[{ plugin: guard }], { auth: 'open' }, /required/],
      [[entry], { auth: 'maybe' }, /auth/],
    ];
    for (const [list, options, message] of wrong)
      expect(() => service.setChain(list as ChainEntry[], options as { auth: 'open' })).toThrow(message);
    expect(() => service.gate('GET', 'notes')).toThrow(/path/);
    expect(() => service.gate('GET', '/notes', 0)).toThrow(/deadlineMs/);
    expect(() => new core.Front({ onReady: () => {}, onLog: () => {}, operatorToken: 7 as never })).toThrow(
      /operatorToken/,
    );
  });
});
