/** The configs of plugins as they are seen, set and taken back by hand. */
import { createHash } from 'node:crypto';
import { asTenonError, type ErrorCode, TenonError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { ConfigSchema } from '../compiler/config-schema.js';
import { configFlaw, type ConfigObject } from '../compiler/config-value.js';
import type { RegistryDoor } from '../registry/door.js';
import {
  type ConfigParts,
  type ConfigSource,
  effectiveConfig,
  maskedConfig,
  sameJson,
  writtenConfig,
} from './effective-config.js';
import type { Applications } from './applications.js';
import type { Convergence } from './converge.js';
import type { PluginView } from './plugin.js';
import type { Plugins } from './plugins.js';
import type { Begun } from './reload-request.js';
import type { SecretPlaces } from './secrets.js';

/** What a plugin says of its config. */
export interface ConfigDescription {
  /** What it has where nothing is set: a JSON object, as text. */
  readonly custom: string;
  readonly schema: ConfigSchema | undefined;
}

/** The plugins whose configs these are. */
export interface ConfiguredPlugins {
  /** Rejects with `PluginNotFound`, and when its application cannot be read. */
  describe: (id: string) => Promise<ConfigDescription>;
  /** Bring it to the config that it is to have now; undefined when it is not to run. Rejects when it does not take it. */
  takeUp: (id: string) => Promise<Begun | undefined>;
  show: (id: string) => PluginView;
}

/** Those that have an application, and those that are part of the program. */
export function pluginsWithConfig(host: Plugins, applications: Applications): ConfiguredPlugins {
  return {
    describe: async (id) => {
      const definition = host.staticOf(id);
      if (definition !== undefined) return definition;
      const { custom, configSchema: schema } = await applications.read(host.show(id).folder);
      return { custom, schema };
    },
    takeUp: async (id) => {
      if (host.staticOf(id) === undefined) return host.bring(host.show(id).folder, 'config');
      await host.converge(id);
      return undefined;
    },
    show: (id) => host.show(id),
  };
}

export interface PluginConfigsOptions extends SecretPlaces {
  log: Log;
  plugins: ConfiguredPlugins;
  registry: Pick<RegistryDoor, 'desired' | 'setConfig' | 'configs'>;
  /** Takes up what the registry says; absent where nobody does. */
  convergence?: Pick<Convergence, 'alone' | 'register'>;
}

/** A config for people: no secret stands in it in clear. */
export interface ConfigView {
  /** As it is written, without defaults; references to secrets as such. */
  readonly config: ConfigObject;
  readonly source: ConfigSource;
  /** JSON Schema of it; null for a plugin without. */
  readonly schema: ConfigObject | null;
  /** Of its config in the registry; 0 when none was ever set. */
  readonly revision: number;
}

/** An earlier config. */
export interface ConfigHistoryEntry {
  readonly revision: number;
  /** Null: what its application says. */
  readonly config: ConfigObject | null;
  /** ISO 8601. */
  readonly changedAt: string;
  /** Host or database user. */
  readonly changedBy: string;
}

/**
 * What setting a config has come to: `taken` by the generation that runs, `reloaded` with a new one, `unchanged`, `stored` for when
 * the plugin runs again, `valid` when it was only tried.
 */
export type ConfigOutcome = 'taken' | 'reloaded' | 'unchanged' | 'stored' | 'valid';

export interface ConfigChange extends Omit<ConfigView, 'schema'> {
  readonly status: ConfigOutcome;
}

/** How a config is to be set. */
export interface ConfigWish {
  /** Null: what the application says. */
  readonly config: unknown;
  /** Whether the config that was seen before may be replaced, by its tag; any may, when absent. */
  readonly replaces?: ((tag: string) => boolean) | undefined;
  /** Check it, and change nothing. */
  readonly dryRun?: boolean | undefined;
}

export class PluginConfigs {
  readonly #options: PluginConfigsOptions;
  /** The last piece of work on each plugin. */
  readonly #work = new Map<string, Promise<unknown>>();

  constructor(options: PluginConfigsOptions) {
    this.#options = options;
  }

  /** @returns also a tag that is another one whenever the config is */
  async show(id: string): Promise<{ view: ConfigView; tag: string }> {
    const { schema, revision, ...parts } = await this.#partsOf(id);
    const { config, source } = writtenConfig(parts);
    const view: ConfigView = {
      config: maskedConfig(schema, config),
      source,
      schema: schema?.source ?? null,
      revision,
    };
    const hash = createHash('sha256').update(JSON.stringify([source, view.config, view.schema]));
    return { view, tag: `${view.revision}-${hash.digest('hex').slice(0, 16)}` };
  }

  /** The last 100 that were set, newest first. Rejects with `RegistryUnavailable`. */
  async history(id: string): Promise<ConfigHistoryEntry[]> {
    const { schema } = await this.#partsOf(id);
    const versions = await this.#options.registry.configs(id);
    return versions.map((version) => ({
      ...version,
      config: version.config === null ? null : maskedConfig(schema, version.config),
    }));
  }

  /**
   * Set it in the registry and take it up here. Rejects with `ConfigInvalid`, `SecretMissing`, `PreconditionFailed` and
   * `RegistryUnavailable`, and nothing is changed then; when the plugin does not take it, with what it said, and what was set
   * before is set again.
   */
  set(id: string, wish: ConfigWish): Promise<ConfigChange> {
    // One after the other: what is put back must not be what another one is about to put back.
    const before = this.#work.get(id) ?? Promise.resolve();
    const { convergence } = this.#options;
    const work = (): Promise<ConfigChange> => this.#set(id, wish);
    const done = before.then(() => convergence?.alone(id, work) ?? work());
    const settled = done.then(
      () => {},
      () => {},
    );
    this.#work.set(id, settled);
    void settled.then(() => {
      if (this.#work.get(id) === settled) this.#work.delete(id);
    });
    return done;
  }

  async #set(id: string, { config, replaces, dryRun }: ConfigWish): Promise<ConfigChange> {
    const { convergence, plugins, registry } = this.#options;
    const { view, tag } = await this.show(id);
    if (replaces !== undefined && !replaces(tag))
      throw new TenonError('PreconditionFailed', `the config of ${id} is another one than was seen before`, {
        next: 'read it again, and send its new ETag',
        details: { plugin: id, revision: view.revision },
      });
    const wanted = config === null ? null : asConfig(id, config);
    const parts = await this.#partsOf(id);
    const next = await effectiveConfig({ ...parts, desired: { config: wanted } });
    const shown = {
      config: maskedConfig(parts.schema, writtenConfig({ ...parts, desired: { config: wanted } }).config),
    };
    if (dryRun === true) return { status: 'valid', ...shown, source: next.source, revision: view.revision };

    // Nobody may have registered it yet.
    await convergence?.register(id);
    const { generation } = plugins.show(id);
    // Of what was looked at above: by now another host may have set another one.
    const row = await registry
      .setConfig(id, wanted, replaces === undefined ? undefined : view.revision)
      .catch((error: unknown) => {
        throw asTenonError(error).code === 'PluginNotFound' ? notRegistered(plugins.show(id)) : error;
      });
    let begun: Begun | undefined;
    try {
      begun = await plugins.takeUp(id);
    } catch (cause) {
      throw await this.#refused(
        id,
        // Else another host has set the same before, and it may be in force there.
        row.changed ? row.configRevision : undefined,
        asTenonError(cause),
      );
    }
    const now = plugins.show(id);
    const unchanged = sameJson(JSON.stringify(view.config), JSON.stringify(shown.config));
    let status: ConfigOutcome = 'taken';
    if (now.generation === undefined) status = 'stored';
    else if (now.generation !== generation) status = 'reloaded';
    else if (unchanged && (await begun?.finished)?.applied?.includes('custom') !== true) status = 'unchanged';
    return { status, ...shown, source: next.source, revision: row.configRevision };
  }

  /** The error to tell. @param revision what has not been taken up, when it was set now */
  async #refused(id: string, revision: number | undefined, cause: TenonError): Promise<TenonError> {
    if (cause.code === 'HostClosing') return cause;
    const rest = revision === undefined ? 'it was set before' : await this.#putBack(id, revision);
    const wasTold = cause.code === 'ConfigInvalid' && cause.details['step'] === 'configure';
    const refused = wasTold || cause.code === 'LifecycleFailed';
    const { message } = wasTold ? asTenonError(cause.cause) : cause;
    return new TenonError(
      refused ? 'ConfigInvalid' : cause.code,
      `${id} does not take this config, and ${rest}: ${message}`,
      {
        next: refused ? 'see what it said, and set another config' : (cause.next ?? 'see `tenon reloads`'),
        details: {
          ...cause.details,
          plugin: id,
          ...(refused ? { errors: [{ pointer: '', message }] } : {}),
        },
        cause,
      },
    );
  }

  /** Set again what was set before `revision`; what came of it, as a clause. */
  async #putBack(id: string, revision: number): Promise<string> {
    const { log, plugins, registry } = this.#options;
    try {
      const before = (await registry.configs(id)).find((version) => version.revision < revision);
      await registry.setConfig(id, before?.config ?? null, revision);
    } catch (error) {
      if (asTenonError(error).code === 'PreconditionFailed') return 'another one was set meanwhile';
      log.error({ plugin: id, err: error }, `the config of ${id} that it does not take stays in the registry`);
      return 'it stays in the registry, which could not be written again';
    }
    // What runs has it: this is for one that is not there since its start failed, and for what was told to extensions.
    await plugins.takeUp(id).catch(() => {});
    return 'what was set before is set again';
  }

  async #partsOf(id: string): Promise<ConfigParts & { revision: number }> {
    const { environment, plugins, registry, secrets } = this.#options;
    const { custom, schema } = await plugins.describe(id);
    const desired = registry.desired(id);
    return { plugin: id, custom, schema, desired, revision: desired?.configRevision ?? 0, environment, secrets };
  }
}

function asConfig(id: string, value: unknown): ConfigObject {
  const flaw = configFlaw(value);
  if (flaw === undefined) return value as ConfigObject;
  throw new TenonError(
    'ConfigInvalid',
    `the config of ${id}: ${flaw.pointer === '' ? 'it' : flaw.pointer} ${flaw.message}`,
    {
      next: 'send a JSON object',
      details: { plugin: id, errors: [flaw] },
    },
  );
}

/** There is no place for its config in the registry. */
function notRegistered({ id, state, error }: PluginView): TenonError {
  const what = `the registry cannot hold a config of ${id} yet`;
  const details = { plugin: id, state };
  const next = 'have it run once, then set its config';
  if (state === 'disabled')
    return new TenonError('PluginDisabled', `${what}: its config.yaml disables it`, { next, details });
  if (state !== 'failed' || error === undefined)
    return new TenonError('PluginStopped', `${what}: it is ${state}, and not registered`, { next, details });
  return new TenonError(error.code as ErrorCode, `${what}, for it was not loaded so far: ${error.message}`, {
    next: 'set it again when it runs',
    details: { ...error.details, ...details },
  });
}
