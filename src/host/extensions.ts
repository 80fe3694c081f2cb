/** Which application uses which extension, as their configs say, and whether that can be. */
import path from 'node:path';
import { asTenonError, TenonError } from '../base/errors.js';
import type { Application, Applications } from './applications.js';
import type { Chains } from './chains.js';
import { checkUses, type Declared, type DeclaredById, predecessors } from './extension-order.js';
import { inOrder } from './in-order.js';
import type { ExtensionUse } from '../compiler/config.js';
import type { Plugin, Relations } from './plugin.js';
import { lentBy, type LentTables } from './table-world.js';

/** An application that uses an extension, and what it sets there. */
export interface Consumer {
  readonly application: string;
  /** A JSON object, as text. */
  readonly settings: string;
}

export class Extensions {
  readonly #declared = new Map<string, Declared>();
  readonly #plugins: ReadonlyMap<string, Plugin>;
  readonly #applications: Applications;
  readonly #chains: Pick<Chains, 'authOf'>;
  readonly #isHeldBack: (id: string) => boolean;

  /** @param isHeldBack whether an application is not to run, whatever its config says */
  constructor(
    plugins: ReadonlyMap<string, Plugin>,
    applications: Applications,
    chains: Pick<Chains, 'authOf'>,
    isHeldBack: (id: string) => boolean = () => false,
  ) {
    this.#plugins = plugins;
    this.#applications = applications;
    this.#chains = chains;
    this.#isHeldBack = isHeldBack;
  }

  /** Work on two folders at a time: on those of extensions before those of who lists them. What rejects stops no other. */
  async inOrder(folders: readonly string[], work: (folder: string) => Promise<unknown>): Promise<void> {
    const ids = new Map<string, string>();
    await Promise.all(folders.map(async (folder) => ids.set(folder, await this.#read(folder))));
    const before = predecessors(this.#all());
    const foldersOf = (id: string): string[] => folders.filter((folder) => ids.get(folder) === id);
    await inOrder(folders, (folder) => before(ids.get(folder) ?? '').flatMap(foldersOf), work, 2);
  }

  /** This is what the config of an application says now; whether it says something else of extensions than before. */
  learn({ folder, id, enabled, extension, extensions: uses }: Application): boolean {
    const before = this.#declared.get(folder);
    this.#declared.set(folder, { id, enabled, extension, uses });
    return JSON.stringify(before) !== JSON.stringify(this.#declared.get(folder));
  }

  forget(folder: string): void {
    this.#declared.delete(folder);
  }

  /**
   * Work on every plugin: on those who list an extension before it, telemetry last; as they run, not as their configs say by
   * now. Rejects when all are through, with the first that went wrong.
   */
  async inReverse(work: (plugin: Plugin) => Promise<unknown>): Promise<void> {
    const all = this.#all();
    for (const { id, applied } of this.#plugins.values()) {
      const known = all.get(id);
      if (applied !== undefined && known !== undefined) all.set(id, { ...known, uses: applied.uses });
    }
    const loadedBefore = predecessors(all);
    const ids = [...this.#plugins.keys()];
    const users = new Map(ids.map((id) => [id, ids.filter((other) => loadedBefore(other).includes(id))]));
    const failures: unknown[] = [];
    const one = async (id: string): Promise<void> => {
      const plugin = this.#plugins.get(id);
      if (plugin !== undefined) await work(plugin).catch((error: unknown) => failures.push(error));
    };
    await inOrder(ids, (id) => users.get(id) ?? [], one, Number.POSITIVE_INFINITY);
    if (failures.length > 0) throw failures[0];
  }

  /**
   * Throws `ExtensionMissing`, `ExtensionCycle`, and `ExtensionUnavailable` when one that is required does not run.
   * @param as what its application says, when that was not learned
   */
  requireRunning(id: string, as?: Application): void {
    const all = this.#all();
    if (as !== undefined) all.set(id, { id, enabled: as.enabled, extension: as.extension, uses: as.extensions });
    checkUses(id, all);
    for (const use of all.get(id)?.uses ?? []) {
      const plugin = this.#plugins.get(use.id);
      if (!use.required || plugin?.running !== undefined) continue;
      const state = plugin?.state ?? 'loading';
      const why = plugin?.error === undefined ? '' : ` (${plugin.error.code})`;
      throw new TenonError('ExtensionUnavailable', `${id} needs ${use.id}, which does not run: it is ${state}${why}`, {
        next: `see GET /api/v1/plugins/${use.id}; ${id} is loaded by itself when that serves`,
        details: { plugin: id, extension: use.id, state, coming: plugin === undefined || this.#isComing(plugin) },
      });
    }
  }

  /** Whether it is being loaded, or will be in a moment: what kept it away is there by now. */
  #isComing({ id, state, error, turns }: Plugin): boolean {
    if (state === 'loading' || !turns.idle) return true;
    if (state !== 'failed' || error?.code.startsWith('Extension') !== true) return false;
    try {
      this.requireRunning(id);
      return true;
    } catch (cause) {
      return asTenonError(cause).details['coming'] === true;
    }
  }

  /** Why every request of a plugin that runs is answered 503, when it is: an extension that it needs does not run. */
  shutting({ id, running, applied }: Plugin): TenonError | undefined {
    if (running === undefined) return undefined;
    const use = applied?.uses.find((one) => one.required && this.#plugins.get(one.id)?.running === undefined);
    if (use === undefined) return undefined;
    const state = this.#plugins.get(use.id)?.state ?? 'missing';
    const message = `${id} answers 503 to every request until ${use.id} serves, which it needs: that is ${state}`;
    return new TenonError('ExtensionUnavailable', message, {
      next: state === 'missing' ? `install ${use.id}` : `see GET /api/v1/plugins/${use.id}`,
      details: { plugin: id, extension: use.id, state },
    });
  }

  /** Who runs and cannot be called while `id` does not run. */
  needing(id: string): string[] {
    return [...this.#plugins.values()]
      .filter(({ running, applied }) => running !== undefined && applied?.uses.some(isNeeded(id)) === true)
      .map((plugin) => plugin.id)
      .toSorted();
  }

  /** What a person should know of what `id` lists and of who lists it, although it can be loaded. */
  doubtsAbout(id: string): string[] {
    const all = this.#all();
    const optional = (all.get(id)?.uses ?? []).filter((use) => !use.required);
    const doubts = optional.flatMap((use) => {
      const which = `the extension ${use.id}, which is not required,`;
      if (!all.has(use.id)) return [`${which} is not there: ${id} goes on without`];
      return all.get(use.id)?.extension === false
        ? [`${which} does not say \`extension: true\` in its config.yaml`]
        : [];
    });
    const needing = this.needing(id);
    if (all.get(id)?.extension !== false || needing.length === 0) return doubts;
    const they = needing.join(', ');
    const refused = `${they} ${needing.length === 1 ? 'needs' : 'need'} it, and cannot be loaded any more`;
    return [...doubts, `${id} does not say \`extension: true\` in its config.yaml: ${refused}`];
  }

  /** Who lists the extension `id`, in order of ids: who runs as it runs or is about to, all others as their configs say. */
  consumersOf(id: string): Consumer[] {
    const settingsOf = new Map<string, string>();
    const take = (application: string, uses: readonly ExtensionUse[]): void => {
      for (const use of uses) if (use.id === id) settingsOf.set(application, use.settings);
    };
    for (const { id: application, enabled, uses } of this.#all().values())
      if (enabled && !this.#isHeldBack(application) && !this.#runs(application)) take(application, uses);
    for (const { id: application, applied } of this.#plugins.values())
      if (this.#runs(application)) take(application, applied?.uses ?? []);
    for (const [application, settings] of this.#plugins.get(id)?.asked ?? [])
      if (settings === '') settingsOf.delete(application);
      else settingsOf.set(application, settings);
    return [...settingsOf]
      .map(([application, settings]) => ({ application, settings }))
      .toSorted((one, other) => (one.application < other.application ? -1 : 1));
  }

  /** What plugin code of an application with these `uses` may read of their tables, as they are now. */
  lentTo(uses: readonly ExtensionUse[]): LentTables | undefined {
    return lentBy(uses.map(({ id }) => this.#plugins.get(id)?.tables));
  }

  /**
   * Who waits for `id` to serve, or for its config to change, an extension for what it sets there, too; and who is to be told
   * that it does not take what is set there.
   */
  waitingFor(id: string): Plugin[] {
    const extension = this.#plugins.get(id);
    const knowsPeople = (extension?.running?.handle.offers.auth?.providers.length ?? 0) > 0;
    return [...this.#plugins.values()].filter((plugin) => {
      const { error, wanted, running } = plugin;
      if (!wanted) return false;
      if (running !== undefined && extension?.running !== undefined && extension.unasked.has(plugin.id)) return true;
      if (error === undefined) return false;
      return isOf(id, error) || isRefusedFor(id, plugin.id, error) || (knowsPeople && wantsPeopleOf(id, error));
    });
  }

  /** What is shown of it beside `plugin`. */
  relationsOf(plugin: Plugin): Relations {
    const { id, applied } = plugin;
    const all = this.#all();
    const declared = all.get(id);
    const consumers = this.consumersOf(id).map(({ application }) => application);
    const usesOf = (one: string): readonly ExtensionUse[] =>
      (this.#runs(one) ? this.#plugins.get(one)?.applied?.uses : undefined) ?? all.get(one)?.uses ?? [];
    const extension = declared?.extension === 'unknown' ? false : (declared?.extension ?? false);
    return {
      extension,
      extensions: (applied?.uses ?? declared?.uses ?? []).map((use) => ({
        id: use.id,
        required: use.required,
        state: this.#plugins.get(use.id)?.state ?? 'missing',
        settings: Object.keys(JSON.parse(use.settings) as object),
      })),
      consumers,
      requiredBy: consumers.filter((one) => usesOf(one).some(isNeeded(id))),
      auth: this.#chains.authOf(id),
      shut: this.shutting(plugin),
    };
  }

  #runs(id: string): boolean {
    const plugin = this.#plugins.get(id);
    return plugin?.running !== undefined && plugin.applied !== undefined;
  }

  /** Learn what the application of a folder says; its id. */
  async #read(folder: string): Promise<string> {
    try {
      const application = await this.#applications.read(folder);
      this.learn(application);
      return application.id;
    } catch {
      // The reload meets the same error, and reports it. What the config said before counts; else no more is known.
      const known = this.#declared.get(folder);
      const id = known?.id ?? path.basename(folder);
      if (known === undefined && (await this.#applications.exists(folder)))
        this.#declared.set(folder, { id, enabled: true, extension: 'unknown', uses: [] });
      return id;
    }
  }

  #all(): Map<string, Declared> & DeclaredById {
    const all = new Map<string, Declared>();
    // Of two folders with one id the plugin's counts.
    for (const [folder, declared] of this.#declared)
      if (!all.has(declared.id) || this.#plugins.get(declared.id)?.folder === folder) all.set(declared.id, declared);
    return all;
  }
}

function isNeeded(id: string): (use: ExtensionUse) => boolean {
  return (use) => use.required && use.id === id;
}

/** It failed where nobody could be known. */
function wantsPeopleOf(id: string, { code, details }: TenonError): boolean {
  const isOfIt = code === 'RouteInvalid' || code === 'SchemaInvalid';
  return isOfIt && Array.isArray(details['listed']) && details['listed'].includes(id);
}

/** A build of the extension `refused` was kept away by what the application `id` sets there. */
function isRefusedFor(id: string, refused: string, { code, details }: TenonError): boolean {
  return (
    code === 'ConfigInvalid' && details['extension'] === refused && details['application'] === id && id !== refused
  );
}

function isOf(id: string, { code, details }: TenonError): boolean {
  if (code === 'ExtensionCycle') return Array.isArray(details['path']) && details['path'].includes(id);
  if (details['extension'] !== id) return false;
  const isToldInVain = details['application'] !== undefined;
  return isToldInVain || code === 'ExtensionMissing' || code === 'ExtensionUnavailable' || code === 'ConfigInvalid';
}
