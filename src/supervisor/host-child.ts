/** One process of a host: begun, or standing by for that. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import os from 'node:os';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { processEnvironment, type ResolvedSettings } from '../base/config.js';
import { version } from '../base/version.js';
import type { BlackBoxDoor, BoxContents } from '../binding/black-box.js';
import { ChildOutput } from './child-output.js';
import { holdOf } from './process-look.js';
import { type Given, type Notice, type ParentRequest, protocol } from './parent.js';
import type { HeldPort } from './port.js';
import type { Release } from './release.js';
import { managerVariables } from './service-manager.js';

export interface HostChildOptions {
  /** Where it comes from: the argument of its program is `order` with what is `Given`, as JSON. */
  release: Release;
  order: object;
  port: HeldPort | undefined;
  admin?: { port?: HeldPort | undefined; socket?: HeldPort | undefined } | undefined;
  /** Of the locked file of the data directory. */
  lock: number | undefined;
  /** Whether the standard streams are the parent's, or its output is read by the parent, and its input empty. */
  stdio: 'inherit' | 'pipe';
  /** Whether what is written to the standard streams is logged by the host; the last of it goes to `lastWords` when there is none any more. */
  captures: boolean;
  lastWords: (line: string) => void;
  /** Makes and reads its black box. */
  boxes: Pick<BlackBoxDoor, 'createBlackBox' | 'readBlackBox' | 'blackBoxBeat'>;
  /** Whether a host before this one ends so that this one begins. */
  continues: boolean;
  hear: (notice: Notice) => void;
}

type StandsBy = Extract<Notice, { told: 'standing by' }>;

/** What the host says by itself, where the parent reads it: its log, and words for people. */
export type Spoken = readonly (Readable | null)[];

/** How a process has ended. */
export interface HostEnd {
  /** Exit status; 128 and the signal's number when one ended it. */
  status: number;
  /** What it was killed by. */
  signal?: NodeJS.Signals;
}

/** What its black box says, or why it says nothing. */
export type BoxReading =
  | { readonly contents: BoxContents; readonly gap?: undefined }
  | { readonly contents?: undefined; readonly gap: string };

/** Of a child, behind the standard streams and the channel to its parent. */
const firstDescriptor = 4;

/** From its start until a process that does not stand by is not to be counted on, ms. */
const onItsWayMs = 5000;
/** For what a process has left in its pipes to be read, ms: a process that it has started may keep them open. */
const leftMs = 500;
/** For what it has said last to be heard, when it has ended, ms. */
const heardMs = 200;

export class HostChild {
  readonly spoken: Spoken;
  /** Rejects when it could not be started. */
  readonly ended: Promise<HostEnd>;
  /** All that it has said was heard, which may be after its end. */
  readonly #heard: Promise<unknown>;
  /** Undefined when the system has refused it. */
  readonly #child: ChildProcess | undefined;
  readonly #options: HostChildOptions;
  readonly #closed: Promise<unknown>;
  readonly #output: ChildOutput | undefined;
  #box: number | undefined;
  #noBox = '';
  /** When it was begun, by `performance.now()`, and with what. */
  #begunAt: number | undefined;
  readonly #startedAt = performance.now();
  #settings: ResolvedSettings | undefined;
  #isInspected = false;
  #hasEnded = false;
  #stands: StandsBy | undefined;
  #tellStands: () => void = () => {};
  readonly #stood: Promise<void>;
  #requests: string | undefined;

  constructor(options: HostChildOptions) {
    this.#options = options;
    const { release, order, port, admin, lock, stdio, captures, continues } = options;
    const descriptors: number[] = [];
    const pass = (descriptor: number | undefined): number | undefined =>
      descriptor === undefined ? undefined : firstDescriptor + descriptors.push(descriptor) - 1;
    const mark = randomBytes(8).toString('hex');
    // What is undefined is not in the JSON that the child reads.
    const given: Given = {
      protocol,
      continues,
      descriptor: pass(port?.descriptor),
      admin: { port: pass(admin?.port?.descriptor), socket: pass(admin?.socket?.descriptor) },
      lock: pass(lock),
      box: pass(this.#openBox()),
    };
    const first = firstDescriptor + descriptors.length;
    if (captures) given.output = { mark, log: first, words: first + 1 };
    const streams = captures ? 'pipe' : stdio;
    const own = stdio === 'pipe' ? (['pipe', 'pipe'] as const) : ([1, 2] as const);
    this.#stood = new Promise((resolve) => (this.#tellStands = resolve));
    const words = [...process.execArgv, release.program, JSON.stringify({ ...order, ...given })];
    const ends = [...descriptors, ...(captures ? own : [])];
    const child = started(() =>
      spawn(process.execPath, words, {
        stdio: [stdio === 'pipe' ? 'ignore' : 'inherit', streams, streams, 'ipc', ...ends],
        env: withoutManager(),
      }),
    );
    if (child instanceof Error) {
      this.#child = this.#output = undefined;
      this.spoken = [];
      this.#hasEnded = true;
      this.#heard = this.#closed = Promise.resolve();
      this.ended = Promise.reject(child);
      this.ended.catch(() => {}); // as below
      return;
    }
    this.#child = child;
    this.#output = captures ? new ChildOutput(child, mark, options.lastWords) : undefined;
    // One that could not be started for want of descriptors has no streams at all.
    const streamsOf = (child.stdio as ChildProcess['stdio'] | undefined) ?? [];
    this.spoken = captures ? (streamsOf.slice(first) as (Readable | null)[]) : [child.stdout, child.stderr];
    child.on('message', (notice: Notice) => this.#hear(notice));
    this.#heard = new Promise((resolve) => child.once('disconnect', resolve));
    this.#closed = once(child, 'close').catch(() => {}); // said by `ended`
    this.ended = new Promise((resolve, reject) => {
      child.on('error', (error) => {
        if (child.pid !== undefined) return; // a signal that did not arrive: it has not ended
        this.#hasEnded = true;
        reject(error);
      });
      child.once('exit', (status, signal) => {
        this.#hasEnded = true;
        const end = signal === null ? { status: status ?? 1 } : { status: 128 + os.constants.signals[signal], signal };
        void within(this.#heard, heardMs).then(() => resolve(end));
      });
    });
    this.ended.catch(() => {}); // one that is dropped is asked for nothing
  }

  /** Undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Release that it runs; this one until it has said so. */
  get version(): string {
    return this.#stands?.version ?? version;
  }

  /** What the ids of its requests begin with; undefined until it has said so. */
  get requests(): string | undefined {
    return this.#requests;
  }

  get release(): Release {
    return this.#options.release;
  }

  /** What it was begun with. */
  get settings(): ResolvedSettings | undefined {
    return this.#settings;
  }

  /** Whether its event loop may stand because somebody holds it. */
  get isHeld(): boolean {
    return this.#isInspected || holdOf(this.pid) === 'traced';
  }

  get continues(): boolean {
    return this.#options.continues;
  }

  /** Whether it has said that it stands by, in words of this parent. */
  get isStandingBy(): boolean {
    return !this.#hasEnded && this.#stands?.protocol === protocol;
  }

  /** Whether it is likely to stand by soon: begun now, it begins when it does. */
  get isOnItsWay(): boolean {
    return !this.#hasEnded && this.#stands === undefined && performance.now() - this.#startedAt < onItsWayMs;
  }

  get begunAt(): number | undefined {
    return this.#begunAt;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  begin(request: Omit<Extract<ParentRequest, { ask: 'begin' }>, 'ask'>): void {
    this.#begunAt = performance.now();
    this.#settings = request.settings;
    this.ask({ ask: 'begin', ...request });
  }

  /** One that is gone is heard of by its exit. */
  ask(request: ParentRequest): void {
    if (this.#child?.connected === true) this.#child.send(request, () => {});
  }

  kill(signal: NodeJS.Signals): void {
    if (!this.#hasEnded) this.#child?.kill(signal);
  }

  /** Resolves when it stands by. Rejects with why it does not, after so many ms at the latest. */
  standsBy(limitMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      void this.#stood.then(() => {
        const theirs = this.#stands?.protocol;
        if (theirs === protocol) resolve();
        else reject(new Error(`release ${this.version} speaks protocol ${theirs ?? 'none'}, this one ${protocol}`));
      });
      this.ended.then(({ status }) => reject(new Error(`it ended with status ${status}`)), reject);
      setTimeout(() => reject(new Error(`it was not ready within ${limitMs} ms`)), limitMs).unref();
    });
  }

  /** Nobody needs it any more. */
  discard(): void {
    this.kill('SIGKILL');
    const end = (): unknown => this.end();
    this.ended.then(end, end);
  }

  /** Whether it says when its event loop turns. */
  get beats(): boolean {
    return this.#box !== undefined;
  }

  /** ms since its event loop turned last; undefined before the first time. */
  get beatMs(): number | undefined {
    return this.#box === undefined ? undefined : this.#options.boxes.blackBoxBeat(this.#box);
  }

  readBox(): BoxReading {
    if (this.#box === undefined) return { gap: this.#noBox };
    try {
      return { contents: this.#options.boxes.readBlackBox(this.#box) };
    } catch (error) {
      return { gap: `the black box could not be read: ${said(error)}` };
    }
  }

  /** It has ended: read what is left in its pipes; lines that it has not logged are said, and returned. */
  async end(): Promise<string[]> {
    if (this.#box !== undefined) closeSync(this.#box);
    this.#box = undefined;
    await within(this.#closed, leftMs);
    return this.#output?.end() ?? [];
  }

  #hear(notice: Notice): void {
    if (notice.told === 'logged') this.#output?.logged();
    else if (notice.told === 'requests') this.#requests = notice.name;
    else if (notice.told === 'inspected') this.#isInspected = notice.isInspected;
    else if (notice.told === 'standing by') {
      this.#stands = notice;
      this.#tellStands();
    } else this.#options.hear(notice);
  }

  #openBox(): number | undefined {
    try {
      this.#box = this.#options.boxes.createBlackBox();
    } catch (error) {
      this.#noBox = `there was no black box: ${said(error)}`;
    }
    return this.#box;
  }
}

/** The process, or why the system does not give one. */
function started(start: () => ChildProcess): ChildProcess | Error {
  try {
    return start();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Wait for it, but no longer than so many ms. */
async function within(done: Promise<unknown>, ms: number): Promise<void> {
  const enough = new AbortController();
  await Promise.race([done, sleep(ms, undefined, { signal: enough.signal }).catch(() => {})]); // cut short on purpose
  enough.abort();
}

function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function withoutManager(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(processEnvironment()).filter(([name]) => !managerVariables.includes(name)));
}
