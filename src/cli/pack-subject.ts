/** What is packed: an application's folder, with a config.yaml, a manifest.json or both. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import { readIsolation } from '../base/isolation.js';
import { readRegular } from '../base/regular.js';
import { type Manifest, manifestFile } from '../bundle/manifest.js';
import { type Application, type CheckedFolder, librarySuffix, readApplication } from '../compiler/application.js';
import { type ApplicationConfig, configFile, configLimit, defaultConfig, parseConfig } from '../compiler/config.js';
import { disagreement, folderManifest } from './pack-manifest.js';

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
  const own = await configBesideManifest(folder);
  const said = await folderManifest(folder, own?.appId ?? path.basename(folder), own?.version);
  const config = path.join(folder, configFile);
  if (
    said === undefined &&
    !existsSync(config) &&
    !existsSync(path.join(folder, path.basename(folder) + librarySuffix))
  )
    throw new TypeError(`there is no application in ${folder}: it has neither a config.yaml nor a manifest.json`);
  const application = await readApplication(folder, said && asSaid(folder, said, own));
  const prebuilt = application.sources.length > 0 ? [] : librariesThere(application, said);
  const { sources, schemas, config: has } = application;
  if (prebuilt.length === 0 && sources.length === 0 && schemas.length === 0 && has.staticFiles === undefined)
    throw new TenonError(
      'SourcesMissing',
      `${folder} has nothing to pack: no sources, no library, no schema and no files`,
      {
        next: `put ${application.id}${librarySuffix} there, or resources/NAME.cpp and a config.yaml`,
        details: { folder },
      },
    );
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

/** What config.yaml leaves out, and that the two agree on what this is. */
function asSaid(folder: string, said: Manifest, own: ApplicationConfig | undefined): CheckedFolder {
  const { id, name, version, description, isolation, configSchema, reloadOnChange } = said;
  const permissions = own?.reserved.permissions ?? [...said.permissions];
  const wish = readIsolation(isolation);
  return {
    config: {
      ...defaultConfig(id),
      name,
      version,
      description,
      reserved: {
        permissions,
        reloadOnChange,
        ...(wish === undefined ? {} : { isolation: wish }),
        ...(configSchema === undefined ? {} : { configSchema: { ...configSchema } }),
      },
    },
    permissions,
    hasLibrary: Object.keys(said.entrypoints).length > 0,
    disagrees: (key, word) => disagreement(path.join(folder, manifestFile), `/${key}`, said[key], word),
  };
}

/** What config.yaml says where there is a manifest.json, too; undefined when one of them is not there. */
async function configBesideManifest(folder: string): Promise<ApplicationConfig | undefined> {
  const place = path.join(folder, configFile);
  if (!existsSync(place) || !existsSync(path.join(folder, manifestFile))) return undefined;
  return parseConfig((await readRegular(place, configLimit)).toString('utf8'), folder, path.basename(folder));
}
