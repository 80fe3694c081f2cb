import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Built, markOf } from './libraries.js';

const here = path.dirname(fileURLToPath(import.meta.url));
/** The first turns bring files and pages into memory. */
const coldTurns = 2;
const limitMs = 60_000;

/** The file system on which the host `pid` with this data directory stages what it opens. */
export function stagingPlace(pid: number, data: string): string {
  const places = ['/dev/shm', path.join(data, 'staging')];
  const place = places.find((one) => existsSync(one) && readdirSync(one).some((name) => name.includes(`-${pid}-`)));
  if (place === undefined) throw new Error(`the host stages neither in ${places.join(' nor in ')}`);
  return place;
}

/** Run a loop over the two builds of `plugin` on the file system of `place`, a rest before each turn; the ms of each. */
export async function loop(
  program: string,
  words: readonly string[],
  plugin: Built,
  place: string,
  times: number,
  restMs: number,
): Promise<number[]> {
  const folder = await mkdtemp(path.join(place, 'bench-loop-'));
  try {
    const all = [...words, ...plugin.builds, folder, String(times + coldTurns), String(restMs)];
    const { stdout } = await promisify(execFile)(program, all);
    return stdout.trim().split('\n').slice(coldTurns).map(Number);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** What Node is started with to run the loop through koffi. */
export const koffiLoop: readonly string[] = ['--import', 'tsx', path.join(here, 'koffi.ts')];

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function ask(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path: '/inline' }, (response) => {
      let text = '';
      response.setEncoding('latin1').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(text));
    });
    request.on('error', reject);
  });
}

/** A server that has to be started anew to take another build up. */
export class Restarted {
  readonly #plugin: Built;
  readonly #port: number;
  #child: ChildProcess;
  #build = 1;

  private constructor(plugin: Built, port: number) {
    this.#plugin = plugin;
    this.#port = port;
    this.#child = this.#start();
  }

  static async start(plugin: Built): Promise<Restarted> {
    const restarted = new Restarted(plugin, await freePort());
    await restarted.#answers();
    return restarted;
  }

  /** Kill it and start it with the other build; milliseconds from the signal to the first answer of that build. */
  async restart(): Promise<number> {
    const begin = performance.now();
    await this.close();
    this.#build = this.#build === 1 ? 2 : 1;
    this.#child = this.#start();
    await this.#answers();
    return performance.now() - begin;
  }

  async close(): Promise<void> {
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await exit;
  }

  #start(): ChildProcess {
    const words = [path.join(here, 'restarted.mjs'), this.#plugin.builds[this.#build - 1] ?? '', String(this.#port)];
    const env = { ...process.env, NODE_ENV: 'production' };
    return spawn(process.execPath, words, { stdio: ['pipe', 'inherit', 'inherit'], env });
  }

  async #answers(): Promise<void> {
    const end = performance.now() + limitMs;
    const wanted = markOf(this.#plugin.id, this.#build);
    for (;;) {
      const answer = await ask(this.#port).catch(() => undefined); // nobody listens yet
      if (answer === wanted) return;
      if (performance.now() > end) throw new Error(`the restarted server said ${answer ?? 'nothing'}, not ${wanted}`);
      await sleep(1);
    }
  }
}
