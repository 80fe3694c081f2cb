/** Keep-alive clients that call without a pause and remember everything that was not as it should be. */
import { Agent, type IncomingMessage, request } from 'node:http';

export interface Call {
  method: 'GET' | 'POST';
  path: string;
}

/** One answered call; times as `performance.now()`. */
export interface Answered {
  client: number;
  call: Call;
  status: number;
  body: string;
  begun: number;
  ended: number;
}

export interface ClientsOptions {
  url: string;
  count: number;
  /** What client `client` calls as its `turn`th call. */
  next: (client: number, turn: number) => Call;
  /** Why an answer is not as it should be; undefined when it is. */
  judge: (answered: Answered) => string | undefined;
}

export interface Report {
  answered: number;
  /** One sentence for each failed call and each unexpected answer. */
  unexpected: string[];
  /** Connections that were opened; with keep-alive as many as clients. */
  connections: number;
}

/** Clients in this process, each on a connection of its own. */
export class Clients {
  readonly #options: ClientsOptions;
  readonly #unexpected: string[] = [];
  readonly #workers: Promise<void>[] = [];
  #answered = 0;
  #connections = 0;
  #stopping = false;

  constructor(options: ClientsOptions) {
    this.#options = options;
    for (let client = 0; client < options.count; client++) this.#workers.push(this.#work(client));
  }

  /** Calls that were answered until now. */
  get answered(): number {
    return this.#answered;
  }

  /** Let every client finish its call. */
  async stop(): Promise<Report> {
    this.#stopping = true;
    await Promise.all(this.#workers);
    return { answered: this.#answered, unexpected: this.#unexpected, connections: this.#connections };
  }

  async #work(client: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let turn = 0; !this.#stopping; turn++) {
      const call = this.#options.next(client, turn);
      try {
        const answered = await send(agent, this.#options.url, client, call, () => this.#connections++);
        this.#answered++;
        const fault = this.#options.judge(answered);
        if (fault !== undefined) this.#unexpected.push(`${call.method} ${call.path}: ${fault}`);
      } catch (error) {
        this.#unexpected.push(`${call.method} ${call.path}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    agent.destroy();
  }
}

/** One call on a connection that is closed afterwards. */
export async function callOnce(url: string, call: Call): Promise<Answered> {
  return send(false, url, 0, call, () => {});
}

function send(
  agent: Agent | false,
  url: string,
  client: number,
  call: Call,
  connecting: () => void,
): Promise<Answered> {
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    const outgoing = request(url + call.path, { method: call.method, agent }, (answer: IncomingMessage) => {
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        body += chunk;
      });
      answer.on('error', reject);
      answer.on('end', () => {
        resolve({ client, call, status: answer.statusCode ?? 0, body, begun, ended: performance.now() });
      });
    });
    outgoing.on('socket', (socket) => {
      if (socket.connecting) connecting();
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}
