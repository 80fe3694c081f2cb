/** The living set: which plugins there are, and the one place that changes it. */
import type { Containment } from '../base/containment.js';
import { TenonError } from '../base/errors.js';
import { AppliedConfigs } from './applied-configs.js';
import { Bringing } from './bringing.js';
import { Departures } from './departures.js';
import { endAll } from './ending.js';
import { ExtensionSettings } from './extension-settings.js';
import { Extensions } from './extensions.js';
import { askHealth } from './health.js';
import { countImages, type Images, overLimit } from './images.js';
import type { HostOptions } from './host-options.js';
import { Journal } from './journal.js';
import { Killing } from './killing.js';
import { absenceAt } from './absence.js';
import { Members } from './members.js';
import { type Plugin, type PluginSummary, type PluginView, summaryOf } from './plugin.js';
import { figuresOf, type PluginFigures } from './plugin-meters.js';
import type { ReloadRecord, Trigger } from './record.js';
import { type Begun, type LateFailure, Reloading, type ReloadRequest } from './reloading.js';
import { Rehearsals } from './rehearsals.js';
import { Remembering } from './remembering.js';
import type { RouteBook } from './routes.js';
import { RefusedFolders } from './taken.js';
import { TakingBack } from './taking-back.js';
import { notHeld, Quarantining } from './quarantining.js';
import { Resumption } from './resumption.js';
import { type Version, Versions } from './versions.js';
import { type Wish, wishOf } from './wishes.js';

export type { HostOptions } from './host-options.js';
export type { HostEvent } from './journal.js';

/**
 * All plugins of one host by id. Everything that starts, replaces or stops a plugin goes through here, one piece of work
 * at a time for each plugin. After `close` whatever would start something rejects with `HostClosing`.
 */
export class Host {
  readonly #options: HostOptions;
  readonly #plugins: Members;
  readonly #routes: RouteBook;
  readonly #journal: Journal;
  readonly #departures: Departures;
  readonly #reloading: Reloading;
  readonly #takingBack: TakingBack;
  readonly #extensions: Extensions;
  readonly #configs: AppliedConfigs;
  readonly #versions: Versions;
  readonly #remembering: Remembering;
  readonly #refused: RefusedFolders;
  readonly #bringing: Bringing;
  readonly #killing: Killing;
  readonly #quarantining: Quarantining;
  readonly #resumption: Resumption;
  #discovered = false;
  #closing: Promise<void> | undefined;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#journal = new Journal(options);
    this.#routes = options.routes;
    this.#refused = new RefusedFolders(options.log);
    this.#plugins = new Members({
      ...options,
      refused: this.#refused,
      forget: (plugin) => this.#forget(plugin),
      refuseWhenClosing: () => this.#refuseWhenClosing(),
    });
    this.#departures = new Departures(options.log, this.#journal, () => this.#countPinned());
    this.#versions = new Versions({ ...options.versions, log: options.log });
    const { applications, chains, desires } = options;
    this.#extensions = new Extensions(this.#plugins, applications, chains, (id) => desires.holdsBack(id));
    this.#configs = new AppliedConfigs({
      chains,
      routes: this.#routes,
      grants: options.grants,
      versions: this.#versions,
      settings: new ExtensionSettings({
        log: options.log,
        plugins: this.#plugins,
        anew: (plugin) => plugin.turns.take('anew', () => this.#begin(plugin, 'config', { byHand: false, anew: true })),
      }),
    });
    this.#takingBack = new TakingBack({
      journal: this.#journal,
      departures: this.#departures,
      versions: this.#versions,
      begin: (plugin, request) => this.#begin(plugin, 'rollback', request),
      refresh: (folder) => this.#refreshLater(folder),
      isClosing: () => this.isClosing,
    });
    this.#remembering = new Remembering({ ...options, departures: this.#departures });
    const takeDown = (rest: 'failed' | 'quarantined') => (plugin: Plugin) => this.#reloading.takeDown(plugin, rest);
    this.#quarantining = new Quarantining({ ...options, journal: this.#journal, takeDown: takeDown('quarantined') });
    this.#resumption = new Resumption({
      ...options,
      versions: this.#versions,
      extensions: this.#extensions,
      find: (id) => this.#plugins.get(id),
      enter: (id, folder) => this.#plugins.enter(id, folder),
      anew: (folder) => this.refresh(folder, 'start'),
      begin: (plugin, what) => this.#begin(plugin, 'start', what),
    });
    this.#reloading = new Reloading({
      ...options,
      versions: this.#versions,
      extensions: this.#extensions,
      chains,
      configs: this.#configs,
      remembering: this.#remembering,
      quarantining: this.#quarantining,
      routes: this.#routes,
      journal: this.#journal,
      departures: this.#departures,
      refuseWhenClosing: () => this.#refuseWhenClosing(),
    });
    this.#bringing = new Bringing({
      ...options,
      plugins: this.#plugins,
      refused: this.#refused,
      extensions: this.#extensions,
      forget: (plugin) => this.#forget(plugin),
      reload: (plugin, trigger) => this.#reload(plugin, trigger),
      refuseWhenClosing: () => this.#refuseWhenClosing(),
      learned: (application) => this.#tryAgain(application.id, application.folder),
    });
    this.#killing = new Killing({ ...options, takeDown: takeDown('failed') });
  }

  /** True once the applications directory was read and everything in it was tried, until closing begins. */
  get ready(): boolean {
    return this.#discovered && !this.isClosing;
  }

  /** True once everything in the applications directory was tried, or all that served in the host before this one serves again; not in safe mode. */
  get isWhole(): boolean {
    return (this.#discovered || this.#resumption.isDone) && this.#options.containing.whyNone === undefined;
  }

  get isClosing(): boolean {
    return this.#closing !== undefined;
  }

  /** Scan the applications directory: new ones are loaded, changed ones reloaded, gone ones unloaded. A bad one stops no other. */
  async discover(trigger: Trigger): Promise<void> {
    const { applications } = this.#options;
    const folders = [...(await applications.folders()), ...(await applications.schemasAlone())];
    const known = [...this.#plugins.values()].map((plugin) => plugin.folder);
    await this.#extensions.inOrder([...new Set([...folders, ...known])], (folder) => this.refresh(folder, trigger));
    this.#discovered = true;
    this.#departures.untilClosed(this.#versions.forgetGone((id) => this.#plugins.has(id)));
  }

  /** What is not loaded for what crashes have led to. */
  get held(): Containment {
    return this.#options.containing.held;
  }

  /** Whether there is a plugin with this id. */
  has(id: string): boolean {
    return this.#plugins.has(id);
  }

  /** How each plugin is to go on in the next host. */
  wishes(): Wish[] {
    const own = [...this.#plugins.values()]
      .map((plugin) => wishOf(plugin, this.#options.containing.quarantineOf(plugin.id)?.sha256))
      .filter((wish) => wish !== undefined);
    const waiting = this.#resumption.waiting.filter(({ id }) => !own.some((wish) => wish.id === id));
    return [...own, ...waiting];
  }

  /**
   * Go on where a host before this one has ended, before the first `discover`: what was stopped stays so, and what ran is
   * loaded from the kept builds, without a compiler. What cannot be is left to `discover`.
   * @param isWhole what {@link isWhole} was in that host
   */
  resume(wishes: readonly Wish[], isWhole = false): Promise<void> {
    return this.#resumption.goOn(wishes, isWhole);
  }

  /**
   * Hold back no longer what crashes of the plugin have led to, or with none that no plugin is loaded; and load what may be then, where
   * its application is here. Rejects with `NotQuarantined`, and as `reload` does, released all the same.
   */
  async release(id: string | undefined): Promise<void> {
    this.#refuseWhenClosing();
    if (id === undefined) {
      const left = this.#resumption.waiting;
      this.#quarantining.endSafeMode();
      await this.resume(left);
      return this.discover('api');
    }
    if (!this.#quarantining.release(id)) throw notHeld(this.#plugins.known(id));
    if (this.has(id) || (await this.#options.applications.find(id)) !== undefined) await this.reload(id);
  }

  /** Bring the plugin of an application's folder to what the folder says now. Undefined when nothing was to be done. */
  async refresh(folder: string, trigger: Trigger): Promise<ReloadRecord | undefined> {
    return (await this.bring(folder, trigger))?.finished;
  }

  /** The same, and resolves when what the folder says serves: calls of what served before may go on. */
  bring(folder: string, trigger: Trigger): Promise<Begun | undefined> {
    return this.#bringing.bring(folder, trigger);
  }

  /** Load a plugin that is not running; one that runs stays as it is. */
  async load(id: string, trigger: Trigger = 'api'): Promise<PluginView> {
    const known = this.#plugins.get(id);
    const stays = known?.running !== undefined && known.wanted && known.leave === undefined;
    const plugin = await this.#want(id);
    if (!stays) {
      plugin.byHand = true;
      await (await this.#reload(plugin, trigger)).finished;
    }
    return this.show(id);
  }

  /**
   * Build and load what the application is now, in place of what runs. At most one reload of a plugin runs and one
   * waits; asking again while one waits joins it. Resolves when the old generation is gone, or pinned; rejects when the
   * new one does not serve, and the old one goes on.
   */
  async reload(id: string, trigger: Trigger = 'api'): Promise<ReloadRecord> {
    const plugin = await this.#want(id);
    plugin.byHand = true;
    return (await this.#reload(plugin, trigger)).finished;
  }

  /**
   * Go back to a kept build: to the one before the running (or quarantined) one, or to the one that `to` names by its hash (6 digits or more),
   * generation or version. It serves until the application changes or is reloaded. Rejects with `VersionNotFound`, and
   * like `reload`.
   */
  async rollback(id: string, to?: string): Promise<ReloadRecord> {
    const plugin = await this.#want(id);
    // Which one is meant is as of now: who asks twice at once does not go back twice.
    const version = await this.#versions.find(id, to, this.#options.containing.leftBuild(plugin));
    // Its application went meanwhile: a turn of one that leaves would bring back what nobody takes down.
    if (plugin.leave !== undefined) return this.rollback(id, to);
    const { finished } = await plugin.turns.take(`rollback ${version.sha256}`, () =>
      this.#begin(plugin, 'rollback', { byHand: true, version }),
    );
    return finished;
  }

  /** For whoever looks after them. */
  get members(): Iterable<Plugin> {
    return this.#plugins.values();
  }

  /** What runs of the plugin is loaded no more, by no host, until somebody lets go of it; and this host is to begin anew. */
  quarantine(id: string, reason: string): void {
    this.#quarantining.beginAndLeave(this.#plugins.get(id), reason);
  }

  /** What loading, reloading and going back would come to. */
  get rehearsals(): Rehearsals {
    return new Rehearsals(this.#reloading.rehearsal, this.#plugins, this.#options.applications);
  }

  /** Builds of a plugin that can be gone back to, the one that served last first. Rejects with `PluginNotFound`. */
  async versions(id: string): Promise<readonly Version[]> {
    this.#plugins.known(id);
    return this.#versions.list(id);
  }

  /**
   * Stop a plugin. Its routes are gone at once; calls in flight end first. A stopped one stays listed, and stays stopped
   * whatever is saved, until it is loaded or the host is started again. A reload that waits for its turn is not begun: it
   * rejects with `PluginStopped`.
   */
  async unload(id: string): Promise<PluginView> {
    this.#refuseWhenClosing();
    const plugin = this.#plugins.known(id);
    plugin.wanted = false;
    await this.#stop(plugin);
    this.#options.wishesChanged?.();
    return this.show(id);
  }

  /** Stop it for good, wherever its folder is: it is unknown until that, or another one with this id, is looked at again. */
  async forget(id: string): Promise<void> {
    const plugin = this.#plugins.get(id);
    if (plugin !== undefined) await this.#forget(plugin, 'alone');
  }

  /** Take down what runs and is on the kill list: from then on it is `failed`, with `BundleKilled`. Rejects when one cannot be. */
  endKilled(): Promise<void> {
    return this.#killing.endKilled([...this.#plugins.values()]);
  }

  /** What the tables of `id` were made of when it served last, as text; undefined when it had none, or has never served. */
  keptTables(id: string): Promise<string | undefined> {
    return this.#versions.tablesOf(id);
  }

  /** Forget the builds that are kept of one that is gone; with `purge` what it knew and was held back for, too. */
  async forgetKept(id: string, purge: boolean): Promise<void> {
    await this.#versions.forget(id);
    if (purge) await this.#remembering.forget(id);
    if (purge) this.#quarantining.release(id);
  }

  /** What is granted to `id` has changed: it holds at once, and one that failed for want of it is tried again. */
  permit(id: string): void {
    const plugin = this.#plugins.get(id);
    if (plugin !== undefined && this.#configs.permit(plugin)) this.#refreshLater(plugin.folder);
  }

  /** What everybody may see, by id. */
  summaries(): PluginSummary[] {
    return this.list().map(summaryOf);
  }

  list(): PluginView[] {
    return [...this.#plugins.keys()].sort().map((id) => this.show(id));
  }

  readonly figures = (): PluginFigures[] => {
    const { findings } = this.#options;
    return [...this.#plugins.values()].map((plugin) => figuresOf(plugin, findings.ofPlugin(plugin.id)));
  };

  /** Throws `PluginNotFound`. */
  show(id: string): PluginView {
    const plugin = this.#plugins.known(id);
    const view = plugin.view(this.#routes.of(id), this.#extensions.relationsOf(plugin), this.#options.findings);
    return { ...view, permissions: this.#configs.permissionsOf(plugin), ...this.#options.desires.viewOf(id) };
  }

  /** Why nothing is served at `path` although a plugin has it: it does not run, and not by its own config. */
  absence(path: string): TenonError | undefined {
    if (this.#routes.isReserved(path)) return undefined;
    return this.#options.containing.whyNone ?? absenceAt(path, this.#plugins.values());
  }

  /** The last 100 reload records, newest first. */
  reloads(filter: { plugin?: string | undefined; limit?: number | undefined } = {}): ReloadRecord[] {
    return this.#journal.reloads(filter);
  }

  /** What plugins keep mapped in this process now, also those that are gone. */
  images(): Images {
    return countImages(this.#plugins.values(), this.#departures.leaving.keys());
  }

  /** Ask every running plugin whether it can serve; the message of each that cannot, by id. */
  health(): Promise<Map<string, string>> {
    return askHealth(this.#plugins.values());
  }

  /** End every event stream as a complete answer: nothing else would end it. */
  endStreams(): void {
    for (const { running } of this.#plugins.values()) running?.handle.endStreams();
  }

  /** Take every plugin down. Rejects when one could not be closed; closing twice is fine. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    this.#options.applications.abort();
    await endAll(this.#extensions, this.#remembering, this.#versions, (plugin) => this.#stop(plugin));
    await this.#departures.close();
    await this.#versions.close();
    for (const { id, number, outcome } of this.#departures.leaving.keys())
      this.#options.log.warn({ plugin: id, generation: number, outcome }, 'its image stays mapped');
  }

  #countPinned(): void {
    const reason = overLimit(this.images(), this.#options.pinnedLimit);
    if (reason === undefined) return;
    this.#options.log.warn(`${reason}: the host is to begin anew in a fresh process`);
    this.#journal.tell({ type: 'host.full', reason });
  }

  #refuseWhenClosing(): void {
    if (this.isClosing) throw new TenonError('HostClosing', 'the host is shutting down', { next: 'ask the next host' });
  }

  /** A known plugin, which is wanted from the moment of asking on, or one whose application has appeared since. */
  async #want(id: string): Promise<Plugin> {
    this.#refuseWhenClosing();
    const known = this.#plugins.get(id);
    if (known !== undefined && known.leave === undefined) {
      known.wanted = true;
      return known;
    }
    await known?.leave;
    const folder = await this.#options.applications.find(id);
    return (folder === undefined ? undefined : await this.#plugins.enter(id, folder)) ?? this.#plugins.known(id);
  }

  async #reload(plugin: Plugin, trigger: Trigger): Promise<Begun> {
    // Asked of one that leaves: it is the next one's, when there is one.
    if (plugin.leave !== undefined) return this.#reload(await this.#want(plugin.id), trigger);
    return plugin.turns.take('reload', () => {
      const { byHand } = plugin;
      plugin.byHand = false;
      return this.#begin(plugin, trigger, { byHand, fresh: this.#options.desires.takeReload(plugin.id) });
    });
  }

  async #begin(plugin: Plugin, trigger: Trigger, what: Omit<ReloadRequest, 'trigger' | 'failedLater'>): Promise<Begun> {
    const failedLater = (failure: LateFailure): void =>
      void this.#takingBack
        .takeBack(plugin, failure)
        .catch((second: unknown) =>
          this.#options.log.error(
            { plugin: plugin.id, err: second },
            `${failure.error.message}, and could not be taken back`,
          ),
        );
    const begun = await this.#reloading.reload(plugin, { trigger, failedLater, ...what });
    this.#options.wishesChanged?.();
    if (what.anew !== true) plugin.chosen = what.byHand ? what.version?.sha256 : undefined;
    if (plugin.running !== undefined) this.#tryAgain(plugin.id);
    return begun;
  }

  /** What `id` is by now may be what others waited for. */
  #tryAgain(id: string, except?: string): void {
    for (const { folder } of this.#extensions.waitingFor(id)) if (folder !== except) this.#refreshLater(folder);
  }

  #refreshLater(folder: string): void {
    void this.refresh(folder, 'watch').catch(() => {}); // logged and recorded where it happened
  }

  #stop(plugin: Plugin): Promise<void> {
    return plugin.turns.take('stop', () => this.#reloading.takeDown(plugin, 'stopped'));
  }

  /** Stop it for good: its application is gone. What others were refused for is theirs then, unless they are left alone. */
  #forget(plugin: Plugin, others?: 'alone'): Promise<void> {
    plugin.leave ??= plugin.turns.take('forget', async () => {
      await this.#reloading.takeDown(plugin, 'stopped').finally(() => this.#plugins.delete(plugin.id));
      await this.#configs.forget(plugin);
      this.#options.forgotten(plugin.id);
      this.#options.findings.forget(plugin.id);
      this.#options.wishesChanged?.();
      if (others === undefined) for (const folder of this.#refused.of(plugin.id)) this.#refreshLater(folder);
    });
    return plugin.leave;
  }
}
