/** Keep-alive clients that tell apart how a request was lost, and say how long nobody was answered. */
import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

/**
 * `refused`: nobody listened. `lost`: the connection ended under the request. `status`: another answer than 200. `late`: no answer in 20 s.
 */
export type LossKind = 'refused' | 'lost' | 'status' | 'late';

/** One request that was not answered as it should have been; times as `performance.now()`. */
export interface Loss {
  readonly client: number;
  readonly kind: LossKind;
  readonly path: string;
  readonly detail: string;
  readonly begun: number;
  readonly ended: number;
}

export interface LoadOptions {
  readonly url: string;
  readonly count: number;
  readonly path: (client: number, turn: number) => string;
  /** Between an answer and the next request of a client, ms: what all of a machine is not needed for. */
  readonly restMs: number;
}

const answerMs = 20_000;

/** What was seen from one moment on. */
export interface Seen {
  readonly losses: readonly Loss[];
  readonly answered: number;
  /** From the first connection that ended under a request to the first answer of a request that began afterwards, ms. */
  readonly gapMs?: number;
}

export class Load {
  readonly #options: LoadOptions;
  readonly #workers: Promise<void>[];
  #losses: Loss[] = [];
  /** Beginning and end of each answered request since the mark. */
  #answers: [number, number][] = [];
  #answered = 0;
  #stopping = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#workers = Array.from({ length: options.count }, (_, client) => this.#work(client));
  }

  get answered(): number {
    return this.#answered;
  }

  /** Losses until now since the mark. */
  get lost(): number {
    return this.#losses.length;
  }

  /** Forget what was seen until now. */
  mark(): void {
    this.#losses = [];
    this.#answers = [];
  }

  /** Whether every client has been answered on a request that began after the first loss since the mark. */
  get hasRecovered(): boolean {
    const [first] = this.#losses;
    return first === undefined || this.#answers.some(([begun]) => begun >= first.ended);
  }

  seen(): Seen {
    const ends = this.#losses.filter(({ kind }) => kind === 'lost').map(({ ended }) => ended);
    const death = Math.min(...ends);
    const back = Math.min(...this.#answers.filter(([begun]) => begun >= death).map(([, ended]) => ended));
    return {
      losses: this.#losses,
      answered: this.#answers.length,
      ...(Number.isFinite(back - death) ? { gapMs: back - death } : {}),
    };
  }

  /** Each client ends its request. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#workers);
  }

  async #work(client: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let turn = 0; !this.#stopping; turn++) {
      const path = this.#options.path(client, turn);
      const begun = performance.now();
      const fault = await get(agent, this.#options.url + path);
      const ended = performance.now();
      if (fault === undefined) {
        this.#answers.push([begun, ended]);
        this.#answered++;
      } else this.#losses.push({ client, path, begun, ended, ...fault });
      if (this.#options.restMs > 0) await pause(this.#options.restMs);
    }
    agent.destroy();
  }
}

/** What was wrong with the answer; undefined when nothing was. */
function get(agent: Agent, url: string): Promise<{ kind: LossKind; detail: string } | undefined> {
  return new Promise((resolve) => {
    const failed = (error: Error & { code?: string }): void => {
      const kind = error.code === 'ECONNREFUSED' ? 'refused' : error.message === 'late' ? 'late' : 'lost';
      resolve({ kind, detail: `${error.code ?? ''} ${error.message}`.trim() });
    };
    const outgoing = request(url, { agent, timeout: answerMs }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text: string) => (body += text));
      answer.on('error', failed);
      answer.on('end', () => {
        const { statusCode } = answer;
        resolve(statusCode === 200 ? undefined : { kind: 'status', detail: `${statusCode} ${body.slice(0, 300)}` });
      });
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('late')));
    outgoing.on('error', failed);
    outgoing.end();
  });
}
