/** What a reload is to load: the application as it is now, or a kept build of it. */
import { asTenonError, TenonError } from '../base/errors.js';
import type { Generation } from '../plugin/generation.js';
import type { GenerationLimits } from '../plugin/limits.js';
import type { Application, Applications } from './applications.js';
import type { Expected } from './built.js';
import { type BundleFacts, factsOf } from './bundled.js';
import { type Desires, disabledBy } from './desired.js';
import { effectiveConfig, type EffectiveConfig } from './effective-config.js';
import type { Extensions } from './extensions.js';
import type { Asked } from './grants.js';
import type { Containing } from './containing.js';
import type { ApplicationIsolation } from './isolation-of.js';
import type { Isolated } from './isolation-view.js';
import { readKeptConfig } from './kept-config.js';
import type { Applied, Plugin } from './plugin.js';
import type { PluginTables, WantedTables } from './plugin-tables.js';
import type { Recorder } from './record.js';
import type { SecretPlaces } from './secrets.js';
import type { Version, Versions } from './versions.js';

export interface Target {
  /** Absolute path. */
  library: string;
  prefix: string;
  limits: GenerationLimits;
  /** Where it runs. */
  isolated?: Isolated | undefined;
  preserveState: boolean;
  tables: WantedTables;
  applied: Applied;
  /** Its own config; what its application gives it, whoever has the last word, is in `applied`. */
  config: EffectiveConfig;
  /** Whether another config always needs a new generation. */
  reloadOnChange: boolean;
  /** What the library must be. */
  expected?: Expected;
  /** The bundle it comes from. */
  bundle?: BundleFacts;
  /** What it was built from; absent for a kept build. */
  application?: Application;
}

export interface TargetsOptions {
  applications: Applications;
  versions: Versions;
  extensions: Pick<Extensions, 'learn' | 'requireRunning' | 'doubtsAbout'>;
  limits: GenerationLimits;
  tables: PluginTables;
  desires: Desires;
  containing: Pick<Containing, 'demotionOf'>;
  secretPlaces: SecretPlaces;
  /** Whether a plugin's state goes from generation to generation, where its config does not say. */
  preserveState: () => boolean;
}

export class Targets {
  readonly #options: TargetsOptions;

  constructor(options: TargetsOptions) {
    this.#options = options;
  }

  /** What runs, as it runs: what was saved since is none of it. Rejects with `VersionNotFound` when it could not be kept. */
  async again(plugin: Plugin, running: Generation): Promise<Target> {
    const { id, tables, preservesState, applied = readKeptConfig(undefined) } = plugin;
    const version = await this.#options.versions.find(id, running.sha256, undefined);
    const config =
      plugin.config ?? (await this.#configOf(id, { custom: applied.custom, configSchema: undefined }, true));
    return {
      library: this.#options.versions.fileOf(id, version),
      prefix: running.prefix,
      limits: running.limits,
      preserveState: preservesState,
      tables: { key: tables?.key, prepare: tables && (async () => tables) },
      applied,
      config,
      reloadOnChange: false,
      expected: keptBuild(id, version),
      ...(plugin.bundle && { bundle: plugin.bundle }),
    };
  }

  /** Undefined for one that is disabled. `version`: the kept build to load. */
  async of(plugin: Plugin, recorder: Recorder, version: Version | undefined): Promise<Target | undefined> {
    const { applications, desires, extensions } = this.#options;
    const disabled = disabledBy(plugin.id, desires.of(plugin.id));
    if (disabled !== undefined && version !== undefined) throw disabled;
    if (disabled !== undefined) return undefined;
    const reading = recorder.time('detect', async () => {
      const application = await applications.read(plugin.folder);
      extensions.learn(application);
      return application;
    });
    return version === undefined
      ? this.#ofApplication(plugin, recorder, await reading)
      : // A config that cannot be read now is no reason to stay with a bad build.
        this.#ofKept(plugin, recorder, version, await reading.catch((error: unknown) => asTenonError(error)));
  }

  async #ofApplication(plugin: Plugin, recorder: Recorder, application: Application): Promise<Target | undefined> {
    const { applications, extensions, tables } = this.#options;
    if (application.id !== plugin.id)
      throw new TenonError('PluginIdMismatch', `${plugin.folder} is now ${application.id}, not ${plugin.id}`, {
        next: `load ${application.id}`,
        details: { plugin: plugin.id, found: application.id },
      });
    if (plugin.bundle !== undefined && application.bundle === undefined)
      throw new TenonError(
        'ManifestNotFound',
        `${plugin.id} came as a bundle, and ${plugin.folder} has no manifest.json now`,
        {
          next: 'put it back; or uninstall the plugin, and then have what is in the folder loaded',
          details: { plugin: plugin.id, folder: plugin.folder },
        },
      );
    if (!application.enabled) return undefined;
    extensions.requireRunning(plugin.id);
    for (const doubt of extensions.doubtsAbout(plugin.id)) recorder.warn(doubt);
    const config = await this.#configOf(plugin.id, application, false);
    const built = await recorder.time('build', () => applications.build(application));
    for (const warning of [...built.warnings, ...application.isolation.warnings]) recorder.warn(warning);
    const bundle = application.bundle && factsOf(application.bundle, built.from ?? 'sources');
    for (const warning of bundle?.warnings ?? []) recorder.warn(warning);
    return {
      library: built.library,
      prefix: application.prefix,
      ...this.#apart(plugin.id, application.limits, application.isolation),
      preserveState: this.#preserves(application),
      tables: tables.wanted(plugin, application),
      applied: { ...(await appliedBy(application)), custom: config.own },
      config,
      reloadOnChange: application.reloadOnChange,
      application,
      ...(bundle && { bundle }),
      ...(built.expected && { expected: built.expected }),
    };
  }

  async #ofKept(plugin: Plugin, recorder: Recorder, version: Version, read: Application | TenonError): Promise<Target> {
    const { extensions, versions } = this.#options;
    const application = read instanceof TenonError ? undefined : read;
    if (application?.enabled === false)
      throw new TenonError('PluginDisabled', `${plugin.id} is disabled by its config.yaml`, {
        next: 'set `enabled: true` there, then go back',
        details: { plugin: plugin.id },
      });
    const { running } = plugin;
    if (running === undefined && application !== undefined) extensions.requireRunning(plugin.id);
    const tables = await this.#options.tables.wantedByKept(plugin, read, recorder);
    const applied = await this.#appliedByKept(plugin, application);
    const isolation = this.#options.applications.isolationOf(plugin, applied.isolation);
    if (running === undefined) for (const warning of isolation.warnings) recorder.warn(warning);
    const replaces = plugin.running !== undefined && plugin.running.sha256 !== version.sha256;
    const config = await this.#configOfKept(plugin, applied, application, { recorder, replaces });
    return {
      library: versions.fileOf(plugin.id, version),
      prefix: running?.prefix ?? application?.prefix ?? plugin.prefix ?? tables.prefix ?? `/${plugin.id}`,
      ...(running === undefined ? this.#apart(plugin.id, application?.limits, isolation) : goesOn(plugin, running)),
      preserveState: this.#preserves(application),
      tables,
      applied: { ...applied, custom: config.own, asked: askedBy(version, applied) },
      config,
      reloadOnChange: application?.reloadOnChange ?? false,
      expected: keptBuild(plugin.id, version),
      ...(version.bundle && { bundle: version.bundle }),
    };
  }

  /** Who runs goes on as it does; nobody is left open because its config cannot be read. */
  async #appliedByKept(plugin: Plugin, application: Application | undefined): Promise<Applied> {
    if (plugin.applied !== undefined && (plugin.running !== undefined || application === undefined))
      return plugin.applied;
    if (application !== undefined) return appliedBy(application);
    return readKeptConfig(await this.#options.versions.configOf(plugin.id));
  }

  #configOf(plugin: string, { custom, configSchema: schema }: Configured, lenient: boolean): Promise<EffectiveConfig> {
    const { desires, secretPlaces } = this.#options;
    return effectiveConfig({ plugin, custom, schema, desired: desires.of(plugin), ...secretPlaces }, lenient);
  }

  /** What is in force, unless it is for the registry to say; what a later build would want of it does not count. */
  async #configOfKept(
    plugin: Plugin,
    applied: Applied,
    application: Application | undefined,
    { recorder, replaces }: { recorder: Recorder; replaces: boolean },
  ): Promise<EffectiveConfig> {
    const { config: before } = plugin;
    const isFree = before?.source === 'registry' && (this.#options.desires.of(plugin.id)?.config ?? null) === null;
    const { custom } = (isFree ? application : undefined) ?? applied;
    try {
      return await this.#configOf(plugin.id, { custom, configSchema: application?.configSchema }, true);
    } catch (error) {
      if (!replaces || before === undefined) throw error;
      // A config or a secret that is wrong now is no reason to stay with a bad build.
      recorder.warn(`${asTenonError(error).message}; ${plugin.id} goes on with the config it had`);
      return before;
    }
  }

  #apart(
    id: string,
    given: Partial<GenerationLimits> | undefined,
    { mode, plan }: ApplicationIsolation,
  ): Pick<Target, 'limits' | 'isolated'> {
    const { containing, limits } = this.#options;
    const demoted = mode === 'auto' ? containing.demotionOf(id) : undefined;
    const isApart = mode === 'process' || demoted !== undefined;
    const apart = isApart ? { isolation: plan } : mode === 'auto' ? { demotion: plan } : {};
    return { limits: { ...limits, ...given, ...apart }, isolated: { mode, ...(demoted && { demoted }) } };
  }

  #preserves(application: Application | undefined): boolean {
    return application?.source.config.reserved.reload?.preserveState ?? this.#options.preserveState();
  }
}

type Configured = Pick<Application, 'custom' | 'configSchema'>;

/** What runs keeps to what it runs with. */
function goesOn({ isolated }: Plugin, { limits }: Generation): Pick<Target, 'limits' | 'isolated'> {
  return { limits, isolated };
}

function keptBuild(id: string, { sha256 }: Version): Expected {
  return {
    sha256,
    otherwise: (found) =>
      new TenonError('VersionDamaged', `${id}: the kept build ${sha256.slice(0, 12)} is not what was kept`, {
        next: 'go back to another one',
        details: { plugin: id, expected: sha256, found },
      }),
  };
}

/** A kept build of a bundle asks for what it asked for then. */
function askedBy({ bundle }: Version, applied: Applied): Asked {
  return bundle === undefined ? applied.asked : { permissions: bundle.permissions, by: 'manifest' };
}

async function appliedBy(application: Application): Promise<Applied> {
  const { extensions, auth, custom, asked, cors, files, resources } = application;
  const limits = Object.keys(resources).length === 0 ? {} : { limits: resources };
  const { said } = application.isolation;
  const apart = said === undefined ? {} : { isolation: said };
  return { uses: extensions, auth, custom, asked, cors, files: await files?.(), ...limits, ...apart };
}
