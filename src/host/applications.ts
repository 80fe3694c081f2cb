/** The applications directory: what lies in it, and how a folder becomes a library. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Environment } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import { inSpan } from '../base/tracing.js';
import { manifestFile, signatureFile } from '../bundle/manifest.js';
import { type Application as Source, librarySuffix, readApplication } from '../compiler/application.js';
import { type Built, compile, describeWarning } from '../compiler/build.js';
import { configFile } from '../compiler/config.js';
import type { CorsRules, ExtensionUse, ResourceLimits, Surfaces } from '../compiler/config.js';
import type { ConfigSchema } from '../compiler/config-schema.js';
import { readRegular } from '../base/regular.js';
import type { GenerationLimits } from '../plugin/limits.js';
import type { SchemaSource } from '../tables/schema.js';
import type { Bundled, Bundles } from './bundled.js';
import type { Asked } from './grants.js';
import type { Build } from './built.js';
import { type ApplicationIsolation, isolationOf, type IsolationSettings, type SaidIsolation } from './isolation-of.js';
import type { IsolationPlan } from '../plugin/isolation.js';
import { realPlace, requireHarmless } from './writable.js';
import { type ServedFiles, servedFiles } from './served-files.js';

/** An application as the host sees it. */
export interface Application {
  readonly id: string;
  /** Absolute path. */
  readonly folder: string;
  readonly enabled: boolean;
  /** Path before every route; empty at the root. */
  readonly prefix: string;
  /** What its config sets apart from the host's settings. */
  readonly limits: Partial<GenerationLimits>;
  /** Where its code runs. */
  readonly isolation: ApplicationIsolation;
  /** How much it may have of what all plugins share. */
  readonly resources: ResourceLimits;
  /** Whether others may list it; `telemetry`: and it is loaded before all who are not. */
  readonly extension: boolean | 'telemetry';
  /** Extensions it uses, in the order in which they are asked. */
  readonly extensions: readonly ExtensionUse[];
  /** For its routes that do not say. */
  readonly auth: 'open' | 'identity' | undefined;
  /** What its plugin reads as its config: a JSON object, as text. */
  readonly custom: string;
  /** What its config has to be like. */
  readonly configSchema: ConfigSchema | undefined;
  /** Whether each change of its config needs a new generation. */
  readonly reloadOnChange: boolean;
  readonly source: Source;
  /** Set for one with a manifest.json: what that says, checked. */
  readonly bundle: Bundled | undefined;
  /** What it may do beyond its own, if it is granted. */
  readonly asked: Asked;
  /** Whose pages may read what it serves. */
  readonly cors: CorsRules | undefined;
  /** The files that it serves, which are in their place once this resolves; absent for none. */
  readonly files: (() => Promise<ServedFiles>) | undefined;
  /** Absent for one without a schema that may not use tables of others either. */
  readonly tables: ApplicationTables | undefined;
}

/** What an application says of its tables. */
export interface ApplicationTables {
  readonly schemas: readonly SchemaSource[];
  /** Patterns of the files of records they begin with, relative to the folder. */
  readonly seeds: readonly string[];
  readonly surfaces: Partial<Surfaces>;
  /** Tables of others it may use: `read:database.Table`. */
  readonly grants: readonly string[];
  /** Equal as long as nothing of all this, nor its prefix, is different. */
  readonly key: string;
  /** Where the seeds are, absolute, when not in the folder; they are there once this resolves. */
  readonly place?: () => Promise<string>;
}

export interface ApplicationsOptions extends IsolationSettings {
  /** Absolute path of the applications directory; it need not exist. */
  directory: string;
  /** Absolute path of the data directory, which has the builds. */
  dataDirectory: string;
  /** Environment of the compilers. */
  environment: Environment;
  /** For one build, ms. */
  buildMs: number;
  /** Absent: a folder with a manifest.json is as any other. */
  bundles?: Bundles;
  /** Told of each build of sources, with the time it took. */
  onBuild?: (outcome: BuildOutcome, ms: number) => void;
}

/** `cached`: it was built before, and nothing had changed. */
export type BuildOutcome = 'built' | 'cached' | 'failed';

/** What makes a folder an application that is a bundle. */
const bundleMarks = [manifestFile, signatureFile];

/** `/todo/` and `todo` are `/todo`; `/` is empty. */
function prefixOf(text: string): string {
  const trimmed = text.replaceAll(/^\/+|\/+$/g, '');
  return trimmed === '' ? '' : `/${trimmed}`;
}

/** Absolute paths of the folders of `directory` that have a schema and are no application: config.yaml makes one. */
export async function schemasAlone(directory: string): Promise<string[]> {
  if (!existsSync(directory)) return [];
  const entries = await readdir(directory, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => path.join(directory, entry.name))
    .filter((folder) => whyNoApplication(folder) !== undefined)
    .sort();
}

/** A sentence, and what to do, for a folder with a schema that nobody serves; undefined for every other. */
export function whyNoApplication(folder: string): string | undefined {
  const name = path.basename(folder);
  const has = (file: string): boolean => existsSync(path.join(folder, file));
  if (!has('schema.graphql') || has('config.yaml') || has(manifestFile) || has(`${name}${librarySuffix}`))
    return undefined;
  return `${name} has a schema.graphql and no config.yaml, and is not served; add ${path.join(folder, 'config.yaml')}, one line is enough: "name: ${name}"`;
}

/** Finds, reads and builds the applications of one directory. It keeps nothing: what it tells is what is there now. */
export class Applications {
  readonly #options: ApplicationsOptions;
  readonly #abort = new AbortController();

  constructor(options: ApplicationsOptions) {
    this.#options = options;
  }

  /** Absolute paths of the folders that look like an application, by name. */
  async folders(): Promise<string[]> {
    const { directory } = this.#options;
    if (!existsSync(directory)) return [];
    const entries = await readdir(directory, { withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => path.join(directory, entry.name));
    const present = await Promise.all(folders.map((folder) => this.exists(folder)));
    return folders.filter((_, at) => present[at]).sort();
  }

  /** Absolute path of the folder with this name. */
  folderOf(name: string): string {
    return path.join(this.#options.directory, name);
  }

  /** Absolute paths of the folders that have a schema and are no application, because they have no config. */
  async schemasAlone(): Promise<string[]> {
    const folders = await schemasAlone(this.#options.directory);
    return folders.filter((folder) => folder !== this.#options.dataDirectory);
  }

  /** Whether the folder is there, itself and not as a symbolic link, and has a config, a manifest or a library. */
  async exists(folder: string): Promise<boolean> {
    const name = path.basename(folder);
    if (name.startsWith('.') || folder === this.#options.dataDirectory) return false;
    const info = await lstat(folder).catch(() => undefined);
    if (info?.isDirectory() !== true) return false;
    return ['config.yaml', `${name}${librarySuffix}`, ...bundleMarks].some((file) =>
      existsSync(path.join(folder, file)),
    );
  }

  /** Folder of the application `id`, when there is one. */
  async find(id: string): Promise<string | undefined> {
    for (const folder of await this.folders()) {
      const application = await this.read(folder).catch(() => undefined); // a broken one has no id to be found by
      if (application?.id === id) return folder;
    }
    return undefined;
  }

  /** Rejects as `readApplication` does, and for a folder with a manifest.json as `Bundles.open`. */
  async read(folder: string): Promise<Application> {
    const { bundles } = this.#options;
    if (bundles === undefined || !isBundle(folder)) return this.#applicationOf(await readApplication(folder));
    return this.ofBundle(await bundles.open(folder));
  }

  /** The application that a bundle is. */
  async ofBundle(bundle: Bundled): Promise<Application> {
    const { files, source } = bundle;
    const { bundles } = this.#options;
    const listed = files.manifest.files;
    const read = listed === undefined ? {} : { read: files.read, stampOf: (file: string) => listed[file]?.sha256 };
    const place = async (): Promise<string> => (await bundles?.copy(files, source.folder)) ?? source.folder;
    const copied = listed === undefined ? {} : { place };
    return this.#applicationOf(source, { bundle, ...read, ...copied });
  }

  /** Compile it, or name the library it comes with. Rejects with `BuildFailed`, `BuildTimeout` or `ToolchainMissing`, and as `Bundles.build`. */
  async build({ bundle, source }: Application): Promise<Build> {
    const { bundles } = this.#options;
    const compiled = (what: Source): Promise<Build> => this.compile(what);
    return bundle === undefined || bundles === undefined ? compiled(source) : bundles.build(bundle, compiled);
  }

  /** Rejects with `BuildFailed`, `BuildTimeout` or `ToolchainMissing`. */
  async compile(source: Source): Promise<Build> {
    const { dataDirectory, environment, buildMs, onBuild } = this.#options;
    const { signal } = this.#abort;
    signal.throwIfAborted();
    const began = performance.now();
    const took = (outcome: BuildOutcome): void => onBuild?.(outcome, performance.now() - began);
    const options = { dataDirectory, env: environment, timeoutMs: buildMs, signal };
    const attributes = { 'tenon.plugin': source.id };
    const traced = (): Promise<Built> =>
      inSpan('tenon.build', { attributes }, async (span) => {
        const built = await compile(source, options);
        span?.setAttributes({ 'tenon.build.cached': built.cached, 'tenon.build.changed': built.changed });
        return built;
      });
    const made = source.prebuilt === undefined ? traced() : compile(source, options);
    const { library, warnings, cached } = await made.catch((error: unknown) => {
      took('failed');
      throw error;
    });
    if (source.prebuilt === undefined) took(cached ? 'cached' : 'built');
    return { library, warnings: warnings.map(describeWarning) };
  }

  /** How what a bundle brings is tried before it is an application; of one that says nothing, when there is none. */
  confinementOf(source: Source | undefined): IsolationPlan | undefined {
    const { mode, plan } =
      source === undefined
        ? isolationOf({ id: '', folder: this.#options.directory }, undefined, this.#options)
        : isolationIn(source, true, this.#options);
    return mode === 'process' ? plan : undefined;
  }

  #applicationOf(source: Source, side?: BundleSide): Promise<Application> {
    return applicationOf(source, this.#options, side);
  }

  /** Where the code of one that says `said` runs, as the setting is now. */
  isolationOf(plugin: { id: string; folder: string }, said: SaidIsolation | undefined): ApplicationIsolation {
    return isolationOf(plugin, said, this.#options);
  }

  /** Stop builds under way and begin no other. */
  abort(): void {
    this.#abort.abort(new TenonError('HostClosing', 'the host is shutting down', { next: 'ask the next host' }));
  }
}

/** Whether a folder with a manifest, or what is left of one. */
export function isBundle(folder: string): boolean {
  return bundleMarks.some((file) => existsSync(path.join(folder, file)));
}

/** What a bundle adds to what its files say. */
interface BundleSide {
  bundle?: Bundled;
  /** The bytes of a file, checked. */
  read?: (file: string, limit: number) => Promise<Buffer>;
  /** SHA-256 of a file, as listed. */
  stampOf?: (file: string) => string | undefined;
  place?: () => Promise<string>;
}

type Places = Pick<ApplicationsOptions, 'directory' | 'dataDirectory'>;

/** Where the code of `source` runs. Throws `ConfigInvalid` as `isolationOf` does, and for what it may write to and should not. */
export function isolationIn(
  source: Source,
  isBundle: boolean,
  options: IsolationSettings & Places,
): ApplicationIsolation {
  const wish = source.config.reserved.isolation;
  const isolation = isolationOf(source, wish && { wish, isBundle }, options);
  if (isolation.mode !== 'inline') requireOwn(source, isolation.plan, options);
  return isolation;
}

function requireOwn(source: Source, plan: IsolationPlan, places: Places): void {
  const { id, folder, config, sources, vendored, schemas, seeds, prebuilt } = source;
  const { directory: applications, dataDirectory: data } = places;
  const own = [configFile, ...bundleMarks, `${id}${librarySuffix}`, ...(prebuilt === undefined ? [] : [prebuilt])];
  const files = [...own, ...sources, ...vendored, ...schemas, ...seeds];
  const asked = config.reserved.isolation?.writable ?? [];
  const counts = asked.filter((place) => plan.writable.includes(realPlace(path.resolve(folder, place))));
  requireHarmless(id, counts, { data, applications, folder, files });
}

async function applicationOf(
  source: Source,
  options: ApplicationsOptions,
  side: BundleSide = {},
): Promise<Application> {
  const { id, folder, config, configSchema } = source;
  const prefix = prefixOf(config.reserved.routePrefix ?? id);
  const limits: Partial<GenerationLimits> = {
    ...(config.concurrency === undefined ? {} : { concurrency: config.concurrency }),
    ...(config.deadlineMs === undefined ? {} : { deadlineMs: config.deadlineMs }),
    ...(config.bodyLimit === undefined ? {} : { bodyLimit: config.bodyLimit }),
  };
  const isolation = isolationIn(source, side.bundle !== undefined, options);
  const tables = await readTables(source, prefix, side);
  const { enabled, extension, extensions, auth, custom } = config;
  const { reloadOnChange = false } = config.reserved;
  const own = { custom, configSchema, reloadOnChange };
  const { bundle } = side;
  const asked: Asked = {
    permissions: config.reserved.permissions ?? [],
    by: bundle === undefined ? 'config' : 'manifest',
  };
  const web = { cors: config.cors, files: servedFiles(config.staticFiles, { prefix, folder, place: side.place }) };
  return {
    id,
    folder,
    enabled,
    prefix,
    limits,
    isolation,
    resources: config.limits,
    extension,
    extensions,
    auth,
    ...own,
    ...web,
    source,
    bundle,
    asked,
    tables,
  };
}

/** Largest file of a schema, bytes. */
const schemaLimit = 1024 * 1024;

/** What it says of its tables. Rejects with `SchemaInvalid` for a file of its schema that cannot be read. */
export async function readTables(
  { folder, config, ...source }: Source,
  prefix: string,
  { read, stampOf, place }: BundleSide = {},
): Promise<ApplicationTables | undefined> {
  const { surfaces, reserved } = config;
  const permissions = (reserved.permissions ?? []).filter((each) => each.startsWith('tables:'));
  const grants = permissions.map((each) => each.slice('tables:'.length));
  // Who has no table of its own may use those of others.
  if (source.schemas.length === 0 && grants.length === 0) return undefined;
  const schemas = await Promise.all(source.schemas.map((file) => readSchemaFile(folder, file, read)));
  // Their content is looked at when they are loaded; that they look different is reason enough to do so.
  const stamps = await Promise.all(
    source.seeds.map(async (name) => {
      if (stampOf !== undefined) return [name, stampOf(name)];
      const file = path.join(folder, name);
      const info = await stat(file).catch(() => undefined);
      return [file, info?.ino, info?.size, info?.mtimeMs];
    }),
  );
  const key = createHash('sha256').update(JSON.stringify([schemas, stamps, surfaces, grants, prefix]));
  // What is in the folder and not listed is no seed.
  const copied = place !== undefined && source.seeds.length > 0;
  const lists = { schemas, seeds: place === undefined || copied ? config.seeds : [], surfaces, grants };
  return { ...lists, key: key.digest('hex'), ...(copied ? { place } : {}) };
}

async function readSchemaFile(folder: string, file: string, read: BundleSide['read']): Promise<SchemaSource> {
  try {
    const bytes = await (read?.(file, schemaLimit) ?? readRegular(path.join(folder, file), schemaLimit));
    return { file, text: bytes.toString('utf8') };
  } catch (cause) {
    if (cause instanceof TenonError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === 'EFBIG' ? `is larger than ${schemaLimit} bytes` : `cannot be read: ${message}`;
    throw new TenonError('SchemaInvalid', `${file} ${why}`, {
      next: `correct ${path.join(folder, file)}`,
      details: { file, line: 1, column: 1 },
      cause,
    });
  }
}
