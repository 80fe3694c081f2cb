/** `tenon start` with plugins made of test/plugins/fault.cpp: their builds, the calls that bring faults about, the reports. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { CrashReport } from '../../src/base/crash-report.js';
import { Command, hostProcess, token } from '../load/command.js';
import { until, World } from '../load/world.js';
import { buildPlugin } from '../plugins/build.js';
import { healthy } from './kinds.js';

const mark = Buffer.from('TENON-FAULT-ORDER:');
const orderBytes = 160 - mark.length - 1;

/** What came of a request; `lost` when the connection ended under it. */
export interface Reply {
  readonly status: number | 'lost' | 'refused';
  readonly body: string;
}

/** A build that was put into its application. */
export interface Published {
  readonly serial: string;
  readonly sha256: string;
}

/** Which generation answers, and of which build it is. */
export interface Who {
  readonly generation: number;
  readonly serial: string;
}

/** What the host shows of a plugin, as far as it is looked at here. */
export interface Shown {
  readonly state: string;
  readonly error?: { readonly code: string; readonly message: string };
  readonly generations: readonly {
    readonly number: number;
    readonly state: string;
    readonly gauges?: { readonly threads: number; readonly descriptors: number; readonly memory: number };
  }[];
  readonly warnings?: readonly string[];
}

export class FaultyHost {
  readonly world: World;
  #started: Command | undefined;
  #serial = 0;

  private constructor(world: World) {
    this.world = world;
  }

  get #command(): Command {
    if (this.#started === undefined) throw new Error('it has not been started');
    return this.#started;
  }

  /**
   * Start it with these plugins, all well.
   * @param settings lines of tenon.yaml
   * @param prepare what else has to be there
   * @param variables of its environment
   */
  static async start(
    plugins: readonly string[],
    settings: string,
    prepare: (world: World) => Promise<void> = async () => {},
    variables: Record<string, string> = {},
  ): Promise<FaultyHost> {
    const world = await World.make();
    await writeFile(path.join(world.directory, 'tenon.yaml'), settings);
    await prepare(world);
    const standby = { TENON_STANDBY: String(!settings.includes('standby: false')) };
    const words = ['start', '--port', '0', '--data', 'state'];
    const host = new FaultyHost(world);
    // It looks for applications once.
    for (const id of plugins) await host.publish(id);
    host.#started = new Command(words, world.directory, { ...standby, ...variables });
    try {
      await until('it serves', () => host.#command.err.includes('Try: '));
    } catch (error) {
      await host.close();
      throw new Error(`it does not serve: ${host.said}`, { cause: error });
    }
    return host;
  }

  get url(): string {
    return this.#command.url;
  }

  /** All that it has written. */
  get said(): string {
    return `${this.#command.out}\n${this.#command.err}`;
  }

  get parent(): number {
    const { pid } = this.#command.child;
    if (pid === undefined) throw new Error('it was not started');
    return pid;
  }

  get hasEnded(): boolean {
    return this.#command.child.exitCode !== null || this.#command.child.signalCode !== null;
  }

  /** The process that serves; undefined while none does. */
  pid(): Promise<number | undefined> {
    return hostProcess(this.world.data);
  }

  /** The same, of which there must be one. */
  async serving(): Promise<number> {
    const pid = await this.pid();
    if (pid === undefined) throw new Error(`no host serves: ${this.said}`);
    return pid;
  }

  /** Put a build that was never there before into the application `id`; `order`: see fault.cpp, of which `hostile` is not made. */
  async publish(id: string, order: (serial: string) => string = healthy): Promise<Published> {
    const serial = `s${++this.#serial}`;
    const source = id === 'hostile' ? 'hostile' : 'fault';
    const bytes = await readFile(await buildPlugin(source, { defines: { PLUGIN_ID: `"${id}"` } }));
    const text = Buffer.alloc(orderBytes);
    text.write(order(serial));
    text.copy(bytes, bytes.indexOf(mark) + mark.length);
    const file = path.join(this.world.directory, `build-of-${id}`);
    await writeFile(file, bytes);
    await this.world.publish(id, file);
    return { serial, sha256: createHash('sha256').update(bytes).digest('hex') };
  }

  /** One request on a connection of its own. */
  async call(method: string, target: string, body?: string): Promise<Reply> {
    const administers = target.startsWith('/api/');
    try {
      const answer = await fetch(this.url + target, {
        method,
        headers: {
          connection: 'close',
          ...(administers ? { authorization: `Bearer ${token}` } : {}),
          ...(body?.startsWith('{') === true ? { 'content-type': 'application/json' } : {}),
        },
        signal: AbortSignal.timeout(30_000),
        ...(body === undefined ? {} : { body }),
      });
      return { status: answer.status, body: await answer.text() };
    } catch (error) {
      const cause = error instanceof Error ? (error.cause as { code?: string } | undefined) : undefined;
      return { status: cause?.code === 'ECONNREFUSED' ? 'refused' : 'lost', body: String(cause ?? error) };
    }
  }

  reload(id: string): Promise<Reply> {
    return this.call('POST', `/api/v1/plugins/${id}/reload`);
  }

  /** Publish a build that is well, and have it serve. */
  async renew(id: string): Promise<Published> {
    const published = await this.publish(id);
    const { status, body } = await this.reload(id);
    if (status !== 200) throw new Error(`a build that is well was refused: ${status} ${body}`);
    return published;
  }

  async who(id: string): Promise<Who | undefined> {
    const { status, body } = await this.call('GET', `/${id}/who`);
    const [generation, serial = ''] = body.split(' ');
    return status === 200 ? { generation: Number(generation), serial } : undefined;
  }

  async show(id: string): Promise<Shown | undefined> {
    const { status, body } = await this.call('GET', `/api/v1/plugins/${id}`);
    return status === 200 ? (JSON.parse(body) as Shown) : undefined;
  }

  /** Ids of the reports that are there, the oldest first. */
  async reports(): Promise<string[]> {
    const names = await readdir(path.join(this.world.data, 'crashes')).catch(() => []);
    return names
      .filter((name) => name.endsWith('.json'))
      .map((name) => name.slice(0, -'.json'.length))
      .toSorted();
  }

  async report(id: string): Promise<CrashReport> {
    return JSON.parse(await readFile(path.join(this.world.data, 'crashes', `${id}.json`), 'utf8')) as CrashReport;
  }

  /** The first report that is none of `known`, when there is one by `limitMs`. */
  async reportAfter(known: readonly string[], limitMs = 30_000): Promise<CrashReport | undefined> {
    const end = performance.now() + limitMs;
    for (;;) {
      const fresh = (await this.reports()).find((id) => !known.includes(id));
      if (fresh !== undefined) return this.report(fresh);
      if (performance.now() > end) return undefined;
      await pause(10);
    }
  }

  /** The process that waits to begin, and has loaded all that it needs for that. */
  async spare(): Promise<number | undefined> {
    const children = await readFile(`/proc/${this.parent}/task/${this.parent}/children`, 'utf8').catch(() => '');
    for (const pid of children.split(' ').filter((word) => word !== '')) {
      const title = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '');
      if (title.startsWith('tenon: stands by')) return Number(pid);
    }
    return undefined;
  }

  async standsBy(): Promise<boolean> {
    return (await this.spare()) !== undefined;
  }

  async close(): Promise<void> {
    this.#command.child.kill('SIGTERM');
    const timer = setTimeout(() => this.#command.child.kill('SIGKILL'), 15_000);
    // Not for the end of its output: what a fault has left behind may hold that.
    if (!this.hasEnded) await once(this.#command.child, 'exit');
    clearTimeout(timer);
    await this.world.close();
  }
}
