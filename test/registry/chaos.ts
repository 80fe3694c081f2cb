/** Three hosts, each behind a proxy to one server, while somebody edits the registry and what is between them breaks. */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { CreateHostOptions } from '../../src/index.js';
import { until, World } from '../load/world.js';
import { buildPlugin } from '../plugins/build.js';
import { Random } from '../tables/random.js';
import { Editor } from './editor.js';
import { KilledHost } from './killed-host.js';
import type { PostgresServer } from './postgres.js';
import { Proxy } from './proxy.js';

export interface ChaosOptions {
  readonly server: PostgresServer;
  readonly seed: number;
  readonly cuts: number;
  readonly edits: number;
  /** How often a host is killed, and how often the server is. */
  readonly kills: number;
}

export interface ChaosFigures {
  readonly cuts: number;
  readonly edits: number;
  /** Generations that hosts began for the registry, and those that were asked for. */
  readonly generations: number;
  readonly asked: number;
  /** From the time at which all are connected to the time at which all have come to what is said, ms, at each look. */
  readonly convergedMs: readonly number[];
}

const plugins = ['first', 'second', 'third', 'fourth'] as const;
/** A config of it gives a new generation. */
const reloading = 'fourth';
const versions = ['1.0.0', '2.0.0'] as const;
const looks = 10;
/** Generous: other tests run beside this one. */
const patienceMs = 60_000;
const token = 'a-token-of-the-tests';

/** One of the hosts: the last one is a process of its own. */
interface Member {
  readonly world: World;
  readonly proxy: Proxy;
  url: () => string;
}

export class Chaos {
  readonly #options: ChaosOptions;
  readonly #random: Random;
  readonly #members: Member[] = [];
  readonly #editor: Editor;
  readonly #url: string;
  #killed: KilledHost | undefined;
  #starting: Promise<void> | undefined;
  #cuts = 0;
  readonly #convergedMs: number[] = [];

  private constructor(options: ChaosOptions, url: string) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#url = url;
    this.#editor = new Editor({
      url,
      random: this.#random,
      plugins,
      versions,
      reloadsOnConfig: (plugin) => plugin === reloading,
    });
  }

  static async make(options: ChaosOptions): Promise<Chaos> {
    const chaos = new Chaos(options, await options.server.database());
    try {
      await chaos.#begin();
    } catch (error) {
      await chaos.close();
      throw error;
    }
    return chaos;
  }

  /** Edits in bursts, each with a cut in it; a look at everything now and then, and at the end. */
  async run(): Promise<ChaosFigures> {
    const { cuts, edits, kills } = this.#options;
    const each = Math.ceil(edits / cuts);
    const hostKills = placesOf(kills, cuts, 0.3);
    const serverKills = placesOf(kills, cuts, 0.6);
    const lookEvery = Math.max(1, Math.floor(cuts / looks));
    for (let burst = 0; burst < cuts; burst++) {
      const breaksAt = this.#random.below(each);
      for (let at = 0; at < each; at++) {
        if (at === breaksAt) {
          await this.#cut();
          if (hostKills.has(burst)) await this.#killHost();
          if (serverKills.has(burst)) await this.#killServer();
        }
        await this.#editor.edit();
        if (this.#random.below(5) === 0) await pause(this.#random.below(20));
      }
      if (this.#random.below(2) === 0) await pause(this.#random.below(100));
      for (const { proxy } of this.#members) proxy.resume();
      if ((burst + 1) % lookEvery === 0) await this.#look();
    }
    await this.#look();
    return this.#figures();
  }

  async close(): Promise<void> {
    await this.#starting?.catch(() => {});
    await this.#killed?.kill();
    for (const { world, proxy } of this.#members) {
      await world.close();
      await proxy.close();
    }
    await this.#editor.close();
  }

  async #begin(): Promise<void> {
    const { server } = this.#options;
    const [one, two] = await Promise.all([this.#libraries('1.0.0'), this.#libraries('2.0.0')]);
    for (let at = 0; at < 3; at++) {
      const world = await World.make();
      const proxy = await Proxy.start(server.port);
      const member: Member = { world, proxy, url: () => world.url };
      this.#members.push(member);
      for (const name of plugins) {
        await world.publish(name, one.get(name) ?? '');
        const reload = name === reloading ? 'reloadOnChange: true\n' : '';
        await world.write(name, 'config.yaml', `app_id: ${name}\n${reload}custom: { own: ${name} }\n`);
      }
      const options: CreateHostOptions = {
        registry: true,
        databaseUrl: server.url(new URL(this.#url).pathname.slice(1), { port: proxy.port }),
        // One reads all the time; to the others nothing is told but by the connection.
        registryReconcileMs: at === 0 ? 300 : 600_000,
        trialMs: 60_000,
        lifecycleMs: 60_000,
      };
      if (at < 2) await world.start(options);
      else await this.#startProcess(member, options);
    }
    await this.#editor.connect();
    await this.#converged();
    for (const member of this.#members)
      for (const name of plugins) {
        await member.world.publish(name, two.get(name) ?? '');
        const { status } = await ask(member, 'POST', `/api/v1/plugins/${name}/reload`);
        assert.equal(status, 200);
      }
    await until('the second version is registered', async () => {
      const rows = await this.#editor.sql<{ count: string }>(
        `SELECT count(*) FROM plugins WHERE version = '2.0.0' AND NOT pinned`,
      );
      return rows[0]?.count === String(plugins.length);
    });
    await this.#converged();
    for (const { world } of this.#members) world.events.length = 0;
  }

  async #libraries(version: string): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const name of plugins)
      found.set(name, await buildPlugin('steered', { defines: { PLUGIN_ID: `"${name}"`, VERSION: `"${version}"` } }));
    return found;
  }

  async #startProcess(member: Member, options: CreateHostOptions): Promise<void> {
    const { data, applications } = member.world;
    const host = new KilledHost({ port: 0, hotReload: false, adminToken: token, ...options, data, applications });
    this.#killed = host;
    member.url = () => host.url;
    await host.start();
  }

  async #cut(): Promise<void> {
    const running = this.#members.filter((_, at) => at < 2 || this.#starting === undefined);
    await until('there is something to cut', () => running.some(({ proxy }) => proxy.open > 0), patienceMs);
    const open = running.filter(({ proxy }) => proxy.open > 0);
    const chosen = this.#random.below(4) === 0 ? open : [this.#random.one(open)];
    const refuses = this.#random.below(4) === 0;
    for (const { proxy } of chosen) {
      if (refuses) proxy.refuse();
      proxy.cut();
    }
    this.#cuts += 1;
  }

  async #killHost(): Promise<void> {
    await this.#started();
    // What is not registered when it starts, it registers.
    for (const name of plugins) if (!this.#editor.rows.has(name)) await this.#editor.insert(name);
    this.#editor.deletes = false;
    await this.#killed?.kill();
    this.#starting = this.#killed?.start();
    this.#starting?.catch(() => {}); // whoever waits for it is told
  }

  async #killServer(): Promise<void> {
    await this.#options.server.kill();
    await pause(this.#random.below(500));
    await this.#options.server.start();
    await this.#editor.connect();
  }

  async #started(): Promise<void> {
    await this.#starting;
    this.#starting = undefined;
  }

  /** Everybody comes to what the registry says, and to nothing else. */
  async #look(): Promise<void> {
    await this.#started();
    await until(
      'all are connected',
      async () => {
        const answers = await Promise.all(this.#members.map((member) => ask(member, 'GET', '/readyz')));
        return answers.every(({ body }) => body === 'ok\n');
      },
      patienceMs,
    );
    const begin = performance.now();
    await this.#converged();
    this.#convergedMs.push(Math.round(performance.now() - begin));
    this.#editor.deletes = true;
    assert.equal(await this.#editor.difference(), undefined);
    for (const member of this.#members)
      for (const name of plugins) {
        const found = await this.#stateOf(member, name);
        if (!isDeepStrictEqual(found, this.#wished(name)))
          throw new Error(
            `${name} of the host at ${member.url()} is not as it is said\n${JSON.stringify(
              {
                said: this.#wished(name),
                found,
                row: await this.#editor.sql('SELECT * FROM plugins WHERE name = $1', [name]),
                entry: await this.#editor.sql('SELECT url, plugins -> $1 AS entry FROM hosts', [name]),
                shown: JSON.parse((await ask(member, 'GET', `/api/v1/plugins/${name}`)).body) as unknown,
              },
              undefined,
              2,
            )}`,
          );
      }
    await this.#readsAgain();
  }

  async #converged(): Promise<void> {
    let late: string[] = [];
    await until(
      'all have come to what is said',
      async () => {
        late = [...(await this.#editor.behind(this.#members.length)), ...(await this.#notGone())];
        return late.length === 0;
      },
      patienceMs,
    ).catch((error: unknown) => {
      throw new Error(`these have not come to what is said: ${late.join(', ')}`, { cause: error });
    });
  }

  /** Of what is not registered no host says that it has not gone yet. */
  async #notGone(): Promise<string[]> {
    const late: string[] = [];
    for (const member of this.#members)
      for (const name of plugins)
        if (!this.#editor.rows.has(name) && (await this.#stateOf(member, name)) !== 404)
          late.push(`${member.url()}: ${name} is served still`);
    return late;
  }

  /** Whatever is read once more: what says nothing new reloads nothing, and a reload that is asked for is done once. */
  async #readsAgain(): Promise<void> {
    const before = await this.#generations();
    await this.#cutAll();
    for (const name of this.#editor.rows.keys()) await this.#editor.touch(name);
    await this.#converged();
    assert.deepEqual(await this.#generations(), before);
    for (const name of this.#editor.rows.keys()) await this.#editor.reload(name);
    await this.#cutAll();
    await this.#converged();
    for (const name of this.#editor.rows.keys()) await this.#editor.touch(name);
    await this.#converged();
    const once = before.map((listed) => listed.map(([id, generation]) => [id, generation && generation + 1]));
    assert.deepEqual(await this.#generations(), once);
  }

  async #cutAll(): Promise<void> {
    for (const { proxy } of this.#members) {
      await until('there is something to cut', () => proxy.open > 0, patienceMs);
      proxy.cut();
    }
  }

  #figures(): ChaosFigures {
    const asked = [...this.#editor.asked];
    const figures = { cuts: this.#cuts, edits: 0, generations: 0, asked: 0, convergedMs: this.#convergedMs };
    for (const [, { edits, generations }] of asked) {
      figures.edits += edits;
      figures.asked += generations * 2;
    }
    for (const { world } of this.#members.slice(0, 2))
      for (const [name, { generations, again }] of asked) {
        const begun = world.events.flatMap((event) =>
          'record' in event && event.plugin === name && event.record.to !== undefined && !event.record.unchanged
            ? [event.record]
            : [],
        );
        assert.deepEqual(
          begun.filter(({ outcome }) => outcome !== 'succeeded'),
          [],
        );
        assert.ok(begun.length <= generations, `${name}: ${begun.length} generations, ${generations} asked for`);
        const same = begun.filter(({ from, to }) => from?.sha256 === to?.sha256);
        assert.ok(same.length <= again, `${name}: ${same.length} generations of the same build, ${again} asked for`);
        figures.generations += begun.length;
      }
    return figures;
  }

  /** Of each host: what runs, and as which generation. */
  async #generations(): Promise<[id: string, generation: number | undefined][][]> {
    return Promise.all(
      this.#members.map(async (member) => {
        const { body } = await ask(member, 'GET', '/api/v1/plugins');
        const { plugins: listed } = JSON.parse(body) as { plugins: { id: string; generation?: number }[] };
        return listed.map(({ id, generation }) => [id, generation] as [string, number | undefined]);
      }),
    );
  }

  async #stateOf(member: Member, name: string): Promise<unknown> {
    const { status, body } = await ask(member, 'GET', `/${name}/state`);
    if (status !== 200) return status;
    const [version, config = ''] = body.split('\n');
    return { version, config: JSON.parse(config) as unknown };
  }

  #wished(name: string): unknown {
    const row = this.#editor.rows.get(name);
    if (row?.status !== 'active') return 404;
    return { version: row.pin ?? '2.0.0', config: row.config ?? { own: name } };
  }
}

async function ask(member: Member, method: string, target: string): Promise<{ status: number; body: string }> {
  const answer = await fetch(member.url() + target, { method, headers: { authorization: `Bearer ${token}` } });
  return { status: answer.status, body: await answer.text() };
}

/** `count` places of `all`, at equal distances. */
function placesOf(count: number, all: number, first: number): Set<number> {
  return new Set(Array.from({ length: count }, (_, at) => Math.floor(((at + first) * all) / count)));
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
