import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReloadRecord } from '../../src/index.js';

const limitMs = 60_000;

/** A host in a process of its own, with what it serves. */
export class Live {
  readonly #child: ChildProcess;
  readonly #url: string;
  #seen = '';
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.#url = url;
  }

  static async start(applications: string, data: string): Promise<Live> {
    const program = path.join(path.dirname(fileURLToPath(import.meta.url)), 'host.ts');
    const child = fork(program, [applications, data], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const [url] = (await once(child, 'message')) as [string];
    const live = new Live(child, url);
    await live.nextReload();
    return live;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  #ask(target: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const request = get(this.#url + target, { agent: this.#agent }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve(text));
      });
      request.on('error', reject);
    });
  }

  /** Resolves when the answer of `target` has `mark` in it. Asks every 2 ms. */
  async says(target: string, mark: string): Promise<void> {
    const end = performance.now() + limitMs;
    while (!(await this.#ask(target)).includes(mark)) {
      if (performance.now() > end) throw new Error(`${target} did not say ${mark}`);
      await sleep(2);
    }
  }

  /** The newest reload record that this has not returned yet: it is complete when the old build is gone. */
  async nextReload(): Promise<ReloadRecord> {
    const end = performance.now() + limitMs;
    for (;;) {
      this.#child.send('records');
      const [records] = (await once(this.#child, 'message')) as [ReloadRecord[]];
      const [newest] = records;
      if (newest !== undefined && newest.id !== this.#seen) {
        this.#seen = newest.id;
        return newest;
      }
      if (performance.now() > end) throw new Error('there is no new reload record');
      await sleep(2);
    }
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    this.#child.disconnect();
    await once(this.#child, 'exit');
  }
}
