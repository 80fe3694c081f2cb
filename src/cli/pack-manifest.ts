/** The manifest of a bundle: what config.yaml says, what a manifest.json beside it adds, and what was built. */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { TenonError } from '../base/errors.js';
import { readIsolation, writtenIsolation } from '../base/isolation.js';
import { readRegular } from '../base/regular.js';
import type { ArchiveFile } from '../bundle/archive.js';
import { type Manifest, manifestFile, manifestLimit, manifestText, parseManifest } from '../bundle/manifest.js';
import type { Application } from '../compiler/application.js';

/**
 * manifest.json of an application's folder; undefined when there is none. `id` and `version` stand in for those that it
 * leaves out. Rejects with `InvalidManifest`.
 */
export async function folderManifest(folder: string, id: string, version?: string): Promise<Manifest | undefined> {
  const place = path.join(folder, manifestFile);
  const bytes = await readRegular(place, manifestLimit).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw invalid(place, '', `cannot be read: ${error.message}`);
  });
  return bytes === undefined ? undefined : parseManifest(bytes, place, id, version);
}

export interface ManifestParts {
  application: Application;
  /** manifest.json of its folder. */
  said: Manifest | undefined;
  /** Undefined where no library says it. */
  abi: string | undefined;
  /** Path of the library by platform. */
  entrypoints: Readonly<Record<string, string>>;
  /** Every file that goes in. */
  files: readonly ArchiveFile[];
}

type Own = Pick<
  Manifest,
  'id' | 'name' | 'version' | 'abi' | 'description' | 'permissions' | 'configSchema' | 'reloadOnChange' | 'isolation'
>;

/**
 * The manifest of these parts, as its file has it. Throws `InvalidManifest` with the pointer of what config.yaml and manifest.json of
 * the folder say differently, and of what no manifest may hold.
 */
export function deriveManifest({ application, said, abi, entrypoints, files }: ManifestParts): Buffer {
  const { id, version, folder, config } = application;
  const { reserved } = config;
  const own: { [Name in keyof Own]: Own[Name] | undefined } = {
    id,
    version,
    abi,
    name: config.name === id ? undefined : config.name,
    description: config.description === '' ? undefined : config.description,
    permissions: reserved.permissions,
    configSchema: configSchemaOf(application, files),
    reloadOnChange: reserved.reloadOnChange,
    isolation: reserved.isolation && writtenIsolation(reserved.isolation),
  };
  const place = path.join(folder, manifestFile);
  const wish = readIsolation(said?.isolation);
  if (said !== undefined) requireAgreement(own, { ...said, isolation: wish && writtenIsolation(wish) }, place);
  const manifest: Manifest = {
    id,
    version,
    abi,
    name: own.name ?? said?.name ?? id,
    description: own.description ?? said?.description ?? '',
    author: said?.author ?? '',
    license: said?.license ?? '',
    entrypoints,
    files: Object.fromEntries(
      files.map(({ path: file, bytes }) => [file, { sha256: sha256Of(bytes), size: bytes.length }]),
    ),
    permissions: own.permissions ?? said?.permissions ?? [],
    configSchema: own.configSchema ?? said?.configSchema,
    reloadOnChange: own.reloadOnChange ?? said?.reloadOnChange ?? false,
    isolation: own.isolation ?? said?.isolation,
    dependencies: said?.dependencies ?? {},
    engines: said?.engines ?? {},
  };
  const text = Buffer.from(manifestText(manifest));
  parseManifest(text, `the manifest of ${id}`);
  return text;
}

/** What a manifest leaves out is no word against config.yaml; what both say has to be the same. */
function requireAgreement(own: { [Name in keyof Own]: Own[Name] | undefined }, said: Manifest, place: string): void {
  const unsaid: Partial<Record<keyof Own, unknown>> = {
    name: said.id,
    description: '',
    permissions: [],
    reloadOnChange: false,
  };
  for (const name of Object.keys(own) as (keyof Own)[]) {
    const mine = own[name];
    const its = said[name];
    if (mine === undefined || its === undefined || isDeepStrictEqual(its, unsaid[name]) || isDeepStrictEqual(mine, its))
      continue;
    const who = name === 'abi' ? 'the library' : 'config.yaml';
    throw disagreement(place, `/${name}`, its, mine, who);
  }
}

/** What config.yaml has, or the file that it names. */
function configSchemaOf({ config }: Application, files: readonly ArchiveFile[]): Manifest['configSchema'] {
  const { configSchema } = config.reserved;
  if (typeof configSchema !== 'string') return configSchema;
  const bytes = files.find((file) => file.path === configSchema)?.bytes;
  const text = bytes?.toString('utf8').replace(/^\uFEFF/, '') ?? '{}';
  return JSON.parse(text) as Record<string, unknown>;
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

/** The error for a member at `pointer` of the manifest at `place`, which another one contradicts. */
export function disagreement(
  place: string,
  pointer: string,
  its: unknown,
  other: unknown,
  who = 'config.yaml',
): TenonError {
  return invalid(place, pointer, `is ${shown(its)}, and ${who} says ${shown(other)}`);
}

function invalid(place: string, pointer: string, message: string): TenonError {
  return new TenonError('InvalidManifest', `${place}: ${pointer === '' ? '' : `${pointer} `}${message}`, {
    next: 'say it once, or the same in both',
    details: { pointer, problems: [{ pointer, message }] },
  });
}
