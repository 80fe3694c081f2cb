/** Bundles of the tests, made without the command line. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { writeArchive } from '../../src/bundle/write-archive.js';
import { buildPlugin } from '../plugins/build.js';

export interface BundleParts {
  version?: string;
  /** Absolute path of its library; one that answers /version, of the bundle's id and version, when absent. */
  library?: string;
  /** Further files, by path. */
  files?: Record<string, string | Buffer>;
  /** Members of the manifest that are set, or with `undefined` left out. */
  manifest?: Record<string, unknown>;
}

/** This machine, as manifests name it. */
export const platform = `${process.platform}-${process.arch}`;

/** The archive of a bundle of plugin `id`. */
export async function makeBundle(id: string, parts: BundleParts = {}): Promise<Buffer> {
  const { version = '1.0.0', files = {}, manifest = {} } = parts;
  const library =
    parts.library ??
    (await buildPlugin('says_version', { defines: { PLUGIN_ID: `"${id}"`, PLUGIN_VERSION: `"${version}"` } }));
  const place = `prebuilds/${platform}/${id}.so`;
  const all: Record<string, Buffer> = { [place]: await readFile(library) };
  for (const [file, content] of Object.entries(files)) all[file] = Buffer.from(content as string);
  const paths = Object.keys(all).toSorted();
  const listed = Object.fromEntries(
    paths.map((file) => {
      const bytes = all[file] as Buffer;
      return [file, { sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.byteLength }];
    }),
  );
  const said = { id, version, entrypoints: { [platform]: place }, files: listed, ...manifest };
  return writeArchive([
    { path: 'manifest.json', bytes: Buffer.from(JSON.stringify(said, null, 2)) },
    ...paths.map((file) => ({ path: file, bytes: all[file] as Buffer })),
  ]);
}
