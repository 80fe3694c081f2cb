/** An application's folder: its config, and what there is to compile or to load. */
import { existsSync } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import picomatch from 'picomatch';
import { TenonError } from '../base/errors.js';
import {
  type ApplicationConfig,
  configFile,
  configLimit,
  configTooLarge,
  defaultConfig,
  idGrammar,
  parseConfig,
  unsaidVersion,
} from './config.js';
import type { ConfigSchema } from './config-schema.js';
import { checkedSchema } from './checked-schema.js';
import { readRegular } from '../base/regular.js';
import { isBelow } from './way.js';

export interface Application {
  /** Id of the plugin this becomes. */
  readonly id: string;
  readonly version: string;
  /** Absolute path. */
  readonly folder: string;
  readonly config: ApplicationConfig;
  /** What its config has to be like; its `custom` is. */
  readonly configSchema: ConfigSchema | undefined;
  /** Sources relative to the folder, "/" between segments, sorted. */
  readonly sources: readonly string[];
  /** Sources of the vendored folders, likewise. */
  readonly vendored: readonly string[];
  /** Files of its schema, relative to the folder, sorted; empty when it has no tables. */
  readonly schemas: readonly string[];
  /** Files of records that its tables begin with, likewise. */
  readonly seeds: readonly string[];
  /** Absolute path of `<folder>/<id>.so` (`.dylib` on macOS), when it is there and there are no sources. */
  readonly prebuilt: string | undefined;
}

/** How a library's file name ends on this system. */
export const librarySuffix = process.platform === 'darwin' ? '.dylib' : '.so';

/** What somebody who has checked the files of a folder says of it. */
export interface CheckedFolder {
  /** Files that count, relative to the folder, sorted; absent: all that are there. */
  files?: readonly string[] | undefined;
  /** Bytes of one of `files`; rejects with `code` `EFBIG` for more than `limit`. Absent: they are read from the folder. */
  read?: ((file: string, limit: number) => Promise<Buffer>) | undefined;
  /** What it is where there is no config.yaml. Where there is one, an id and a version that it says have to be these. */
  config: ApplicationConfig;
  /** What it asks for, whatever config.yaml says of it; absent: what that says. */
  permissions?: string[] | undefined;
  /** Whether it has a library that somebody else finds. */
  hasLibrary: boolean;
  /** What is wrong when config.yaml says something else. */
  disagrees: (key: 'id' | 'version', said: string) => TenonError;
}

/**
 * Read the application in `folder` (absolute).
 * Throws `ConfigNotFound`, `ConfigInvalid`, `SourcesMissing` when there is neither a source, a schema nor a library,
 * `DependencyMissing` for a vendored folder that is not there, `SourceOutside` for a link, and `ApplicationUnreadable`
 * when the system refuses something in the folder.
 */
export async function readApplication(folder: string, checked?: CheckedFolder): Promise<Application> {
  if (!path.isAbsolute(folder)) throw new TypeError(`folder must be an absolute path, got "${folder}"`);
  try {
    return await readFolder(folder, checked);
  } catch (error) {
    const { code, path: place } = error as NodeJS.ErrnoException;
    if (error instanceof TenonError || code === undefined || place === undefined) throw error;
    const relative = path.relative(folder, place);
    const shown = relative.length > placeShown ? `${relative.slice(0, placeShown)}…` : relative || '.';
    throw new TenonError(
      'ApplicationUnreadable',
      `the application ${path.basename(folder)} cannot be read: ${shown}: ${code}`,
      {
        next: 'let the user of the host read it, or take it out of the folder',
        details: { folder, path: place, reason: code },
        cause: error,
      },
    );
  }
}

/** Characters of a path that a message names. */
const placeShown = 200;

async function readFolder(folder: string, checked: CheckedFolder | undefined): Promise<Application> {
  const { config, text } = await (checked === undefined ? readConfig(folder) : readCheckedConfig(folder, checked));
  const configSchema = await checkedSchema(folder, config, text, checked?.read);
  const matchers = config.resources.map((glob) => picomatch(glob, { noextglob: true, nonegate: true, regex: false }));
  const named = (file: string): boolean => matchers.some((matches) => matches(file));
  const listed = checked?.files && { files: checked.files.filter(isPlain), links: [] };
  const below = listed ?? (await entriesBelow(folder));
  for (const link of below.links)
    if (named(link) || named(`${link}/x.c`) || named(`${link}/x.cpp`)) throw await linked(folder, link);
  const vendored = await vendoredSources(folder, config, checked, listed?.files);
  const matching = (globs: readonly string[]): string[] => {
    const isMatch = picomatch([...globs], { noextglob: true, nonegate: true, regex: false });
    return below.files.filter((file) => isMatch(file));
  };
  const schemas = matching(config.schemas);
  const others = new Set(vendored);
  const own = below.files.filter((file) => !others.has(file));
  const sources = own.filter((file) => sourceName.test(file) && named(file));
  const library = path.join(folder, config.appId + librarySuffix);
  const prebuilt = sources.length === 0 && listed === undefined && existsSync(library) ? library : undefined;
  const hasFiles = config.staticFiles !== undefined;
  if (
    sources.length === 0 &&
    prebuilt === undefined &&
    schemas.length === 0 &&
    !hasFiles &&
    checked?.hasLibrary !== true
  )
    throw new TenonError(
      'SourcesMissing',
      `the application ${config.appId} has nothing to serve: no schema (${config.schemas.join(', ')}), no sources (${config.resources.join(', ')}) and no ${path.basename(library)}`,
      {
        next: `add resources/NAME.cpp, schema.graphql or ${path.basename(library)} to ${folder}`,
        details: { folder, schemas: config.schemas, resources: config.resources },
      },
    );
  return {
    id: config.appId,
    version: config.version,
    folder,
    config,
    configSchema,
    sources,
    vendored,
    schemas,
    seeds: matching(config.seeds),
    prebuilt,
  };
}

const sourceName = /\.(?:c|cc|cpp|cxx)$/;

/** A source has to be a file of the folder: what a link leads to changes unseen, and may belong to somebody else. */
async function linked(folder: string, link: string): Promise<TenonError> {
  const target = await realpath(path.join(folder, link)).catch(() => undefined);
  const inside = target !== undefined && isBelow(await realpath(folder), target);
  const where =
    target === undefined ? 'nothing' : inside ? 'another place in the application' : 'outside the application';
  return new TenonError('SourceOutside', `${link}: a symbolic link (to ${where}) cannot be a source`, {
    next: 'put the file itself there, or take it out of `resources` in config.yaml',
    details: { file: link, folder },
  });
}

/** No name of what is hidden on the way. */
function isPlain(file: string): boolean {
  return file.split('/').every((name) => !name.startsWith('.') && name !== 'node_modules');
}

async function vendoredSources(
  folder: string,
  config: ApplicationConfig,
  checked: CheckedFolder | undefined,
  listed: readonly string[] | undefined,
): Promise<string[]> {
  const files: string[] = [];
  for (const name of config.dependencies.vendored) {
    const inside = listed?.filter((file) => file.startsWith(`${name}/`));
    if (inside !== undefined && inside.length > 0) {
      files.push(...inside.filter((file) => sourceName.test(file)));
      continue;
    }
    const place = path.join(folder, name);
    const info = listed === undefined ? await stat(place).catch(() => undefined) : undefined;
    // A library that is there already has been made with it.
    if (info?.isDirectory() !== true && checked?.hasLibrary === true) continue;
    if (info?.isDirectory() !== true)
      throw new TenonError('DependencyMissing', `the vendored folder ${name} of ${config.appId} is not there`, {
        next: `put it at ${place}, or correct \`dependencies\` in config.yaml`,
        details: { kind: 'vendored', name, folder },
      });
    if (!isBelow(await realpath(folder), await realpath(place))) throw await linked(folder, name);
    const below = await entriesBelow(folder, name);
    const link = below.links.find((each) => sourceName.test(each));
    if (link !== undefined) throw await linked(folder, link);
    files.push(...below.files.filter((file) => sourceName.test(file)));
  }
  return [...new Set(files)].sort();
}

/** What is checked says the rest of what config.yaml does not. */
async function readCheckedConfig(
  folder: string,
  { files, read, config: otherwise, permissions, disagrees }: CheckedFolder,
): Promise<{ config: ApplicationConfig; text: string }> {
  const isThere = files?.includes(configFile) ?? existsSync(path.join(folder, configFile));
  if (!isThere) return { config: otherwise, text: '' };
  const bytes = await (read === undefined || files === undefined
    ? readRegular(path.join(folder, configFile), configLimit)
    : read(configFile, configLimit)
  ).catch((error: unknown) => {
    throw (error as NodeJS.ErrnoException).code === 'EFBIG' ? configTooLarge(folder) : error;
  });
  const text = bytes.toString('utf8');
  const config = parseConfig(text, folder, otherwise.appId);
  if (config.appId !== otherwise.appId) throw disagrees('id', config.appId);
  if (config.version !== otherwise.version && config.version !== unsaidVersion)
    throw disagrees('version', config.version);
  const { version, reserved: said } = otherwise;
  const reserved = { ...said, ...config.reserved, ...(permissions === undefined ? {} : { permissions }) };
  return { config: { ...config, version, reserved }, text };
}

async function readConfig(folder: string): Promise<{ config: ApplicationConfig; text: string }> {
  const file = path.join(folder, configFile);
  let source: string;
  try {
    source = (await readRegular(file, configLimit)).toString('utf8');
  } catch (error) {
    const name = path.basename(folder);
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EFBIG') throw configTooLarge(folder);
    const missing = code === 'ENOENT';
    if (missing && idGrammar.test(name) && existsSync(path.join(folder, name + librarySuffix)))
      return { config: defaultConfig(name), text: '' };
    const why = missing ? '' : `: ${(error as Error).message}`;
    throw new TenonError('ConfigNotFound', `the application ${name} has no readable config.yaml${why}`, {
      next: `add ${file}; one line is enough: "name: ${name}"`,
      details: { folder },
      cause: error,
    });
  }
  return { config: parseConfig(source, folder), text: source };
}

/** Regular files and links below `folder`, without what is hidden, relative, sorted. Links are not followed. */
export async function entriesBelow(folder: string, below = ''): Promise<{ files: string[]; links: string[] }> {
  const files: string[] = [];
  const links: string[] = [];
  for (const entry of await readdir(path.join(folder, below), { withFileTypes: true })) {
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
    const relative = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) {
      const deeper = await entriesBelow(folder, relative);
      files.push(...deeper.files);
      links.push(...deeper.links);
    } else if (entry.isFile()) files.push(relative);
    else if (entry.isSymbolicLink()) links.push(relative);
  }
  return { files: files.sort(), links };
}
