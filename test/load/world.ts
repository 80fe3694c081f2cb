/** A host of a test with a world of its own: data and applications directories that are gone afterwards. */
import { copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import type { OwnProcess } from '../../src/embedding.js';
import {
  type CreateHostOptions,
  createHost,
  type HostEvent,
  openHost,
  openOwnHost,
  type TenonHost,
} from '../../src/index.js';
import { requireDocumented } from './documented.js';
import { isIsolated } from './isolation.js';

/** One line of the host's log. */
export interface LogLine {
  level: number;
  msg: string;
  plugin?: string;
  generation?: number;
  fields?: Record<string, string>;
  [field: string]: unknown;
}

/** An event with the time it was told, as `performance.now()`. */
export type TimedEvent = HostEvent & { at: number };

export interface Answer {
  status: number;
  headers: Headers;
  body: string;
}

export class World {
  readonly directory: string;
  readonly applications: string;
  readonly data: string;
  readonly log: LogLine[] = [];
  readonly events: TimedEvent[] = [];
  #host: TenonHost | undefined;
  #url = '';

  private constructor(directory: string) {
    this.directory = directory;
    this.applications = path.join(directory, 'applications');
    this.data = path.join(directory, 'state');
  }

  static async make(): Promise<World> {
    const world = new World(await mkdtemp(path.join(os.tmpdir(), 'tenon-world-')));
    await mkdir(world.applications);
    return world;
  }

  get host(): TenonHost {
    if (this.#host === undefined) throw new Error('the host has not been started');
    return this.#host;
  }

  get url(): string {
    return this.#url;
  }

  folder(id: string): string {
    return path.join(this.applications, id);
  }

  /** Start the host on a free port, without a watch and a registry unless they are asked for. */
  async start(options: CreateHostOptions = {}): Promise<void> {
    this.#host = await createHost(this.#options(options));
    this.#url = await this.#host.listen();
  }

  /** Start it and listen; the applications are looked for by `host.discover()`. */
  async open(options: CreateHostOptions = {}, own?: OwnProcess): Promise<void> {
    this.#host = await (own === undefined
      ? openHost(this.#options(options))
      : openOwnHost(this.#options(options), own));
    this.#url = await this.#host.listen();
  }

  #options(options: CreateHostOptions): CreateHostOptions {
    const lines = this.log;
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(JSON.parse(chunk.toString()) as LogLine);
        done();
      },
    });
    return {
      port: 0,
      data: this.data,
      applications: this.applications,
      hotReload: false,
      registry: false,
      adminToken: 'a-token-of-the-tests',
      isolation: isIsolated ? 'process' : 'inline',
      log: pino({ level: 'trace' }, stream),
      onEvent: (event) => void this.events.push({ ...event, at: performance.now() }),
      ...options,
    };
  }

  /** Put a built library into the application `id`, by rename as a careful publisher does. */
  async publish(id: string, library: string): Promise<void> {
    await mkdir(this.folder(id), { recursive: true });
    const fresh = path.join(this.directory, `fresh-${id}`);
    await copyFile(library, fresh);
    await rename(fresh, path.join(this.folder(id), `${id}.so`));
  }

  /** Write a file of the application `id`. */
  async write(id: string, file: string, text: string): Promise<void> {
    const target = path.join(this.folder(id), file);
    await mkdir(path.dirname(target), { recursive: true });
    await writeFile(target, text);
  }

  /** Put a file into the applications directory itself, as a copy does. */
  put(name: string, content: Uint8Array): Promise<void> {
    return writeFile(path.join(this.applications, name), content);
  }

  /** What the host itself answers has to be as its document says. */
  async request(method: string, target: string, init: RequestInit = {}): Promise<Answer> {
    const answer = await fetch(this.url + target, { method, ...init });
    const { status, headers } = answer;
    const body = await answer.text();
    await requireDocumented(this.url, { method, target, status, type: headers.get('content-type'), body });
    return { status, headers, body };
  }

  get(target: string): Promise<Answer> {
    return this.request('GET', target);
  }

  /** A call of the admin API. */
  admin(method: string, target: string): Promise<Answer> {
    return this.request(method, target, { headers: { authorization: 'Bearer a-token-of-the-tests' } });
  }

  /** Messages that the plugin `id` logged, oldest first. */
  said(id: string): string[] {
    return this.log
      .filter((line) => line.plugin === id && line.fields?.['build'] !== undefined)
      .map((line) => line.msg);
  }

  async close(): Promise<void> {
    await this.#host?.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Resolves when `condition` holds; rejects with `what` after `limitMs`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 45_000,
): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}
