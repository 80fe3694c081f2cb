/**
 * The parent process: holds the port and the data directory, runs the host as its child, and runs another one when that one asks for it,
 * or has crashed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ResolvedSettings } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import { announceNextHost } from '../base/host-file.js';
import type { BoxContents } from '../binding/black-box.js';
import type { Wishes } from '../embedding.js';
import type { HostDeath } from '../host/crash-finding.js';
import { type Crashes, limitsOf } from './crashes.js';
import { HangWatch, wakingFor } from './hang-watch.js';
import { type BoxReading, HostChild, type HostChildOptions, type HostEnd, type Spoken } from './host-child.js';
import { EndWishes, type Notice, type ParentRequest, recycleStatus, type UpgradeRefusal } from './parent.js';
import { holdOf, isInspected } from './process-look.js';
import { type Release, releaseIn } from './release.js';
import type { ServiceManager } from './service-manager.js';
import { Standby, standbyMs } from './standby.js';

export interface HostProcessOptions extends Omit<HostChildOptions, 'hear' | 'continues' | 'lock'> {
  /** What the first one begins with. Its ports are closed when the host ends for good. */
  settings: ResolvedSettings;
  /** Of the data directory; released likewise. */
  lock: { readonly descriptor: number; release: () => void };
  crashes: Crashes;
  manager: ServiceManager | undefined;
  /** Told in lines for people what happens to the host. */
  say: (line: string) => void;
}

/** From the start of a process until it can be expected to give a sign of life, ms. */
const wakingMs = 60_000;
/** For a host to end at once by itself, ms: one whose event loop stands never does. */
const atOnceMs = 1000;
/** Status of a host that was ended at once. */
const atOnceStatus = 130;
/** For a host that hangs to report where, ms. */
const reportMs = 500;
/** For a host to serve again before it is said that one has crashed, ms. */
const againMs = 5000;

/** Before another one is tried in the place of one that could not begin, ms; when they are used up, none is. */
const startDelaysMs = [0, 100, 500, 2000];

/** What comes after the end of a process: the end of all, or another one. */
type Sequel = { readonly end: HostEnd } | { readonly delayMs: number };

/** One host, in one process after the other. */
export class HostProcess {
  readonly #options: HostProcessOptions;
  readonly #wishes = new EndWishes();
  readonly #standby: Standby;
  #started: (spoken: Spoken) => void = () => {};
  #child: HostChild | undefined;
  /** All whose end is not seen yet. */
  readonly #children = new Set<HostChild>();
  #stopping = false;
  #killed = false;
  /** The last wish that the settings be read again, and the last one that a host has granted. */
  #wish = 0;
  #granted = 0;
  #settings: ResolvedSettings;
  /** What was in force before, until a host has shown that it serves with `#settings`. */
  #before: ResolvedSettings | undefined;
  #listens = false;
  #isReady = false;
  /** Hosts that could not begin, one after the other. */
  #failures = 0;
  /** What was last told of a host that is ready. */
  #about = '';
  /** Whether the child has given a sign since it was last asked for one; undefined before the first. */
  #lives: boolean | undefined;
  /** How the next one is to go on. */
  #left: Wishes | undefined;
  #hang: HostDeath['hang'];
  #release: Release;
  /** Where the host came from before its upgrade, until one has shown that it serves. */
  #formerRelease: Release | undefined;
  #isUpgrading = false;
  #watch: HangWatch | undefined;
  /** Says what the last crash was, once the next host serves. */
  #tellCrash: ((served: boolean) => void) | undefined;
  /** What is still done for processes that have ended. */
  readonly #rest = new Set<Promise<unknown>>();

  constructor(options: HostProcessOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#release = options.release;
    this.#standby = new Standby({
      start: () => this.#spawn(this.#release, true),
      wanted: () => this.#settings.settings.standby && !this.#stopping && !isInspected(),
      warn: (line) => options.say(`tenon: ${line}`),
    });
  }

  /** Process ids of the host, and of what stands by. */
  get pids(): readonly number[] {
    return [...this.#children].flatMap(({ pid }) => pid ?? []);
  }

  /**
   * Run it until it ends for good; how it did.
   * @param started given what every child says, at its start
   */
  async run(started: (spoken: Spoken) => void = () => {}): Promise<HostEnd> {
    const { manager } = this.#options;
    const beat = manager && setInterval(() => this.#beat(manager), manager.beatMs);
    this.#started = started;
    try {
      for (let child = this.#spawn(this.#release, false); ; child = this.#next()) {
        this.#begin(child);
        const sequel = await child.ended.then(
          (end) => this.#after(child, end),
          (error: unknown) => this.#afterNone(child, error),
        );
        if ('end' in sequel) return sequel.end;
        if (sequel.delayMs > 0) await sleep(sequel.delayMs);
        if (this.#stopping) return { status: 0 };
      }
    } finally {
      clearInterval(beat);
      this.#watch?.stop();
      this.#standby.drop();
      this.#closePorts();
      await Promise.all(this.#rest);
      await this.#options.crashes.settled();
      this.#tellCrash?.(false);
      this.#options.lock.release();
    }
  }

  /** Let the requests under way end, then end; asked again, end at once. */
  stop(why: string): void {
    const atOnce = this.#wishes.insists();
    this.#giveUp();
    this.#child?.ask({ ask: 'end', atOnce, why });
    if (atOnce && !this.#killed) this.#killSoon();
  }

  /** Have the host read its settings again; the next one, when this one ends before. */
  reload(): void {
    if (this.#stopping) return;
    this.#options.manager?.reloading();
    this.#wish += 1;
    this.#child?.ask({ ask: 'reload', wish: this.#wish });
  }

  /**
   * Have a host of the release in `folder` (without one: in the folder that this one came from, as it is now) stand by, and the one that
   * runs begin anew in it. When it does not come to that, or does not serve then, that is said, and nothing has changed.
   * @param by the host that has asked for it
   */
  async upgrade(folder?: string, by?: { child: HostChild; wish: number }): Promise<void> {
    try {
      const version = await this.#upgradeTo(folder);
      this.#options.say(`tenon: release ${version} stands by: the host begins anew in it`);
      const wish = by?.child === this.#child ? by?.wish : undefined;
      this.#child?.ask({ ask: 'upgrade', wish, version });
    } catch (error) {
      const failed = error instanceof Error ? error.message : String(error);
      this.#options.say(`tenon: not upgraded: ${failed}`);
      by?.child.ask({ ask: 'upgrade', wish: by.wish, code: refusalOf(error), failed });
    }
  }

  async #upgradeTo(folder: string | undefined): Promise<string> {
    if (this.#stopping) throw stops();
    if (this.#isUpgrading) throw new TenonError('UpgradeRunning', 'an upgrade is under way already');
    this.#isUpgrading = true;
    try {
      return await this.#standByFrom(folder === undefined ? { ...this.#release } : releaseIn(folder));
    } finally {
      this.#isUpgrading = false;
    }
  }

  /** Its version, when it stands by in the place of the one that does now. */
  async #standByFrom(release: Release): Promise<string> {
    const child = this.#spawn(release, true);
    try {
      await child.standsBy(standbyMs);
      if (this.#stopping) throw stops();
    } catch (error) {
      child.discard();
      throw error;
    }
    this.#standby.replace(child);
    this.#formerRelease ??= this.#release;
    this.#release = release;
    return child.version;
  }

  #killSoon(): void {
    this.#killed = true;
    const child = this.#child;
    setTimeout(() => child?.kill('SIGKILL'), atOnceMs).unref();
  }

  /** From now on nobody waits for a host that does not come. */
  #giveUp(): void {
    if (!this.#stopping) this.#options.manager?.stopping();
    this.#stopping = true;
    this.#standby.drop();
    this.#closePorts();
  }

  #closePorts(): void {
    const { port, admin } = this.#options;
    for (const held of [port, admin?.port, admin?.socket]) held?.close();
  }

  #spawn(release: Release, continues: boolean): HostChild {
    const lock = this.#options.lock.descriptor;
    const hear = (notice: Notice): void => this.#hear(child, notice);
    const child: HostChild = new HostChild({ ...this.#options, release, lock, continues, hear });
    this.#children.add(child);
    const gone = (): unknown => this.#children.delete(child);
    child.ended.then(gone, gone);
    this.#started(child.spoken);
    return child;
  }

  #next(): HostChild {
    return this.#standby.take() ?? this.#spawn(this.#release, true);
  }

  #begin(child: HostChild): void {
    const { crashes } = this.#options;
    this.#child = child;
    this.#lives = undefined;
    this.#listens = this.#isReady = false;
    this.#hang = undefined;
    crashes.limit(limitsOf(this.#settings.settings));
    const stoodBy = child.isStandingBy;
    child.begin({ settings: this.#settings, containment: crashes.containment, wishes: this.#left });
    if (this.#stopping) child.ask({ ask: 'end', atOnce: false, why: 'asked for before its start' });
    const { hangMs } = this.#settings.settings;
    if (hangMs === 0 || isInspected() || !child.beats) return;
    this.#watch = new HangWatch({
      hangMs,
      wakingMs: wakingFor(hangMs, stoodBy),
      beatMs: () => child.beatMs,
      isHeld: () => child.isHeld,
      stands: (ms) => this.#endHanging(child, ms),
    });
  }

  #endHanging(child: HostChild, ms: number): void {
    this.#hang = { ms, stopped: holdOf(child.pid) === 'stopped' };
    child.kill('SIGABRT');
    setTimeout(() => child.kill('SIGKILL'), reportMs).unref();
  }

  /** `child` has ended. */
  #after(child: HostChild, end: HostEnd): Sequel {
    this.#watch?.stop();
    this.#tellCrash?.(false);
    const { contents, gap } = child.readBox();
    const death: HostDeath = {
      ...(end.signal === undefined ? { status: end.status } : { signal: end.signal }),
      hang: this.#hang,
      contents,
      requests: child.requests,
      gaps: gap === undefined ? [] : [gap],
    };
    const output = child.end();
    this.#keep(output);
    if (this.#killed && end.signal === 'SIGKILL') return { end: { status: atOnceStatus } };
    const isMeant = end.signal === undefined && this.#isMeant(end, contents);
    if (this.#hang === undefined && isMeant) return this.#afterMeant(child, end);
    if (this.#hang === undefined && isAsked(end)) return { end: this.#stopping ? { status: 0 } : end };
    return this.#afterCrash(child, death, end, output);
  }

  /** It could not even be started. Throws what the system says when it is the first. */
  #afterNone(child: HostChild, error: unknown): Sequel {
    this.#watch?.stop();
    this.#keep(child.end());
    if (!child.continues) throw error;
    if (this.#stopping) return { end: { status: 0 } };
    return this.#afterFailure({ status: 1 }, error instanceof Error ? error.message : String(error));
  }

  /** Whether it has ended by itself and means it. What cannot begin says why itself. */
  #isMeant({ status }: HostEnd, contents: BoxReading['contents']): boolean {
    if (contents !== undefined) return contents.ended || (!this.#listens && isWithoutPlugins(contents));
    return this.#stopping || !this.#listens || status === 0 || status === recycleStatus;
  }

  #afterMeant(child: HostChild, end: HostEnd): Sequel {
    const { manager } = this.#options;
    if (this.#stopping) return { end: end.status === recycleStatus ? { status: 0 } : end };
    if (end.status === recycleStatus) manager?.status('the host begins anew in a fresh process');
    else if (!this.#goBack(child)) {
      if (!child.continues || end.status === 0) return { end };
      return this.#afterFailure(end, `status ${end.status}`);
    }
    return { delayMs: 0 };
  }

  /** One that was to go on could not begin. It is no crash: no plugin has to do with it, and without plugins it would be the same. */
  #afterFailure(end: HostEnd, why: string): Sequel {
    const delayMs = startDelaysMs[this.#failures];
    this.#failures += 1;
    const then = delayMs === undefined ? 'no other one is tried' : 'another one is tried';
    const line = `the host that was to go on could not begin (${why}): ${then}`;
    this.#options.say(`tenon: ${line}`);
    this.#options.manager?.status(line);
    return delayMs === undefined ? { end } : { delayMs };
  }

  #afterCrash(child: HostChild, death: HostDeath, end: HostEnd, output: Promise<string[]>): Sequel {
    const { crashes, manager, say } = this.#options;
    const diedAt = performance.now();
    const { applications } = (child.settings ?? this.#settings).settings;
    const uptimeMs = diedAt - (child.begunAt ?? diedAt);
    const dead = { pid: child.pid ?? 0, version: child.version, uptimeMs, applications };
    const { action, delayMs, report, isExplained } = crashes.take(death, dead, !this.#stopping);
    const { sentence } = report.verdict;
    this.#keep(output.then((lines) => crashes.keep({ ...report, output: lines })));
    const goesOn = action !== 'gaveUp' && action !== 'ended';
    const tell = (served: boolean): void => {
      if (this.#tellCrash !== tell) return;
      this.#tellCrash = undefined;
      const ms = Math.round(performance.now() - diedAt);
      const done = !goesOn ? 'no other one begins' : served ? `restarted in ${ms} ms` : 'another one begins';
      say(`tenon: ${sentence}: ${wordsOf(action)}${done}; report ${report.id}`);
    };
    this.#tellCrash = tell;
    if (!goesOn) return { end };
    setTimeout(tell, againMs, false).unref();
    manager?.status(`${sentence}: another one begins`);
    if (!isExplained) this.#goBack(child);
    try {
      announceNextHost(this.#settings.settings.data, process.pid);
    } catch {
      // It had not come so far as to say where it is: nobody looks for the next one there.
    }
    return { delayMs };
  }

  #keep(work: Promise<unknown>): void {
    const kept = work.finally(() => this.#rest.delete(kept));
    this.#rest.add(kept);
  }

  /** Whether another one is to be tried, since `child` could not begin with the settings that were read last, or as the new release. */
  #goBack(child: HostChild): boolean {
    if (this.#isReady) return false;
    const wentBack = child.release === this.#release && this.#goBackToRelease();
    if (this.#before === undefined || child.settings !== this.#settings) return wentBack;
    this.#settings = this.#before;
    this.#before = undefined;
    this.#options.say(
      'tenon: no host could begin with the settings that were read last: the next one has those before',
    );
    return true;
  }

  #goBackToRelease(): boolean {
    if (this.#formerRelease === undefined) return false;
    this.#options.say('tenon: the new release did not serve: the next host is of the one before');
    this.#release = this.#formerRelease;
    this.#formerRelease = undefined;
    this.#standby.drop();
    return true;
  }

  #beat(manager: ServiceManager): void {
    const begun = performance.now() - (this.#child?.begunAt ?? 0);
    const wakes = this.#lives === undefined && begun < wakingMs;
    if (wakes || this.#lives === true) manager.sign(!this.#isReady || this.#stopping);
    if (this.#lives !== undefined) this.#lives = false;
    this.#child?.ask({ ask: 'sign' });
  }

  #hear(child: HostChild, notice: Notice): void {
    if (child !== this.#child) return;
    const { manager, crashes } = this.#options;
    if (notice.told === 'sign') this.#lives = true;
    else if (notice.told === 'stopping') this.#giveUp();
    else if (notice.told === 'reloading') manager?.reloading();
    else if (notice.told === 'granted') this.#granted = notice.wish;
    else if (notice.told === 'wishes') this.#left = notice.wishes;
    else if (notice.told === 'released') crashes.release(notice);
    else if (notice.told === 'automatic') crashes.automatic = notice.plugins;
    else if (notice.told === 'process ended') crashes.keep(notice.report);
    else if (notice.told === 'quarantined') crashes.quarantine(notice.build);
    else if (notice.told === 'upgrade') void this.upgrade(notice.folder, { child, wish: notice.wish });
    else if (notice.told === 'listens') {
      this.#listens = true;
      this.#tellCrash?.(true);
    } else if (notice.told === 'settings') {
      this.#before ??= this.#settings;
      this.#settings = notice.settings;
    } else if (notice.told === 'reloaded') {
      this.#before = undefined;
      if (this.#isReady) manager?.ready(this.#about);
    } else if (notice.told === 'ready') this.#hearReady(child, notice.about);
  }

  #hearReady(child: HostChild, about: string): void {
    this.#isReady = true;
    this.#failures = 0;
    if (child.settings === this.#settings) this.#before = undefined;
    if (child.release === this.#release) this.#formerRelease = undefined;
    this.#about = about;
    this.#options.manager?.ready(about);
    if (this.#granted < this.#wish) this.#child?.ask({ ask: 'reload', wish: this.#wish } satisfies ParentRequest);
    this.#standby.prepare();
  }
}

/** Whether no plugin can have to do with an end: one that cannot start says why itself. */
function isWithoutPlugins({ fault, threads, images }: BoxContents): boolean {
  return (
    fault === undefined &&
    threads.every(({ inside }) => inside === undefined) &&
    images.every(({ state }) => state !== 'loading' && state !== 'open')
  );
}

/** An end by a signal that asks for it: it heard of the signal before it could do anything about it. */
function isAsked({ signal }: HostEnd): boolean {
  return signal === 'SIGTERM' || signal === 'SIGINT' || signal === 'SIGHUP';
}

function stops(): TenonError {
  return new TenonError('HostClosing', 'the host is shutting down');
}

function refusalOf(error: unknown): UpgradeRefusal {
  const code = error instanceof TenonError ? error.code : undefined;
  return code === 'UpgradeRunning' || code === 'ReleaseInvalid' || code === 'HostClosing' ? code : 'UpgradeFailed';
}

function wordsOf(action: string): string {
  if (action === 'quarantined') return 'in quarantine; ';
  if (action === 'demoted') return 'in a process of its own from now on; ';
  if (action === 'wentBack') return 'not loaded again; ';
  if (action === 'safeMode') return 'safe mode, without plugins; ';
  return '';
}
