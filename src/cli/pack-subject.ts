/** What is packed: an application's folder, with a config.yaml, a manifest.json or both. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import type { Manifest } from '../bundle/manifest.js';
import { type Application, entriesBelow, librarySuffix, readApplication } from '../compiler/application.js';
import { defaultConfig } from '../compiler/config.js';
import { folderManifest } from './pack-manifest.js';

export interface Subject {
  readonly application: Application;
  /** manifest.json of the folder. */
  readonly said: Manifest | undefined;
  /** Libraries that are there already: absolute path, and the platform where something says it. Empty: it is to be built. */
  readonly prebuilt: readonly { readonly file: string; readonly platform: string | undefined }[];
}

/**
 * Read what is in `folder` (absolute). Throws TypeError when that is no application, and as reading an application and a
 * manifest does.
 */
export async function readSubject(folder: string): Promise<Subject> {
  const said = await folderManifest(folder);
  const hasConfig = existsSync(path.join(folder, 'config.yaml'));
  if (said === undefined && !hasConfig && !existsSync(path.join(folder, path.basename(folder) + librarySuffix)))
    throw new TypeError(`there is no application in ${folder}: it has neither a config.yaml nor a manifest.json`);
  const application =
    said === undefined || hasConfig ? await readApplication(folder) : await onlyManifest(folder, said);
  const prebuilt = application.sources.length > 0 ? [] : librariesThere(application, said);
  if (prebuilt.length === 0 && application.sources.length === 0 && application.schemas.length === 0)
    throw new TenonError('SourcesMissing', `${folder} has nothing to pack: no sources, no library and no schema`, {
      next: `put ${application.id}${librarySuffix} there, or resources/NAME.cpp and a config.yaml`,
      details: { folder },
    });
  return { application, said, prebuilt };
}

function librariesThere({ id, folder, prebuilt }: Application, said: Manifest | undefined): Subject['prebuilt'] {
  const named = Object.entries(said?.entrypoints ?? {});
  if (named.length > 0)
    return named.map(([platform, file]) => ({
      file: path.join(folder, file),
      platform: platform === 'main' ? undefined : platform,
    }));
  const own = prebuilt ?? path.join(folder, id + librarySuffix);
  return existsSync(own) ? [{ file: own, platform: undefined }] : [];
}

async function onlyManifest(folder: string, said: Manifest): Promise<Application> {
  const { id, name, version, description, isolation, configSchema } = said;
  const { files } = await entriesBelow(folder);
  const config = defaultConfig(id);
  return {
    id,
    version,
    folder,
    config: {
      ...config,
      name,
      version,
      description,
      reserved: {
        permissions: [...said.permissions],
        reloadOnChange: said.reloadOnChange,
        ...(isolation === undefined ? {} : { isolation }),
        ...(configSchema === undefined ? {} : { configSchema: { ...configSchema } }),
      },
    },
    configSchema: undefined,
    sources: [],
    vendored: [],
    schemas: files.filter((file) => file === 'schema.graphql'),
    seeds: files.filter((file) => /^data\/[^/]+\.json$/.test(file)),
    prebuilt: undefined,
  };
}
