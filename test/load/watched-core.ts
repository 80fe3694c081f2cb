/** A core without native code: what it does takes turns of the order, and it watches that it is used as its protocol says. */
import { TenonError } from '../../src/base/errors.js';
import type { CallCounters } from '../../src/binding/call-counters.js';
import type {
  CoreLedger,
  GenerationHandle,
  GenerationOptions,
  PluginOptions,
  PluginPointer,
  RouteFacts,
} from '../../src/binding/core.js';
import type { ImageFacts, ImageThread } from '../../src/binding/image.js';
import type { Library } from '../../src/binding/library.js';
import { order } from './order.js';
import { type Script, scriptOf, type Step } from './script.js';

/** How a call ended. */
export type CallEnd = 'answered' | 'late' | 'PluginStopped' | 'RouteGone';

/** How a call behaves in its handler. */
export type CallKind = 'quick' | 'hung' | 'lost';

function coded(code: 'LifecycleFailed' | 'LifecycleTimeout', message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** Everything native of one run. */
class Stock {
  readonly pointers: WatchedPointer[] = [];
  readonly handles: WatchedHandle[] = [];
  readonly libraries: { path: string; script: Script; address: bigint; open: boolean }[] = [];
  /** What the last generation of a plugin had counted when it was taken down. */
  readonly lastCounts = new Map<string, number>();
  readonly staged = new Map<string, { script: Script; named: boolean }>();
}

let stock = new Stock();

/** What there is, of the run that is going on. */
export function native(): Stock {
  return stock;
}

export function beginAnew(): void {
  stock = new Stock();
}

/** One life, and what was asked of it. */
export class WatchedHandle implements GenerationHandle {
  readonly pointer: WatchedPointer;
  readonly number: number;
  readonly script: Script;
  /** Slot to index. */
  readonly bound = new Map<number, number>();
  readonly asked = new Set<Step>();
  /** What applications that list it set there, as it was told. */
  readonly settings = new Map<string, string>();
  readonly offers = { events: false, config: false, hooks: [] };
  leases = 0;
  count = 0;
  /** Calls that were written off: those that hold it, and all of them. */
  hung = 0;
  everHung = 0;
  /** Whether a drain ended before its calls. */
  outlasted = false;
  stopped = false;
  closed = false;
  quiesced = false;
  isReady = false;
  everServed = false;
  #created = false;
  #loaded: 'no' | 'tried' | 'yes' = 'no';
  #controlRuns = false;
  #controlLost = false;
  #control: Promise<void> = Promise.resolve();

  constructor(pointer: WatchedPointer, { number, descriptor, consumers = [] }: GenerationOptions) {
    const library = stock.libraries.find(({ address }) => address === descriptor);
    if (library?.open !== true) order().wrong(`generation ${number} of ${pointer.id} has no open library`);
    const last = stock.handles.filter(({ name }) => name.startsWith(`${pointer.id} `)).at(-1);
    if (last !== undefined && last.number >= number)
      order().wrong(`${pointer.id}: ${number} comes after ${last.number}`);
    if (pointer.closed) order().wrong(`generation ${number} of ${pointer.id} has a closed pointer`);
    this.pointer = pointer;
    this.number = number;
    for (const { application, settings } of consumers) this.settings.set(application, settings);
    this.script = library?.script ?? ({} as Script);
    stock.handles.push(this);
  }

  get name(): string {
    return `${this.pointer.id} ${this.number}`;
  }

  /** Whether its build has served before: it may pass over the one between, and begin with what it was given then. */
  get isBack(): boolean {
    const same = stock.handles.filter(({ script }) => script.serial === this.script.serial);
    return same.indexOf(this) > 0;
  }

  get streams(): number {
    return 0;
  }

  endStreams(): number {
    return 0;
  }

  retire(): void {}
  giveUpQueued(): void {}

  permit(): void {}

  /** Half of the builds want a new generation for every change. */
  async configure(application: string, json: string): Promise<'taken' | 'reload'> {
    await order().turn(`configure ${this.name}`);
    if (this.stopped || this.closed) order().wrong(`${this.name} is told settings after its end`);
    if (this.script.serial % 2 === 1) return 'reload';
    this.settings.set(application, json);
    return 'taken';
  }

  get hasState(): boolean {
    return this.script.state;
  }

  get canQuiesce(): boolean {
    return this.script.quiesces;
  }

  get threads(): { alive: number; lost: number } {
    const lost = this.hung + (this.#controlLost ? 1 : 0);
    return { alive: lost + (this.#controlRuns && !this.#controlLost && !this.stopped ? 1 : 0), lost };
  }

  get ledger(): CoreLedger {
    return { timers: 0, tasks: 0, requests: 0, subscriptions: [], series: 0, running: [] };
  }

  get counters(): CallCounters {
    return { calls: this.count + this.everHung, faults: this.everHung, samples: 0 };
  }

  create(): Promise<void> {
    return this.#step('create', () => {
      if (this.#created) throw coded('LifecycleFailed', 'there is an instance');
      this.#created = true;
    });
  }

  initialize(): Promise<void> {
    const { serving } = this.pointer;
    if (this.asked.has('initialize')) order().wrong(`${this.name} is initialized twice`);
    if (this.script.exclusive && serving?.canQuiesce === true && !serving.quiesced && !this.isBack)
      order().wrong(`${this.name} is initialized before ${serving.name} has let go`);
    return this.#step('initialize', () => {});
  }

  async routes(): Promise<RouteFacts[]> {
    await this.#step('routes', () => {});
    const facts = { execution: 'pool', deadlineMs: 1000, bodyLimit: 1000, auth: 'none' } as const;
    const patterns = [`/${this.pointer.id}`, ...(this.script.common ? ['/common'] : [])];
    return patterns.map((pattern, index) => ({ index, method: 'GET', pattern, ...facts, roles: [] }));
  }

  async ready(): Promise<void> {
    const { serving } = this.pointer;
    if (serving?.hasState === true && this.hasState && this.#loaded !== 'yes' && !this.isBack)
      order().wrong(`${this.name} is ready without the state of ${serving.name}`);
    await this.#step('ready', () => {
      this.isReady = true;
    });
  }

  health(): Promise<void> {
    return this.#step('health', () => {});
  }

  async quiesce(): Promise<void> {
    this.#atStandstill('quiesce');
    await this.#step('quiesce', () => {});
    this.quiesced = true;
  }

  async resume(): Promise<void> {
    if (!this.asked.has('quiesce')) order().wrong(`${this.name} resumes what never ended`);
    const next = stock.handles.findLast(({ pointer }) => pointer === this.pointer);
    // At the end of their host it goes on as it did, until its own turn comes.
    const isBack = !order().ends || this.pointer.serving !== this;
    if (isBack && next !== this && next?.closed === false && next.threads.lost === 0)
      order().wrong(`${this.name} resumes while ${next.name} is there`);
    await this.#step('resume', () => {});
    this.quiesced = false;
  }

  async save(): Promise<{ version: number; bytes: Buffer }> {
    this.#atStandstill('save');
    await this.#step('save', () => {});
    // Taken down: the next one begins with it.
    if (this.pointer.serving !== this) stock.lastCounts.set(this.pointer.id, this.count);
    return { version: 1, bytes: Buffer.from(String(this.count)) };
  }

  async load(_version: number, bytes: Uint8Array, dryRun: boolean): Promise<void> {
    if (!dryRun && this.#loaded !== 'tried') order().wrong(`${this.name} loads what it has not tried`);
    await this.#step(dryRun ? 'try' : 'load', () => {
      this.#loaded = dryRun ? 'tried' : 'yes';
      if (!dryRun) this.count = Number(Buffer.from(bytes).toString());
    });
  }

  async shutdown(): Promise<void> {
    this.#mayEnd('shutdown');
    if (this.asked.has('shutdown')) order().wrong(`${this.name} is shut down twice`);
    if (!this.asked.has('save') && this.#mustSave()) order().wrong(`${this.name} is shut down with what it knows`);
    await this.#step('shutdown', () => {});
  }

  async destroy(): Promise<void> {
    this.#mayEnd('destroy');
    if (this.asked.has('destroy')) order().wrong(`${this.name} is destroyed twice`);
    const initialized = this.script.fails !== 'initialize' && this.asked.has('initialize');
    if (initialized && !this.asked.has('shutdown')) order().wrong(`${this.name} is destroyed before shutdown`);
    await this.#step('destroy', () => {});
  }

  bind(slot: number, index: number): void {
    if (this.pointer.live === this) order().wrong(`${this.name} gets routes while it is live`);
    this.bound.set(slot, index);
  }

  async drain(deadlineMs: number): Promise<boolean> {
    if (this.pointer.live === this) order().wrong(`${this.name} is drained while it is live`);
    await order().turn(`${this.name} drain`, this.leases > 0 ? deadlineMs : 0);
    this.outlasted ||= this.leases > 0;
    return this.leases === 0;
  }

  async stop(): Promise<number> {
    this.#mayEnd('stop');
    this.stopped = true;
    await order().turn(`${this.name} stop`);
    return this.threads.alive;
  }

  close(): void {
    this.#mayEnd('close');
    const { alive } = this.threads;
    if (alive > 0 || this.leases > 0)
      order().wrong(`${this.name} is closed under ${alive} threads, ${this.leases} leases`);
    if (this.closed) order().wrong(`${this.name} is closed twice`);
    this.closed = true;
  }

  /** A call of its route; the lease ends with it. */
  async enter(slot: number, kind: CallKind): Promise<CallEnd> {
    if (!this.bound.has(slot)) return 'RouteGone';
    const ended = this.closed || this.stopped || this.asked.has('shutdown');
    if (this.pointer.live !== this || ended || !this.isReady) order().wrong(`a call enters ${this.name}`);
    this.leases++;
    if (kind === 'quick') {
      await order().turn(`${this.name} answers`);
      this.#mayRun();
      this.count++;
      this.leases--;
      return 'answered';
    }
    await order().turn(`${this.name} misses a deadline`, 1000);
    this.hung++;
    this.everHung++;
    if (kind === 'hung')
      void order()
        .turn(`a call of ${this.name} comes back`)
        .then(() => {
          this.#mayRun();
          this.hung--;
          this.leases--;
        });
    return 'late';
  }

  /** A call is in it. */
  #mayRun(): void {
    if (this.closed || this.asked.has('shutdown')) order().wrong(`${this.name} has ended under a call`);
    if (stock.libraries.some(({ script, open }) => script === this.script && !open))
      order().wrong(`the library of ${this.name} is closed under a call`);
  }

  /** It has served, and nothing kept it from saying what it knows, to the next one or at its end. */
  #mustSave(): boolean {
    const { script, outlasted, everServed } = this;
    const next = stock.handles.find(({ pointer, number }) => pointer === this.pointer && number > this.number);
    const trouble = outlasted || script.late !== undefined || script.fails === 'quiesce' || next?.isBack === true;
    return everServed && script.state && !trouble;
  }

  #mayEnd(step: string): void {
    if (this.pointer.serving === this) order().wrong(`${step} of ${this.name}, which serves`);
    if (this.leases > 0) order().wrong(`${step} of ${this.name} under ${this.leases} leases`);
  }

  /** It hands over to the next one behind a closed gate, or is taken down. */
  #atStandstill(step: Step): void {
    const { held, serving } = this.pointer;
    if (this.leases > 0) order().wrong(`${step} of ${this.name} under ${this.leases} leases`);
    if (serving !== this) return;
    if (!held) order().wrong(`${step} of ${this.name} with an open gate`);
    // What it knows is kept before its successor is opened, too, and before the first of all is shut down at the end of their host.
    if (step === 'save' || order().ends) return;
    const next = stock.handles.findLast(({ pointer }) => pointer === this.pointer);
    if (next === this || next === undefined) order().wrong(`${step} of ${this.name} for nobody`);
    else if (!next.script.exclusive && !next.asked.has('routes'))
      order().wrong(`${step} of ${this.name} before ${next.name} has come up`);
  }

  /** One after the other on the control thread. */
  async #step(step: Step, effect: () => void): Promise<void> {
    if (this.closed) order().wrong(`${step} of ${this.name}, which is closed`);
    const first = !this.asked.has(step);
    this.asked.add(step);
    if (this.#controlLost || this.stopped) throw coded('LifecycleTimeout', `${step}: the control thread is lost`);
    this.#controlRuns = true;
    const before = this.#control;
    let done = (): void => {};
    this.#control = new Promise((resolve) => {
      done = resolve;
    });
    try {
      await before;
      if (this.#controlLost) throw coded('LifecycleTimeout', `${step}: the control thread is lost`);
      const label = `${this.name} ${step}`;
      // Whoever was ill is asked again and again.
      await (step === 'health' && !first && this.script.fails === step ? order().glance(label) : order().turn(label));
      if (this.script.late === step && first) this.#lose(step);
      if (this.script.fails === step) throw coded('LifecycleFailed', `${step} failed`);
      effect();
    } finally {
      done();
    }
  }

  #lose(step: Step): never {
    this.#controlLost = true;
    if (this.script.returns)
      void order()
        .turn(`${step} of ${this.name} comes back`)
        .then(() => {
          this.#controlLost = false;
        });
    throw coded('LifecycleTimeout', `${step} did not return`);
  }
}

/** One live pointer. */
export class WatchedPointer implements PluginPointer {
  readonly id: string;
  live: WatchedHandle | null = null;
  held = false;
  closed = false;
  readonly #slots = new Map<string, number>();
  readonly #queue: { slot: number; kind: CallKind; enter: (end: Promise<CallEnd>) => void }[] = [];
  /** Live when the gate was closed. */
  #before: WatchedHandle | null = null;

  constructor(_front: unknown, { id }: PluginOptions) {
    if (stock.pointers.some((other) => other.id === id && !other.closed)) order().wrong(`${id} has two pointers`);
    this.id = id;
    stock.pointers.push(this);
  }

  /** Who serves, also while calls wait. */
  get serving(): WatchedHandle | null {
    return this.held ? this.#before : this.live;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  slot(method: string, pattern: string): number {
    const key = `${this.id} ${method} ${pattern}`;
    const slot = this.#slots.get(key) ?? stock.pointers.indexOf(this) * 10 + this.#slots.size;
    this.#slots.set(key, slot);
    return slot;
  }

  gate(): number {
    throw new Error('nobody here has tables');
  }

  ungate(): void {}

  setChain(): void {}

  hold(): void {
    if (this.held) order().wrong(`the gate of ${this.id} is closed twice`);
    this.#before = this.live;
    this.held = true;
  }

  release(): void {
    if (!this.held) order().wrong(`the gate of ${this.id} is open already`);
    if (this.live === null) order().wrong(`the gate of ${this.id} opens to nothing`);
    this.held = false;
    for (const { slot, kind, enter } of this.#queue.splice(0)) enter(this.call(slot, kind));
  }

  swap(generation: GenerationHandle | null): void {
    const next = generation as WatchedHandle | null;
    const old = this.serving;
    this.live = next;
    if (next?.quiesced === true && !next.asked.has('resume')) order().wrong(`${next.name} is live, and has let go`);
    if (next === null || next === old) return;
    next.everServed = true;
    if (!next.isReady) order().wrong(`${next.name} is live before it is ready`);
    if (next.stopped || next.closed) order().wrong(`${next.name} is live after its end`);
    const kept = stock.lastCounts.get(this.id);
    const refuses = next.script.fails === 'try' || next.script.fails === 'load';
    if (next.hasState) stock.lastCounts.delete(this.id);
    if (old === null && kept !== undefined && next.hasState && !refuses && next.count !== kept)
      order().wrong(`${next.name} begins with ${next.count}, and ${kept} were counted`);
    if (old?.hasState !== true || !next.hasState || next.isBack) return;
    if (old.leases > 0) order().wrong(`${next.name} is live while ${old.name} still counts`);
    if (next.count !== old.count) order().wrong(`${next.name} has counted ${next.count}, ${old.name} ${old.count}`);
  }

  call(slot: number, kind: CallKind): Promise<CallEnd> {
    if (this.held)
      return new Promise((resolve) => {
        this.#queue.push({ slot, kind, enter: resolve });
      });
    return this.live?.enter(slot, kind) ?? Promise.resolve('PluginStopped');
  }

  exportValues(): Buffer {
    return Buffer.alloc(0);
  }

  importValues(): void {}

  keepValues(): null {
    return null;
  }

  close(): void {
    if (this.live !== null || this.held) order().wrong(`the pointer of ${this.id} is closed while it is used`);
    this.closed = true;
  }
}

/** `openLibrary` of the host that is rehearsed. */
export function openLibrary(path: string): Library {
  const staged = stock.staged.get(path);
  if (staged?.named !== true) order().wrong(`${path} is opened, and was not staged`);
  if (stock.libraries.some((other) => other.path === path)) order().wrong(`${path} is opened twice`);
  const script = staged?.script ?? ({} as Script);
  if (script.fails === 'open') throw new TenonError('PluginLoadError', `${path} does not open`);
  const library = { path, script, address: BigInt(stock.libraries.length + 1), open: true };
  stock.libraries.push(library);
  const { id } = script;
  const text = { id, name: id, version: String(script.serial), description: '', author: '' };
  return {
    path,
    descriptor: { address: library.address, abiMajor: 1, abiMinor: 0, trialOpenOnly: script.exclusive, ...text },
    close() {
      if (!library.open) order().wrong(`${path} is closed twice`);
      const handle = stock.handles.find((one) => one.script === script);
      if (handle?.closed === false) order().wrong(`${path} is closed before ${handle.name}`);
      library.open = false;
    },
  };
}

/** The parts of `Core` that the living set uses. */
export const watchedCore = {
  abi: { major: 1, minor: 0 },
  PluginPointer: WatchedPointer,
  GenerationHandle: WatchedHandle,
  keepFloatingPoint: <T>(work: () => T): T => work(),
  imageLoading: (): number => -1,
  imageOpened(): void {},
  imageState(): void {},
  imageMapped: (path: string): boolean =>
    stock.libraries.some((one) => one.path === path && (one.open || one.script.pins)),
  threadsIn: (paths: readonly string[]): ImageThread[][] => paths.map(() => []),
  inspectImage(bytes: Uint8Array): ImageFacts {
    const { id, serial, fails } = scriptOf(bytes);
    if (fails === 'inspect') throw Object.assign(new Error('it is no library'), { code: 'ImageFormat' });
    const note = { abiMajor: 1, abiMinor: 0, id, version: String(serial), sdkVersion: '', compiler: '', trial: 0 };
    return {
      format: 'elf',
      arch: 'x64',
      libc: undefined,
      glibcFloor: undefined,
      note,
      buildId: '',
      needed: [],
      exports: [],
      findings: [],
    };
  },
};
