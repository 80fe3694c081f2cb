/** Which files of an application go into its bundle, beside its libraries. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import picomatch from 'picomatch';
import { TenonError } from '../base/errors.js';
import { readRegular } from '../base/regular.js';
import type { ArchiveFile } from '../bundle/archive.js';
import { type Application, entriesBelow } from '../compiler/application.js';

export interface Contents {
  readonly files: ArchiveFile[];
  /** What somebody may look for in vain, a sentence each. */
  readonly warnings: string[];
}

const configFile = 'config.yaml';
/** At the root of the folder: what people read of it. */
const papers = /^(?:readme|licen[cs]e|copying|notice|changelog)(?:[-.][\w.-]+)?$/i;
const code = /\.(?:c|cc|cpp|cxx|h|hh|hpp|hxx|inc|inl|ipp|tpp|def)$/;

/**
 * Read them; with `sources` what its libraries are made of, too. Rejects with `PackFailed` for a file that cannot be read
 * and for `static_files` that have none.
 */
export async function contentsOf(
  application: Application,
  { sources, limit }: { sources: boolean; limit: number },
): Promise<Contents> {
  const { folder, config, schemas, seeds } = application;
  const below = await entriesBelow(folder);
  const root = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isFile());
  const { configSchema } = config.reserved;
  const globs = config.staticFiles === undefined ? [] : [`${config.staticFiles.directory}/**`];
  const isStatic = matcherOf(globs);
  const shown = below.files.filter(isStatic);
  if (globs.length > 0 && shown.length === 0)
    throw new TenonError(
      'PackFailed',
      `static_files of ${application.id} name no file: ${config.staticFiles?.directory}`,
      {
        next: 'correct `static_files` in config.yaml, or take it out',
        details: { application: application.id, patterns: globs },
      },
    );
  const chosen = new Set([
    ...root.map(({ name }) => name).filter((name) => name === configFile || papers.test(name)),
    ...schemas,
    ...seeds,
    ...(typeof configSchema === 'string' ? [configSchema] : []),
    ...shown,
    ...(sources ? sourcesOf(application, below.files) : []),
  ]);
  const named = matcherOf([...config.schemas, ...config.seeds, ...globs]);
  const warnings = below.links
    .filter((link) => named(link) || papers.test(link))
    .map((link) => `${link} is a symbolic link, which is left out`);
  const files: ArchiveFile[] = [];
  for (const file of [...chosen].sort()) files.push({ path: file, bytes: await bytesOf(folder, file, limit) });
  return { files, warnings };
}

/** What compiles, and all that lies in vendored folders: their sources may include whatever they like. */
function sourcesOf({ sources, vendored, config }: Application, files: readonly string[]): string[] {
  const others = config.dependencies.vendored.map((name) => `${name}/`);
  return [
    ...sources,
    ...vendored,
    ...files.filter((file) => others.some((folder) => file.startsWith(folder))),
    ...files.filter((file) => code.test(file) && !/^(?:test|build)\//.test(file)),
  ];
}

function matcherOf(globs: readonly string[]): (file: string) => boolean {
  return globs.length === 0 ? () => false : picomatch([...globs], { noextglob: true, nonegate: true, regex: false });
}

async function bytesOf(folder: string, file: string, limit: number): Promise<Buffer> {
  try {
    return await readRegular(path.join(folder, file), limit);
  } catch (cause) {
    throw new TenonError(
      'PackFailed',
      `${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        details: { path: file },
        cause,
      },
    );
  }
}
