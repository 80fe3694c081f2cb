/** The applications directory: what lies in it, and how a folder becomes a library. */
import { existsSync } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Environment } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import { type Application as Source, librarySuffix, readApplication } from '../compiler/application.js';
import { compile, describeWarning } from '../compiler/build.js';
import type { GenerationLimits } from '../plugin/generation.js';

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
  readonly source: Source;
}

/** A library that is ready to be admitted. */
export interface Build {
  /** Absolute path. */
  readonly library: string;
  /** What the compiler warned of, one sentence each. */
  readonly warnings: string[];
}

export interface ApplicationsOptions {
  /** Absolute path of the applications directory; it need not exist. */
  directory: string;
  /** Absolute path of the data directory, which has the builds. */
  dataDirectory: string;
  /** Environment of the compilers. */
  environment: Environment;
  /** For one build, ms. */
  buildMs: number;
}

/** `/todo/` and `todo` are `/todo`; `/` is empty. */
function prefixOf(text: string): string {
  const trimmed = text.replaceAll(/^\/+|\/+$/g, '');
  return trimmed === '' ? '' : `/${trimmed}`;
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

  /** Whether the folder is there, itself and not as a symbolic link, and has a config or a library. */
  async exists(folder: string): Promise<boolean> {
    const name = path.basename(folder);
    if (name.startsWith('.') || folder === this.#options.dataDirectory) return false;
    const info = await lstat(folder).catch(() => undefined);
    if (info?.isDirectory() !== true) return false;
    return ['config.yaml', `${name}${librarySuffix}`].some((file) => existsSync(path.join(folder, file)));
  }

  /** Folder of the application `id`, when there is one. */
  async find(id: string): Promise<string | undefined> {
    for (const folder of await this.folders()) {
      const application = await this.read(folder).catch(() => undefined); // a broken one has no id to be found by
      if (application?.id === id) return folder;
    }
    return undefined;
  }

  /** Rejects as `readApplication` does. */
  async read(folder: string): Promise<Application> {
    const source = await readApplication(folder);
    const { id, config } = source;
    const prefix = prefixOf(config.reserved.routePrefix ?? id);
    const limits: Partial<GenerationLimits> = {
      ...(config.concurrency === undefined ? {} : { concurrency: config.concurrency }),
      ...(config.deadlineMs === undefined ? {} : { deadlineMs: config.deadlineMs }),
      ...(config.bodyLimit === undefined ? {} : { bodyLimit: config.bodyLimit }),
    };
    return { id, folder, enabled: config.enabled, prefix, limits, source };
  }

  /** Compile it, or name the library it comes with. Rejects with `BuildFailed`, `BuildTimeout` or `ToolchainMissing`. */
  async build(application: Application): Promise<Build> {
    const { dataDirectory, environment, buildMs } = this.#options;
    const { signal } = this.#abort;
    signal.throwIfAborted();
    const { library, warnings } = await compile(application.source, {
      dataDirectory,
      env: environment,
      timeoutMs: buildMs,
      signal,
    });
    return { library, warnings: warnings.map(describeWarning) };
  }

  /** Stop builds under way and begin no other. */
  abort(): void {
    this.#abort.abort(new TenonError('HostClosing', 'the host is shutting down', { next: 'ask the next host' }));
  }
}
