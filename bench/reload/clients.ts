// Keep-alive clients in a process of their own, that call without a pause: `clients.ts`. The parent sends a `Start`, is
// told when every connection is warm, sends the `Windows` when it has had enough, and gets a `Seen`.
import { connect, type Socket } from 'node:net';
import type { Seen, Start, Windows } from './load.js';
import { now } from './clock.js';

/** Calls of each connection before it counts as warm. */
const warmCalls = 50;

/** One connection: one call after the other, and when each began and ended. */
class Client {
  readonly target: string;
  readonly begun: number[] = [];
  readonly ended: number[] = [];
  /** What was not as it should be; the first of it ends the client. */
  fault: string | undefined;
  readonly #socket: Socket;
  readonly #request: string;
  readonly #answers: readonly string[];
  #text = '';
  #stopping = false;
  #over = (): void => {};
  readonly #done: Promise<void>;

  constructor({ url, answers }: Start, target: string) {
    const { hostname, port, host } = new URL(url);
    this.target = target;
    this.#answers = answers;
    this.#request = `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
    this.#done = new Promise((resolve) => {
      this.#over = resolve;
    });
    this.#socket = connect(Number(port), hostname, () => this.#call());
    this.#socket.setNoDelay(true).setEncoding('latin1');
    this.#socket.on('data', (part: string) => this.#read(part));
    this.#socket.on('error', (error) => this.#fail(error.message));
    this.#socket.on('close', () => this.#fail('the connection was closed'));
  }

  /** Finish the call under way. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#done;
    this.#socket.destroy();
  }

  #call(): void {
    this.begun.push(now());
    this.#socket.write(this.#request);
  }

  #read(part: string): void {
    this.#text += part;
    const head = this.#text.indexOf('\r\n\r\n');
    if (head < 0) return;
    const length = /^content-length: *(\d+)/im.exec(this.#text.slice(0, head))?.[1];
    const body = this.#text.slice(head + 4);
    if (length !== undefined && body.length < Number(length)) return;
    this.ended.push(now());
    if (!this.#text.startsWith('HTTP/1.1 200 ') || !this.#answers.includes(body)) this.#fail(this.#text);
    this.#text = '';
    if (this.#stopping || this.fault !== undefined) this.#over();
    else this.#call();
  }

  #fail(what: string): void {
    if (this.#stopping && this.begun.length === this.ended.length) return;
    this.fault ??= what;
    this.#over();
  }
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function during(client: Client, call: number, [begin, end]: readonly [number, number]): boolean {
  return (client.begun[call] ?? 0) <= end && (client.ended[call] ?? 0) >= begin;
}

/** For each window how much longer than the median the longest call was that overlaps it, see `Seen`. */
function judge(clients: Client[], { reloads, quiet }: Windows): Seen {
  const all = [...reloads, ...quiet];
  const longest = all.map(() => 0);
  const medians: number[] = [];
  for (const target of new Set(clients.map((client) => client.target))) {
    const own = clients.filter((client) => client.target === target);
    const latency = (client: Client, call: number): number => (client.ended[call] ?? 0) - (client.begun[call] ?? 0);
    const undisturbed = own.flatMap((client) =>
      client.ended
        .map((_, call) => call)
        .filter((call) => !reloads.some((window) => during(client, call, window)))
        .map((call) => latency(client, call)),
    );
    const usual = median(undisturbed);
    medians.push(usual);
    for (const client of own)
      for (let call = 0; call < client.ended.length; call++)
        for (const [at, window] of all.entries())
          if (during(client, call, window)) longest[at] = Math.max(longest[at] ?? 0, latency(client, call) - usual);
  }
  return {
    answered: clients.reduce((sum, client) => sum + client.ended.length, 0),
    faults: clients.flatMap(({ fault }) => fault ?? []),
    medianMs: median(medians),
    pauses: longest.slice(0, reloads.length),
    controls: longest.slice(reloads.length),
  };
}

if (process.send === undefined) throw new TypeError('this is started by reload.ts');
const send = process.send.bind(process);
let clients: Client[] = [];

async function start(order: Start): Promise<void> {
  clients = Array.from(
    { length: order.connections },
    (_, at) => new Client(order, order.targets[at % order.targets.length] ?? ''),
  );
  while (clients.some(({ ended, fault }) => ended.length < warmCalls && fault === undefined))
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  send('warm');
}

async function stop(windows: Windows): Promise<void> {
  await Promise.all(clients.map((client) => client.stop()));
  send(judge(clients, windows));
}

process.on('disconnect', () => process.exit(0));
process.on('message', (order: Start | Windows) => void ('url' in order ? start(order) : stop(order)));
