/** What of its config a plugin takes up without a new generation: what it lists, who may call it, its own config. */
import { asTenonError, TenonError } from '../base/errors.js';
import type { Chains, Gatekeeping } from './chains.js';
import { sameJson } from './effective-config.js';
import type { ExtensionSettings } from './extension-settings.js';
import type { Consumer } from './extensions.js';
import type { Grants, Standing } from './grants.js';
import type { Generation } from '../plugin/generation.js';
import { writeKeptConfig } from './kept-config.js';
import type { Live, ServedRoute } from './live.js';
import type { Applied, Plugin } from './plugin.js';
import type { Recorder } from './record.js';
import type { RouteBook } from './routes.js';
import type { Target } from './target.js';
import type { Versions } from './versions.js';

export interface AppliedConfigsOptions {
  chains: Chains;
  routes: RouteBook;
  settings: ExtensionSettings;
  versions: Versions;
  grants: Pick<Grants, 'linesFor' | 'standing'>;
}

const keys = {
  extensions: 'uses',
  auth: 'auth',
  custom: 'custom',
  permissions: 'asked',
  cors: 'cors',
  static_files: 'files',
  limits: 'limits',
} as const;

export class AppliedConfigs {
  readonly #options: AppliedConfigsOptions;

  constructor(options: AppliedConfigsOptions) {
    this.#options = options;
  }

  /** The extensions know what the application sets there, when this resolves. Rejects with `ConfigInvalid`. */
  tell({ id }: Plugin, { uses }: Applied): Promise<void> {
    return this.#options.settings.tell(id, uses);
  }

  /** As {@link ExtensionSettings.confirm}. */
  confirm(plugin: Plugin, next: Generation, consumers: readonly Consumer[], lenient: boolean): Promise<Set<string>> {
    return this.#options.settings.confirm(plugin, next, consumers, lenient);
  }

  /** As {@link ExtensionSettings.serves}. */
  serves(plugin: Plugin, consumers: readonly Consumer[]): void {
    this.#options.settings.serves(plugin, consumers);
  }

  /** What was told is not in force: the extensions know again what the application sets as it runs, when this resolves. */
  takeBack({ id, running, applied }: Plugin): Promise<void> {
    return this.#options.settings.takeBack(id, running === undefined ? undefined : applied?.uses);
  }

  /**
   * Whether the generation that runs can go on with what its application says now; its own config is taken up here. Rejects
   * with `RouteInvalid`, `RouteConflict`, and with `ConfigInvalid` when the plugin refuses its config.
   */
  async mayStay(plugin: Plugin, target: Target): Promise<boolean> {
    const { prefix, tables, limits, applied, config, reloadOnChange } = target;
    const { id, running } = plugin;
    if (running === undefined || running.handle.threads.lost > 0 || running.prefix !== prefix) return false;
    if (plugin.tables?.key !== tables.key || !same(limits, running.limits)) return false;
    const { chains, routes } = this.#options;
    chains.check(id, gatekeeping(applied, running), routes.of(id));
    routes.checkWeb(id, applied);
    if (sameJson(plugin.config?.given, config.given)) return true;
    return !reloadOnChange && (await configure(plugin.id, running, config.given)) === 'taken';
  }

  /**
   * Its own config alone, where another build runs than its application has: whether it is in force now. Rejects with
   * `ConfigInvalid` when the plugin refuses it.
   */
  async takeOwn(plugin: Plugin, { applied, config, reloadOnChange }: Target, { record }: Recorder): Promise<boolean> {
    if (sameJson(plugin.config?.given, config.given)) return true;
    const { id, running } = plugin;
    if (reloadOnChange || running === undefined) return false;
    if ((await configure(id, running, config.given)) !== 'taken') return false;
    record.applied = ['custom'];
    this.nowApplies(plugin, { applied: { ...(plugin.applied ?? applied), custom: config.own }, config });
    return true;
  }

  /** All of it that needs no new generation is in force from here on. */
  apply(plugin: Plugin, live: Live, target: Target, recorder: Recorder): void {
    const { applied, config } = target;
    const { record } = recorder;
    const { applied: before } = plugin;
    const hasOther = !sameJson(plugin.config?.given, config.given);
    plugin.config = config;
    if (same(before, applied) && !hasOther) return;
    const { chains, routes } = this.#options;
    const auth = chains.authOf(plugin.id);
    chains.set(plugin.id, live, gatekeeping(applied, plugin.running));
    routes.dress(plugin.id, applied);
    this.#warnOfOpening(plugin.id, auth, recorder);
    // While the registry has set its config, what the application gives it is kept, and not in force.
    const isOther = (key: keyof Applied): boolean =>
      key === 'custom' && (hasOther || config.source === 'registry') ? hasOther : !same(before?.[key], applied[key]);
    const names = Object.entries(keys).flatMap(([name, key]) => (isOther(key) ? [name] : []));
    if (names.length > 0) record.applied = names;
    this.nowApplies(plugin, target);
  }

  /** It is in force since the last generation serves. */
  nowApplies(plugin: Plugin, { applied, config }: Pick<Target, 'applied' | 'config'>): void {
    plugin.applied = applied;
    plugin.config = config;
    this.permit(plugin);
    this.#options.versions.keepConfig(plugin.id, writeKeptConfig(applied));
    void this.#options.settings.keepOnly(plugin.id, applied.uses);
  }

  /** What it is granted holds from its next call on, in generations that end, too. Whether it failed for want of some. */
  permit({ id, applied, running, leaving, wanted, error }: Plugin): boolean {
    if (applied === undefined || running === undefined)
      return running === undefined && wanted && error?.code === 'PermissionDenied';
    const permissions = this.#options.grants.linesFor(id, applied.asked);
    for (const { handle } of [...leaving, running]) handle.permit(permissions);
    return false;
  }

  /** What its application asks for, and what of that it has. */
  permissionsOf({ id, asks = { permissions: [], by: 'config' } }: Plugin): Standing {
    return this.#options.grants.standing(id, asks);
  }

  /** Serve `served` behind what `applied` lists. The result takes it back. */
  publish(
    { id }: Plugin,
    live: Live,
    { applied, recorder }: { applied: Applied; recorder: Recorder },
    served: readonly ServedRoute[],
    next: Generation,
  ): () => void {
    const { chains, routes } = this.#options;
    const before = chains.authOf(id);
    const takeChainBack = chains.set(id, live, gatekeeping(applied, next));
    try {
      const takeRoutesBack = routes.publish(id, served, applied);
      chains.serves(
        id,
        providersOf(next).map(({ challenge }) => challenge),
      );
      this.#warnOfOpening(id, before, recorder);
      return () => {
        takeRoutesBack();
        takeChainBack();
      };
    } catch (error) {
      takeChainBack();
      throw error;
    }
  }

  /** Somebody may have mistyped the only extension that knows people. */
  #warnOfOpening(id: string, before: 'open' | 'identity', recorder: Recorder): void {
    if (before === 'identity' && this.#options.chains.authOf(id) === 'open')
      recorder.warn(
        `${id}: routes and tables that do not say who may call them are open to everybody now; before they were for whoever is known`,
      );
  }

  /** It is gone, or is not to run: no extension has it among its applications any more. */
  forget({ id }: Plugin): Promise<void> {
    return this.#options.settings.keepOnly(id, []);
  }
}

/** A config that is refused does not pass when it is told again; one that nobody had time for may. */
async function configure(id: string, running: Generation, given: string): Promise<'taken' | 'reload'> {
  try {
    return await running.configure('', given);
  } catch (cause) {
    const { code, details, message } = asTenonError(cause);
    if (code !== 'LifecycleFailed') throw cause;
    throw new TenonError('ConfigInvalid', `${id} does not take its config: ${message}`, {
      next: 'correct it: `custom` of its config.yaml, unless another one is set',
      details: { ...details, plugin: id },
      cause,
    });
  }
}

/** What stands before the handlers of `generation`. */
export function gatekeeping({ uses, auth }: Applied, generation: Generation | undefined): Gatekeeping {
  return { uses, auth, self: generation !== undefined && providersOf(generation).length > 0 };
}

function providersOf({ handle }: Generation): readonly { challenge: string }[] {
  return handle.offers.auth?.providers ?? [];
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
