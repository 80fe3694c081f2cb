/** The parent process: holds the port, runs the host as its child, and runs a fresh one when that one asks for it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import os from 'node:os';
import type { Readable } from 'node:stream';
import { ChildOutput } from './child-output.js';
import { type EndRequest, type Given, type Notice, recycleStatus } from './parent.js';
import type { HeldPort } from './port.js';

export interface HostProcessOptions {
  /** Absolute path of the module that is the host; its argument is `order` with what is `Given`, as JSON. */
  program: string;
  order: object;
  /** Closed when the host ends for good. */
  port: HeldPort | undefined;
  /** Of the listener of the admin API; closed likewise. */
  admin?: { port?: HeldPort | undefined; socket?: HeldPort | undefined };
  /** Whether the standard streams are the parent's, or its output is read by the parent, and its input empty. */
  stdio: 'inherit' | 'pipe';
  /** Whether what is written to the standard streams is logged by the host; the last of it goes to `lastWords` when there is none any more. */
  captures: boolean;
  lastWords: (line: string) => void;
}

/** What the host says by itself, where the parent reads it: its log, and words for people. */
export type Spoken = readonly (Readable | null)[];

/** How a host has ended for good. */
export interface HostEnd {
  /** Exit status; 128 and the signal's number when one ended it. */
  status: number;
  /** What it was killed by. */
  signal?: NodeJS.Signals;
}

/** Of a child, behind the standard streams and the channel to its parent. */
const firstDescriptor = 4;

/** One host, in one process after the other. */
export class HostProcess {
  readonly #options: HostProcessOptions;
  #child: ChildProcess | undefined;
  #asked = false;
  #stopping = false;

  constructor(options: HostProcessOptions) {
    this.#options = options;
  }

  /**
   * Run it until it ends for good; how it did.
   * @param started given what every child says, at its start
   */
  async run(started: (spoken: Spoken) => void = () => {}): Promise<HostEnd> {
    for (let continues = false; ; continues = true) {
      const end = await this.#runOnce(continues, started);
      if (end.status === recycleStatus && !this.#stopping) continue;
      this.#closePorts();
      return end.status === recycleStatus ? { status: 0 } : end;
    }
  }

  /** Let the requests under way end, then end; asked again, end at once. */
  stop(why: string): void {
    const request: EndRequest = { atOnce: this.#asked, why };
    this.#asked = true;
    this.#giveUpPort();
    // One that is gone is heard of by its exit.
    if (this.#child?.connected === true) this.#child.send(request, () => {});
  }

  /** From now on nobody waits for a host that does not come. */
  #giveUpPort(): void {
    this.#stopping = true;
    this.#closePorts();
  }

  #closePorts(): void {
    const { port, admin } = this.#options;
    for (const held of [port, admin?.port, admin?.socket]) held?.close();
  }

  #runOnce(continues: boolean, started: (spoken: Spoken) => void): Promise<HostEnd> {
    const { program, order, port, admin, stdio, captures } = this.#options;
    const input = stdio === 'pipe' ? 'ignore' : 'inherit';
    const streams = captures ? 'pipe' : stdio;
    const own = stdio === 'pipe' ? (['pipe', 'pipe'] as const) : ([1, 2] as const);
    const mark = randomBytes(8).toString('hex');
    const descriptors: number[] = [];
    const pass = (held: HeldPort | undefined): number | undefined =>
      held && firstDescriptor + descriptors.push(held.descriptor) - 1;
    // What is undefined is not in the JSON that the child reads.
    const given: Given = {
      continues,
      descriptor: pass(port),
      admin: { port: pass(admin?.port), socket: pass(admin?.socket) },
    };
    const first = firstDescriptor + descriptors.length;
    if (captures) given.output = { mark, log: first, words: first + 1 };
    const child = spawn(process.execPath, [...process.execArgv, program, JSON.stringify({ ...order, ...given })], {
      stdio: [input, streams, streams, 'ipc', ...descriptors, ...(captures ? own : [])],
    });
    this.#child = child;
    const output = captures ? new ChildOutput(child, mark, this.#options.lastWords) : undefined;
    child.on('message', (notice: Notice) => {
      if (notice === 'stopping') this.#giveUpPort();
      else output?.logged();
    });
    started(captures ? (child.stdio.slice(first) as (Readable | null)[]) : [child.stdout, child.stderr]);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      const ended = (status: number | null, signal: NodeJS.Signals | null): void =>
        resolve(signal === null ? { status: status ?? 1 } : { status: 128 + os.constants.signals[signal], signal });
      if (output === undefined) child.once('close', ended);
      else child.once('exit', (status, signal) => void output.end().then(() => ended(status, signal)));
    });
  }
}
