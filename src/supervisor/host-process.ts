/** The parent process: holds the port, runs the host as its child, and runs a fresh one when that one asks for it. */
import { type ChildProcess, spawn } from 'node:child_process';
import os from 'node:os';
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
}

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
   * @param started told of every child at its start
   */
  async run(started: (child: ChildProcess) => void = () => {}): Promise<HostEnd> {
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

  #runOnce(continues: boolean, started: (child: ChildProcess) => void): Promise<HostEnd> {
    const { program, order, port, admin, stdio } = this.#options;
    const input = stdio === 'pipe' ? 'ignore' : 'inherit';
    const descriptors: number[] = [];
    const pass = (held: HeldPort | undefined): number | undefined =>
      held && firstDescriptor + descriptors.push(held.descriptor) - 1;
    // What is undefined is not in the JSON that the child reads.
    const given: Given = {
      continues,
      descriptor: pass(port),
      admin: { port: pass(admin?.port), socket: pass(admin?.socket) },
    };
    const child = spawn(process.execPath, [...process.execArgv, program, JSON.stringify({ ...order, ...given })], {
      stdio: [input, stdio, stdio, 'ipc', ...descriptors],
    });
    this.#child = child;
    child.on('message', (notice: Notice) => {
      if (notice === 'stopping') this.#giveUpPort();
    });
    started(child);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status, signal) =>
        resolve(signal === null ? { status: status ?? 1 } : { status: 128 + os.constants.signals[signal], signal }),
      );
    });
  }
}
