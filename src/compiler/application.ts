/** An application's folder: its config, and what there is to compile or to load. */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import picomatch from 'picomatch';
import { TenonError } from '../base/errors.js';
import { type ApplicationConfig, defaultConfig, idGrammar, parseConfig } from './config.js';

export interface Application {
  /** Id of the plugin this becomes. */
  readonly id: string;
  readonly version: string;
  /** Absolute path. */
  readonly folder: string;
  readonly config: ApplicationConfig;
  /** Sources relative to the folder, "/" between segments, sorted. */
  readonly sources: readonly string[];
  /** Absolute path of `<folder>/<id>.so` (`.dylib` on macOS), when it is there and there are no sources. */
  readonly prebuilt: string | undefined;
}

/** How a library's file name ends on this system. */
export const librarySuffix = process.platform === 'darwin' ? '.dylib' : '.so';

/**
 * Read the application in `folder` (absolute).
 * Throws `ConfigNotFound`, `ConfigInvalid`, and `SourcesMissing` when there is neither a source nor a library.
 */
export async function readApplication(folder: string): Promise<Application> {
  if (!path.isAbsolute(folder)) throw new TypeError(`folder must be an absolute path, got "${folder}"`);
  const config = await readConfig(folder);
  const matchers = config.resources.map((glob) => picomatch(glob));
  const files = await filesBelow(folder);
  const sources = files.filter((file) => sourceName.test(file) && matchers.some((matches) => matches(file)));
  const library = path.join(folder, config.appId + librarySuffix);
  const prebuilt = sources.length === 0 && existsSync(library) ? library : undefined;
  if (sources.length === 0 && prebuilt === undefined)
    throw new TenonError(
      'SourcesMissing',
      `the application ${config.appId} has no sources (${config.resources.join(', ')})`,
      {
        next: `add resources/NAME.cpp or ${path.basename(library)} to ${folder}`,
        details: { folder, resources: config.resources },
      },
    );
  return { id: config.appId, version: config.version, folder, config, sources, prebuilt };
}

const sourceName = /\.(?:c|cc|cpp|cxx)$/;

async function readConfig(folder: string): Promise<ApplicationConfig> {
  const file = path.join(folder, 'config.yaml');
  let source: string;
  try {
    source = await readFile(file, 'utf8');
  } catch (error) {
    const name = path.basename(folder);
    if (idGrammar.test(name) && existsSync(path.join(folder, name + librarySuffix))) return defaultConfig(name);
    throw new TenonError('ConfigNotFound', `the application ${name} has no readable config.yaml`, {
      next: `add ${file}; one line is enough: "name: ${name}"`,
      details: { folder },
      cause: error,
    });
  }
  return parseConfig(source, folder);
}

/** Regular files below `folder`, without what is hidden, relative, sorted. Links are not followed. */
async function filesBelow(folder: string, below = ''): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(path.join(folder, below), { withFileTypes: true })) {
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
    const relative = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) found.push(...(await filesBelow(folder, relative)));
    else if (entry.isFile()) found.push(relative);
  }
  return found.sort();
}
