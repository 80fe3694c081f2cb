/** The parent process: holds the port, runs the host as its child, and runs a fresh one when that one asks for it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import os from 'node:os';
import type { Readable } from 'node:stream';
import { processEnvironment, type ResolvedSettings } from '../base/config.js';
import { ChildOutput } from './child-output.js';
import { EndWishes, type Given, type Notice, type ParentRequest, recycleStatus } from './parent.js';
import type { HeldPort } from './port.js';
import { managerVariables, type ServiceManager } from './service-manager.js';

export interface HostProcessOptions {
  /** Absolute path of the module that is the host; its argument is `order` with what is `Given`, as JSON. */
  program: string;
  order: object;
  /** What the first one begins with. */
  settings: ResolvedSettings;
  /** Closed when the host ends for good. */
  port: HeldPort | undefined;
  /** Of the listener of the admin API; closed likewise. */
  admin?: { port?: HeldPort | undefined; socket?: HeldPort | undefined };
  /** Whether the standard streams are the parent's, or its output is read by the parent, and its input empty. */
  stdio: 'inherit' | 'pipe';
  /** Whether what is written to the standard streams is logged by the host; the last of it goes to `lastWords` when there is none any more. */
  captures: boolean;
  lastWords: (line: string) => void;
  manager: ServiceManager | undefined;
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

/** From the start of a process until it can be expected to give a sign of life, ms. */
const wakingMs = 60_000;

/** For a host to end at once by itself, ms: one whose event loop stands never does. */
const atOnceMs = 1000;
/** Status of a host that was ended at once. */
const atOnceStatus = 130;

/** One host, in one process after the other. */
export class HostProcess {
  readonly #options: HostProcessOptions;
  readonly #wishes = new EndWishes();
  #child: ChildProcess | undefined;
  #startedAt = 0;
  #stopping = false;
  #killed = false;
  /** The last wish that the settings be read again, and the last one that a host has granted. */
  #wish = 0;
  #granted = 0;
  #settings: ResolvedSettings;
  /** What was in force before, until a host has shown that it serves with `#settings`. */
  #before: ResolvedSettings | undefined;
  #isReady = false;
  /** What was last told of a host that is ready. */
  #about = '';
  /** Whether the child has given a sign since it was last asked for one; undefined before the first. */
  #lives: boolean | undefined;

  constructor(options: HostProcessOptions) {
    this.#options = options;
    this.#settings = options.settings;
  }

  /** Process id of the host; undefined while none runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Run it until it ends for good; how it did.
   * @param started given what every child says, at its start
   */
  async run(started: (spoken: Spoken) => void = () => {}): Promise<HostEnd> {
    const { manager } = this.#options;
    const beat = manager && setInterval(() => this.#beat(manager), manager.beatMs);
    try {
      for (let continues = false; ; continues = true) {
        const end = await this.#runOnce(continues, started);
        if (this.#killed && end.signal === 'SIGKILL') return { status: atOnceStatus };
        if (this.#stopping) return isOwnEnd(end) ? { status: 0 } : end;
        if (end.status === recycleStatus) manager?.status('the host begins anew in a fresh process');
        else if (!this.#goBack()) return end;
      }
    } finally {
      clearInterval(beat);
      this.#closePorts();
    }
  }

  /** Let the requests under way end, then end; asked again, end at once. */
  stop(why: string): void {
    const atOnce = this.#wishes.insists();
    this.#giveUp();
    this.#ask({ ask: 'end', atOnce, why });
    if (atOnce && !this.#killed) this.#killSoon();
  }

  /** Have the host read its settings again; the next one, when this one ends before. */
  reload(): void {
    if (this.#stopping) return;
    this.#options.manager?.reloading();
    this.#wish += 1;
    this.#ask({ ask: 'reload', wish: this.#wish });
  }

  #killSoon(): void {
    this.#killed = true;
    const child = this.#child;
    setTimeout(() => child?.kill('SIGKILL'), atOnceMs).unref();
  }

  // One that is gone is heard of by its exit.
  #ask(request: ParentRequest): void {
    if (this.#child?.connected === true) this.#child.send(request, () => {});
  }

  /** From now on nobody waits for a host that does not come. */
  #giveUp(): void {
    if (!this.#stopping) this.#options.manager?.stopping();
    this.#stopping = true;
    this.#closePorts();
  }

  #closePorts(): void {
    const { port, admin } = this.#options;
    for (const held of [port, admin?.port, admin?.socket]) held?.close();
  }

  /** Whether another one is to be tried, since this one could not begin with the settings that were read last. */
  #goBack(): boolean {
    if (this.#before === undefined || this.#isReady) return false;
    this.#settings = this.#before;
    this.#before = undefined;
    process.stderr.write(
      'tenon: no host could begin with the settings that were read last: the next one has those before\n',
    );
    return true;
  }

  #beat(manager: ServiceManager): void {
    const wakes = this.#lives === undefined && performance.now() - this.#startedAt < wakingMs;
    if (wakes || this.#lives === true) manager.sign(!this.#isReady || this.#stopping);
    if (this.#lives !== undefined) this.#lives = false;
    this.#ask({ ask: 'sign' });
  }

  #hear(notice: Exclude<Notice, { told: 'logged' }>): void {
    const { manager } = this.#options;
    if (notice.told === 'sign') this.#lives = true;
    else if (notice.told === 'stopping') this.#giveUp();
    else if (notice.told === 'reloading') manager?.reloading();
    else if (notice.told === 'granted') this.#granted = notice.wish;
    else if (notice.told === 'settings') {
      this.#before ??= this.#settings;
      this.#settings = notice.settings;
    } else if (notice.told === 'reloaded') {
      this.#before = undefined;
      if (this.#isReady) manager?.ready(this.#about);
    } else {
      this.#isReady = true;
      this.#before = undefined;
      this.#about = notice.about;
      manager?.ready(notice.about);
      if (this.#granted < this.#wish) this.#ask({ ask: 'reload', wish: this.#wish });
    }
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
      begins: true,
      descriptor: pass(port),
      admin: { port: pass(admin?.port), socket: pass(admin?.socket) },
    };
    const first = firstDescriptor + descriptors.length;
    if (captures) given.output = { mark, log: first, words: first + 1 };
    const child = spawn(process.execPath, [...process.execArgv, program, JSON.stringify({ ...order, ...given })], {
      stdio: [input, streams, streams, 'ipc', ...descriptors, ...(captures ? own : [])],
      env: withoutManager(),
    });
    this.#child = child;
    this.#startedAt = performance.now();
    this.#lives = undefined;
    this.#isReady = false;
    const output = captures ? new ChildOutput(child, mark, this.#options.lastWords) : undefined;
    child.on('message', (notice: Notice) => {
      if (notice.told === 'logged') output?.logged();
      else this.#hear(notice);
    });
    this.#ask({ ask: 'begin', settings: this.#settings });
    if (this.#stopping) this.#ask({ ask: 'end', atOnce: false, why: 'asked for before its start' });
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

/** An end that was asked for: it began anew, or heard of the signal before it could do anything about it. */
function isOwnEnd({ status, signal }: HostEnd): boolean {
  return status === recycleStatus || signal === 'SIGTERM' || signal === 'SIGINT' || signal === 'SIGHUP';
}

function withoutManager(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(processEnvironment()).filter(([name]) => !managerVariables.includes(name)));
}
