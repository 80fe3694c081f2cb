/** What loading a build would come to: it is built, admitted and tried, and nothing that serves is touched. */
import { hash } from 'node:crypto';
import { TenonError } from '../base/errors.js';
import { admit, type Admitted, readImage } from '../plugin/admit.js';
import { readSchema } from '../tables/schema.js';
import type { Application } from './applications.js';
import { sameJson } from './effective-config.js';
import type { Containing } from './containing.js';
import type { Extensions } from './extensions.js';
import type { Pins } from './pinned.js';
import type { Plugin, PluginState } from './plugin.js';
import type { PluginTables } from './plugin-tables.js';
import { Recorder, type ReloadRecord } from './record.js';
import type { Admission } from './replace.js';
import type { RouteBook } from './routes.js';
import { type Target, Targets, type TargetsOptions } from './target.js';
import type { Version } from './versions.js';

/** What admission and the trial have found out about a library. */
export interface TriedLibrary {
  id: string;
  version: string;
  sha256: string;
  /** Bytes. */
  size: number;
  /** `1.0`. */
  abi: string;
  compiler: string;
  /** `GET /items/:id`, below the prefix when that is known; none of a library that is only opened. */
  routes: string[];
  /** Routes that are too many to be told. */
  moreRoutes?: number;
  /** What a person should know of it, one sentence each; those with `pins` keep it from being unmapped. */
  findings: { rule: string; detail: string; pins: boolean }[];
}

/** What a reload would come to. */
export interface Rehearsed {
  status: 'valid';
  /** `unchanged`: what runs stays; `disabled`: its application or the registry says that it is not to run. */
  would: 'load' | 'replace' | 'unchanged' | 'disabled';
  plugin: { id: string; state: PluginState; generation?: number };
  from?: ReloadRecord['from'];
  /** Absent for one that is disabled. */
  to?: TriedLibrary;
  /** Names of its tables; those of a kept build are not looked at. */
  tables?: string[];
  warnings: string[];
  phases: ReloadRecord['phases'];
}

export interface RehearsalOptions extends Omit<TargetsOptions, 'extensions' | 'tables'> {
  admission: Admission;
  extensions: Extensions;
  tables: PluginTables;
  routes: Pick<RouteBook, 'check'>;
  pins: Pick<Pins, 'check'>;
  refuseWhenClosing: () => void;
  refuseKilled: (id: string, sha256: string) => Promise<void>;
  containing: Containing;
}

/** One look at what would be, for every question. */
export class Rehearsal {
  readonly #options: RehearsalOptions;
  readonly #targets: Targets;

  constructor(options: RehearsalOptions) {
    this.#options = options;
    const { extensions } = options;
    this.#targets = new Targets({
      ...options,
      extensions: {
        // What is only looked at is not learned: who waits for it would not be told when it comes.
        learn: () => false,
        requireRunning: (id) => extensions.requireRunning(id),
        doubtsAbout: (id) => extensions.doubtsAbout(id),
      },
    });
  }

  /** As a reload of what the application is now, which rejects like it up to the opening of the library. */
  async reload(plugin: Plugin): Promise<Rehearsed> {
    this.#options.refuseWhenClosing();
    return plugin.turns.take('rehearsal', () => this.#rehearse(plugin, undefined));
  }

  /** The same of a kept build: it is there, and whole. */
  async rollback(plugin: Plugin, to: string | undefined): Promise<Rehearsed> {
    this.#options.refuseWhenClosing();
    const { containing, versions } = this.#options;
    const version = await versions.find(plugin.id, to, containing.leftBuild(plugin));
    return plugin.turns.take(`rehearsal ${version.sha256}`, () => this.#rehearse(plugin, version));
  }

  /** A library by itself. Rejects as admission does, and with `BundleKilled`. */
  async library(bytes: Uint8Array): Promise<TriedLibrary> {
    this.#options.refuseWhenClosing();
    const image = { bytes, sha256: hash('sha256', bytes) };
    const { core, trial, staging, trialMs } = this.#options.admission;
    const limits = { deadlineMs: trialMs };
    const isolation = this.#options.applications.confinementOf(undefined);
    const admitted = await admit('the library', { image, core, trial, staging, limits, isolation });
    admitted.staged.unlink();
    await this.#options.refuseKilled(admitted.facts.note.id, image.sha256);
    return triedOf(admitted, '');
  }

  async #rehearse(plugin: Plugin, version: Version | undefined): Promise<Rehearsed> {
    const { id, state, running } = plugin;
    this.#options.containing.refuseAll();
    const recorder = new Recorder(id, version === undefined ? 'api' : 'rollback');
    const { warnings, phases } = recorder.record;
    const generation = running === undefined ? {} : { generation: running.number };
    const from =
      running === undefined
        ? {}
        : { from: { generation: running.number, version: running.version, sha256: running.sha256 } };
    const facts = { status: 'valid', plugin: { id, state, ...generation }, ...from, warnings, phases } as const;
    const target = await this.#targets.of(plugin, recorder, version);
    if (target === undefined) return { ...facts, would: 'disabled' };
    const tables = this.#tablesOf(plugin, target.application);
    const admitted = await this.#admit(plugin, target, recorder);
    const to = triedOf(admitted, target.prefix);
    if (version === undefined) this.#options.pins.check(id, to.version);
    this.#options.routes.check(id, to.routes.map(routeOf));
    const would = running === undefined ? 'load' : mayStay(plugin, target, to.sha256) ? 'unchanged' : 'replace';
    return { ...facts, would, to, ...(tables.length === 0 ? {} : { tables }) };
  }

  async #admit(plugin: Plugin, target: Target, recorder: Recorder): Promise<Admitted> {
    const { admission, containing, extensions, refuseKilled } = this.#options;
    const { core, trial, staging, trialMs, imageLimit } = admission;
    const { library, expected, bundle, application } = target;
    const { id } = plugin;
    if (application !== undefined) extensions.requireRunning(id, application);
    const image = await readImage(library, imageLimit);
    if (expected !== undefined && image.sha256 !== expected.sha256) throw expected.otherwise(image.sha256);
    containing.refuse(id, image.sha256, target.isolated);
    for (const sha256 of [image.sha256, bundle?.sha256]) if (sha256 !== undefined) await refuseKilled(id, sha256);
    const limits = { deadlineMs: trialMs };
    const admitted = await recorder.time('admit', () =>
      admit(library, { expectedId: id, image, core, trial, staging, limits, isolation: target.limits.isolation }),
    );
    admitted.staged.unlink();
    return admitted;
  }

  /** Throws `SchemaInvalid`, and `SchemaIncompatible` where the records that are stored can be asked. */
  #tablesOf(plugin: Plugin, application: Application | undefined): string[] {
    if (application?.tables === undefined) return [];
    const { schemas, surfaces } = application.tables;
    const schema = readSchema(schemas, plugin.id, surfaces);
    for (const { definition } of schema.tables) {
      const reason = plugin.tables?.store.incompatible(definition);
      if (reason !== undefined)
        throw new TenonError('SchemaIncompatible', `${plugin.id}: ${definition.name}: ${reason}`, {
          next: 'change the records first, or keep the field as it is',
          details: { plugin: plugin.id, table: definition.name },
        });
    }
    return schema.tables.map(({ definition }) => definition.name);
  }
}

/** Whether what runs would go on; whether its plugin takes another config as it runs is for itself to say. */
function mayStay({ running, tables, config }: Plugin, target: Target, sha256: string): boolean {
  if (running === undefined || running.sha256 !== sha256 || running.handle.threads.lost > 0) return false;
  const isSamePlace = running.prefix === target.prefix && tables?.key === target.tables.key;
  if (!isSamePlace || JSON.stringify(target.limits) !== JSON.stringify(running.limits)) return false;
  return sameJson(config?.given, target.config.given) || !target.reloadOnChange;
}

function triedOf({ sha256, size, facts, tried }: Admitted, prefix: string): TriedLibrary {
  const { id, version, abiMajor, abiMinor, compiler } = facts.note;
  return {
    id,
    version,
    sha256,
    size,
    abi: `${abiMajor}.${abiMinor}`,
    compiler,
    routes: tried.routes.map((route) => below(prefix, route)),
    ...(tried.more === 0 ? {} : { moreRoutes: tried.more }),
    findings: facts.findings.map(({ rule, detail, pins }) => ({ rule, detail, pins })),
  };
}

function below(prefix: string, route: string): string {
  const { method, path } = routeOf(route);
  return `${method} ${path === '/' ? prefix || '/' : prefix + path}`;
}

function routeOf(text: string): { method: string; path: string } {
  const [method = '', path = ''] = text.split(' ', 2);
  return { method, path };
}
