/** The host as a process: what `tenon start` and `tenon dev` run as their child. Its argument is an `Order` as JSON. */
import { ftruncateSync, writeSync } from 'node:fs';
import { url as inspectorUrl } from 'node:inspector';
import { type ResolvedSettings, resolveSettings, type Settings } from '../base/config.js';
import { announceNextHost, forgetNextHost } from '../base/host-file.js';
import { describeError } from '../base/errors.js';
import { type Log, openLog, openWords } from '../base/log.js';
import { version } from '../base/version.js';
import type { BlackBoxDoor } from '../binding/black-box.js';
import { loadCore } from '../binding/core.js';
import type { OutputLine } from '../host/output-log.js';
import type { OwnProcess } from '../embedding.js';
import { type HostEvent, openOwnHost, type TenonHost, type Wishes } from '../index.js';
import type { OutputBatch } from '../supervisor/output.js';
import { beatEvery } from '../supervisor/hang-watch.js';
import {
  EndWishes,
  type Given,
  type ParentRequest,
  ParentRequests,
  protocol,
  recycleStatus,
  tellParent,
} from '../supervisor/parent.js';
import { UpgradeWish } from '../supervisor/upgrade-wish.js';
import { changesOf } from '../reload/configuration.js';
import { reportFailure } from './failure.js';
import { reloadReport } from './reload-report.js';
import { hostCloses, isClosing, SettingsInForce } from './settings-in-force.js';
import type { Order } from './start.js';
import { warmUp } from './warm-up.js';

/** What a host writes, and what libraries and compilers write for it, is its owner's alone. */
const othersNothing = 0o077;

/** For what no setting limits: ending builds, closing files, ms. */
const graceMs = 10_000;

/** For a host that hangs, when its parent has ended and nobody else would end it, ms. */
const orphanMs = 10_000;

/**
 * The longest that closing may rightly take, ms. Those who share out requests, or requests under way, are waited for; the server drains; then a plugin that is in the middle of a reload
 * finishes it (a trial, four steps up, five to hand its state over behind a drain), and the old generation and the new
 * one go down, each with a drain, the end of a health check, shutdown, destroy and the end of its threads; the new one
 * lets go and saves before that. Before the first goes down each is asked what it knows: it lets go, saves and goes on. Extensions go down after those who list them: three more of them one after the other
 * are allowed for.
 */
function longestClose({ shutdownDelayMs, drainMs, lifecycleMs, trialMs }: Settings): number {
  const levels = 1 + 3;
  const drains = 1 + 1 + 1 + 2 * levels;
  const steps = 4 + 5 + (2 * 4 + 2 + 3) * levels;
  return shutdownDelayMs + drains * drainMs + steps * lifecycleMs + trialMs + graceMs;
}

const order = JSON.parse(process.argv[2] ?? '') as Order & Given;

/** For people. */
const say =
  order.output === undefined
    ? (line: string): void => void process.stderr.write(`${line}\n`)
    : openWords(order.output.words);

/** What it serves, and a line to try. */
function printWelcome(host: TenonHost, url: string): void {
  let example: string | undefined;
  for (const { id, state, version, routes, error } of host.plugins()) {
    say(
      `  ${id}${version === undefined ? '' : ` ${version}`}: ${state}${error === undefined ? '' : `, ${error.message}`}`,
    );
    for (const { method, path } of routes) say(`    ${method} ${path}`);
    example ??= routes.find(({ method, path }) => method === 'GET' && !/[:*]/.test(path))?.path;
  }
  if (host.plugins().length === 0) say(`  no applications in ${host.settings.applications}`);
  if (host.admin.made) say(`The admin token was made and is kept in ${host.admin.file ?? ''}`);
  say(`Try: curl ${url}${example ?? '/plugins'}`);
}

/** How the process ends: when it is asked to, or when only a fresh one helps. */
class Ending {
  readonly #settings: Settings;
  readonly #log: Log;
  readonly #opening: Promise<TenonHost>;
  /** Whether what `wishes` gives is all that is to go on. */
  readonly #knowsAll: () => boolean;
  #status: number | undefined;
  /** Whether a person or program wants the end. */
  #stopped = false;
  readonly #wishes = new EndWishes();

  constructor(opening: Promise<TenonHost>, knowsAll: () => boolean, settings: Settings, log: Log) {
    this.#opening = opening;
    this.#knowsAll = knowsAll;
    this.#settings = settings;
    this.#log = log;
  }

  get begun(): boolean {
    return this.#status !== undefined;
  }

  /**
   * A signal to this process: the first one ends the start or drains, the second one ends the process at once. Those to a
   * whole group come here and, by way of the parent, as requests.
   */
  signal(signal: string): void {
    if (this.#wishes.insists()) this.atOnce(signal);
    this.stop(signal);
  }

  /** Requests under way end, then the process does. Asking again changes nothing. */
  stop(why: string): void {
    if (this.#stopped) return;
    this.#stopped = true;
    void tellParent({ told: 'stopping' });
    forgetNextHost(this.#settings.data);
    this.#log.info({ signal: why }, 'requests under way end, then the host stops; a second signal stops it at once');
    this.#begin(0);
  }

  atOnce(signal: string): void {
    this.#log.warn({ signal }, 'second signal: ended at once');
    end(130);
  }

  /** The same, and the parent runs a fresh process afterwards. */
  recycle(): void {
    if (this.begun) return;
    this.#log.warn('requests under way end, then the host begins anew in a fresh process');
    try {
      announceNextHost(this.#settings.data, process.ppid);
    } catch (error) {
      this.#log.warn({ err: error }, 'the command line does not find the host until the next one listens');
    }
    this.#begin(recycleStatus);
  }

  /** Status of an end that is no clean one: a fresh host helps all the same. */
  get #failed(): number {
    return this.#status === recycleStatus ? recycleStatus : 1;
  }

  #begin(status: number): void {
    const begun = this.begun;
    this.#status = status;
    if (begun) {
      // Nobody goes on in its place any more: nobody is served meanwhile.
      if (status === 0) void this.#opening.then((host) => host.close()).catch(() => {}); // told below
      return;
    }
    const log = this.#log;
    const limit = longestClose(this.#settings);
    setTimeout(() => {
      log.error({ limit }, 'the host did not stop in time: ended');
      end(this.#failed);
    }, limit).unref();
    let told: Promise<void> | undefined;
    const leave = (wishes: Wishes): void => {
      if (!this.#knowsAll()) return;
      told = tellParent({ told: 'wishes', wishes });
    };
    const closed = this.#opening.then((host) => host.close(status === recycleStatus ? leave : undefined));
    closed.then(
      async () => {
        await told;
        log.info(this.#status === recycleStatus ? 'stopped, to begin anew' : 'stopped');
        end(this.#status ?? 0);
      },
      (error: unknown) => {
        log.error({ err: error }, 'stopped, but not everything closed');
        end(this.#failed);
      },
    );
  }
}

/** What the parent has read of the standard streams. */
class WrittenOutput {
  readonly mark: string;
  #tell: ((lines: readonly OutputLine[], dropped: number) => void) | undefined;
  #early: OutputBatch | undefined;

  constructor(mark: string) {
    this.mark = mark;
  }

  /** Log it; what cannot be logged the parent says by itself. */
  take(batch: OutputBatch): void {
    if (this.#tell === undefined) {
      this.#early = batch;
      return;
    }
    this.#tell(batch.output, batch.dropped);
    void tellParent({ told: 'logged' });
  }

  open(tell: (lines: readonly OutputLine[], dropped: number) => void): void {
    this.#tell = tell;
    if (this.#early !== undefined) this.take(this.#early);
  }
}

/** The parent has locked the file; what is in it says which process to ask. */
function nameHolder(lock: number): void {
  ftruncateSync(lock);
  writeSync(lock, `${process.pid}\n`, 0);
}

/** The process ends, and means it. */
function end(status: number): never {
  meanEnd();
  process.exit(status);
}

function meanEnd(): void {
  if (order.box !== undefined) loadCore().endOnPurpose();
}

/** Say at intervals that the event loop turns, and to the parent when somebody is about to stop it, as after SIGUSR1. */
function beat(core: Pick<BlackBoxDoor, 'beat'>, everyMs: number): void {
  let isInspected = false;
  const look = (): void => {
    core.beat();
    if (isInspected === (inspectorUrl() !== undefined)) return;
    isInspected = !isInspected;
    void tellParent({ told: 'inspected', isInspected });
  };
  setInterval(look, everyMs).unref();
}

/** Run the host until it is asked to end. Rejects when it cannot start. */
async function serve({ flags, tellsReloads, continues, ...given }: Order & Given): Promise<void> {
  const core = loadCore();
  if (given.box !== undefined) core.openBlackBox({ descriptor: given.box, orphanMs });
  // A terminal tells it to its whole group; the parent knows what it means.
  process.on('SIGHUP', () => {});
  process.umask(othersNothing);
  const read = (): ResolvedSettings => resolveSettings({ flags });
  const parent = new ParentRequests();
  warmUp();
  // Two processes that look the same are hard to tell apart for whoever has to end one.
  process.title = 'tenon: stands by';
  void tellParent({ told: 'standing by', version, protocol });
  const begin = await parent.beginning;
  process.title = 'tenon: host';
  if (begin === undefined) return end(0);
  const beginning = begin.settings;
  const { settings } = beginning;
  if (given.lock !== undefined) nameHolder(given.lock);
  if (given.box !== undefined) beat(core, beatEvery(settings.hangMs));
  // From which level on is the host's to say, while it runs.
  const output = openLog({
    level: 'trace',
    descriptor: given.output?.log,
    ...(settings.color ? {} : { color: false }),
  });
  const log = output.child({}, { level: settings.logLevel });
  let host: TenonHost | undefined = undefined;
  let discovered = false;
  let full = false;
  let replaced = false;
  const onEvent = (event: HostEvent): void => {
    if (tellsReloads && 'record' in event && host !== undefined)
      for (const line of reloadReport(event.record, host.plugin(event.plugin).folder, process.cwd())) say(line);
    if (event.type === 'plugin.serving') {
      replaced ||= event.from !== undefined;
      // The build before may end the process on its way down, which begins now: the next one is not to begin with it again.
      if (event.from === undefined) wishesChanged();
      else if (isResumed) tellWishes();
    }
    if (event.type !== 'host.full') return;
    if (discovered) ending.recycle();
    else full = true;
  };
  let tellReady = (): void => {};
  const ready = new Promise<void>((resolve) => (tellReady = resolve));
  const readSettings = new SettingsInForce({
    settings: beginning,
    read,
    whenReady: async () => {
      await ready;
      if (ending.begun) throw hostCloses();
    },
    apply: async ({ logLevel, ...changed }) => {
      await host?.hotReload.configure(changesOf(changed));
      if (logLevel === undefined || host === undefined) return;
      log.level = logLevel;
      host.settings.logLevel = logLevel;
      host.setLogLevel(undefined);
    },
    taken: ({ status, changed }) => {
      const keys = changed.map(({ key }) => key);
      log.info({ keys }, `settings were read again, and have changed: ${keys.join(', ')}`);
      // Behind the answer to whoever has asked for it.
      if (status === 'restarting') setImmediate(() => ending.recycle());
    },
  });
  const upgrade = new UpgradeWish();
  const written = given.output === undefined ? undefined : new WrittenOutput(given.output.mark);
  const { containment, wishes } = begin;
  let isResumed = false;
  let isTelling = false;
  // Those of a host that has not gone on with all that ran before it would make the next one forget the rest: that one begins with what
  // this one has begun with. One that ends tells what it leaves before it unloads anything: afterwards nothing would be left.
  const tellWishes = (): void => {
    if (host !== undefined && !ending.begun) void tellParent({ told: 'wishes', wishes: host.wishes() });
  };
  const wishesChanged = (): void => {
    if (isTelling || !isResumed) return;
    isTelling = true;
    // Before whoever has asked for the change is answered: a host that is killed then has told of it.
    queueMicrotask(() => {
      isTelling = false;
      tellWishes();
    });
  };
  const own: OwnProcess = {
    output: written,
    containment,
    locked: given.lock !== undefined,
    box: given.box,
    upgrade: (folder) => upgrade.ask(folder),
    parent: {
      wishesChanged,
      requestsNamed: (name) => void tellParent({ told: 'requests', name }),
      released: (plugin, isByHand, moved) => void tellParent({ told: 'released', plugin, isByHand, moved }),
      automatic: (plugins) => void tellParent({ told: 'automatic', plugins }),
      processEnded: (report) => void tellParent({ told: 'process ended', report }),
      quarantined: (build) => void tellParent({ told: 'quarantined', build }),
    },
  };
  const opening = openOwnHost({ ...explicit(settings), log: output, onEvent, readSettings }, own);
  const ending = new Ending(opening, () => isResumed, settings, log);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => ending.signal(signal));
  parent.hear((request) => {
    if (request.ask === 'log') written?.take(request.batch);
    else
      obey(request, ending, upgrade, (wish) => {
        void readAgain(readSettings, host, log).then((done) => done && void tellParent({ told: 'granted', wish }));
      });
  });
  host = await opening;
  try {
    // Those who wait for a host that begins anew are not to find it empty, nor to wait for a compiler.
    const resumed = await resume(host, wishes).catch((error: unknown) => {
      if (!ending.begun) log.error({ err: error }, 'what the host before this one has left cannot be used');
      return false;
    });
    isResumed = resumed || !ending.begun;
    wishesChanged();
    if (continues && !resumed) await host.discover();
    const url = await host.listen(given.descriptor, given.admin);
    forgetNextHost(settings.data);
    void tellParent({ told: 'listens' });
    // Whoever calls now may stop the loop: that is seen by beats that do not come any more.
    if (given.box !== undefined) core.beat();
    say(continues ? `Tenon goes on in a fresh process, on ${url}` : `Tenon listens on ${url}`);
    const { safeMode } = host.containment();
    if (safeMode !== undefined)
      say(`  in safe mode, without plugins, since ${safeMode.since}: see \`tenon crashes\`; \`tenon release\` ends it`);
    const api = host.adminUrl();
    if (api !== undefined && !continues) say(`  its admin API on ${api}`);
    if (!continues || resumed) await host.discover();
    // What was loaded last was not there yet when its event was told.
    wishesChanged();
    if (!continues && !ending.begun) printWelcome(host, url);
    discovered = true;
    tellReady();
    if (!ending.begun) void tellParent({ told: 'ready', about: `${host.plugins().length} plugins on ${url}` });
    // The next one begins with the builds that serve. What never did will not let go of its image there either.
    if (full && replaced) ending.recycle();
    else if (full) log.error('the host is full from its start on: it begins anew when one more image is pinned');
  } catch (error) {
    if (ending.begun) return; // what was cut short by it is no failure
    await host.close().catch((second: unknown) => log.error({ err: second }, 'not everything closed'));
    throw error;
  }
}

function obey(request: ParentRequest, ending: Ending, upgrade: UpgradeWish, readAgain: (wish: number) => void): void {
  if (request.ask === 'sign') void tellParent({ told: 'sign' });
  else if (request.ask === 'upgrade') {
    upgrade.answer(request);
    // Behind the answer to whoever has asked for it.
    if ('version' in request) setImmediate(() => ending.recycle());
  } else if (request.ask === 'reload') readAgain(request.wish);
  else if (request.ask === 'end') {
    if (request.atOnce) ending.atOnce(request.why);
    else ending.stop(request.why);
  }
}

/** What nobody waits for an answer to: what came of it is logged. False when it is left to the next host, as this one ends. */
async function readAgain(settings: SettingsInForce, host: TenonHost | undefined, log: Log): Promise<boolean> {
  try {
    host?.reloadCertificate();
  } catch (error) {
    log.error({ err: error }, `the certificate stays as it was: ${describeError(error)}`);
  }
  await host?.reloadTokens();
  try {
    await settings.reload(false);
  } catch (error) {
    if (isClosing(error)) return false;
    log.error({ err: error }, `the settings stay as they were: ${describeError(error)}`);
  }
  return true;
}

/** Go on as the host before this one would have. Whether that can be; else the applications say all. */
async function resume(host: TenonHost, wishes: Wishes | undefined): Promise<boolean> {
  if (wishes === undefined) return false;
  await host.resume(wishes);
  return true;
}

/** Settings as options: an empty text means none was given. */
function explicit(settings: Settings): Partial<Settings> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== ''));
}

try {
  await serve(order);
} catch (error) {
  meanEnd();
  process.exitCode = reportFailure(error, false, say);
}
