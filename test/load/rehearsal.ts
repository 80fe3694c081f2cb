/** A host whose world is rehearsed: two applications, commands at any moment, and what must hold after every step. */
import type { Scheduler } from 'fast-check';
import { TenonError } from '../../src/base/errors.js';
import { silentLog } from '../../src/base/log.js';
import type { Core, Front } from '../../src/binding/core.js';
import { isolationOf, type SaidIsolation } from '../../src/host/isolation-of.js';
import type { Applications } from '../../src/host/applications.js';
import { nothingContained } from '../../src/base/containment.js';
import { Chains } from '../../src/host/chains.js';
import { GuardFindings } from '../../src/host/guard-findings.js';
import { Containing } from '../../src/host/containing.js';
import { Desires } from '../../src/host/desired.js';
import type { Grants } from '../../src/host/grants.js';
import { Host } from '../../src/host/host.js';
import { Live, type ServedRoute } from '../../src/host/live.js';
import { RouteBook } from '../../src/host/routes.js';
import { SavedStates } from '../../src/host/saved-states.js';
import type { Staging } from '../../src/plugin/stage.js';
import type { Trial } from '../../src/plugin/trial.js';
import { noRegistry } from '../../src/registry/none.js';
import { place, wipe } from './memory-files.js';
import { beginOrder, type Order } from './order.js';
import { isGood, libraryOf, type Script, scriptOf } from './script.js';
import { beginAnew, type CallEnd, type CallKind, native, watchedCore } from './watched-core.js';

export const ids = ['one', 'two'] as const;
export type Id = (typeof ids)[number];

/** What somebody does. What it starts is not waited for. */
export type Command =
  | { do: 'change' | 'come back'; id: Id; script: Partial<Script> }
  | { do: 'reload' | 'storm' | 'load' | 'unload' | 'roll back' | 'remove' | 'disable' | 'enable'; id: Id }
  | { do: 'call'; id: Id; kind: CallKind; common: boolean }
  | { do: 'discover' | 'health' | 'shut down' };

const plain: Omit<Script, 'id' | 'serial'> = {
  state: false,
  quiesces: false,
  exclusive: false,
  common: false,
  fails: undefined,
  late: undefined,
  returns: false,
  pins: false,
  restless: 0,
};

export const rehearsed = { compared: 0 };

const limits = {
  lifecycleMs: 1000,
  startupMs: 10_000,
  drainMs: 1000,
  deadlineMs: 1000,
  bodyLimit: 1000,
  concurrency: 4,
  stateLimit: 1000,
};

/** One application as its folder says now, and what the last who spoke wants of it. */
interface Wish {
  present: boolean;
  enabled: boolean;
  script: Script;
  /** Whether it is to run; nobody can say when its folder went and came, or asked for both at once. */
  wanted: boolean | 'unknown';
  /** Whether what it runs is what its folder says. */
  current: boolean;
  /** Ways back that are asked for and not over: they may come after what is asked for later. */
  goingBack: number;
  building: number;
}

export class Rehearsal {
  readonly order: Order;
  readonly host: Host;
  readonly #wishes = new Map<Id, Wish>();
  readonly #open = new Map<number, string>();
  readonly #calls: CallEnd[] = [];
  #routes: readonly ServedRoute[] = [];
  #serial = 0;
  #asked = 0;
  #staged = 0;
  #aborted = false;
  #closing = false;

  constructor(scheduler: Scheduler) {
    beginAnew();
    wipe();
    this.order = beginOrder(scheduler);
    for (const id of ids) {
      const script = this.#script(id, { state: id === 'one', quiesces: id === 'one' });
      this.#wishes.set(id, {
        present: true,
        enabled: true,
        script,
        wanted: true,
        current: true,
        goingBack: 0,
        building: 0,
      });
    }
    this.host = new Host({
      core: watchedCore as unknown as Core,
      chains: new Chains((id) => new Live(watchedCore as unknown as Core, {} as Front, { id, queueLimit: 100 })),
      log: silentLog(),
      admission: {
        core: watchedCore as unknown as Core,
        trial: this.#trial() as Trial,
        staging: this.#staging() as Staging,
        imageLimit: 10_000,
        trialMs: 1000,
        keepStaged: false,
        apart: new Set(),
      },
      applications: this.#applications() as unknown as Applications,
      limits,
      secretPlaces: { environment: {}, secrets: '/secrets' },
      tables: {
        prepare: () => Promise.reject(new Error('no application has tables here')),
        openSoon: () => {},
        settle: () => {},
        restore: () => Promise.resolve(),
      },
      desires: new Desires(noRegistry()),
      grants: {
        linesFor: () => undefined,
        standing: () => ({ asked: [], granted: [], missing: [] }),
      } as unknown as Grants,
      forgotten: () => {},
      states: new SavedStates({ directory: '/states', stateLimit: 1000 }),
      preserveState: () => true,
      refusedState: 'empty',
      containing: new Containing(nothingContained),
      findings: new GuardFindings(),
      routes: new RouteBook(
        [],
        () => [],
        (routes) => {
          this.#routes = routes;
        },
      ),
      isStatic: () => false,
      probation: { ms: 300, faultRate: 0.5, slowFactor: 10 },
      versions: { directory: '/versions', limit: 3 },
      pinnedLimit: { count: 1000, bytes: 1_000_000 },
      refuseKilled: () => Promise.resolve(),
    });
  }

  /** Every command in its turn, everything it started to its end, then the end of the host. Throws what was wrong. */
  async run(commands: readonly Command[]): Promise<void> {
    this.#ask('discover', this.host.discover('start'));
    void (async () => {
      for (const command of commands) {
        await this.order.turn(JSON.stringify(command));
        this.#do(command);
      }
    })();
    await this.order.toRest(() => this.#check());
    this.#settled();
    if (!this.#closing) {
      this.#asWished();
      this.#asTold();
      this.#shutDown();
      await this.order.toRest(() => this.#check());
      this.#settled();
    }
    this.#nothingLeft();
    if (this.order.violations.length > 0) throw new Error(this.order.violations.join('\n'));
  }

  #do(command: Command): void {
    const { host } = this;
    if (!('id' in command)) return this.#doToAll(command.do);
    const { id } = command;
    const wish = this.#wishes.get(id) as Wish;
    const refresh = (): void => this.#ask(`${command.do} ${id}`, host.refresh(`/applications/${id}`, 'watch'));
    switch (command.do) {
      case 'call':
        return this.#call(id, command.kind, command.common);
      case 'change':
      case 'come back':
        wish.script = this.#script(id, command.script);
        if (command.do === 'come back') wish.present = true;
        if (wish.wanted !== false) wish.current = wish.goingBack === 0;
        return refresh();
      case 'remove':
        wish.present = false;
        wish.wanted = 'unknown';
        return refresh();
      case 'disable':
      case 'enable':
        wish.enabled = command.do === 'enable';
        return refresh();
      case 'reload':
      case 'load':
      case 'storm':
        // A load leaves what runs as it is.
        if (command.do !== 'load' || wish.wanted === false) wish.current = wish.goingBack === 0;
        if (wish.wanted !== 'unknown') wish.wanted = true;
        if (command.do === 'load') return this.#ask(`load ${id}`, host.load(id));
        if (command.do === 'storm') return this.#storm(id);
        return this.#ask(`reload ${id}`, host.reload(id));
      case 'unload':
        if (host.list().some((plugin) => plugin.id === id) && wish.wanted !== 'unknown') wish.wanted = false;
        return this.#ask(`unload ${id}`, host.unload(id));
      case 'roll back':
        if (wish.wanted !== true) wish.wanted = 'unknown';
        wish.current = false;
        wish.goingBack++;
        return this.#ask(
          `roll back ${id}`,
          host.rollback(id).finally(() => wish.goingBack--),
        );
    }
  }

  #doToAll(what: 'discover' | 'health' | 'shut down'): void {
    if (what === 'discover') this.#ask(what, this.host.discover('watch'));
    else if (what === 'health') this.#ask(what, this.host.health());
    else this.#shutDown();
  }

  #shutDown(): void {
    this.#closing = true;
    this.order.ends = true;
    const closing = this.host.close().then(() => this.#nothingLeft());
    this.#ask('shut down', closing, true);
  }

  /** Reloads that are asked for at once: they are one, or two when one had begun. */
  #storm(id: Id): void {
    const known = this.host.list().some((plugin) => plugin.id === id);
    const all = Promise.allSettled([1, 2, 3, 4].map(() => this.host.reload(id)));
    const judged = all.then((results) => {
      const refused = new Set(['HostClosing', 'PluginNotFound']); // each of them for itself, before any turn
      const kinds = results
        .map((one): unknown => (one.status === 'fulfilled' ? one.value.id : one.reason))
        .filter((one) => !(one instanceof TenonError && refused.has(one.code)));
      const stays = known && this.#wishes.get(id)?.wanted !== 'unknown';
      if (stays && new Set(kinds).size > 2)
        this.order.wrong(`${kinds.length} reloads of ${id} asked for at once were not joined`);
    });
    this.#ask(`storm ${id}`, judged);
  }

  /** As the door does: what has a route goes to its pointer. */
  #call(id: Id, kind: CallKind, common: boolean): void {
    const path = common ? '/common' : `/${id}`;
    const route = this.#routes.find((one) => one.path === path);
    if (route === undefined) return;
    const pointer = native().pointers.find((one) => one.id === route.plugin && !one.closed);
    const waits = pointer?.held === true;
    if (pointer === undefined || (pointer.live === null && !waits)) {
      this.order.wrong(`${path} has a route, and nobody serves it`);
      return;
    }
    const end = pointer.call(route.slot, kind).then((how) => {
      this.#calls.push(how);
      // Only who waited for a new generation may find that it has this route no more.
      if (how === 'PluginStopped' || (how === 'RouteGone' && !waits)) this.order.wrong(`${path}: ${how}`);
    });
    this.#ask(`call of ${path}`, end);
  }

  #ask(what: string, asked: Promise<unknown>, mustSucceed = false): void {
    const number = ++this.#asked;
    this.#open.set(number, what);
    const over = (): void => void this.#open.delete(number);
    asked.then(over, (error: unknown) => {
      over();
      if (!(error instanceof TenonError)) this.order.wrong(`${what}: ${String(error)}`);
      else if (mustSucceed) this.order.wrong(`${what}: ${error.code}: ${error.message}`);
      else if (error.code === 'Internal') this.order.wrong(`${what}: ${error.message}`);
      else if (error.code === 'HostClosing' && !this.#closing) this.order.wrong(`${what}: closing too early`);
    });
  }

  /** After every step. */
  #check(): void {
    for (const pointer of native().pointers) {
      const { serving, id } = pointer;
      const mine = new Set(this.#routes.filter((route) => route.plugin === id).map((route) => route.slot));
      const bound = new Set(serving?.bound.keys());
      if (!pointer.closed && (mine.size !== bound.size || [...mine].some((slot) => !bound.has(slot))))
        this.order.wrong(`${id} serves the slots ${[...bound].join()}, and routes lead to ${[...mine].join()}`);
    }
    for (const id of ids) {
      const live = native().handles.filter(({ pointer }) => pointer.id === id && pointer.live !== null);
      // One that missed a deadline on its way up has failed, whatever comes back of it.
      const rising = native().handles.filter(
        ({ pointer, asked, isReady, stopped, script }) =>
          pointer.id === id && asked.has('create') && !isReady && !asked.has('destroy') && !stopped && !script.late,
      );
      if (new Set(live.map(({ pointer }) => pointer.live)).size > 1) this.order.wrong(`${id} has two live generations`);
      if (rising.length > 1) this.order.wrong(`${rising.map(({ name }) => name).join(' and ')} come up at once`);
    }
  }

  #settled(): void {
    if (this.#open.size > 0) this.order.wrong(`never settled: ${[...this.#open.values()].join(', ')}`);
  }

  /** What runs is what whoever spoke last asked for. */
  #asWished(): void {
    for (const [id, { present, enabled, script, wanted, current }] of this.#wishes) {
      const view = this.host.list().find((plugin) => plugin.id === id);
      const state = view?.state ?? 'none';
      const mayStay = id === 'two' && this.#oneHasFailed();
      const wrong = (what: string): void => this.order.wrong(`at rest ${id} is ${state}, ${what}`);
      if (!present) {
        if (view !== undefined) wrong('and its folder is gone');
      } else if (wanted === false) {
        if (state !== 'stopped') wrong('and was to be stopped');
      } else if (wanted === true && current && enabled && isGood(script) && !script.common && !mayStay) {
        if (state !== 'running') wrong(`and was to run: ${view?.error?.message ?? ''}`);
        else if (view?.version !== String(script.serial) && !this.#mayLag(id))
          wrong(`build ${view?.version}, and was to be ${script.serial}: ${view?.error?.message ?? ''}`);
      } else if (wanted === true && current && !enabled && state !== 'disabled' && isGood(script))
        wrong('and was disabled');
      for (const { number, state: rests } of view?.generations ?? []) {
        if (rests === 'draining' || rests === 'opening') wrong(`with generation ${number} ${rests}`);
        if (rests === 'pinned' && this.#mayGo(id, number)) wrong(`with generation ${number}, which nothing holds`);
      }
    }
  }

  /** What two sets in one, as its folder says now. */
  #settings(): string {
    return JSON.stringify({ build: this.#wishes.get('two')?.script.serial });
  }

  /** An extension that never failed, nor was in anybody's way, knows what its application sets there. */
  #asTold(): void {
    const [one, two] = ids.map((id) => native().pointers.findLast((pointer) => pointer.id === id)?.serving);
    const { wanted, current, script } = this.#wishes.get('two') as Wish;
    if (one === undefined || one === null || two?.script.serial !== script.serial) return;
    if (wanted !== true || !current || this.#oneHasFailed()) return;
    if (one.settings.get('two') !== this.#settings())
      this.order.wrong(`${one.name} knows ${one.settings.get('two')} of two, which sets ${this.#settings()}`);
    rehearsed.compared += 1;
  }

  /** Whether a generation of the extension was in the way of another, so that it may not know what is set there. */
  #oneHasFailed(): boolean {
    return native().handles.some(({ pointer, script: { fails, late }, everHung, outlasted }) => {
      if (pointer.id !== 'one') return false;
      return fails !== undefined || late !== undefined || everHung > 0 || outlasted;
    });
  }

  /** Whether nothing holds a pinned generation any more. */
  #mayGo(id: Id, number: number): boolean {
    const handle = native().handles.find((one) => one.pointer.id === id && one.number === number);
    if (handle === undefined || handle.leases > 0 || handle.threads.lost > 0) return false;
    return handle.script.late !== 'initialize' && !handle.script.pins;
  }

  /** What runs may refuse to hand over, or not be able to. */
  #mayLag(id: Id): boolean {
    const { serving } = native().pointers.findLast((pointer) => pointer.id === id) ?? {};
    if (serving === undefined || serving === null) return true;
    const { script } = this.#wishes.get(id) as Wish;
    const refuses = [serving.script.fails, serving.script.late, script.fails, script.late].some(
      (step) => step !== undefined,
    );
    const hands = serving.hasState || serving.canQuiesce;
    // Also one before it: for the sake of settings there may have been further generations of what it could not hand over.
    const held = native().handles.some((one) => one.pointer.id === id && (one.everHung > 0 || one.outlasted));
    return hands && (refuses || held);
  }

  #nothingLeft(): void {
    const { handles, libraries, pointers, staged } = native();
    for (const { id, closed } of pointers) if (!closed) this.order.wrong(`the pointer of ${id} is left`);
    for (const handle of handles) {
      const held = handle.outlasted || handle.everHung > 0 || handle.script.late !== undefined;
      if (!handle.closed && !held) this.order.wrong(`${handle.name} is left`);
    }
    for (const { path, open, script } of libraries) {
      const handle = handles.find((one) => one.script === script);
      if (open && handle?.closed !== false) this.order.wrong(`${path} is left open`);
    }
    for (const [path, { named }] of staged) if (named) this.order.wrong(`${path} is left`);
    if (this.#routes.length > 0) this.order.wrong('routes are left');
    if (this.host.list().some(({ state }) => state === 'running')) this.order.wrong('a plugin is left running');
  }

  #script(id: Id, own: Partial<Script>): Script {
    return { ...plain, ...own, id, serial: ++this.#serial };
  }

  #wishOf(folder: string): [Id, Wish] {
    const id = folder.slice('/applications/'.length) as Id;
    return [id, this.#wishes.get(id) as Wish];
  }

  #applications(): Record<keyof Applications, unknown> {
    const present = (): string[] => ids.filter((id) => this.#wishes.get(id)?.present === true);
    return {
      folderOf: (name: string) => `/applications/${name}`,
      isolationOf: (plugin: { id: string; folder: string }, said: SaidIsolation | undefined) =>
        isolationOf(plugin, said, { isolation: 'inline', requireConfinement: false }),
      schemasAlone: () => Promise.resolve([]),
      confinementOf: () => undefined,
      folders: async () => {
        await this.order.turn('list folders');
        return present().map((id) => `/applications/${id}`);
      },
      exists: async (folder: string) => {
        await this.order.turn(`look for ${folder}`);
        return this.#wishOf(folder)[1].present;
      },
      find: async (id: Id) => {
        await this.order.turn(`find ${id}`);
        return present().includes(id) ? `/applications/${id}` : undefined;
      },
      read: async (folder: string) => {
        await this.order.turn(`read ${folder}`);
        const [id, { enabled, present: there }] = this.#wishOf(folder);
        if (!there) throw new TenonError('ConfigNotFound', `${folder} is gone`);
        return {
          id,
          folder,
          enabled,
          prefix: '',
          limits: {},
          resources: {},
          extension: id === 'one',
          // What it sets there is another thing with each of its builds.
          extensions: id === 'two' ? [{ id: 'one', required: false, settings: this.#settings() }] : [],
          custom: '{}',
          asked: { permissions: [], by: 'config' },
          isolation: { mode: 'inline', plan: {}, warnings: [] },
          source: { config: { reserved: {} } },
        };
      },
      build: ({ folder }: { folder: string }) => this.#build(folder),
      compile: () => Promise.reject(new Error('nothing is compiled here')),
      ofBundle: () => Promise.reject(new Error('no application is a bundle here')),
      abort: () => {
        this.#aborted = true;
      },
    };
  }

  async #build(folder: string): Promise<{ library: string; warnings: string[] }> {
    const [id, wish] = this.#wishOf(folder);
    const { script } = wish;
    if (++wish.building > 1) this.order.wrong(`${id} is built twice at once`);
    try {
      if (!this.#aborted) await this.order.turn(`build ${id} ${script.serial}`);
      if (this.#aborted) throw new TenonError('HostClosing', 'the host is shutting down');
    } finally {
      wish.building--;
    }
    if (script.fails === 'build') throw new TenonError('BuildFailed', `${id} does not compile`);
    const library = `/builds/${id}-${script.serial}`;
    place(library, libraryOf(script), script.restless);
    return { library, warnings: [] };
  }

  #trial(): Partial<Trial> {
    return {
      try: async (path) => {
        await this.order.turn(`try ${path}`);
        if (native().staged.get(path)?.script.fails === 'trial')
          throw new TenonError('TrialCrashed', `${path} crashed`);
        return { routes: [], more: 0 };
      },
    };
  }

  #staging(): Partial<Staging> {
    return {
      write: async (name, bytes) => {
        const script = scriptOf(bytes);
        await this.order.turn(`stage ${name} ${script.serial}`);
        if (script.fails === 'stage') throw new TenonError('StagingFailed', `${name} has no room`);
        const path = `/staged/${++this.#staged}`;
        const entry = { script, named: true };
        native().staged.set(path, entry);
        const unlink = (): void => {
          entry.named = false;
        };
        const makeFolder = (): never => {
          throw new Error('nothing here runs in a process of its own');
        };
        return { path, hidden: () => [], unlink, makeFolder };
      },
    };
  }
}
